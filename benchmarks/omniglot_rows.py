"""The rows of the Omniglot table: how each model is trained, and what is published.

Published figures: the papers named in the docstrings of the estimators, as they or
later papers print them; replications: oscarknagg/few-shot, PaddleFSL, learn2learn and
the orobix and Cambridge re-runs of prototypical networks.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sklmeta import ProtoNetClassifier
from sklmeta.encoders import Conv4

ALL = [(5, 1), (5, 5), (20, 1), (20, 5)]
SETTINGS = [f"{way}-way {shots}-shot" for way, shots in ALL]


class Published(NamedTuple):
    """One line of the table."""

    name: str
    method: str
    setting: str
    paper: str
    others: str
    transductive: bool = False


def four(
    name: str, method: str, paper: list[str], others: list[str], **options: bool
) -> list[Published]:
    return [
        Published(name, method, *cells, **options)
        for cells in zip(SETTINGS, paper, others, strict=True)
    ]


def protonet(seed: int) -> tuple[Any, list[tuple[int, int]]]:
    model = ProtoNetClassifier(
        module=Conv4,
        n_way=60,
        n_shots=1,
        n_query=5,
        meta_batch_size=1,
        max_iter=3000,
        optimizer="Adam",
        lr=2e-3,
        weight_decay=0.0,
        random_state=seed,
    )
    return model, ALL


BUILDERS: dict[str, Callable[[int], tuple[Any, list[tuple[int, int]]]]] = {
    "protonet": protonet,
}

PUBLISHED = [
    *four(
        "protonet",
        "prototypical",
        ["98.8", "99.7", "96.0", "98.9"],
        ["98.2 to 98.6", "99.4 to 99.6", "95.3 to 95.8", "98.6 to 98.7"],
    ),
]
