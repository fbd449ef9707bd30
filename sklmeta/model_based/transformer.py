"""Transformer neural processes: adaptation is one forward pass over the support."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta._compat import Interval
from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.estimator.faces import MetaClassifierMixin, PredictiveStdMixin
from sklmeta.estimator.likelihoods import LikelihoodMixin
from sklmeta.learners.learner import Learner, State, TaskSpec
from sklmeta.learners.losses import or_one
from sklmeta.model_based._started import StartedEstimator
from sklmeta.model_based.amortised import AmortisedLearner, Logits, Reference
from sklmeta.model_based.attention import AttentionLayer, padding_bias, same_class_bias


class TransformerNeuralProcessLearner(AmortisedLearner):
    """Support rows attend to each other, query rows to the support only.

    The state is every layer's keys and values of the support, so that a query row is
    predicted in one pass and never depends on another. A learned key and value stand
    beside the support's: attention to an empty support is attention to them.

    - Regression: targets enter, and means leave, as deviations from a reference.
    - Shared classes: a learned embedding of a support row's class enters, a linear
      map gives the logits, or what is added to a mixed model's.
    - Own classes: support rows of one class attend to each other with a learned bias of
      every head; a logit is minus the scaled squared distance between the query row and
      the class's mean support row, both as they leave the last layer. Relabelling the
      classes permutes the logits, and any number of classes may be predicted.

    Parameters
    ----------
    spec, encoder, skips, beta
        As in `AmortisedLearner`.

    d_model, n_layers, n_heads : int
        As in `TransformerNeuralProcessRegressor`.

    min_noise : float, default=1e-2
        Smallest predicted standard deviation, in units of the standardised target.
    """

    def __init__(
        self,
        spec: TaskSpec,
        encoder: nn.Module | None,
        *,
        d_model: int = 64,
        n_layers: int = 3,
        n_heads: int = 4,
        skips: bool = False,
        min_noise: float = 1e-2,
        beta: float = 0.5,
    ):
        super().__init__(spec, encoder, skips=skips, min_noise=min_noise, beta=beta)
        if d_model % n_heads:
            raise ValueError(
                f"n_heads must divide d_model, got n_heads={n_heads} and "
                f"d_model={d_model}."
            )
        self.embed_row = nn.Linear(self.row_width, d_model)
        self.is_support = nn.Parameter(torch.zeros(d_model))
        self.layers = nn.ModuleList(
            AttentionLayer(d_model, n_heads) for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(d_model)
        if spec.kind == TaskKind.REGRESSION:
            self.log_min_variance = 2 * math.log(min_noise)
            self.embed_target = nn.Linear(spec.n_targets, d_model, bias=False)
            self.head = nn.Linear(d_model, 2 * spec.n_targets)
        elif spec.kind == TaskKind.SHARED:
            self.embed_class = nn.Embedding(spec.n_classes, d_model)
            self.head = nn.Linear(d_model, spec.n_classes)
        else:
            self.same_class_bias = nn.Parameter(torch.ones(n_layers, n_heads))
            self.head = nn.Linear(d_model, d_model, bias=False)
            self.log_scale = nn.Parameter(torch.tensor(-math.log(d_model)))
        if self.has_skip:  # which is what training starts from
            for parameter in self.head.parameters():
                nn.init.zeros_(parameter)

    def adapt(self, support: Rows) -> State:
        """Pass the support through the layers.

        Returns
        -------
        state : dict
            ``keys`` and ``values`` (n_tasks, n_layers, n_heads, n_rows + 1, d_head),
            the first row being the learned one; ``bias`` (n_tasks, n_rows + 1), 0 or,
            for padding, minus infinity; ``level`` (n_tasks,) for regression or
            ``prototypes`` (n_tasks, n_classes, d_model) for own classes.
        """
        return self._contextualise(support, None)[0]

    def predict(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_outputs)
        """Mean and log-variance, or logits of the classes."""
        reference = self.reference(state, X)
        rows = self.embed_row(self.row_inputs(X, reference))
        bias = state["bias"][:, None, None]
        for i, layer in enumerate(cast(Sequence[AttentionLayer], self.layers)):
            key, value = state["keys"][:, i], state["values"][:, i]
            rows = layer(rows, layer.norm(rows), key, value, bias)
        return self._read_out(rows, state, reference)

    def meta_loss(self, episodes: Episodes) -> Tensor:  # shape: (n_tasks,)
        """Loss of the query; both sets pass through the layers side by side."""
        support, query = episodes
        state, rows = self._contextualise(support, query.X)
        reference = self.reference(state, query.X)
        return self.query_loss(self._read_out(rows, state, reference), query)

    def _contextualise(
        self,
        support: Rows,
        query_X: Tensor | None,  # shape: (n_tasks, n_query, *input)
    ) -> tuple[State, Tensor]:  # the state; (n_tasks, n_query, d_model)
        n_rows = support.X.shape[1]
        X = support.X if query_X is None else torch.cat([support.X, query_X], dim=1)
        state = self.refer(support)
        rows = self.embed_row(self.row_inputs(X, self.reference(state, X)))
        labels = self._embed_labels(state, support)
        rows = torch.cat([rows[:, :n_rows] + labels, rows[:, n_rows:]], dim=1)
        state["bias"] = padding_bias(support.mask)
        keys, values = [], []
        for i, layer in enumerate(cast(Sequence[AttentionLayer], self.layers)):
            normed = layer.norm(rows)
            key, value = layer.keys_and_values(normed[:, :n_rows])
            bias = state["bias"][:, None, None]
            if self.spec.kind == TaskKind.OWN:
                weight = self.same_class_bias[i]
                bias = bias + same_class_bias(support.y, weight, rows.shape[1])
            rows = layer(rows, normed, key, value, bias)
            keys.append(key)
            values.append(value)
        state["keys"] = torch.stack(keys, dim=1)
        state["values"] = torch.stack(values, dim=1)
        if self.spec.kind == TaskKind.OWN:
            members = F.one_hot(support.y, support.n_classes).to(rows.dtype)
            members = members * support.mask[..., None]
            sums = members.mT @ self.head(self.norm(rows[:, :n_rows]))
            state["prototypes"] = sums / or_one(members.sum(1))[..., None]
        return state, rows[:, n_rows:]

    def _embed_labels(
        self, state: State, support: Rows
    ) -> Tensor:  # shape: (n_tasks, n_rows, d_model)
        reference = self.reference(state, support.X)
        if isinstance(reference, Reference):
            deviation = reference.deviation(self.seen(support.y))
            return self.is_support + self.embed_target(deviation)
        if self.spec.kind == TaskKind.SHARED:
            return self.is_support + self.embed_class(support.y)
        return self.is_support

    def _read_out(
        self,
        rows: Tensor,  # shape: (n_tasks, n_rows, d_model)
        state: State,
        reference: Reference | Logits | None,
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_outputs)
        output = self.head(self.norm(rows))
        if isinstance(reference, Logits):
            return reference.values + output
        if reference is not None:
            floor = output.new_tensor(self.log_min_variance)
            deviation, log_variance = output.chunk(2, dim=-1)
            log_variance = log_variance + 2 * reference.log_std
            parts = reference.place(deviation), torch.logaddexp(log_variance, floor)
            return torch.cat(parts, dim=-1)
        if self.spec.kind == TaskKind.SHARED:
            return output
        distance = output[:, :, None] - state["prototypes"][:, None]
        return -self.log_scale.exp() * distance.square().sum(-1)


class _TransformerParameters(StartedEstimator):
    """The network's parameters, the same for both faces."""

    d_model: int = 64
    n_layers: int = 3
    n_heads: int = 4
    hidden_layer_sizes: int | Sequence[int] = ()  # the layers themselves encode
    n_shots: int | tuple[int, int] = (1, 20)
    n_query: int = 16
    max_iter: int = 1500
    lr: float = 3e-3
    max_grad_norm: float | None = 1.0
    optimizer: str | type[torch.optim.Optimizer] = "AdamW"
    weight_decay: float = 0.01

    _parameter_constraints = {
        "d_model": [Interval(numbers.Integral, 1, None, closed="left")],
        "n_layers": [Interval(numbers.Integral, 1, None, closed="left")],
        "n_heads": [Interval(numbers.Integral, 1, None, closed="left")],
    }

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> Learner:
        return TransformerNeuralProcessLearner(
            spec,
            self._unless_empty(encoder),
            d_model=self.d_model,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            skips=self.start is not None,
        )


