"""What to do after a comparison: the commands that fit what was found."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import NamedTuple

from sklmeta.comparing import Comparison

TYPICAL_SHOTS = 5
FEW_TASKS = 20
"""With fewer tasks the verdict makes no claim, and more tasks are the next step."""
FEWEST_TO_CALIBRATE = 9


class NextStep(NamedTuple):
    """A sentence that says what and why, and the commands for a shell."""

    text: str
    commands: list[str]


def next_step_of(
    comparison: Comparison,
    *,
    data: str,
    task: str,
    target: str,
    options: Sequence[str] = (),
) -> NextStep:
    """Say which model to fit, and how, by the winner at the usual number of rows.

    Parameters
    ----------
    comparison : Comparison
        What `sklmeta compare` found.

    data, task, target : str
        As they were given to it.

    options : sequence of str, default=()
        Further arguments of it that `sklmeta fit` takes as well, such as "--kind".
    """
    shots = min(comparison.shots, key=lambda k: (abs(k - TYPICAL_SHOTS), k))
    winner = comparison.best(shots)
    n_tasks = len(comparison.tasks)
    model = ["--model", winner, "--out", "model.skops"]
    if n_tasks >= FEWEST_TO_CALIBRATE:
        model.append("--calibrate")
    columns = ["--task", task, "--target", target]
    fit = ["sklmeta", "fit", data, *columns, *options, *model]
    support = ["--support", "labelled.csv", "--out", "predictions.csv"]
    predict = ["sklmeta", "predict", "model.skops", "new.csv", *support]
    return NextStep(
        f"{_why(comparison, winner, shots)} Fit it to all tasks, put the labelled rows "
        "of a new task into labelled.csv and its other rows into new.csv, and predict:",
        [shlex.join(fit), shlex.join(predict)],
    )


def _why(comparison: Comparison, winner: str, shots: int) -> str:
    rows = "row" if shots == 1 else comparison.unit_of_shots
    where = f"with {shots} labelled {rows}"
    best = f"{winner} is the one to take {where}"
    if len(comparison.tasks) < FEW_TASKS:
        return (
            f"More tasks come first: {len(comparison.tasks)} are too few for a claim. "
            f"By these alone {best}."
        )
    leader = comparison.leader(shots)
    if leader == winner:
        return f"{upper_first(best)}: it has the best mean."
    return (
        f"{upper_first(best)}: it is within one standard error of {leader}, which "
        "leads, and simpler."
    )


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]
