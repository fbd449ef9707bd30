"""Meta-LSTM: an LSTM that reads gradients is the optimiser of the learner."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from sklmeta._compat import Interval, StrOptions
from sklmeta.episodes.rows import Episodes, Rows, split_episodes
from sklmeta.estimator.faces import MetaClassifierMixin, MetaRegressorMixin
from sklmeta.gradient_based.inner_parameters import InnerLoopParameters
from sklmeta.learners.engine import ENGINES, Parameters
from sklmeta.learners.inner_loop import gradient_step, guarded_inner_loop
from sklmeta.learners.learner import State, TaskSpec
from sklmeta.learners.losses import row_loss
from sklmeta.learners.network import GRAPH_BYTES, HEAD_INITS, AdaptedNetwork
from sklmeta.model_based.coordinate_lstm import CoordinateLSTM

Shapes = dict[str, tuple[int, ...]]
"""Shapes of the parameters of one task, in the order of its coordinates."""


class MetaLSTMLearner(AdaptedNetwork):
    """Learns how to update parameters, and where to start.

    The network is an encoder and a linear head, as in MAML; a `CoordinateLSTM` moves
    both. The learner's losses and gradients, which it reads, are taken as constants in
    meta-training (the paper's section 3.3): there are no second derivatives.

    Parameters
    ----------
    spec, encoder, head_init, engine
        As in `AdaptedNetwork`; the adjoint is of no use here.

    hidden_size, inner_lr, inner_steps, adapt_steps
        As in `MetaLSTMClassifier`.
    """

    def __init__(
        self,
        spec: TaskSpec,
        encoder: nn.Module,
        *,
        hidden_size: int = 20,
        inner_lr: float = 0.01,
        inner_steps: int = 5,
        adapt_steps: int | None = None,
        head_init: str = "prototypes",
        engine: str = "auto",
    ):
        super().__init__(
            spec, encoder, inner_steps=inner_steps, head_init=head_init, engine=engine
        )
        self.dense = None
        self.adapt_steps = inner_steps if adapt_steps is None else adapt_steps
        self.inner_lr = inner_lr
        self.rule = CoordinateLSTM(hidden_size, inner_lr)

    def _adapt(self, support: Rows) -> State:
        """Take the proposed steps; see the base class.

        In training mode the state keeps its graph. In evaluation mode it does not, and
        the steps are guarded: ``state["n_guarded"]``, of shape (n_tasks,), counts
        those that were shortened or dropped. The meta-learner then remembers what it
        proposed. Steps beyond the trained ones are plain gradient steps of `inner_lr`.
        """
        if self.training:
            return self._plain_adapt(support)
        size = max(1, GRAPH_BYTES // self._step_bytes(support))
        parts = split_episodes(Episodes(support, support), size)
        states = [self._guarded_adapt(part.support) for part in parts]
        return {name: torch.cat([s[name] for s in states]) for name in states[0]}

    def _plain_adapt(self, support: Rows) -> State:
        theta, shapes = _flatten(self.own_start(support))
        memory = self.rule.start(theta)
        for _ in range(self.inner_steps):
            gradient, loss = self._gradient(theta, shapes, support)
            theta, memory = self.rule(theta, gradient, loss, memory)
        return _unflatten(theta, shapes)

    def _gradient(
        self, theta: Tensor, shapes: Shapes, support: Rows
    ) -> tuple[Tensor, Tensor]:  # shapes: (n_tasks, n_parameters), (n_tasks,)
        def total(theta: Tensor) -> tuple[Tensor, Tensor]:
            loss = self.support_loss(_unflatten(theta, shapes), support)
            return loss.sum(), loss

        with torch.enable_grad():
            leaf = theta.detach().requires_grad_()
            summed, loss = total(leaf)
            (gradient,) = torch.autograd.grad(summed, leaf)
        return gradient, loss.detach()

    def _guarded_adapt(self, support: Rows) -> State:
        with torch.no_grad():
            theta, shapes = _flatten(self.own_start(support))
        walk = _Walk(self, shapes, support, theta)
        state, n_guarded = guarded_inner_loop(
            walk.loss,
            {"theta": theta},
            walk.update,
            self.adapt_steps,
            n_trained_steps=self.inner_steps,
            extra_update=partial(gradient_step, lr=self.inner_lr),
        )
        return {**_unflatten(state["theta"], shapes), "n_guarded": n_guarded}

    def meta_loss(self, episodes: Episodes) -> Tensor:
        """Query loss after unguarded steps, also in evaluation mode."""
        support, query = episodes
        return row_loss(self.run(self._plain_adapt(support), query.X), query)

    def accumulate(self, episodes: Episodes, scale: float) -> Tensor:
        """See the base class; a compiled meta-update did not agree with a plain one."""
        if self.compiler is not None and not self.compiler.gave_up:
            self.compiler.give_up("the meta-LSTM's updates are not compiled")
        return super().accumulate(episodes, scale)

    def auto_chunk_size(self, episodes: Episodes) -> int:
        """See the base class; the meta-learner's graph takes most of the memory."""
        n_bytes = self.inner_steps * self._step_bytes(episodes.support)
        limit = self._graph_budget(episodes.support.X) // n_bytes
        return max(1, min(super().auto_chunk_size(episodes), limit))

    def _step_bytes(self, support: Rows) -> int:
        """What a step keeps for one task: states, gates and activations of the LSTM."""
        n_outputs = support.n_classes or self.spec.n_targets
        n_coordinates = self._n_body + (self.spec.n_features_out + 1) * n_outputs
        n_numbers = n_coordinates * (8 * self.rule.hidden_size + 20)
        return n_numbers * support.X.element_size()


class _Walk:
    """The meta-learner's way through guarded steps: it remembers between them."""

    def __init__(
        self, learner: MetaLSTMLearner, shapes: Shapes, support: Rows, theta: Tensor
    ):
        self.learner, self.shapes, self.support = learner, shapes, support
        self.memory = learner.rule.start(theta)
        self.last_loss = theta.new_empty(0)

    def loss(self, parameters: Parameters) -> Tensor:  # shape: (n_tasks,)
        own = _unflatten(parameters["theta"], self.shapes)
        loss = self.learner.support_loss(own, self.support)
        self.last_loss = loss.detach()
        return loss

    @torch.no_grad()
    def update(self, parameters: Parameters, gradients: Parameters) -> Parameters:
        """Propose a step from where the loss was asked for last."""
        proposal, self.memory = self.learner.rule(
            parameters["theta"], gradients["theta"], self.last_loss, self.memory
        )
        return {"theta": proposal}


def _flatten(parameters: Parameters) -> tuple[Tensor, Shapes]:
    shapes = {name: tuple(value.shape[1:]) for name, value in parameters.items()}
    return torch.cat([value.flatten(1) for value in parameters.values()], 1), shapes


def _unflatten(
    theta: Tensor,  # shape: (n_tasks, n_parameters)
    shapes: Shapes,
) -> Parameters:
    parts = theta.split([math.prod(shape) for shape in shapes.values()], dim=1)
    return {
        name: part.unflatten(1, shape or (1,)).reshape(len(theta), *shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


class _MetaLSTMParameters(InnerLoopParameters):
    """The meta-learner's parameters, the same for both faces."""

    hidden_size: int = 20
    engine: str = "auto"
    hidden_layer_sizes: int | Sequence[int] = (32, 32)
    lr: float = 1e-2

    _parameter_constraints = {
        "hidden_size": [Interval(numbers.Integral, 1, None, closed="left")],
        "inner_lr": [Interval(numbers.Real, 0, 1, closed="neither")],  # a gate
        "engine": [StrOptions(set(ENGINES))],
    }

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> MetaLSTMLearner:
        params = self._inner_params("hidden_size", "engine")
        return MetaLSTMLearner(spec, encoder, **params)


class MetaLSTMClassifier(MetaClassifierMixin, _MetaLSTMParameters):
    """Meta-LSTM: an LSTM learns how to update a network, and from where.

    The LSTM reads the gradient and the loss on the support and proposes the next value
    of every parameter, as its own cell state: forget gates shrink the parameter, input
    gates set the size of its gradient step. `adapt` follows it, guarded so that no task
    diverges.

    Parameters
    ----------
    head_init : {"shared", "prototypes"}, default="prototypes"
        Start of the head where classes are a task's own: one learned vector for all
        classes, or the linear form of squared distances to the class means.

    n_way : int, default=None
        Number of classes in a training episode, for classes that are a task's own;
        None takes all of a task's classes.

    shared_classes : bool, default=None
        Whether all tasks speak of the same classes. None means True unless `n_way`
        is given; it is never guessed from the labels.

    hidden_size : int, default=20
        Width of the LSTM that reads the gradients.

    engine : {"auto", "batched", "vmap", "loop"}, default="auto"
        How the encoder runs with the weights of many tasks; "auto" chooses, and
        `engine_` tells.

    inner_lr : float, default=0.1
        Step size that the input gates start from, below 1.

    inner_steps : int, default=5
        Updates on the support in meta-training.

    adapt_steps : int, default=None
        Updates in `adapt`; None is `inner_steps`. Those beyond `inner_steps` are
        gradient steps of `inner_lr`, with backtracking.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    ``hidden_layer_sizes=(32, 32)`` and `activation`; the episodes' ``n_shots=(6, 24)``,
    ``n_query=30`` and `support`; the training's `meta_batch_size`, `max_iter`,
    ``lr=0.01``, `lr_schedule`, `optimizer`, `optimizer_params`, `weight_decay`,
    ``max_grad_norm=1.0``, `chunk_size`, `early_stopping`, `validation_fraction`,
    `n_iter_no_change` and `callbacks`; and for `standardize`, `transductive`, `device`,
    `compile`, `n_threads`, `random_state`, `verbose`, `max_time`, `checkpoint_dir`,
    `accelerator` and `warm_start`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes; where these are a task's own, those of the adapted tasks.

    shared_classes_ : bool
        Whether the tasks share their classes.

    See `sklmeta.estimator.Parameters` for `tasks_`, `engine_`, `n_features_in_`,
    `feature_names_in_`, `n_iter_`, `history_`, `compile_time_` and `n_guarded_`.

    See Also
    --------
    MAMLClassifier : Gradient steps of one size from a learned start; faster.

    Notes
    -----
    The gradients and losses that the LSTM reads are taken as constants, as in the
    paper: no second derivatives are computed. The LSTM is run for every parameter of
    the network: a meta-update costs many times one of `MAMLClassifier`, so prefer
    a small network. It pays where the right step differs between parameters and
    between steps; else try `MAMLClassifier` first.

    References
    ----------
    Ravi and Larochelle, "Optimization as a Model for Few-Shot Learning", ICLR 2017.

    Examples
    --------
    >>> from sklmeta import MetaLSTMClassifier
    >>> from sklmeta.datasets import make_sensor_arrays
    >>> X, y, task = make_sensor_arrays(20, random_state=0)
    >>> old = task < 19
    >>> est = MetaLSTMClassifier(max_iter=5, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:12], y[~old][:12])
    >>> est.predict(X[~old][12:]).shape
    (48,)
    """

    head_init: str = "prototypes"

    _parameter_constraints = {"head_init": [StrOptions(set(HEAD_INITS))]}


class MetaLSTMRegressor(MetaRegressorMixin, _MetaLSTMParameters):
    """Meta-LSTM: an LSTM learns how to update a network, and from where.

    The LSTM reads the gradient and the loss on the support and proposes the next value
    of every parameter, as its own cell state: forget gates shrink the parameter, input
    gates set the size of its gradient step. `adapt` follows it, guarded so that no task
    diverges.

    Parameters
    ----------
    hidden_size : int, default=20
        Width of the LSTM that reads the gradients.

    engine : {"auto", "batched", "vmap", "loop"}, default="auto"
        How the encoder runs with the weights of many tasks; "auto" chooses, and
        `engine_` tells.

    inner_lr : float, default=0.01
        Step size that the input gates start from, below 1.

    inner_steps : int, default=5
        Updates on the support in meta-training.

    adapt_steps : int, default=None
        Updates in `adapt`; None is `inner_steps`. Those beyond `inner_steps` are
        gradient steps of `inner_lr`, with backtracking.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    ``hidden_layer_sizes=(32, 32)`` and `activation`; the episodes' ``n_shots=(5, 20)``,
    ``n_query=30`` and `support`; the training's `meta_batch_size`, `max_iter`,
    ``lr=0.003``, `lr_schedule`, `optimizer`, `optimizer_params`, `weight_decay`,
    ``max_grad_norm=1.0``, `chunk_size`, `early_stopping`, `validation_fraction`,
    `n_iter_no_change` and `callbacks`; and for `standardize`, `transductive`, `device`,
    `compile`, `n_threads`, `random_state`, `verbose`, `max_time`, `checkpoint_dir`,
    `accelerator` and `warm_start`.

    Attributes
    ----------
    See `sklmeta.estimator.Parameters` for `tasks_`, `engine_`, `n_features_in_`,
    `feature_names_in_`, `n_iter_`, `history_`, `compile_time_` and `n_guarded_`.

    See Also
    --------
    MAMLRegressor : Gradient steps of one size from a learned start; faster.
    BayesianLinearRegressor : Closed form; more accurate where it applies.

    Notes
    -----
    The gradients and losses that the LSTM reads are taken as constants, as in the
    paper: no second derivatives are computed. The LSTM is run for every parameter of
    the network: a meta-update costs many times one of `MAMLRegressor`, so prefer
    a small network. It pays where the right step differs between parameters and
    between steps; else try `MAMLRegressor` first.

    References
    ----------
    Ravi and Larochelle, "Optimization as a Model for Few-Shot Learning", ICLR 2017.

    Examples
    --------
    >>> from sklmeta import MetaLSTMRegressor
    >>> from sklmeta.datasets import make_sinusoids
    >>> X, y, task = make_sinusoids(40, n_rows=30, random_state=0)
    >>> old = task < 39
    >>> est = MetaLSTMRegressor(max_iter=5, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:10], y[~old][:10])
    >>> est.predict(X[~old][10:]).shape
    (20,)
    """

    inner_lr: float = 0.01
    n_shots: int | tuple[int, int] = (5, 20)
    # With the classifier's the network goes astray on a few patients of Parkinson's.
    lr: float = 3e-3
