"""Model-agnostic meta-learning (MAML): a start for adaptation by gradient steps."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numbers
import warnings
from typing import Any

from torch import nn

from sklmeta._compat import Interval, StrOptions
from sklmeta.estimator.faces import MetaClassifierMixin, MetaRegressorMixin
from sklmeta.gradient_based.descent import DescentLearner
from sklmeta.gradient_based.inner_parameters import InnerLoopParameters
from sklmeta.learners.learner import TaskSpec
from sklmeta.learners.network import ENGINES, HEAD_INITS
from sklmeta.learners.stabilisers import StepSizes, step_weights


class MAMLLearner(DescentLearner):
    """Learns the parameters from which gradient descent on a support set starts.

    Parameters
    ----------
    spec, encoder
        As in `AdaptedNetwork`.

    learn_inner_lr, multi_step_loss, derivative_order_annealing
        As in `MAMLClassifier`.

    **params
        Further parameters of `DescentLearner`.
    """

    def __init__(
        self,
        spec: TaskSpec,
        encoder: nn.Module,
        *,
        learn_inner_lr: bool = False,
        multi_step_loss: float = 0.0,
        derivative_order_annealing: float = 0.0,
        **params: Any,
    ):
        super().__init__(spec, encoder, **params)
        self.multi_step_loss = multi_step_loss
        self.derivative_order_annealing = derivative_order_annealing
        if learn_inner_lr:
            shapes = {n: (1,) * len(s) for n, s in self.adapted_shapes().items()}
            self.step_sizes = StepSizes(shapes, self.inner_steps, self.inner_lr)

    def begin_update(self, progress: float) -> None:
        """Enter the phase of the training; see the base class."""
        if not self.multi_step_loss and not self.derivative_order_annealing:
            return
        weights = None
        if progress < self.multi_step_loss:
            weights = step_weights(self.inner_steps, progress / self.multi_step_loss)
        early = progress < self.derivative_order_annealing
        self.enter_phase(self.first_order or early, weights)


class _MAMLParameters(InnerLoopParameters):
    """The inner loop's parameters, the same for both faces."""

    first_order: bool = False
    multi_step_loss: float = 0.0
    learn_inner_lr: bool = False
    derivative_order_annealing: float = 0.0
    engine: str = "auto"

    _parameter_constraints = {
        "first_order": ["boolean"],
        "multi_step_loss": [Interval(numbers.Real, 0, 1, closed="both")],
        "learn_inner_lr": ["boolean"],
        "derivative_order_annealing": [Interval(numbers.Real, 0, 1, closed="both")],
        "engine": [StrOptions(set(ENGINES))],
    }

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> MAMLLearner:
        params = self._inner_params(
            "first_order",
            "multi_step_loss",
            "learn_inner_lr",
            "derivative_order_annealing",
            "engine",
        )
        return MAMLLearner(spec, encoder, **params)


def warn_if_body_stays(estimator: Any, learner: DescentLearner) -> None:
    if learner.body_stays and not hasattr(estimator, "_fitted"):
        warnings.warn(
            "With head_init='shared' and inner_steps=1 adaptation leaves the encoder "
            "as it is: from identical class vectors its first gradient is zero. Use "
            "inner_steps >= 2, or head_init='prototypes'.",
            UserWarning,
            stacklevel=3,
        )


