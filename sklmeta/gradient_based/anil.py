"""ANIL: features that stay, and a head that adapts by gradient steps."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from sklmeta._compat import StrOptions
from sklmeta.episodes.rows import Episodes, Rows, of_tasks
from sklmeta.estimator.faces import MetaClassifierMixin, MetaRegressorMixin
from sklmeta.estimator.likelihoods import LikelihoodMixin
from sklmeta.gradient_based.inner_parameters import InnerLoopParameters
from sklmeta.learners.dense.head import (
    descend_head,
    head_query_loss,
    joined,
    with_constant,
)
from sklmeta.learners.descent import Steps
from sklmeta.learners.inner_loop import (
    gradient_step,
    guard_wild_tasks,
    guarded_inner_loop,
    loss_gradients,
)
from sklmeta.learners.learner import Learner, State, TaskSpec
from sklmeta.learners.likelihoods import likelihood_of, loss_of, support_loss_of
from sklmeta.learners.network import HEAD_INITS, learned_head, prototype_head


class ANILLearner(Learner):
    """Learns an encoder, and where gradient descent of the head on it starts.

    The encoder is the same for all tasks, so it runs once over the rows of all of
    them; only the head has weights of each task's own.

    Parameters
    ----------
    spec : TaskSpec
        What the tasks look like.

    encoder : nn.Module
        Maps rows (n, *input_shape) to (n, spec.n_features_out).

    inner_lr, inner_steps, adapt_steps, first_order, head_init
        As in `ANILClassifier`.
    """

    encoder: nn.Module
    takes_weights = True

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
    ):
        super().__init__(spec)
        self.likelihood = likelihood_of(spec, predicts_spread=False)
        self.encoder = encoder
        self.steps = Steps(inner_lr, inner_steps, first_order)
        self.adapt_steps = inner_steps if adapt_steps is None else adapt_steps
        self.head = learned_head(spec, head_init)

    def start(
        self, support: Rows
    ) -> Tensor:  # shape: (n_tasks, n_features_out + 1, n_outputs)
        """The head before the first step; ``support.X`` are features and a constant."""
        if self.head is None:
            # The meta-gradient passes through the prototypes; the steps take them as
            # given.
            return joined(*prototype_head(support.X[..., :-1], support))
        weight, bias = self.head.weight, self.head.bias
        n_tasks, n_outputs = len(support.X), support.n_classes or len(bias)
        return joined(
            weight.expand(n_tasks, n_outputs, weight.shape[1]),
            bias.expand(n_tasks, n_outputs),
        )

    def adapt(self, support: Rows) -> State:
        """Take the gradient steps of the head, guarded so that no task diverges.

        ``state["n_guarded"]``, of shape (n_tasks,), counts the steps that were
        shortened or dropped. The state keeps no graph.
        """
        with torch.no_grad():
            support = self._features(support)
            start = self.start(support)
        if self.likelihood is not None:
            return self._guarded_descent(start, support)
        steps = self.steps._replace(n_steps=self.adapt_steps)
        head, losses = descend_head(start, support, steps)
        return guard_wild_tasks(
            {"head": head},
            losses,
            self.steps.n_steps,
            lambda tasks: self._guarded_descent(start[tasks], of_tasks(support, tasks)),
        )

    def _guarded_descent(self, start: Tensor, support: Rows) -> State:
        state, n_guarded = guarded_inner_loop(
            partial(self._support_loss, support=support),
            {"head": start},
            partial(gradient_step, lr=self.steps.lr),
            self.adapt_steps,
            n_trained_steps=self.steps.n_steps,
        )
        return {**state, "n_guarded": n_guarded}

    def _support_loss(self, parameters: State, support: Rows) -> Tensor:
        output = torch.bmm(support.X, parameters["head"])
        return support_loss_of(self, output, support)

    def predict(self, state: State, X: Tensor) -> Tensor:
        return torch.bmm(with_constant(self.encode(X)), state["head"])

    def meta_loss(self, episodes: Episodes) -> Tensor:
        """Query loss after unguarded steps; both sets are encoded in one pass."""
        support, query = episodes
        if self.mixes_rows:  # then the query must not look at the support
            support, query = self._features(support), self._features(query)
        else:
            both = with_constant(self.encode(torch.cat([support.X, query.X], dim=1)))
            n_support = support.X.shape[1]
            support = support._replace(X=both[:, :n_support])
            query = query._replace(X=both[:, n_support:])
        if self.likelihood is None:
            return head_query_loss(self.start(support), support, query, self.steps)
        with torch.enable_grad():
            point, loss = (
                self.start(support),
                partial(self._support_loss, support=support),
            )
            for update in self.steps.updates():
                graph = not self.steps.first_order
                slopes = loss_gradients(loss, {"head": point}, create_graph=graph)
                point = update({"head": point}, slopes)["head"]
        return loss_of(self, torch.bmm(query.X, point), query)

    def _features(self, rows: Rows) -> Rows:
        return rows._replace(X=with_constant(self.encode(rows.X)))


class _ANILParameters(InnerLoopParameters):
    """The inner loop's parameters, the same for both faces."""

    first_order: bool = False

    _parameter_constraints = {"first_order": ["boolean"]}

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> ANILLearner:
        return ANILLearner(spec, encoder, **self._inner_params("first_order"))


