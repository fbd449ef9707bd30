"""``sklmeta explain``: what a model that is adapted to some rows looks at."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import textwrap
from typing import Any

import numpy as np
import pandas as pd

from sklmeta.cli._arguments import say
from sklmeta.cli._coefficients import MOST_TASKS, coefficients_of
from sklmeta.cli._importance import importances_of
from sklmeta.cli._run_predict import labelled
from sklmeta.cli._store import load_model
from sklmeta.cli._table import DataError
from sklmeta.cli._terminal import printed
from sklmeta.evaluation.containers import inner_estimator

WIDTH = 80


def run(arguments: argparse.Namespace) -> None:
    """Print what each feature brings, and of a mixed model its coefficients."""
    if arguments.repeats < 2:
        raise DataError("--repeats is 2 or more, for an interval.")
    model, meta = load_model(arguments.model)
    if "schema" not in meta:
        raise DataError(f"{arguments.model} is too old to be explained: fit it anew.")
    arguments.support = arguments.data
    file, X, y, task = labelled(model, meta, arguments)
    task = np.repeat(meta["task"], len(y)) if task is None else task
    _importance(model, meta, file.path, X, y, task, arguments)
    table = coefficients_of(model, X, y, task)
    if table is None:
        return
    n_tasks = len(np.unique(task))
    others = f" The first {MOST_TASKS} of {n_tasks} tasks." * (n_tasks > MOST_TASKS)
    own = ", the standard deviation of tasks about it, and how much these deviate"
    own = (
        (own + _scale(model) if "tasks' sd" in table else ", of logits") + "." + others
    )
    print()
    _say(
        "Coefficients of the mixed model, of columns as it sees them: numbers in "
        "standard deviations from their mean, categories as 0 or 1. What all tasks "
        f"share (± half of its 95 % interval){own}"
    )
    print()
    print(printed(table, arguments.markdown))


def _importance(
    model: Any,
    meta: dict[str, Any],
    path: str,
    X: pd.DataFrame,
    y: Any,
    task: Any,
    arguments: argparse.Namespace,
) -> None:
    found = importances_of(
        *(model, X, y, task, meta["classification"]),
        n_repeats=arguments.repeats,
        seed=arguments.seed,
    )
    if found.n_left_out:
        say(f"{path}: {found.n_left_out} row(s) of tasks with a single one left out.")
    what = "accuracy" if meta["classification"] else "RMSE"
    tasks = "one task" if found.n_tasks == 1 else f"{found.n_tasks} tasks"
    _say(
        f"{found.n_rows} labelled rows of {tasks}; each is predicted by the model as "
        f"adapted to other rows of its task, with a mean {what} of {found.score:.3g}. "
        f"How much worse that becomes when a column is shuffled: mean and 95 % range "
        f"over {arguments.repeats} shuffles, each with a new parting of the rows."
    )
    print()
    print(printed(found.table, arguments.markdown))


def _scale(model: Any) -> str:
    family = getattr(inner_estimator(model), "family", None)
    if family == "gaussian":
        return ""
    return (
        ", of logits, about" if family is None else ", of the mean's logarithm, about"
    )


def _say(text: str) -> None:
    print(textwrap.fill(text, WIDTH))
