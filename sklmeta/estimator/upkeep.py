"""The time that a `fit` has, the line that shows it, and the folder that keeps it."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning

from sklmeta._version import __version__
from sklmeta.data.fingerprint import of_rows, of_value
from sklmeta.data.table import Table
from sklmeta.exceptions import warn
from sklmeta.training.checkpoint import Checkpoints
from sklmeta.training.loop import TrainingResult, Upkeep
from sklmeta.training.progress import Progress
from sklmeta.training.watch import Deadline

DECIDE_NOTHING = {"checkpoint_dir", "max_time", "n_jobs", "verbose"}
"""Parameters that a fit may be gone on with under another value."""


class FitUpkeep:
    """What one `fit` is watched by and kept in.

    Parameters
    ----------
    params : estimator
        With `max_time`, `verbose` and `checkpoint_dir`.

    table : Table
        Rows of the training tasks.

    seed : int
        Of this fit.

    **beside : object
        What else decides how the fit ends.

    Attributes
    ----------
    seed : int
        Of the fit that this one goes on with.
    """

    def __init__(self, params: Any, table: Table, seed: int, **beside: Any):
        self.deadline = Deadline(params.max_time)
        self.progress = Progress(params.max_iter, type(params).__name__, params.verbose)
        self.checkpoints: Checkpoints | None = None
        self.seed = seed
        self.n_in_time: int | None = None  # updates of a fold that time has cut
        if params.checkpoint_dir is not None:
            about = about_fit(params, table, **beside)
            self.checkpoints = Checkpoints(params.checkpoint_dir, about, seed)
            self.seed = self.checkpoints.seed

    def of_training(self, name: str, share: float = 1.0) -> Upkeep:
        """Return the upkeep of one training, which has a share of the time left."""
        checkpoint = None
        if self.checkpoints is not None:
            checkpoint = self.checkpoints.part(name)
        return Upkeep(self.deadline.part(share), self.progress, checkpoint)

    def close(self, result: TrainingResult, n_updates: int) -> KeyboardInterrupt | None:
        """Say, if the training was cut short, how far it came."""
        self.progress.close()
        if result.interrupted:
            return KeyboardInterrupt(
                f"Interrupted after {result.n_iter} of {n_updates} meta-updates, of "
                "which the estimator keeps what it has learned."
            )
        if not result.out_of_time and self.n_in_time is None:
            return None
        after = ""
        if self.n_in_time is not None:
            after = f", having tried {self.n_in_time} at most on held-out tasks"
        warn(
            f"max_time={self.deadline.seconds:g} seconds ended the training after "
            f"{result.n_iter} of {n_updates} meta-updates{after}.",
            ConvergenceWarning,
        )
        return None


def about_fit(params: Any, table: Table, **beside: Any) -> dict[str, str]:
    """Return what a fit's end depends on, by name.

    Parameters
    ----------
    params : estimator
    table : Table
    **beside : object
        What else it depends on.

    Returns
    -------
    dict of str to str
    """
    given = {
        name: of_value(value)
        for name, value in params.get_params(deep=False).items()
        if name not in DECIDE_NOTHING
    }
    if not isinstance(params.random_state, int | type(None)):
        given["random_state"] = "a generator"  # moved on by each fit
    return {
        "estimator": type(params).__name__,
        "sklmeta": __version__,
        "torch": torch.__version__,
        **given,
        "X": of_rows(table.X),
        "y": of_rows(table.y),
        "task": f"{of_rows(table.labels)}, {of_rows(table.codes)}",
        "classes": of_rows(table.classes),
        "is_support": of_rows(table.is_support),
        **{name: of_value(value) for name, value in beside.items()},
    }
