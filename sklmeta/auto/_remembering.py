"""What members have learned and answered, kept for a blend that is fitted again."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from sklmeta.auto._evidence import Answers, cross_fit
from sklmeta.evaluation.containers import inner_estimator
from sklmeta.training.checkpoint import Checkpoint


def remembered(place: Checkpoint, *given: Any) -> list[Answers]:
    """Return what `cross_fit` answers, or answered before."""
    state = place.load()
    if state is None:
        answers = cross_fit(*given)
        parts = [
            {n: torch.from_numpy(np.array(v)) for n, v in part._asdict().items()}
            for part in answers
        ]
        place.save({"answers": parts})
        return answers
    return [
        Answers(**{name: tensor.numpy() for name, tensor in part.items()})
        for part in state["answers"]
    ]


def with_place(member: Any, folder: Path | None) -> Any:
    """Let a member that can keep what it learns do so there; None: no more."""
    inner = inner_estimator(member)
    if "checkpoint_dir" in inner.get_params(deep=False):
        inner.set_params(checkpoint_dir=None if folder is None else str(folder))
    return member
