"""What a learner must know of the tasks."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import NamedTuple

from sklmeta.data.kinds import TaskKind


class TaskSpec(NamedTuple):
    """What a learner must know about the tasks before it can be built.

    Parameters
    ----------
    kind : {"regression", "shared", "own"}
        What the targets are: numbers, classes that all tasks share, or classes of each
        task's own.

    input_shape : tuple of int
        Shape of one row.

    n_features_out : int
        Width of the encoder's output.

    n_classes : int
        Number of shared classes; 0 otherwise.

    n_targets : int, default=1
        Numbers to predict of every row, in regression.

    likelihood : str, default="gaussian"
        Distribution of a number about its prediction.

    Examples
    --------
    >>> from sklmeta.learners import TaskSpec
    >>> spec = TaskSpec("regression", input_shape=(4,), n_features_out=64, n_classes=0)
    >>> spec.n_targets
    1
    """

    kind: TaskKind | str
    input_shape: tuple[int, ...]
    n_features_out: int
    n_classes: int
    n_targets: int = 1
    likelihood: str = "gaussian"

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of one row's targets."""
        return (self.n_targets,) if self.n_targets > 1 else ()


def width_of(spec: TaskSpec, *, regression: int, own: int) -> int:
    """Number of classes that are shared; where there are none, what is given."""
    if spec.kind == TaskKind.SHARED:
        return spec.n_classes
    return own if spec.kind == TaskKind.OWN else regression
