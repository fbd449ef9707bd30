"""What the demonstrations share: judging models side by side, tables, figures."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from joblib import Parallel, cpu_count, delayed
from sklearn.frozen import FrozenEstimator

from sklmeta.model_selection import few_shot_cross_validate

OUTPUT = Path("output")


def compare(
    models: dict[str, Any],
    X: np.ndarray,
    y: np.ndarray,
    task: np.ndarray,
    old: np.ndarray,
    shots: list[int],
    **protocol: Any,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Fit every model on the old tasks and judge it on the others.

    All models see the same support rows of each new task.

    Parameters
    ----------
    models : dict of str to estimator
    X, y, task : ndarray
        Rows of all tasks.

    old : ndarray of bool of shape (n_samples,)
        Rows of the tasks to learn from.

    shots : list of int
        Numbers of support rows.

    **protocol
        ``support``, ``n_draws`` or ``random_state`` of `few_shot_cross_validate`.

    Returns
    -------
    scores : data frame
        What `few_shot_cross_validate` returns, of all models, with a column "model".

    fitted : dict of str to estimator
    """
    jobs = [
        delayed(_fit_and_judge)(name, model, X, y, task, old, shots, protocol)
        for name, model in models.items()
    ]
    scores, fitted = {}, {}
    n_jobs = min(2, cpu_count())
    finished = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(jobs)
    for name, model, table, seconds in finished:
        print(f"  ... {name}: fitted and judged in {seconds:.0f} s", flush=True)
        scores[name], fitted[name] = table.assign(model=name), model
    return pd.concat([scores[name] for name in models], ignore_index=True), fitted


def _fit_and_judge(
    name: str,
    model: Any,
    X: np.ndarray,
    y: np.ndarray,
    task: np.ndarray,
    old: np.ndarray,
    shots: list[int],
    protocol: dict[str, Any],
) -> tuple[str, Any, pd.DataFrame, float]:
    start = time.perf_counter()
    with sklearn.config_context(enable_metadata_routing=True):
        model.fit(X[old], y[old], task=task[old])
        # Frozen: the folds below are only there to say which tasks are new.
        folds = [(np.flatnonzero(old), np.flatnonzero(~old))]
        table = few_shot_cross_validate(
            FrozenEstimator(model), X, y, task, shots=shots, cv=folds, **protocol
        )
    return name, model, table, time.perf_counter() - start


def print_table(title: str, scores: pd.Series, column: str) -> None:
    """Print one line per model; `column` names what the columns count.

    Parameters
    ----------
    title : str
    scores : Series indexed by model and shots
    column : str
    """
    table = scores.unstack(sort=False)
    width = max(len(name) for name in table.index) + 2
    print(f"\n{title}")
    heads = "".join(f"{f'{shots} {column}':>12}" for shots in table.columns)
    print(" " * width + heads)
    for name, values in table.iterrows():
        print(f"{name:<{width}}" + "".join(f"{value:12.3f}" for value in values))
    print(flush=True)


def save(figure: Any, name: str) -> None:
    """Write a figure into the output folder and say where."""
    OUTPUT.mkdir(exist_ok=True)
    path = OUTPUT / name
    figure.savefig(path, dpi=150, bbox_inches="tight")
    print(f"figure: {os.path.relpath(path)}\n", flush=True)