class TransformerNeuralProcessRegressor(
    LikelihoodMixin, PredictiveStdMixin, _TransformerParameters
):
    """Transformer neural process: in-context learning, trained on your own tasks.

    Support rows attend to each other and query rows to the support, so adaptation is
    one forward pass, for any number of support rows, none included. It predicts a mean
    and a standard deviation.

    Parameters
    ----------
    d_model : int, default=64
        Width of a row between the layers.

    n_layers : int, default=3
        Number of attention layers.

    n_heads : int, default=4
        Attention heads of a layer; it must divide `d_model`.

    start : {"mixed_model"} or None, default="mixed_model"
        What meta-training starts from: a linear mixed model of the training tasks, as
        of `MixedModelRegressor`. Before the first update tasks are predicted nearly as
        by it, and the network learns what it lacks. One table, fewer than three tasks,
        and inputs other than rows of numbers start from nothing, as all do with None.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    ``hidden_layer_sizes=()`` and `activation`; the episodes' ``n_shots=(1, 20)``,
    ``n_query=16`` and `support`; the training's `meta_batch_size`, ``max_iter=1200``,
    ``lr=0.003``, `lr_schedule`, ``optimizer="AdamW"``, `optimizer_params`,
    ``weight_decay=0.3``, ``max_grad_norm=1.0``, `chunk_size`,
    ``early_stopping="folds"``, `validation_fraction`, `n_iter_no_change` and
    `callbacks`; and for `likelihood`, `standardize`, `transductive`, `device`,
    `compile`, `n_threads`, `random_state`, `verbose`, `max_time`, `checkpoint_dir`,
    `accelerator` and `warm_start`.

    Attributes
    ----------
    See `sklmeta.estimator.Parameters` for `tasks_`, `engine_`, `n_features_in_`,
    `feature_names_in_`, `n_iter_`, `history_`, `compile_time_` and `n_guarded_`.

    See Also
    --------
    BayesianLinearRegressor : Closed form, and far faster to train.

    Notes
    -----
    With few tasks to learn from prefer `BayesianLinearRegressor`. Adapting costs the
    square of the number of support rows.

    References
    ----------
    Nguyen and Grover, "Transformer Neural Processes: Uncertainty-Aware Meta Learning
    Via Sequence Modeling", ICML 2022.

    Examples
    --------
    >>> from sklmeta import TransformerNeuralProcessRegressor
    >>> from sklmeta.datasets import make_pharmacokinetics
    >>> X, y, task = make_pharmacokinetics(40, random_state=0)
    >>> old = task < 39
    >>> est = TransformerNeuralProcessRegressor(max_iter=20, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:3], y[~old][:3])
    >>> y_mean, y_std = est.predict(X[~old][3:], return_std=True)
    >>> y_mean.shape, y_std.shape
    ((9,), (9,))
    """

    max_iter: int = 1200
    weight_decay: float = 0.3
    early_stopping: bool | str = "folds"


