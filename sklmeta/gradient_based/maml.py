"""Model-agnostic meta-learning (MAML): a start for adaptation by gradient steps."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numbers
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sklmeta._compat import Interval, StrOptions
from sklmeta._docs import document
from sklmeta._params import CLASS_CONSTRAINTS, COMMON_CONSTRAINTS
from sklmeta.base import BaseMetaEstimator
from sklmeta.faces import MetaClassifierMixin, MetaRegressorMixin
from sklmeta.gradient_based.adjoint import DenseDescent
from sklmeta.gradient_based.inner_loop import (
    gradient_step,
    guarded_inner_loop,
    inner_loop,
    stayed_within_bounds,
)
from sklmeta.gradient_based.network import ENGINES, HEAD_INITS, AdaptedNetwork
from sklmeta.learner import (
    Episodes,
    Rows,
    State,
    TaskSpec,
    accumulate_gradients,
    of_tasks,
    row_loss,
)


class MAMLLearner(AdaptedNetwork):
    """Learns the parameters from which gradient descent on a support set starts.

    The network is an encoder and a linear head; adaptation moves both.

    Parameters
    ----------
    spec, encoder
        As in `AdaptedNetwork`.

    inner_lr, inner_steps, adapt_steps, first_order, head_init, engine
        As in `MAMLClassifier`.
    """

    def __init__(
        self,
        spec: TaskSpec,
        encoder: nn.Module,
        *,
        inner_lr: float = 0.1,
        inner_steps: int = 5,
        adapt_steps: int | None = None,
        first_order: bool = False,
        head_init: str = "prototypes",
        engine: str = "auto",
    ):
        super().__init__(
            spec, encoder, inner_steps=inner_steps, head_init=head_init, engine=engine
        )
        self.adapt_steps = inner_steps if adapt_steps is None else adapt_steps
        self.first_order = first_order
        self.update = partial(gradient_step, lr=inner_lr)
        self._descent: DenseDescent | None = None
        if self.dense is not None:
            self._descent = DenseDescent(
                self.dense, lr=inner_lr, first_order=first_order
            )

    @property
    def body_stays(self) -> bool:
        """Whether adaptation leaves the encoder as it is, whatever the support.

        With identical class vectors the gradient of the first step with respect to the
        encoder is exactly zero; a second step is needed to move it.
        """
        shared = self.spec.kind == "own" and not self.has_prototypes
        return shared and self.inner_steps == 1

    def adapt(self, support: Rows) -> State:
        """Take the gradient steps; see the base class.

        In training mode the state keeps its graph. In evaluation mode it does not, and
        the steps are guarded: ``state["n_guarded"]``, of shape (n_tasks,), counts
        those that were shortened or dropped.
        """
        if self.training:
            return self._plain_adapt(support)
        if self._descent is None:
            return self._guarded_adapt(support)
        with torch.no_grad():
            start = self.start(support)
        state, losses = self._descent.descend(start, support, self.adapt_steps)
        wild = ~stayed_within_bounds(state, losses, self.inner_steps)
        state["n_guarded"] = torch.zeros_like(wild, dtype=torch.long)
        # The guard seldom acts, and then on few tasks, which no other task sees.
        if wild.any():
            tasks = wild.nonzero()[:, 0]
            for name, value in self._guarded_adapt(of_tasks(support, tasks)).items():
                state[name][tasks] = value
        return state

    def _guarded_adapt(self, support: Rows) -> State:
        with torch.no_grad():
            start = self.own_start(support)
        state, n_guarded = guarded_inner_loop(
            partial(self.support_loss, support=support),
            start,
            self.update,
            self.adapt_steps,
            n_trained_steps=self.inner_steps,
        )
        return {**state, "n_guarded": n_guarded}

    def predict(self, state: State, X: Tensor) -> Tensor:
        return self.run(state, X)

    def meta_loss(self, episodes: Episodes) -> Tensor:
        """Query loss after unguarded steps, also in evaluation mode."""
        support, query = episodes
        if self._descent is not None:
            start = self.start(support)
            return self._descent.query_loss(start, support, query, self.inner_steps)
        return row_loss(self.run(self._plain_adapt(support), query.X), query)

    def accumulate(self, episodes: Episodes, scale: float) -> Tensor:
        """See the base class; the adjoint needs autograd for the start alone."""
        if self._descent is None:
            return super().accumulate(episodes, scale)
        if self.compiler is not None:
            episodes = self.compiler.pad(episodes)
        self._descent.compiler = self.compiler
        support, query = episodes
        start = self.start(support)
        losses, gradients = self._descent.gradients(
            start, support, query, self.inner_steps, scale
        )
        accumulate_gradients(list(start.values()), gradients)
        return losses

    def _plain_adapt(self, support: Rows) -> State:
        with torch.enable_grad():
            return inner_loop(
                partial(self.support_loss, support=support),
                self.own_start(support),
                self.update,
                self.inner_steps,
                first_order=self.first_order,
            )


_INNER_CONSTRAINTS: dict[str, Any] = {
    "inner_lr": [Interval(numbers.Real, 0, None, closed="neither")],
    "inner_steps": [Interval(numbers.Integral, 1, None, closed="left")],
    "adapt_steps": [Interval(numbers.Integral, 0, None, closed="left"), None],
    "first_order": ["boolean"],
    "engine": [StrOptions(set(ENGINES))],
}


@dataclass(kw_only=True, eq=False, repr=False)
class _MAMLParameters(BaseMetaEstimator):
    """The inner loop's parameters, the same for both faces."""

    inner_lr: float = 0.1
    inner_steps: int = 5
    adapt_steps: int | None = None
    first_order: bool = False
    engine: str = "auto"
    n_shots: int | tuple[int, int] = (6, 24)
    n_query: int = 30
    lr: float = 3e-3
    max_grad_norm: float | None = 1.0

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> MAMLLearner:
        return MAMLLearner(
            spec,
            encoder,
            inner_lr=self.inner_lr,
            inner_steps=self.inner_steps,
            adapt_steps=self.adapt_steps,
            first_order=self.first_order,
            head_init=getattr(self, "head_init", "shared"),
            engine=self.engine,
        )


