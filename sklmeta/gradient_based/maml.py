"""Model-agnostic meta-learning (MAML): a start for adaptation by gradient steps."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numbers
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta._compat import Interval, StrOptions
from sklmeta._docs import document
from sklmeta._params import CLASS_CONSTRAINTS, COMMON_CONSTRAINTS
from sklmeta.base import BaseMetaEstimator
from sklmeta.engine import ENGINES, Engine, Parameters
from sklmeta.faces import MetaClassifierMixin, MetaRegressorMixin
from sklmeta.gradient_based.inner_loop import (
    gradient_step,
    guarded_inner_loop,
    inner_loop,
)
from sklmeta.learner import Episodes, Learner, Rows, State, TaskSpec, row_loss

HEAD_INITS = ("shared", "prototypes")


class MAMLLearner(Learner):
    """Learns the parameters from which gradient descent on a support set starts.

    The network is an encoder and a linear head; adaptation moves both. When classes
    are a task's own, the head is built for each task, for any number of classes.

    Parameters
    ----------
    spec : TaskSpec
        What the tasks look like.

    encoder : nn.Module
        Maps rows (n, *input_shape) to (n, n_features_out). Parameters that do not
        require gradients are neither learned nor adapted.

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
        super().__init__(spec)
        if head_init not in HEAD_INITS:
            raise ValueError(f"head_init must be in {HEAD_INITS}, got {head_init!r}.")
        self.encoder = encoder
        self.inner_steps = inner_steps
        self.adapt_steps = inner_steps if adapt_steps is None else adapt_steps
        self.first_order = first_order
        self.update = partial(gradient_step, lr=inner_lr)
        self.engine = Engine(encoder, engine)
        self.has_prototypes = spec.kind == "own" and head_init == "prototypes"
        if not self.has_prototypes:
            # One row serves all classes when these differ from task to task.
            n_outputs = spec.n_classes if spec.kind == "shared" else 1
            self.head = nn.Linear(spec.n_features_out, n_outputs)
            nn.init.zeros_(self.head.bias)
        self._adapted = [
            name for name, p in encoder.named_parameters() if p.requires_grad
        ]

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
        with torch.no_grad():
            start = self._start(support)
        state, n_guarded = guarded_inner_loop(
            partial(self._support_loss, support=support),
            start,
            self.update,
            self.adapt_steps,
            n_trained_steps=self.inner_steps,
        )
        return {**state, "n_guarded": n_guarded}

    def predict(self, state: State, X: Tensor) -> Tensor:
        return self._forward(state, X)

    def meta_loss(self, episodes: Episodes) -> Tensor:
        """Query loss after unguarded steps, also in evaluation mode."""
        support, query = episodes
        state = self._plain_adapt(support)
        return row_loss(self._forward(state, query.X, query.mask), query)

    def _plain_adapt(self, support: Rows) -> Parameters:
        with torch.enable_grad():
            return inner_loop(
                partial(self._support_loss, support=support),
                self._start(support),
                self.update,
                self.inner_steps,
                first_order=self.first_order,
            )

    def _support_loss(self, parameters: Parameters, support: Rows) -> Tensor:
        return row_loss(self._forward(parameters, support.X, support.mask), support)

    def _start(self, support: Rows) -> Parameters:
        """Parameters of every task before its first step."""
        n_tasks = len(support.X)
        if self.has_prototypes:
            weight, bias = self._prototype_head(support)
        else:
            n_classes = support.n_classes or 1
            weight = self.head.weight.expand(n_tasks, n_classes, -1)
            bias = self.head.bias.expand(n_tasks, n_classes)
        start = self._start_encoder(n_tasks)
        return {**start, "head.weight": weight, "head.bias": bias}

    def _start_encoder(self, n_tasks: int) -> Parameters:
        own = dict(self.encoder.named_parameters())
        return {
            f"encoder.{name}": own[name].expand(n_tasks, *own[name].shape)
            for name in self._adapted
        }

    def _prototype_head(
        self, support: Rows
    ) -> tuple[Tensor, Tensor]:  # shapes: (n_tasks, n_classes, d), (n_tasks, n_classes)
        # Not the tensors that adaptation starts from: the meta-gradient passes through
        # the prototypes, while the inner gradient takes the head as given.
        encoder = self._start_encoder(len(support.X))
        features = self._encode(encoder, support.X, support.mask)
        member = F.one_hot(support.y, support.n_classes).to(features.dtype)
        member = member * support.mask[..., None]  # (n_tasks, n_rows, n_classes)
        n_rows = member.sum(1)[..., None].clamp(min=1)
        prototypes = member.mT @ features / n_rows
        return 2 * prototypes, -prototypes.square().sum(-1)

    def _encode(
        self, parameters: Mapping[str, Tensor], X: Tensor, mask: Tensor | None
    ) -> Tensor:  # shape: (n_tasks, n_rows, d)
        encoder = {name: parameters[f"encoder.{name}"] for name in self._adapted}
        return self.engine(encoder, X, mask)

    def _forward(
        self, parameters: Mapping[str, Tensor], X: Tensor, mask: Tensor | None = None
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_outputs)
        features = self._encode(parameters, X, mask)
        bias = parameters["head.bias"][:, None]  # (n_tasks, 1, n_outputs)
        return torch.baddbmm(bias, features, parameters["head.weight"].mT)


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

    def _learned_attributes(self, learner: Learner) -> dict[str, Any]:
        assert isinstance(learner, MAMLLearner)
        return {"engine_": learner.engine.name}


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

    engine : {"auto", "batched", "vmap", "loop"}, default="auto"
        How the encoder runs with the weights of many tasks; "auto" chooses, and
        `engine_` tells.

    %(module)s

    %(mlp)s

    %(own_classes)s

    %(episodes)s

    %(outer)s

    Attributes
    ----------
    engine_ : str
        The engine in use.

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

    engine : {"auto", "batched", "vmap", "loop"}, default="auto"
        How the encoder runs with the weights of many tasks; "auto" chooses, and
        `engine_` tells.

    %(module)s

    %(mlp)s

    %(episodes)s

    %(outer)s

    Attributes
    ----------
    engine_ : str
        The engine in use.

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