class ANILClassifier(MetaClassifierMixin, _ANILParameters):
    """Almost no inner loop: learned features, and gradient steps of the head alone.

    MAML without the steps of the encoder, which change its features little. The
    encoder runs once over all rows, so that training, and still more adaptation, is
    several times faster than MAML, and an adapted model is a head.

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
        Take the inner gradients as constants. It saves little here.

    inner_lr : float, default=0.1
        Step size of adaptation.

    inner_steps : int, default=5
        Gradient steps on the support in meta-training.

    adapt_steps : int, default=None
        Gradient steps in `adapt`; None is `inner_steps`. Steps beyond `inner_steps`
        are taken with backtracking.

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
    classes_ : ndarray of shape (n_classes,)
        The classes; where these are a task's own, those of the adapted tasks.

    shared_classes_ : bool
        Whether the tasks share their classes.

    See `sklmeta.estimator.Parameters` for `tasks_`, `engine_`, `n_features_in_`,
    `feature_names_in_`, `n_iter_`, `history_`, `compile_time_` and `n_guarded_`.

    See Also
    --------
    MAMLClassifier : Adapts the encoder as well.
    ProtoNetClassifier : Adapts by remembering class means; has no step size.

    Notes
    -----
    Adaptation chooses among functions of the same features. Where tasks differ in what
    their features mean (sensors with their own cross-talk), prefer MAML.

    References
    ----------
    Raghu, Raghu, Bengio and Vinyals, "Rapid Learning or Feature Reuse? Towards
    Understanding the Effectiveness of MAML", ICLR 2020.

    Examples
    --------
    >>> from sklmeta import ANILClassifier
    >>> from sklmeta.datasets import make_sensor_arrays
    >>> X, y, task = make_sensor_arrays(20, random_state=0)
    >>> old = task < 19
    >>> est = ANILClassifier(max_iter=20, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:12], y[~old][:12])
    >>> est.predict(X[~old][12:]).shape
    (48,)
    """

    head_init: str = "prototypes"

    _parameter_constraints = {"head_init": [StrOptions(set(HEAD_INITS))]}


class ANILRegressor(LikelihoodMixin, MetaRegressorMixin, _ANILParameters):
    """Almost no inner loop: learned features, and gradient steps of the head alone.

    MAML without the steps of the encoder, which change its features little. The
    encoder runs once over all rows, so that training, and still more adaptation, is
    several times faster than MAML, and an adapted model is a head.

    Parameters
    ----------
    first_order : bool, default=False
        Take the inner gradients as constants. It saves little here, and the features
        are no longer told what the steps make of them.

    inner_lr : float, default=0.01
        Step size of adaptation.

    inner_steps : int, default=5
        Gradient steps on the support in meta-training.

    adapt_steps : int, default=None
        Gradient steps in `adapt`; None is `inner_steps`. Steps beyond `inner_steps`
        are taken with backtracking.

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
    See `sklmeta.estimator.Parameters` for `tasks_`, `engine_`, `n_features_in_`,
    `feature_names_in_`, `n_iter_`, `history_`, `compile_time_` and `n_guarded_`.

    See Also
    --------
    BayesianLinearRegressor : The same idea in closed form; more accurate.
    MAMLRegressor : Adapts the encoder as well.

    Notes
    -----
    A linear head on squared error has a closed form, which needs no step size and no
    number of steps: prefer `BayesianLinearRegressor`, and keep this one to compare.

    References
    ----------
    Raghu, Raghu, Bengio and Vinyals, "Rapid Learning or Feature Reuse? Towards
    Understanding the Effectiveness of MAML", ICLR 2020.

    Examples
    --------
    >>> from sklmeta import ANILRegressor
    >>> from sklmeta.datasets import make_sinusoids
    >>> X, y, task = make_sinusoids(40, n_rows=30, random_state=0)
    >>> old = task < 39
    >>> est = ANILRegressor(max_iter=20, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:10], y[~old][:10])
    >>> est.predict(X[~old][10:]).shape
    (20,)
    """

    inner_lr: float = 0.01
    n_shots: int | tuple[int, int] = (5, 20)