@document
@dataclass(kw_only=True, eq=False, repr=False)
class MAMLClassifier(MetaClassifierMixin, _MAMLParameters):
    """Model-agnostic meta-learning: a start from which few gradient steps suffice.

    Meta-training differentiates through the gradient steps of adaptation. `adapt`
    takes the same steps on the support, guarded so that no task diverges.

    Parameters
    ----------
    inner_lr : float, default=0.1
        Step size of adaptation.

    inner_steps : int, default=5
        Gradient steps on the support in meta-training.

    adapt_steps : int, default=None
        Gradient steps in `adapt`; None is `inner_steps`. Steps beyond `inner_steps`
        are taken with backtracking.

    first_order : bool, default=False
        Take the inner gradients as constants (FOMAML): cheaper, a little less
        accurate.

    head_init : {"shared", "prototypes"}, default="prototypes"
        Start of the head where classes are a task's own: one learned vector for all
        classes, or the linear form of squared distances to the class means.

    engine : {"auto", "adjoint", "batched", "vmap", "loop"}, default="auto"
        How the encoder runs with the weights of many tasks; "auto" chooses, and
        `engine_` tells.

    %(module)s

    %(mlp)s

    %(own_classes)s

    %(episodes)s

    %(outer)s

    Attributes
    ----------
    %(fitted)s

    %(fitted_classes)s

    See Also
    --------
    ProtoNetClassifier : Adapts by remembering class means; has no step size.

    References
    ----------
    Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep
    Networks", ICML 2017.

    Ye and Chao, "How to Train Your MAML to Excel in Few-Shot Classification",
    ICLR 2022.

    Triantafillou et al., "Meta-Dataset", ICLR 2020.

    Examples
    --------
    >>> from sklmeta import MAMLClassifier
    >>> from sklmeta.datasets import make_sensor_arrays
    >>> X, y, task = make_sensor_arrays(20, random_state=0)
    >>> old = task < 19
    >>> est = MAMLClassifier(max_iter=20, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:12], y[~old][:12])
    >>> est.predict(X[~old][12:]).shape
    (48,)
    """

    head_init: str = "prototypes"

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CLASS_CONSTRAINTS,
        **_INNER_CONSTRAINTS,
        "head_init": [StrOptions(set(HEAD_INITS))],
    }

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> MAMLLearner:
        learner = super()._make_learner(spec, encoder)
        if learner.body_stays and not hasattr(self, "_weights"):
            warnings.warn(
                "With head_init='shared' and inner_steps=1 adaptation leaves the "
                "encoder as it is: from identical class vectors its first gradient is "
                "zero. Use inner_steps >= 2, or head_init='prototypes'.",
                UserWarning,
                stacklevel=2,
            )
        return learner


@document
@dataclass(kw_only=True, eq=False, repr=False)
class MAMLRegressor(MetaRegressorMixin, _MAMLParameters):
    """Model-agnostic meta-learning: a start from which few gradient steps suffice.

    Meta-training differentiates through the gradient steps of adaptation. `adapt`
    takes the same steps on the support, guarded so that no task diverges.

    Parameters
    ----------
    inner_lr : float, default=0.01
        Step size of adaptation.

    inner_steps : int, default=5
        Gradient steps on the support in meta-training.

    adapt_steps : int, default=None
        Gradient steps in `adapt`; None is `inner_steps`. Steps beyond `inner_steps`
        are taken with backtracking.

    first_order : bool, default=False
        Take the inner gradients as constants (FOMAML): cheaper, a little less
        accurate.

    engine : {"auto", "adjoint", "batched", "vmap", "loop"}, default="auto"
        How the encoder runs with the weights of many tasks; "auto" chooses, and
        `engine_` tells.

    %(module)s

    %(mlp)s

    %(episodes)s

    %(outer)s

    Attributes
    ----------
    %(fitted)s

    See Also
    --------
    BayesianLinearRegressor : Closed form; more accurate where it applies.

    Notes
    -----
    On smooth families of functions closed-form and amortised learners beat every
    gradient learner by an order of magnitude; try those first.

    References
    ----------
    Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep
    Networks", ICML 2017.

    Examples
    --------
    >>> from sklmeta import MAMLRegressor
    >>> from sklmeta.datasets import make_sinusoids
    >>> X, y, task = make_sinusoids(40, n_rows=30, random_state=0)
    >>> old = task < 39
    >>> est = MAMLRegressor(max_iter=20, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:10], y[~old][:10])
    >>> est.predict(X[~old][10:]).shape
    (20,)
    """

    # Squared error curves more than cross-entropy: with a layer of 64 the stable step
    # ends near .02, and outlying rows want less. It is the step of the paper.
    inner_lr: float = 0.01
    n_shots: int | tuple[int, int] = (5, 20)

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **COMMON_CONSTRAINTS,
        **_INNER_CONSTRAINTS,
    }