class MAMLClassifier(MetaClassifierMixin, _MAMLParameters):
    """Model-agnostic meta-learning: a start from which few gradient steps suffice.

    Meta-training differentiates through the gradient steps of adaptation. `adapt`
    takes the same steps on the support, guarded so that no task diverges.

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

    multi_step_loss : float, default=0.0
        Share of the meta-updates, from the first, in which the query loss after every
        inner step counts: with equal weights at first, which move linearly to the last
        step's. Validation always takes the last step's loss.

    learn_inner_lr : bool, default=False
        Whether each parameter tensor learns a step size for each inner step; they start
        from `inner_lr`, and may become negative.

    derivative_order_annealing : float, default=0.0
        Share of the meta-updates, from the first, that take the inner gradients as
        constants, as `first_order` does for all.

    engine : {"auto", "adjoint", "batched", "vmap", "loop"}, default="auto"
        How the encoder runs with the weights of many tasks; "auto" chooses, and
        `engine_` tells.

    inner_lr : float, default=0.1
        Step size of adaptation.

    inner_steps : int, default=5
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
    `compile`, `n_threads`, `random_state`, `verbose` and `warm_start`.

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
    MetaSGDClassifier : Learns a step of every parameter's own too.
    ProtoNetClassifier : Adapts by remembering class means; has no step size.

    References
    ----------
    Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep
    Networks", ICML 2017.

    Ye and Chao, "How to Train Your MAML to Excel in Few-Shot Classification",
    ICLR 2022.

    Triantafillou et al., "Meta-Dataset", ICLR 2020.

    Antoniou, Edwards and Storkey, "How to train your MAML", ICLR 2019.

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

    _parameter_constraints = {"head_init": [StrOptions(set(HEAD_INITS))]}

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> MAMLLearner:
        learner = super()._make_learner(spec, encoder)
        warn_if_body_stays(self, learner)
        return learner


class MAMLRegressor(MetaRegressorMixin, _MAMLParameters):
    """Model-agnostic meta-learning: a start from which few gradient steps suffice.

    Meta-training differentiates through the gradient steps of adaptation. `adapt`
    takes the same steps on the support, guarded so that no task diverges.

    Parameters
    ----------
    first_order : bool, default=False
        Take the inner gradients as constants (FOMAML): cheaper, a little less
        accurate.

    multi_step_loss : float, default=0.0
        Share of the meta-updates, from the first, in which the query loss after every
        inner step counts: with equal weights at first, which move linearly to the last
        step's. Validation always takes the last step's loss.

    learn_inner_lr : bool, default=False
        Whether each parameter tensor learns a step size for each inner step; they start
        from `inner_lr`, and may become negative.

    derivative_order_annealing : float, default=0.0
        Share of the meta-updates, from the first, that take the inner gradients as
        constants, as `first_order` does for all.

    engine : {"auto", "adjoint", "batched", "vmap", "loop"}, default="auto"
        How the encoder runs with the weights of many tasks; "auto" chooses, and
        `engine_` tells.

    inner_lr : float, default=0.01
        Step size of adaptation.

    inner_steps : int, default=5
        Gradient steps on the support in meta-training.

    adapt_steps : int, default=None
        Gradient steps in `adapt`; None is `inner_steps`. Steps beyond `inner_steps`
        are of `inner_lr`, with backtracking.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    `hidden_layer_sizes` and `activation`; the episodes' ``n_shots=(5, 20)``,
    ``n_query=30`` and `support`; the training's `meta_batch_size`, `max_iter`,
    ``lr=0.003``, `lr_schedule`, `optimizer`, `optimizer_params`, `weight_decay`,
    ``max_grad_norm=1.0``, `chunk_size`, `early_stopping`, `validation_fraction`,
    `n_iter_no_change` and `callbacks`; and for `standardize`, `transductive`, `device`,
    `compile`, `n_threads`, `random_state`, `verbose` and `warm_start`.

    Attributes
    ----------
    See `sklmeta.estimator.Parameters` for `tasks_`, `engine_`, `n_features_in_`,
    `feature_names_in_`, `n_iter_`, `history_`, `compile_time_` and `n_guarded_`.

    See Also
    --------
    MetaSGDRegressor : Learns a step of every parameter's own too.
    BayesianLinearRegressor : Closed form; more accurate where it applies.

    Notes
    -----
    On smooth families of functions closed-form and amortised learners beat every
    gradient learner by an order of magnitude; try those first.

    References
    ----------
    Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep
    Networks", ICML 2017.

    Antoniou, Edwards and Storkey, "How to train your MAML", ICLR 2019.

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
