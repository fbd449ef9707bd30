"""Permutation importance of an adapted model, on rows that it was not adapted to."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import sklearn
from numpy.typing import NDArray
from sklearn.inspection import permutation_importance

from sklmeta.cli._files import DataError
from sklmeta.evaluation.containers import adapted

N_PARTS = 5
"""Into which a task's labelled rows fall; each is predicted from the other four."""


class Importances(NamedTuple):
    """How much each feature brings, and on which rows that was measured."""

    table: pd.DataFrame
    score: float
    n_rows: int
    n_tasks: int
    n_left_out: int


def importances_of(
    model: Any,
    X: pd.DataFrame,
    y: NDArray[Any],
    task: NDArray[Any],
    classification: bool,
    n_repeats: int,
    seed: int,
) -> Importances:
    """Measure what shuffling each feature costs.

    Raises
    ------
    DataError
        If no task has two rows.
    """
    _, codes, sizes = np.unique(task, return_inverse=True, return_counts=True)
    kept = sizes[codes] > 1
    if not kept.any():
        raise DataError("To see what features bring, a task needs two labelled rows.")
    X, y, codes = X[kept].reset_index(drop=True), y[kept], codes[kept]
    rng = np.random.default_rng(seed)
    drops, scores = [], []
    for _ in range(n_repeats):
        held_out = HeldOut(model, X, y, codes, classification, rng)
        scores.append(held_out.score(model, X, y))
        found = permutation_importance(
            model,
            X,
            y,
            scoring=held_out.score,
            n_repeats=1,
            random_state=int(rng.integers(2**31)),
        )
        drops.append(found.importances[:, 0])
    low, high = np.quantile(drops, [0.025, 0.975], axis=0)
    table = pd.DataFrame(
        {"worse by": np.mean(drops, axis=0), "from": low, "to": high},
        index=pd.Index(X.columns, name="feature"),
    ).sort_values("worse by", ascending=False, kind="stable")
    n_tasks = len(np.unique(codes))
    score = abs(float(np.mean(scores)))
    return Importances(table, score, len(y), n_tasks, int((~kept).sum()))


class HeldOut:
    """Models adapted to all parts of each task's rows but one, for the rows of it."""

    def __init__(
        self,
        model: Any,
        X: pd.DataFrame,
        y: NDArray[Any],
        task: NDArray[np.intp],
        classification: bool,
        rng: np.random.Generator,
    ) -> None:
        self.task, self.classification = task, classification
        self.part = _parts(task, rng)
        with sklearn.config_context(enable_metadata_routing=True):
            self.models = [
                adapted(model, X[old], y[old], task=task[old])
                for old in (self.part != i for i in range(self.part.max() + 1))
            ]

    def score(self, model: Any, X: pd.DataFrame, y: NDArray[Any]) -> float:
        """As a scorer of scikit-learn, of which more is better."""
        predicted = np.empty(len(y), dtype=object)
        with sklearn.config_context(enable_metadata_routing=True):
            for i, one in enumerate(self.models):
                rows = self.part == i
                predicted[rows] = one.predict(X[rows], task=self.task[rows])
        if self.classification:
            return float(np.mean(predicted == y))
        return -float(np.sqrt(np.mean((predicted.astype(float) - y) ** 2)))


def _parts(task: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """Part of each row: of every task two at least, so that none is held out whole."""
    part = np.empty(len(task), dtype=np.intp)
    for rows in pd.Series(range(len(task))).groupby(task).groups.values():
        n = min(len(rows), N_PARTS)
        part[np.asarray(rows)] = rng.permutation(np.arange(len(rows)) % n)
    return part
