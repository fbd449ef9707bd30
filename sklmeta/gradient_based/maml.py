"""Model-agnostic meta-learning (MAML): a start for adaptation by gradient steps."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numbers

import torch
from torch import Tensor, nn

from sklmeta._compat import Interval, StrOptions
from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.estimator.faces import MetaClassifierMixin, MetaRegressorMixin
from sklmeta.estimator.likelihoods import LikelihoodMixin
from sklmeta.gradient_based.inner_parameters import DescentParameters
from sklmeta.learners.dense.descent import DenseDescent
from sklmeta.learners.descent import Descent, GraphDescent, Steps, inner_path
from sklmeta.learners.learner import State, TaskSpec
from sklmeta.learners.network import HEAD_INITS, AdaptedNetwork
from sklmeta.learners.stabilisers import StepSizes, step_weights


class MAMLLearner(AdaptedNetwork):
    """Learns the parameters from which gradient descent on a support set starts.

    The network is an encoder and a linear head. Adaptation moves both, by steps
    ``theta_{k+1} = theta_k - lr * g(theta_k)`` with g the gradient of the support loss.
    The meta-loss is the query loss after the last step or, in the first part of the
    training where `multi_step_loss` is not zero, a weighted sum of those after each.
    Both are in `sklmeta.learners.descent`, and once more, with their derivatives by
    hand, in `sklmeta.learners.dense.descent`.

    Parameters
    ----------
    spec, encoder
        As in `AdaptedNetwork`.

    inner_lr, inner_steps, adapt_steps, first_order, learn_inner_lr, multi_step_loss,
    derivative_order_annealing, head_init, engine
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
        learn_inner_lr: bool = False,
        multi_step_loss: float = 0.0,
        derivative_order_annealing: float = 0.0,
        head_init: str = "prototypes",
        engine: str = "auto",
    ):
        super().__init__(
            spec, encoder, inner_steps=inner_steps, head_init=head_init, engine=engine
        )
        self.inner_lr, self.first_order = inner_lr, first_order
        self.adapt_steps = inner_steps if adapt_steps is None else adapt_steps
        self.multi_step_loss = multi_step_loss
        self.derivative_order_annealing = derivative_order_annealing
        self.step_sizes: StepSizes | None = None
        if learn_inner_lr:
            shapes = {n: (1,) * len(s) for n, s in self.adapted_shapes().items()}
            self.step_sizes = StepSizes(shapes, inner_steps, inner_lr)
        self._descent: Descent = GraphDescent()
        if self.dense is not None:
            self._descent = DenseDescent(self.dense)
        self._step_weights: Tensor | None = None
        self.phase = first_order, False

    def begin_update(self, progress: float) -> None:
        """Enter the phase of the training; see the base class."""
        early = progress < self.derivative_order_annealing
        self._step_weights = None
        if progress < self.multi_step_loss:
            weights = step_weights(self.inner_steps, progress / self.multi_step_loss)
            like = next(self.parameters())
            # A tensor, as a compiler would compile numbers in.
            tensor = torch.tensor(weights, dtype=like.dtype)
            self._step_weights = tensor.to(like.device, non_blocking=True)
        self.phase = self.first_order or early, self._step_weights is not None

    @property
    def steps(self) -> Steps:
        """The inner loop, as the phase of the training has it."""
        return Steps(
            self.inner_lr,
            self.inner_steps,
            first_order=self.phase[0],
            rates=None if self.step_sizes is None else self.step_sizes(),
            weights=self._step_weights if self.training else None,
        )

    @property
    def body_stays(self) -> bool:
        """Whether adaptation leaves the encoder as it is, whatever the support.

        With identical class vectors the gradient of the first step with respect to the
        encoder is exactly zero; a second step is needed to move it.
        """
        shared = self.spec.kind == TaskKind.OWN and not self.has_prototypes
        return shared and self.inner_steps == 1

    def _adapt(self, support: Rows) -> State:
        """Take the gradient steps; see the base class.

        In training mode the state keeps its graph. In evaluation mode it does not, and
        the steps are guarded: ``state["n_guarded"]``, of shape (n_tasks,), counts
        those that were shortened or dropped.
        """
        if self.training:
            return inner_path(self, support, self.steps)[-1]
        return self._descent.adapt(self, support, self.steps, self.adapt_steps)

    def meta_loss(self, episodes: Episodes) -> Tensor:
        """Query loss after unguarded steps, also in evaluation mode.

        In a phase of training with the loss of every step it is their weighted sum.
        """
        return self._descent.query_loss(self, episodes, self.steps)

    def accumulate(self, episodes: Episodes, scale: float) -> Tensor:
        """See the base class; with derivatives by hand there is no graph to go back."""
        return self._descent.accumulate(self, episodes, self.steps, scale)


class _MAMLParameters(DescentParameters):
    """The inner loop's parameters, the same for both faces."""

    multi_step_loss: float = 0.0
    learn_inner_lr: bool = False
    derivative_order_annealing: float = 0.0

    _parameter_constraints = {
        "multi_step_loss": [Interval(numbers.Real, 0, 1, closed="both")],
        "learn_inner_lr": ["boolean"],
        "derivative_order_annealing": [Interval(numbers.Real, 0, 1, closed="both")],
    }

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> MAMLLearner:
        own = ("multi_step_loss", "learn_inner_lr", "derivative_order_annealing")
        params = self._inner_params("first_order", "engine", *own)
        return MAMLLearner(spec, encoder, **params)


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

    first_order : bool, default=False
        Take the inner gradients as constants (FOMAML): cheaper, a little less
        accurate.

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
    `compile`, `n_threads`, `random_state`, `verbose`, `max_time`, `checkpoint_dir`,
    `accelerator` and `warm_start`.

    Attributes
    ----------
    inner_lr_ : dict of str to ndarray of shape (inner_steps, ...)
        Learned step size of every parameter tensor of the network in every step, by the
        tensor's name; with ``learn_inner_lr=True``.

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


class MAMLRegressor(LikelihoodMixin, MetaRegressorMixin, _MAMLParameters):
    """Model-agnostic meta-learning: a start from which few gradient steps suffice.

    Meta-training differentiates through the gradient steps of adaptation. `adapt`
    takes the same steps on the support, guarded so that no task diverges.

    Parameters
    ----------
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

    first_order : bool, default=False
        Take the inner gradients as constants (FOMAML): cheaper, a little less
        accurate.

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
    `n_iter_no_change` and `callbacks`; and for `likelihood`, `standardize`,
    `transductive`, `device`, `compile`, `n_threads`, `random_state`, `verbose`,
    `max_time`, `checkpoint_dir`, `accelerator` and `warm_start`.

    Attributes
    ----------
    inner_lr_ : dict of str to ndarray of shape (inner_steps, ...)
        Learned step size of every parameter tensor of the network in every step, by the
        tensor's name; with ``learn_inner_lr=True``.

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
