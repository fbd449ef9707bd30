"""The inner loop's parameters, which all estimators that adapt by steps share."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numbers
from typing import Any

from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from sklmeta._compat import Interval, StrOptions
from sklmeta.estimator.meta import BaseMetaEstimator
from sklmeta.exceptions import warn
from sklmeta.learners.network import ENGINES
from sklmeta.learners.torch_state import to_numpy


class InnerLoopParameters(BaseMetaEstimator):
    """Base of both faces; a subclass adds its parameters and changes defaults."""

    inner_lr: float = 0.1
    inner_steps: int = 5
    adapt_steps: int | None = None
    n_shots: int | tuple[int, int] = (6, 24)
    n_query: int = 30
    lr: float = 3e-3
    max_grad_norm: float | None = 1.0

    _several_targets = True  # a unit of the head for each

    _parameter_constraints = {
        "inner_lr": [Interval(numbers.Real, 0, None, closed="neither")],
        "inner_steps": [Interval(numbers.Integral, 1, None, closed="left")],
        "adapt_steps": [Interval(numbers.Integral, 0, None, closed="left"), None],
    }

    def _inner_params(self, *names: str) -> dict[str, Any]:
        """The inner loop's parameters as a learner takes them, and those named."""
        names = ("inner_lr", "inner_steps", "adapt_steps", *names)
        own = {name: getattr(self, name) for name in names}
        # A regressor has one output, and so no choice of where its head starts.
        return {**own, "head_init": getattr(self, "head_init", "shared")}


class DescentParameters(InnerLoopParameters):
    """Those of the estimators whose meta-gradient passes through every step."""

    first_order: bool = False
    engine: str = "auto"

    _parameter_constraints = {
        "first_order": ["boolean"],
        "engine": [StrOptions(set(ENGINES))],
    }

    @property
    def inner_lr_(self) -> dict[str, NDArray]:
        """Learned step size of each parameter tensor, or of each of its entries."""
        check_is_fitted(self)
        with self._lent_learner() as learner:
            step_sizes: Any = getattr(learner, "step_sizes", None)
            if step_sizes is None:
                raise AttributeError(
                    "inner_lr_ is there where step sizes are learned: in Meta-SGD, and "
                    "in MAML with learn_inner_lr=True."
                )
            return to_numpy(step_sizes())

    def _advise(self, learner: Any) -> None:
        if learner.body_stays:
            warn(
                "With head_init='shared' and inner_steps=1 adaptation leaves the "
                "encoder as it is: from identical class vectors its first gradient is "
                "zero. Use inner_steps >= 2, or head_init='prototypes'."
            )
