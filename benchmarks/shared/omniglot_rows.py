"""The rows of the Omniglot table: how each model is trained, and what is published.

Published figures: the papers named in the docstrings of the estimators, as they or
later papers print them. Replications: oscarknagg/few-shot, PaddleFSL, learn2learn, the
orobix and Cambridge re-runs of prototypical networks, and re-runs of Reptile's code.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sklmeta import (
    ANILClassifier,
    MAMLClassifier,
    MatchingNetClassifier,
    MetaLSTMClassifier,
    MetaSGDClassifier,
    ProtoNetClassifier,
    RelationNetClassifier,
    ReptileClassifier,
    RidgeHeadClassifier,
    SiameseClassifier,
)
from sklmeta.learners.encoders import Conv4
from sklmeta.metric_based.relation_modules import ConvMaps, ConvRelation

FIVE = [(5, 1), (5, 5)]
ALL = [*FIVE, (20, 1), (20, 5)]
SETTINGS = [f"{way}-way {shots}-shot" for way, shots in ALL]
# An encoder with batch normalisation sees one task at a time; with 20 classes there is
# one task in a meta-update.
TWENTY_WAY: dict[str, Any] = {
    "module": Conv4,
    "n_way": 20,
    "n_shots": (1, 5),
    "n_query": 5,
    "meta_batch_size": 1,
    "optimizer": "Adam",
    "lr": 2e-3,
    "weight_decay": 0.0,
}
FIVE_WAY: dict[str, Any] = {
    "module": Conv4,
    "module_params": {"n_filters": 32},
    "n_way": 5,
    "n_shots": (1, 5),
    "n_query": 5,
    "meta_batch_size": 4,
    "lr": 2e-3,
}
SIXTEEN = {**FIVE_WAY, "module_params": {"n_filters": 16}}
REPTILE: dict[str, Any] = {
    "module": Conv4,
    "module_params": {"n_filters": 16},
    "n_way": 5,
    "n_shots": 10,
    "meta_batch_size": 5,
}

Builder = Callable[[int], tuple[Any, list[tuple[int, int]]]]


class Published(NamedTuple):
    """One line of the table."""

    name: str
    method: str
    setting: str
    paper: str
    others: str
    transductive: bool = False


def builder(
    estimator: type[Any],
    settings: list[tuple[int, int]],
    common: dict[str, Any],
    **params: Any,
) -> Builder:
    return lambda seed: (
        estimator(**{**common, **params}, random_state=seed),
        settings,
    )


BUILDERS: dict[str, Builder] = {
    "protonet": builder(
        ProtoNetClassifier, ALL, TWENTY_WAY, n_way=60, n_shots=1, max_iter=3000
    ),
    "ridge": builder(
        RidgeHeadClassifier, ALL, TWENTY_WAY, n_way=60, n_shots=1, max_iter=2000
    ),
    "siamese": builder(SiameseClassifier, ALL, TWENTY_WAY, max_iter=1500),
    "matching": builder(
        MatchingNetClassifier, ALL, TWENTY_WAY, n_way=60, n_shots=1, max_iter=1500
    ),
    "matching-cosine": builder(
        MatchingNetClassifier, ALL, TWENTY_WAY, metric="cosine", max_iter=2500
    ),
    "relation": builder(
        RelationNetClassifier,
        ALL,
        TWENTY_WAY,
        module=ConvMaps,
        relation_module=ConvRelation,
        max_iter=4000,
    ),
    "reptile-transductive": builder(
        ReptileClassifier, FIVE, REPTILE, head_init="prototypes", max_iter=1500
    ),
    "reptile-shared-transductive": builder(
        ReptileClassifier, FIVE, REPTILE, head_init="shared", max_iter=3000
    ),
    "fomaml-transductive": builder(
        MAMLClassifier, FIVE, SIXTEEN, first_order=True, inner_steps=3, max_iter=7200
    ),
    "anil": builder(ANILClassifier, FIVE, SIXTEEN, max_iter=4000),
    "maml-transductive": builder(
        MAMLClassifier, FIVE, SIXTEEN, inner_steps=1, max_iter=7200
    ),
    "meta-sgd": builder(MetaSGDClassifier, FIVE, SIXTEEN, inner_steps=1, max_iter=1800),
    "meta-lstm": builder(MetaLSTMClassifier, FIVE, SIXTEEN, max_iter=600),
}


def rows(
    name: str,
    method: str,
    paper: str,
    others: str = "",
    transductive: bool = False,
) -> list[Published]:
    """Lines of a method: figures in the order of `SETTINGS`, apart by a semicolon."""
    figures = [text.split("; ") for text in (paper, others or "; " * paper.count(";"))]
    return [
        Published(name, method, *cells, transductive=transductive)
        for cells in zip(SETTINGS, *figures, strict=False)
    ]


PUBLISHED = [
    *rows(
        "protonet",
        "prototypical",
        "98.8; 99.7; 96.0; 98.9",
        "98.2–98.6; 99.4–99.6; 95.3–95.8; 98.6–98.7",
    ),
    *rows("ridge", "ridge head (R2-D2)", "98.9; 99.7; 96.2; 99.2"),
    *rows("siamese", "Siamese, as re-run in Vinyals 2016", "97.3; 98.4; 88.2; 97.0"),
    *rows(
        "matching",
        "matching, squared Euclidean",
        "98.1; 98.9; 93.8; 98.5",
        "98.3; 99.8; 92.8; 97.8",
    ),
    *rows(
        "matching-cosine",
        "matching, cosine",
        "98.1; 98.9; 93.8; 98.5",
        "92.0; 93.2; 75.6; 77.8",
    ),
    *rows(
        "relation",
        "relation",
        "99.6; 99.8; 97.6; 99.1",
        "98.0; 99.3; ; ",
    ),
    *rows(
        "reptile-transductive",
        "Reptile, 16 filters",
        "95.4; 98.9; 88.1; 96.7",
        "95.5; 98.9; 88.1; 96.6",
    ),
    *rows(
        "reptile-transductive",
        "Reptile, 16 filters",
        "97.7; 99.5; 89.4; 97.1",
        "97.8; 99.5; 89.3; 97.6",
        True,
    ),
    *rows("reptile-shared-transductive", "Reptile, head from one row", "; "),
    *rows(
        "fomaml-transductive",
        "first-order MAML, 16 filters",
        "; ; ; ",
        "95.5; 99.5; 92.2; 97.7",
    ),
    *rows(
        "fomaml-transductive",
        "first-order MAML, 16 filters",
        "98.3; 99.2; 89.4; 97.9",
        "97.1; 99.2; ; ",
        True,
    ),
    *rows("anil", "ANIL, 16 filters", "; "),
    *rows("maml-transductive", "MAML, 16 filters", "; "),
    *rows(
        "maml-transductive",
        "MAML, 16 filters",
        "98.7; 99.9; 95.8; 98.9",
        "98.1; 99.8; 91.6; 95.9",
        True,
    ),
    *rows("meta-sgd", "Meta-SGD, 16 filters", "99.5; 99.9; 95.9; 99.0"),
    *rows("meta-lstm", "meta-LSTM, 16 filters", "; "),
]

NOTES = {
    "protonet": (
        "5-way 1-shot is .2 below the band of .5 around the paper, 20-way within its "
        "1.0. It had 964 characters to learn from instead of 1,200."
    ),
    "ridge": (
        "Below the paper by 2 points at 5-way and 4 at 20-way 1-shot, by half a point "
        "and 1.3 with 5 shots: 22 minutes, from 964 characters. The paper's network is "
        "wider."
    ),
    "siamese": (
        "Below the papers' re-run by 3 points at 5-way and by 4 at 20-way 1-shot: "
        "trained for six of the thirty minutes, for 1 to 5 shots at once."
    ),
    "relation": (
        "Below the paper by 2.6 points at 5-way and 6 at 20-way 1-shot, and by 1 below "
        "what others reached at 5-way: its distance has to be learned as well, in 18 "
        "of the thirty minutes and for 1 to 5 shots at once."
    ),
    "reptile-transductive": (
        "Below the paper by 8 to 9 points with one shot and 3 with five: 1,500 "
        "updates, where the paper has 100,000, and 16 filters."
    ),
    "reptile-shared-transductive": (
        "From one row of the head for all classes, the former default: kept to show "
        "why it no longer is. What stops it from learning was not found out."
    ),
    "fomaml-transductive": (
        "Below the papers by 3 points with one shot and .5 with five, and by 1 below "
        "others without transduction: 7,200 updates of 4 tasks with 16 filters, where "
        "the papers have some 60,000 of 32 with 64."
    ),
    "maml-transductive": (
        "Below the papers by 3 points with one shot and 1.4 with five: 7,200 updates "
        "of 4 tasks with 16 filters, where the papers have some 60,000 of 32 with 64."
    ),
    "meta-sgd": (
        "Below the paper by 8 and 2.5 points: six of the thirty minutes, 1,800 updates "
        "of 4 tasks with 16 filters."
    ),
}
"""Why a row misses what is published."""
