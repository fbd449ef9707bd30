"""Reptile: a start that moves towards where ordinary training on each task ends."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numbers

import torch
from torch import nn

from sklmeta._compat import Interval, StrOptions
from sklmeta.estimator.faces import MetaClassifierMixin, MetaRegressorMixin
from sklmeta.estimator.likelihoods import LikelihoodMixin
from sklmeta.gradient_based.inner_parameters import InnerLoopParameters
from sklmeta.gradient_based.reptile_learner import INNER_OPTIMIZERS, ReptileLearner
from sklmeta.learners.learner import TaskSpec
from sklmeta.learners.network import ENGINES, HEAD_INITS


class _ReptileParameters(InnerLoopParameters):
    """The inner loop's parameters, the same for both faces."""

    inner_lr: float = 1e-3
    inner_batch_size: int = 10
    inner_optimizer: str = "adam"
    adapt_steps: int | None = 50
    engine: str = "auto"
    n_shots: int | tuple[int, int] = 20
    n_query: int = 15
    meta_batch_size: int = 5
    lr: float = 1.0
    lr_schedule: str = "linear"
    optimizer: str | type[torch.optim.Optimizer] = "SGD"
    max_grad_norm: float | None = None

    _parameter_constraints = {
        "inner_batch_size": [Interval(numbers.Integral, 1, None, closed="left")],
        "inner_optimizer": [StrOptions(set(INNER_OPTIMIZERS))],
        "engine": [StrOptions(set(ENGINES))],
    }

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> ReptileLearner:
        names = ("inner_batch_size", "inner_optimizer", "engine")
        return ReptileLearner(spec, encoder, **self._inner_params(*names))


class ReptileClassifier(MetaClassifierMixin, _ReptileParameters):
    """Reptile: a start that moves towards the weights that tasks are trained to.

    Each task of a meta-update is trained for a few minibatches of its support, as one
    trains any network, and the start moves the share `lr` of the way to the mean of
    the weights found; `adapt` goes on training from there. Nothing is differentiated
    through, so that a meta-update costs what the training costs. As only the support
    is learned from (the query gives the loss that is reported), let `n_shots` be
    larger than the supports to come.

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

    inner_batch_size : int, default=10
        Rows of a minibatch. A task with no more rows takes all of them at every step;
        any other goes through its rows in random order, again and again.

    inner_optimizer : {"adam", "sgd"}, default="adam"
        Adam without momentum, whose second moments are learned across the tasks of
        meta-training and go with the start; or plain gradient steps.

    engine : {"auto", "adjoint", "batched", "vmap", "loop"}, default="auto"
        How the encoder runs with the weights of many tasks; "auto" chooses, and
        `engine_` tells.

    inner_lr : float, default=0.001
        Step size of the inner optimizer, in meta-training and in `adapt`.

    inner_steps : int, default=5
        Minibatches of its support that a task is trained on in a meta-update.

    adapt_steps : int, default=50
        Minibatches in `adapt`; None is `inner_steps`. More than in meta-training, as
        in the paper.

    meta_batch_size : int, default=5
        Tasks per meta-update; 1 is the serial algorithm, see below.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    `hidden_layer_sizes` and `activation`; the episodes' ``n_shots=20``, `n_query` and
    `support`; the training's `max_iter`, ``lr=1.0``, ``lr_schedule="linear"``,
    ``optimizer="SGD"``, `optimizer_params`, `weight_decay`, ``max_grad_norm=None``,
    `chunk_size`, `early_stopping`, `validation_fraction`, `n_iter_no_change` and
    `callbacks`; and for `standardize`, `transductive`, `device`, `compile`,
    `n_threads`, `random_state`, `verbose`, `max_time`, `checkpoint_dir`,
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
    MAMLClassifier : Differentiates through the steps; needs fewer of them.
    ProtoNetClassifier : Adapts by remembering class means; has no step size.

    Notes
    -----
    With ``meta_batch_size=1`` this is the serial algorithm, which moves after every
    task. In a batch the tasks share one state of Adam, into which the mean of their
    squared gradients goes; a step of n tasks counts as n steps. `adapt` gives each
    task a copy of the state, and leaves the learned one as it is.

    The order of minibatches in `adapt` depends on the number of rows alone, so that
    it is the same at every call, whatever other tasks are adapted to with it.

    Adaptation is fifty steps where others take five or none: do not use it where many
    tasks must be adapted to in little time, or where a support has one or two rows.

    References
    ----------
    Nichol, Achiam and Schulman, "On First-Order Meta-Learning Algorithms",
    arXiv:1803.02999, 2018.

    Examples
    --------
    >>> from sklmeta import ReptileClassifier
    >>> from sklmeta.datasets import make_sensor_arrays
    >>> X, y, task = make_sensor_arrays(20, random_state=0)
    >>> old = task < 19
    >>> est = ReptileClassifier(max_iter=20, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:12], y[~old][:12])
    >>> est.predict(X[~old][12:]).shape
    (48,)
    """

    head_init: str = "prototypes"

    _parameter_constraints = {"head_init": [StrOptions(set(HEAD_INITS))]}