class TransformerNeuralProcessClassifier(MetaClassifierMixin, _TransformerParameters):
    """Transformer neural process: in-context learning, trained on your own tasks.

    Support rows attend to each other and query rows to the support, so adaptation is
    one forward pass. With shared classes the support may be empty or lack a class;
    with classes of each task's own, a task may have any number of them.

    Parameters
    ----------
    n_way : int, default=None
        Number of classes in a training episode, for classes that are a task's own;
        None takes all of a task's classes.

    shared_classes : bool, default=None
        Whether all tasks speak of the same classes. None means True unless `n_way`
        is given; it is never guessed from the labels.

    d_model : int, default=64
        Width of a row between the layers.

    n_layers : int, default=3
        Number of attention layers.

    n_heads : int, default=4
        Attention heads of a layer; it must divide `d_model`.

    start : {"mixed_model"} or None, default="mixed_model"
        What meta-training starts from, where tasks share their classes: a logistic
        mixed model of the training tasks, as of `MixedModelClassifier`. Before the
        first update tasks are predicted nearly as by it, and the network learns what it
        lacks. Classes of a task's own, one table, fewer than three tasks, and inputs
        other than rows of numbers start from nothing, as all do with None. Of many
        columns and classes its intercepts alone vary between tasks; where columns times
        classes are more than 1,000 there is none.

    early_stopping : bool, "folds" or "auto", default="auto"
        As elsewhere; "auto" is "folds" where training starts from a mixed model, for
        the network would learn few tasks by heart, and else False.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    ``hidden_layer_sizes=()`` and `activation`; the episodes' ``n_shots=(1, 20)``,
    ``n_query=16`` and `support`; the training's `meta_batch_size`, ``max_iter=1500``,
    ``lr=0.003``, `lr_schedule`, ``optimizer="AdamW"``, `optimizer_params`,
    ``weight_decay=0.01``, ``max_grad_norm=1.0``, `chunk_size`, `validation_fraction`,
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
    ProtoNetClassifier : Remembers class means; far faster to train.

    References
    ----------
    Nguyen and Grover, "Transformer Neural Processes: Uncertainty-Aware Meta Learning
    Via Sequence Modeling", ICML 2022.

    Examples
    --------
    >>> from sklmeta import TransformerNeuralProcessClassifier
    >>> from sklmeta.datasets import make_sensor_arrays
    >>> X, y, task = make_sensor_arrays(20, random_state=0)
    >>> old = task < 19
    >>> est = TransformerNeuralProcessClassifier(max_iter=20, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:12], y[~old][:12])
    >>> est.predict(X[~old][12:]).shape
    (48,)
    """

    early_stopping: bool | str = "auto"
