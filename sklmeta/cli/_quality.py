"""How good a model is on tasks that it has not seen."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone

from sklmeta.cli._table import Table
from sklmeta.model_selection import TaskKFold, few_shot_cross_validate

N_FOLDS = 3
SHOTS = (1, 2, 5)
MOST_SECONDS = 20.0
"""Of one fit: with slower ones three more are left to `sklmeta compare`."""


def quality_of(model: Any, table: Table, seconds: float, seed: int) -> str:
    """Say in a sentence how well tasks are predicted that were held out."""
    n_tasks = len(np.unique(table.task))
    folds = min(N_FOLDS, n_tasks)
    _, sizes = np.unique(table.task, return_counts=True)
    shots = [k for k in SHOTS if k < np.median(sizes)]
    if seconds > MOST_SECONDS or not shots or n_tasks < 2 * folds:
        return "How good it is was not measured; `sklmeta compare --models` does."
    scores = few_shot_cross_validate(
        clone(model),
        *(table.X, table.y, table.task),
        shots=shots,
        cv=TaskKFold(folds),
        random_state=seed,
    )
    if "sse" in scores:
        scores["score"] = np.sqrt(scores.sse / scores.n_query)
    means = scores.groupby("shots").score.mean()
    said = ", ".join(f"{mean:.3g} with {k}" for k, mean in means.items())
    what = "accuracy" if table.classification else "RMSE"
    return (
        f"On tasks held out in {folds} folds its mean {what} is {said} labelled "
        f"row(s){' per class' if (scores.n_support > scores.shots).any() else ''}."
    )