class ReptileRegressor(LikelihoodMixin, MetaRegressorMixin, _ReptileParameters):
    """Reptile: a start that moves towards the weights that tasks are trained to.

    Each task of a meta-update is trained for a few minibatches of its support, as one
    trains any network, and the start moves the share `lr` of the way to the mean of
    the weights found; `adapt` goes on training from there. Nothing is differentiated
    through, so that a meta-update costs what the training costs. As only the support
    is learned from (the query gives the loss that is reported), let `n_shots` be
    larger than the supports to come.

    Parameters
    ----------
    inner_batch_size : int, default=10
        Rows of a minibatch. A task with no more rows takes all of them at every step;
        any other goes through its rows in random order, again and again.

    inner_optimizer : {"adam", "sgd"}, default="adam"
        Adam without momentum, whose second moments are learned across the tasks of
        meta-training and go with the start; or plain gradient steps.

    engine : {"auto", "adjoint", "batched", "vmap", "loop"}, default="auto"
        How the encoder runs with the weights of many tasks; "auto" chooses, and
        `engine_` tells.

    inner_lr : float, default=0.001
        Step size of the inner optimizer, in meta-training and in `adapt`.

    inner_steps : int, default=5
        Minibatches of its support that a task is trained on in a meta-update.

    adapt_steps : int, default=50
        Minibatches in `adapt`; None is `inner_steps`. More than in meta-training, as
        in the paper.

    meta_batch_size : int, default=5
        Tasks per meta-update; 1 is the serial algorithm, see below.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    `hidden_layer_sizes` and `activation`; the episodes' ``n_shots=20``, `n_query` and
    `support`; the training's `max_iter`, ``lr=1.0``, ``lr_schedule="linear"``,
    ``optimizer="SGD"``, `optimizer_params`, `weight_decay`, ``max_grad_norm=None``,
    `chunk_size`, `early_stopping`, `validation_fraction`, `n_iter_no_change` and
    `callbacks`; and for `likelihood`, `standardize`, `transductive`, `device`,
    `compile`, `n_threads`, `random_state`, `verbose`, `max_time`, `checkpoint_dir`,
    `accelerator` and `warm_start`.

    Attributes
    ----------
    See `sklmeta.estimator.Parameters` for `tasks_`, `engine_`, `n_features_in_`,
    `feature_names_in_`, `n_iter_`, `history_`, `compile_time_` and `n_guarded_`.

    See Also
    --------
    MAMLRegressor : Differentiates through the steps; needs fewer of them.
    BayesianLinearRegressor : Closed form; more accurate where it applies.

    Notes
    -----
    With ``meta_batch_size=1`` this is the serial algorithm, which moves after every
    task. In a batch the tasks share one state of Adam, into which the mean of their
    squared gradients goes; a step of n tasks counts as n steps. `adapt` gives each
    task a copy of the state, and leaves the learned one as it is.

    The order of minibatches in `adapt` depends on the number of rows alone, so that
    it is the same at every call, whatever other tasks are adapted to with it.

    On smooth families of functions closed-form and amortised learners beat every
    gradient learner by an order of magnitude; try those first.

    References
    ----------
    Nichol, Achiam and Schulman, "On First-Order Meta-Learning Algorithms",
    arXiv:1803.02999, 2018.

    Examples
    --------
    >>> from sklmeta import ReptileRegressor
    >>> from sklmeta.datasets import make_sinusoids
    >>> X, y, task = make_sinusoids(40, n_rows=30, random_state=0)
    >>> old = task < 39
    >>> est = ReptileRegressor(max_iter=20, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:10], y[~old][:10])
    >>> est.predict(X[~old][10:]).shape
    (20,)
    """
