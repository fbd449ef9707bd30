"""The time that a `fit` has, the line that shows it, and the folder that keeps it."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning

from sklmeta._version import __version__
from sklmeta.data.fingerprint import of_rows, of_value
from sklmeta.data.table import Table
from sklmeta.exceptions import warn
from sklmeta.training.checkpoint import Checkpoints
from sklmeta.training.distributed import SharedCheckpoint, Team
from sklmeta.training.loop import TrainingResult, Upkeep
from sklmeta.training.progress import Progress
from sklmeta.training.watch import Deadline

DECIDE_NOTHING = {"accelerator", "checkpoint_dir", "max_time", "n_jobs", "verbose"}
"""Parameters that a fit may be gone on with under another value."""


class FitUpkeep:
    """What one `fit` is watched by and kept in.

    Parameters
    ----------
    params : estimator
        With `max_time`, `verbose`, `checkpoint_dir` and `accelerator`.

    table : Table
        Rows of the training tasks.

    seed : int
        Of this fit.

    **beside : object
        What else decides how the fit ends.

    Attributes
    ----------
    seed : int
        Of the fit that this one goes on with, and of all processes.

    team : Team
        The processes that share the work.
    """

    def __init__(self, params: Any, table: Table, seed: int, **beside: Any):
        self.deadline = Deadline(params.max_time)
        self.team = team = Team(params.accelerator)
        if params.meta_batch_size < team.n:
            raise ValueError(
                f"meta_batch_size={params.meta_batch_size} leaves some of {team.n} "
                f"processes without a task. Set it to {team.n} or more."
            )
        team.check_alike(partial(about_rows, table))
        verbose = params.verbose if team.is_main else 0
        self.progress = Progress(params.max_iter, type(params).__name__, verbose)
        self.checkpoints: Checkpoints | None = None
        self.seed = team.once(lambda: seed)
        self.n_in_time: int | None = None  # updates of a fold that time has cut
        if params.checkpoint_dir is not None:
            about = about_fit(params, table, **beside)
            place = params.checkpoint_dir, about, self.seed
            checkpoints: Checkpoints = team.once(partial(Checkpoints, *place))
            self.checkpoints, self.seed = checkpoints, checkpoints.seed

    def of_training(self, name: str, share: float = 1.0) -> Upkeep:
        """Return the upkeep of one training, which has a share of the time left."""
        checkpoint = None
        if self.checkpoints is not None:
            checkpoint = SharedCheckpoint(self.team, self.checkpoints, name)
        deadline = self.deadline.part(share)
        return Upkeep(deadline, self.progress, checkpoint, team=self.team)

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
        **about_rows(table),
        **{name: of_value(value) for name, value in beside.items()},
    }


def about_rows(table: Table) -> dict[str, str]:
    """Return what tells the training tasks from others, by name."""
    return {
        "X": of_rows(table.X),
        "y": of_rows(table.y),
        "task": f"{of_rows(table.labels)}, {of_rows(table.codes)}",
        "classes": of_rows(table.classes),
        "is_support": of_rows(table.is_support),
    }
