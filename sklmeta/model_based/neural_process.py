"""Conditional neural processes: a representation of the support, and a decoder."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta._compat import Interval, StrOptions
from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.estimator.faces import MetaClassifierMixin, PredictiveStdMixin
from sklmeta.estimator.likelihoods import LikelihoodMixin
from sklmeta.learners.learner import ACTIVATION_BYTES, Learner, State, TaskSpec
from sklmeta.learners.task_spec import width_of
from sklmeta.model_based._started import StartedEstimator
from sklmeta.model_based.aggregation import AttentionAggregation, MeanAggregation
from sklmeta.model_based.amortised import (
    AmortisedLearner,
    Logits,
    Reference,
    dense_network,
)

AGGREGATIONS = ("mean", "attention")

DECODED_BYTES = 2**26
"""One activation of the decoder in prediction, at most."""


class NeuralProcessLearner(AmortisedLearner):
    """Support rows are encoded one by one and aggregated; a decoder reads the result.

    With r_i = h(x_i, y_i), the representation r of the k support rows is, as seen from
    a query row x:

    - ``aggregation="mean"``: (sum_i r_i + kappa r_0) / (k + kappa), the same for every
      x (Garnelo et al. 2018, equations 1 and 2), where the learned r_0 is what an empty
      support has, and the learned kappa lets the decoder see how large k is;
    - ``aggregation="attention"``: multi-head attention of x to the x_i and a learned
      key, with values r_i and r_0 (Kim et al. 2019, the deterministic path).

    The decoder g(x, r) gives the mean and the standard deviation in regression, the
    logits where classes are shared, whose labels enter h as indicators. Where classes
    are a task's own, no label enters h: the representation r_c is of the rows of class
    c alone, and g(x, r_c) is the logit of that class. Relabelling the classes permutes
    the logits, and there may be any number of them.

    Parameters
    ----------
    spec, encoder, skips, min_noise, beta
        As in `AmortisedLearner`.

    aggregation, d_model, n_layers, n_heads
        As in `NeuralProcessRegressor`.
    """

    def __init__(
        self,
        spec: TaskSpec,
        encoder: nn.Module | None,
        *,
        aggregation: str = "attention",
        d_model: int = 128,
        n_layers: int = 3,
        n_heads: int = 4,
        skips: bool = False,
        min_noise: float = 1e-2,
        beta: float = 0.5,
    ):
        super().__init__(spec, encoder, skips=skips, min_noise=min_noise, beta=beta)
        if aggregation not in AGGREGATIONS:
            raise ValueError(
                f"aggregation must be one of {AGGREGATIONS}, got {aggregation!r}."
            )
        self.by_class = spec.kind == TaskKind.OWN
        n_outputs = width_of(spec, regression=2 * spec.n_targets, own=1)
        width = self.row_width + width_of(spec, regression=spec.n_targets, own=0)
        self.encode_pair = dense_network(width, d_model, d_model, n_layers)  # h
        # The first layer of g, in two parts: they meet where all classes are there.
        self.read_row = nn.Linear(self.row_width, d_model)
        self.read_context = nn.Linear(d_model, d_model, bias=False)
        self.decode = dense_network(d_model, d_model, n_outputs, n_layers - 1)
        if self.has_skip:  # which is what training starts from
            for parameter in self.decode[-1].parameters():
                nn.init.zeros_(parameter)
        self.aggregation: MeanAggregation | AttentionAggregation
        if aggregation == "mean":
            self.aggregation = MeanAggregation(d_model)
        else:
            if d_model % n_heads:
                raise ValueError(
                    f"n_heads must divide d_model, got n_heads={n_heads} and "
                    f"d_model={d_model}."
                )
            self.aggregation = AttentionAggregation(self.row_width, d_model, n_heads)

    def adapt(self, support: Rows) -> State:
        """Encode the support rows and keep what the aggregation wants.

        Returns
        -------
        state : dict
            Of the mean ``context`` (n_tasks, n_groups, d_model), with a group for each
            of a task's own classes, else one. Of attention ``keys`` and ``values``
            (n_tasks, n_heads, n_rows + 1, d_head), the first being the learned ones,
            and ``bias`` (n_tasks, n_rows + 1) or ``members`` (n_tasks, n_rows,
            n_classes). For regression also ``level`` (n_tasks,).
        """
        state = self.refer(support)
        reference = self.reference(state, support.X)
        features = self.row_inputs(support.X, reference)
        labels = [features]
        if isinstance(reference, Reference):
            labels.append(reference.deviation(self.seen(support.y)))
        elif self.spec.kind == TaskKind.SHARED:
            one_hot = F.one_hot(support.y, self.spec.n_classes)
            labels.append(one_hot.to(features.dtype))
        pairs = self.encode_pair(torch.cat(labels, dim=-1))
        state |= self.aggregation.remember(features, pairs, support, self.by_class)
        return state

    def predict(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_outputs)
        """Mean and log-variance, or logits of the classes."""
        reference = self.reference(state, X)
        features = self.row_inputs(X, reference)
        if torch.is_grad_enabled() or not self.by_class:
            return self._decode(state, features, reference)
        n_bytes = features.element_size() * len(X) * self.read_row.out_features
        n_classes = self.aggregation.n_groups(state)
        size = max(1, DECODED_BYTES // max(1, n_bytes * n_classes))
        parts = [
            self._decode(state, part, None) for part in features.split(size, dim=1)
        ]
        return torch.cat(parts, dim=1)

    def _decode(
        self, state: State, features: Tensor, reference: Reference | Logits | None
    ) -> Tensor:
        context = self.aggregation.recall(state, features)
        hidden = self.read_row(features)[:, :, None] + self.read_context(context)
        output = self.decode(hidden.relu())  # (n_tasks, n_rows, n_groups, n_outputs)
        if self.by_class:
            return output[..., 0]
        output = output[:, :, 0]
        if not isinstance(reference, Reference):
            return output if reference is None else reference.values + output
        deviation, spread = output.chunk(2, dim=-1)
        mean = reference.place(deviation)
        if self.skip is not None:
            # One at zero, where nothing was learned; its logarithm grows slowly too.
            factor = F.softplus(spread + math.log(math.e - 1))
            noise = self.min_noise + factor * reference.log_std.exp()
            return torch.cat([mean, 2 * noise.log()], dim=-1)
        # A softplus, as in the paper: far from the training rows its logarithm grows
        # slowly, where a linear log-variance overflows.
        noise = self.min_noise + F.softplus(spread)
        return torch.cat([mean, 2 * noise.log()], dim=-1)

    def auto_chunk_size(self, episodes: Episodes) -> int:
        """See the base class; here the decoder's activations are the largest."""
        support, query = episodes
        n_tasks = super().auto_chunk_size(episodes)
        if query.X.device.type != "cpu":
            return n_tasks
        n_groups = support.n_classes if self.by_class else 1
        d_model = self.read_row.out_features
        n_numbers = query.X.shape[1] * n_groups * d_model
        n_bytes = n_numbers * query.X.element_size()
        return max(1, min(n_tasks, ACTIVATION_BYTES // max(1, n_bytes)))


class _NeuralProcessParameters(StartedEstimator):
    """The network's parameters, the same for both faces."""

    aggregation: str = "attention"
    d_model: int = 128
    n_layers: int = 3
    n_heads: int = 4
    hidden_layer_sizes: int | Sequence[int] = ()  # h and g themselves encode
    n_shots: int | tuple[int, int] = (1, 20)
    n_query: int = 16
    max_iter: int = 3000
    lr: float = 3e-3
    max_grad_norm: float | None = 1.0
    optimizer: str | type[torch.optim.Optimizer] = "AdamW"
    weight_decay: float = 0.01

    _parameter_constraints = {
        "aggregation": [StrOptions(set(AGGREGATIONS))],
        "d_model": [Interval(numbers.Integral, 1, None, closed="left")],
        "n_layers": [Interval(numbers.Integral, 1, None, closed="left")],
        "n_heads": [Interval(numbers.Integral, 1, None, closed="left")],
    }

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> Learner:
        return NeuralProcessLearner(
            spec,
            self._unless_empty(encoder),
            aggregation=self.aggregation,
            d_model=self.d_model,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            skips=self.start is not None,
        )


class NeuralProcessRegressor(
    LikelihoodMixin, PredictiveStdMixin, _NeuralProcessParameters
):
    """Conditional neural process: a support set in, a function out.

    Every support row is encoded together with its target, the results are aggregated,
    and a decoder turns a query row and the aggregate into a mean and a standard
    deviation. Adaptation is one forward pass, for any number of support rows, none
    included.

    Parameters
    ----------
    aggregation : {"mean", "attention"}, default="attention"
        How the encoded support rows become one representation: their mean, the same
        for all query rows; or attention of each query row to them.

    d_model : int, default=128
        Width of the representation and of all hidden layers.

    n_layers : int, default=3
        Linear layers of the network that encodes a support row; the decoder has as
        many after the one that reads the representation.

    n_heads : int, default=4
        Attention heads; it must divide `d_model`.

    start : {"mixed_model"} or None, default="mixed_model"
        What meta-training starts from: a linear mixed model of the training tasks, as
        of `MixedModelRegressor`. Before the first update tasks are predicted nearly as
        by it, and the network learns what it lacks. One table, fewer than three tasks,
        and inputs other than rows of numbers start from nothing, as all do with None.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    ``hidden_layer_sizes=()`` and `activation`; the episodes' ``n_shots=(1, 20)``,
    ``n_query=16`` and `support`; the training's `meta_batch_size`, `max_iter`,
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
    TransformerNeuralProcessRegressor : Support rows look at one another too, at a
        cost of the square of their number.
    BayesianLinearRegressor : Closed form, for when tasks are few.

    Notes
    -----
    Adapting costs one pass per support row and predicting, with the mean, one per query
    row: the cheapest of the learners that adapt by a forward pass. The mean forgets
    which row said what, and underfits where much depends on single rows; attention
    mends that. Neither interpolates its support rows.

    Of the attentive neural process this is the deterministic path: there is no latent
    variable, so that predictions of several rows are independent given the support.

    References
    ----------
    Garnelo et al., "Conditional Neural Processes", ICML 2018.

    Kim et al., "Attentive Neural Processes", ICLR 2019.

    Examples
    --------
    >>> from sklmeta import NeuralProcessRegressor
    >>> from sklmeta.datasets import make_pharmacokinetics
    >>> X, y, task = make_pharmacokinetics(40, random_state=0)
    >>> old = task < 39
    >>> est = NeuralProcessRegressor(max_iter=20, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:3], y[~old][:3])
    >>> y_mean, y_std = est.predict(X[~old][3:], return_std=True)
    >>> y_mean.shape, y_std.shape
    ((9,), (9,))
    """

    max_iter: int = 1000
    weight_decay: float = 0.3
    early_stopping: bool | str = "folds"


class NeuralProcessClassifier(MetaClassifierMixin, _NeuralProcessParameters):
    """Conditional neural process: a support set in, a classifier out.

    With shared classes every support row is encoded together with its class, and the
    results are aggregated: the support may be empty or lack a class. With classes of
    each task's own the rows of every class are aggregated apart, and the decoder
    scores a query row against one class at a time, by the same weights for all: a task
    may have any number of classes. Adaptation is one forward pass.

    Parameters
    ----------
    n_way : int, default=None
        Number of classes in a training episode, for classes that are a task's own;
        None takes all of a task's classes.

    shared_classes : bool, default=None
        Whether all tasks speak of the same classes. None means True unless `n_way`
        is given; it is never guessed from the labels.

    aggregation : {"mean", "attention"}, default="attention"
        How the encoded support rows become one representation: their mean, the same
        for all query rows; or attention of each query row to them.

    d_model : int, default=128
        Width of the representation and of all hidden layers.

    n_layers : int, default=3
        Linear layers of the network that encodes a support row; the decoder has as
        many after the one that reads the representation.

    n_heads : int, default=4
        Attention heads; it must divide `d_model`.

    start : {"mixed_model"} or None, default="mixed_model"
        As of `TransformerNeuralProcessClassifier`.

    early_stopping : bool, "folds" or "auto", default="auto"
        As of `TransformerNeuralProcessClassifier`.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    ``hidden_layer_sizes=()`` and `activation`; the episodes' ``n_shots=(1, 20)``,
    ``n_query=16`` and `support`; the training's `meta_batch_size`, ``max_iter=3000``,
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
    ProtoNetClassifier : Distances to class means, for when tasks are few.
    TransformerNeuralProcessClassifier : Support rows look at one another too.

    Notes
    -----
    For classes of a task's own Garnelo et al. put the aggregates of all classes side
    by side, which fixes their number and their order. Here a class is scored by its own
    aggregate, so that relabelling the classes relabels the predictions and does nothing
    else.

    References
    ----------
    Garnelo et al., "Conditional Neural Processes", ICML 2018.

    Kim et al., "Attentive Neural Processes", ICLR 2019.

    Examples
    --------
    >>> from sklmeta import NeuralProcessClassifier
    >>> from sklmeta.datasets import make_sensor_arrays
    >>> X, y, task = make_sensor_arrays(20, random_state=0)
    >>> old = task < 19
    >>> est = NeuralProcessClassifier(max_iter=20, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:12], y[~old][:12])
    >>> est.predict(X[~old][12:]).shape
    (48,)
    """

    early_stopping: bool | str = "auto"
