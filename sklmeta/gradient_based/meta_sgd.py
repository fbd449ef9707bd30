"""Meta-SGD: a start and a step of every parameter's own, both learned."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

from torch import nn

from sklmeta._compat import StrOptions
from sklmeta.estimator.faces import MetaClassifierMixin, MetaRegressorMixin
from sklmeta.estimator.likelihoods import LikelihoodMixin
from sklmeta.gradient_based.inner_parameters import DescentParameters
from sklmeta.gradient_based.maml import MAMLLearner
from sklmeta.learners.learner import TaskSpec
from sklmeta.learners.network import HEAD_INITS
from sklmeta.learners.stabilisers import StepSizes


class MetaSGDLearner(MAMLLearner):
    """Learns a start, and a step of every parameter's own that all inner steps share.

    Eq. 2 of the paper: ``theta' = theta - alpha * grad L(theta)``, entry by entry, with
    no constraint on the sign of alpha. Where classes are a task's own, the head of all
    classes shares one step for every feature.

    Parameters
    ----------
    spec, encoder
        As in `AdaptedNetwork`.

    **params
        Further parameters of `MAMLLearner`.
    """

    def __init__(self, spec: TaskSpec, encoder: nn.Module, **params: Any):
        super().__init__(spec, encoder, **params)
        self.step_sizes = StepSizes(self.adapted_shapes(), 1, self.inner_lr)


class _MetaSGDParameters(DescentParameters):
    """The inner loop's parameters, the same for both faces."""

    inner_steps: int = 1

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> MetaSGDLearner:
        params = self._inner_params("first_order", "engine")
        return MetaSGDLearner(spec, encoder, **params)


class MetaSGDClassifier(MetaClassifierMixin, _MetaSGDParameters):
    """Meta-SGD: a start, and a step of every parameter's own, both learned.

    As MAML, but the learned step sizes tell adaptation in which direction to go, and
    which parameters to leave alone. `adapt` takes the same steps on the support,
    guarded so that no task diverges.

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

    first_order : bool, default=False
        Take the inner gradients as constants (FOMAML): cheaper, a little less
        accurate.

    engine : {"auto", "adjoint", "batched", "vmap", "loop"}, default="auto"
        How the encoder runs with the weights of many tasks; "auto" chooses, and
        `engine_` tells.

    inner_lr : float, default=0.1
        What all step sizes start from, and that of steps beyond `inner_steps`.

    inner_steps : int, default=1
        Gradient steps on the support in meta-training.

    adapt_steps : int, default=None
        Gradient steps in `adapt`; None is `inner_steps`. Steps beyond `inner_steps`
        are of `inner_lr`, with backtracking.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    `hidden_layer_sizes` and `activation`; the episodes' ``n_shots=(6, 24)``,
    ``n_query=30`` and `support`; the training's `meta_batch_size`, `max_iter`,
    ``lr=0.003``, `lr_schedule`, `optimizer`, `optimizer_params`, `weight_decay`,
    ``max_grad_norm=1.0``, `chunk_size`, `early_stopping`, `validation_fraction`,
    `n_iter_no_change` and `callbacks`; and for `standardize`, `transductive`, `device`,
    `compile`, `n_threads`, `random_state`, `verbose`, `max_time`, `checkpoint_dir`,
    `accelerator` and `warm_start`.

    Attributes
    ----------
    inner_lr_ : dict of str to ndarray of shape (1, ...)
        Learned step size of every entry of every parameter of the network, by the
        parameter's name.

    classes_ : ndarray of shape (n_classes,)
        The classes; where these are a task's own, those of the adapted tasks.

    shared_classes_ : bool
        Whether the tasks share their classes.

    See `sklmeta.estimator.Parameters` for `tasks_`, `engine_`, `n_features_in_`,
    `feature_names_in_`, `n_iter_`, `history_`, `compile_time_` and `n_guarded_`.

    See Also
    --------
    MAMLClassifier : One step size for all parameters, which is not learned.
    ProtoNetClassifier : Adapts by remembering class means; has no step size.

    Notes
    -----
    The learned steps are large and made for as many steps as were trained: do not ask
    `adapt` for more, train with more `inner_steps` instead.

    References
    ----------
    Li, Zhou, Chen and Li, "Meta-SGD: Learning to Learn Quickly for Few-Shot Learning",
    arXiv:1707.09835, 2017.

    Examples
    --------
    >>> from sklmeta import MetaSGDClassifier
    >>> from sklmeta.datasets import make_sensor_arrays
    >>> X, y, task = make_sensor_arrays(20, random_state=0)
    >>> old = task < 19
    >>> est = MetaSGDClassifier(max_iter=20, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:12], y[~old][:12])
    >>> est.predict(X[~old][12:]).shape
    (48,)
    """

    head_init: str = "prototypes"

    _parameter_constraints = {"head_init": [StrOptions(set(HEAD_INITS))]}


