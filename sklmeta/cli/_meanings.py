"""What each row and each column of a comparison's table is, in a sentence."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import inspect

import sklmeta
from sklmeta.comparing import Comparison

ROWS = {
    "auto": "A blend of several meta-learners, weighted by what worked on held-out "
    "tasks.",
    "mixed model": "What statisticians use for many small groups: each task has a "
    "level and slopes of its own, which vary about common ones as much as the tasks "
    "say.",
    "own ridge": "Baseline: a ridge regression for each task, of its own labelled rows "
    "alone.",
    "own logistic": "Baseline: a logistic regression for each task, of its own "
    "labelled rows alone.",
    "boosting with the task": "Baseline: gradient boosting on all rows, with the task "
    "as a category, fitted anew with the new task's labelled rows.",
    "pooled boosting + offset": "Baseline: gradient boosting on the other tasks' rows, "
    "shifted by what the new task's labelled rows say: their mean error, or how often "
    "each class occurs among them.",
}
COSTS = {
    "fit s": "seconds to fit, the mean over folds.",
    "adapt ms": "milliseconds to adapt to a task and predict its other rows.",
}


def explained_rows(comparison: Comparison) -> dict[str, str]:
    """Return a sentence for every estimator of which one is known."""
    found = {name: _sentence(name) for name in comparison.names}
    return {name: text for name, text in found.items() if text}


def explained_columns(comparison: Comparison) -> dict[str, str]:
    better = "more" if comparison.greater_is_better else "less"
    score = (
        f"mean {comparison.metric} over the held-out tasks ({better} is better), and "
        "below it the 95 % interval of that mean, by a bootstrap over tasks. The best "
        "mean of a column is bold; intervals of two rows may overlap although one is "
        "better on nearly every task, which the pictures task by task show."
    )
    unit = comparison.unit_of_shots
    known = {"fit_time": "fit s", "adapt_time": "adapt ms"}
    costs = {
        title: COSTS[title] for name, title in known.items() if name in comparison.draws
    }
    return {f"number of {unit}": score} | costs


def _sentence(name: str) -> str:
    if name.removeprefix("linear ") in ROWS:
        return ROWS[name.removeprefix("linear ")]
    for full in (name, f"{name}Classifier", f"{name}Regressor"):
        if full in sklmeta.__all__:
            documented = inspect.getdoc(getattr(sklmeta, full)) or ""
            return documented.split("\n\n")[0].replace("\n", " ").replace("`", "")
    return ""