class MetaSGDRegressor(LikelihoodMixin, MetaRegressorMixin, _MetaSGDParameters):
    """Meta-SGD: a start, and a step of every parameter's own, both learned.

    As MAML, but the learned step sizes tell adaptation in which direction to go, and
    which parameters to leave alone. `adapt` takes the same steps on the support,
    guarded so that no task diverges.

    Parameters
    ----------
    first_order : bool, default=False
        Take the inner gradients as constants (FOMAML): cheaper, a little less
        accurate.

    engine : {"auto", "adjoint", "batched", "vmap", "loop"}, default="auto"
        How the encoder runs with the weights of many tasks; "auto" chooses, and
        `engine_` tells.

    inner_lr : float, default=0.01
        What all step sizes start from, and that of steps beyond `inner_steps`.

    inner_steps : int, default=1
        Gradient steps on the support in meta-training.

    adapt_steps : int, default=None
        Gradient steps in `adapt`; None is `inner_steps`. Steps beyond `inner_steps`
        are of `inner_lr`, with backtracking.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    `hidden_layer_sizes` and `activation`; the episodes' ``n_shots=(5, 20)``,
    ``n_query=30`` and `support`; the training's `meta_batch_size`, `max_iter`,
    ``lr=0.003``, `lr_schedule`, `optimizer`, `optimizer_params`, `weight_decay`,
    ``max_grad_norm=1.0``, `chunk_size`, `early_stopping`, `validation_fraction`,
    `n_iter_no_change` and `callbacks`; and for `likelihood`, `standardize`,
    `transductive`, `device`, `compile`, `n_threads`, `random_state`, `verbose`,
    `max_time`, `checkpoint_dir`, `accelerator` and `warm_start`.

    Attributes
    ----------
    inner_lr_ : dict of str to ndarray of shape (1, ...)
        Learned step size of every entry of every parameter of the network, by the
        parameter's name.

    See `sklmeta.estimator.Parameters` for `tasks_`, `engine_`, `n_features_in_`,
    `feature_names_in_`, `n_iter_`, `history_`, `compile_time_` and `n_guarded_`.

    See Also
    --------
    MAMLRegressor : One step size for all parameters, which is not learned.
    BayesianLinearRegressor : Closed form; more accurate where it applies.

    Notes
    -----
    The learned steps are large and made for as many steps as were trained: do not ask
    `adapt` for more, train with more `inner_steps` instead.

    References
    ----------
    Li, Zhou, Chen and Li, "Meta-SGD: Learning to Learn Quickly for Few-Shot Learning",
    arXiv:1707.09835, 2017.

    Examples
    --------
    >>> from sklmeta import MetaSGDRegressor
    >>> from sklmeta.datasets import make_sinusoids
    >>> X, y, task = make_sinusoids(40, n_rows=30, random_state=0)
    >>> old = task < 39
    >>> est = MetaSGDRegressor(max_iter=20, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:10], y[~old][:10])
    >>> est.predict(X[~old][10:]).shape
    (20,)
    """

    inner_lr: float = 0.01
    n_shots: int | tuple[int, int] = (5, 20)
