"""Relation networks: the comparison of a row with a class is learned as well."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta._compat import Interval, StrOptions
from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.estimator.faces import MetaClassifierMixin
from sklmeta.learners.encoders import (
    MLP,
    activation_sizes,
    build_encoder,
    layer_sizes,
    mixes_rows,
    uses_batch_statistics,
)
from sklmeta.learners.learner import ACTIVATION_BYTES, Learner, State, TaskSpec
from sklmeta.learners.losses import masked_mean
from sklmeta.metric_based._embedding import (
    EmbeddingMixin,
    MemberParameters,
    class_indicators,
)
from sklmeta.metric_based._prototypes import PrototypeLearner
from sklmeta.metric_based.relation_modules import relate

LOSSES = ("mse", "cross_entropy")
POOLS = ("mean", "sum")

GPU_GRAPH_BYTES = 2**32
"""Activations of the pairs of a chunk's graph on a GPU, at most."""

PREDICTION_BYTES = 2**26
"""One activation of the pairs in prediction, at most: rows go through in blocks."""


class RelationLearner(PrototypeLearner):
    """A learned relation between query rows and classes.

    A class is the mean or the sum of its embedded support rows. A module g takes the
    query row's embedding beside the class's (equation 1 of Sung et al. 2018) and gives
    one number, whose logistic function is the relation score, between 0 and 1.

    - "mse": the scores are regressed on 1 for the row's class and 0 for the others
      (equation 2). Probabilities are scores divided by their sum.
    - "cross_entropy": the numbers themselves are logits of the classes.

    With shared classes a class has imaginary rows and its logit a prior, as in
    `PrototypeLearner`.

    Parameters
    ----------
    spec : TaskSpec
        What the tasks are; its kind must be "shared" or "own".

    encoder : nn.Module
        Maps rows (n, *input) to the embedding (n, n_features_out).

    relations : sequence of nn.Module
        The module g of each member; it maps (n, 2 d) to (n, 1) with d =
        n_features_out / n_members.

    loss : {"mse", "cross_entropy"}, default="mse"
        What is lowered in training.

    pool : {"mean", "sum"}, default="mean"
        What becomes of the support rows of a class.

    Raises
    ------
    ValueError
        If `loss` or `pool` is unknown, or if the tasks are regression tasks.

    References
    ----------
    Sung, Yang, Zhang, Xiang, Torr and Hospedales, "Learning to Compare: Relation
    Network for Few-Shot Learning", CVPR 2018.
    """

    def __init__(
        self,
        spec: TaskSpec,
        encoder: nn.Module,
        relations: Sequence[nn.Module],
        *,
        loss: str = "mse",
        pool: str = "mean",
    ):
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {LOSSES}, got {loss!r}.")
        if pool not in POOLS:
            raise ValueError(f"pool must be one of {POOLS}, got {pool!r}.")
        super().__init__(spec, encoder, n_members=len(relations))
        self.relations = nn.ModuleList(relations)
        self.loss = loss
        self.pool = pool
        self._pairs_mix: bool | None = None
        self._pair_activations: tuple[int, int] | None = None

    @property
    def mixes_rows(self) -> bool:
        """Whether the encoder or g, in its present mode, lets rows influence others."""
        return super().mixes_rows or self._mixes_pairs

    @property
    def _mixes_pairs(self) -> bool:
        if any(map(uses_batch_statistics, self.relations)):
            return True
        if self._pairs_mix is None:
            self._pairs_mix = mixes_rows(self.relations[0], (2 * self.width,))
        return self._pairs_mix

    def adapt(self, support: Rows) -> State:
        """Compute the class embeddings."""
        features = self._features(support.X)
        indicators = class_indicators(support, features.dtype)
        state = self._remember(features, indicators)
        if self.pool == "sum":
            n_rows = state["counts"]
            if self.spec.kind == TaskKind.SHARED:
                n_rows = n_rows + self.log_prior_strength.exp()
            state["prototypes"] = state["prototypes"] * n_rows[:, None, :, None]
        return state

    def meta_loss(self, episodes: Episodes) -> Tensor:  # shape: (n_tasks,)
        """Sum of the members' losses."""
        if self.loss == "cross_entropy":
            return super().meta_loss(episodes)
        query = episodes.query
        scores = self._relate(self.adapt(episodes.support), query.X).sigmoid()
        match = F.one_hot(query.y, query.n_classes).to(scores.dtype)
        errors = (scores - match[:, None]).square().sum((1, 3))
        return masked_mean(errors, query.mask)

    def predict(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_classes)
        """Return the logits, up to a constant of each row."""
        n_pairs = state["counts"].numel()  # of one query row of every task
        row_bytes = self.pair_activations[0] * X.element_size() * n_pairs
        size = max(1, PREDICTION_BYTES // row_bytes)
        if torch.is_grad_enabled() or self.mixes_rows or size >= X.shape[1]:
            return super().predict(state, X)
        parts = [
            super(RelationLearner, self).predict(state, x) for x in X.split(size, 1)
        ]
        return torch.cat(parts, dim=1)

    def auto_chunk_size(self, episodes: Episodes) -> int:
        """As many tasks as keep the activations of all pairs small."""
        X, n_classes = episodes.query.X, episodes.query.n_classes
        n_pairs = X.shape[1] * n_classes * self.n_members
        largest, total = self.pair_activations
        on_cpu = X.device.type == "cpu"
        task_bytes = n_pairs * X.element_size() * (largest if on_cpu else total)
        budget = ACTIVATION_BYTES if on_cpu else GPU_GRAPH_BYTES
        limit = max(1, budget // max(1, task_bytes))
        return min(limit, super().auto_chunk_size(episodes))

    @property
    def pair_activations(self) -> tuple[int, int]:
        """Numbers in the largest activation of g, and in all, for one pair."""
        if self._pair_activations is None:
            shape = (2 * self.width,)
            self._pair_activations = activation_sizes(self.relations[0], shape)
        return self._pair_activations

    def _member_logits(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_members, n_rows, n_classes)
        relation = self._relate(state, X)
        return F.logsigmoid(relation) if self.loss == "mse" else relation

    def _relate(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_members, n_rows, n_classes)
        """Logits of the relation scores; minus infinity for an absent own class."""
        rows, classes = self._features(X).unbind(1), state["prototypes"].unbind(1)
        parts = [
            self._relate_present(g, some, others, state["counts"] > 0)
            if self._mixes_pairs
            else relate(g, some, others)
            for g, some, others in zip(self.relations, rows, classes, strict=True)
        ]
        counts = state["counts"][:, None]
        return self._with_class_prior(torch.stack(parts, dim=1), counts)

    def _relate_present(
        self,
        g: nn.Module,
        rows: Tensor,  # shape: (n_tasks, n_rows, d)
        classes: Tensor,  # shape: (n_tasks, n_classes, d)
        present: Tensor,  # shape: (n_tasks, n_classes)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_classes)
        """One task at a time, without the classes that it does not have."""
        if self.spec.kind == TaskKind.SHARED:
            present = torch.ones_like(present)
        parts = []
        for some, others, kept in zip(rows, classes, present, strict=True):
            part = some.new_zeros(len(some), len(others))
            part[:, kept] = relate(g, some[None], others[kept][None])[0]
            parts.append(part)
        return torch.stack(parts)


class RelationNetClassifier(EmbeddingMixin, MetaClassifierMixin, MemberParameters):
    """Relation network: a meta-learned embedding and a meta-learned comparison.

    Adaptation remembers one embedding per class, so it is immediate and cannot diverge.
    A network, the relation module, then says of a query row and a class how well they
    match, where a prototypical network takes a distance. With classes of each task's
    own, a task may have any number of them. With shared classes, the embedding of each
    class shrinks towards one that is learned across tasks, and a class absent from the
    support can still be predicted.

    Parameters
    ----------
    loss : {"mse", "cross_entropy"}, default="cross_entropy"
        "mse", the paper's: scores between 0 and 1 are regressed on 1 for a match and 0
        for none, and divided by their sum in `predict_proba`; it learns slowly, and
        wants a larger `max_iter`. "cross_entropy": the module's outputs are logits of
        the classes.

    pool : {"mean", "sum"}, default="mean"
        What becomes of the support rows of a class. The paper's sum grows with their
        number, and so should be adapted with as many as it was trained for.

    relation_hidden_layer_sizes : int or tuple of int, default=(64,)
        Widths of the hidden layers of the default relation module, an MLP with
        `activation`.

    relation_module : nn.Module class or instance, default=None
        The relation module, which maps pairs (n, 2 d), a query row's features before a
        class's, to (n, 1). None is an MLP. A class is called with `relation_params`,
        and with `n_features_in` when its ``__init__`` names it. If it is an
        ``nn.Sequential`` that begins with ``nn.Linear``, or with ``nn.Unflatten`` and
        ``nn.Conv2d``, that layer is computed for the rows rather than for the pairs.

    relation_params : dict, default=None
        Arguments of the relation module's class.

    n_way : int, default=None
        Number of classes in a training episode, for classes that are a task's own;
        None takes all of a task's classes.

    shared_classes : bool, default=None
        Whether all tasks speak of the same classes. None means True unless `n_way`
        is given; it is never guessed from the labels.

    n_members : int, default=4
        Networks of different initial weights whose probabilities are averaged. Only
        the default encoder has members: a `module` is used as it is.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    `hidden_layer_sizes` and `activation`; the episodes' ``n_shots=(5, 15)``,
    ``n_query=20`` and `support`; the training's `meta_batch_size`, `max_iter`,
    ``lr=0.01``, `lr_schedule`, ``optimizer="AdamW"``, `optimizer_params`,
    ``weight_decay=0.1``, `max_grad_norm`, `chunk_size`, `early_stopping`,
    `validation_fraction`, `n_iter_no_change` and `callbacks`; and for
    ``standardize="auto"``, `transductive`, `device`, `compile`, `n_threads`,
    `random_state`, `verbose`, `max_time`, `checkpoint_dir`, `accelerator`
    and `warm_start`.

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
    ProtoNetClassifier : Takes a distance, and needs fewer tasks.
    MatchingNetClassifier : Remembers every row.

    Notes
    -----
    A comparison that is learned has more to learn: with few tasks, or few classes in
    all, prefer `ProtoNetClassifier`. It can pay where no distance will do, as between
    maps of image features that are shifted against one another: for small images take
    ``module=ConvMaps`` and ``relation_module=ConvRelation`` from
    `sklmeta.metric_based.relation_modules`, the networks of the paper. Memory grows
    with the pairs of a query row and a class.

    References
    ----------
    Sung, Yang, Zhang, Xiang, Torr and Hospedales, "Learning to Compare: Relation
    Network for Few-Shot Learning", CVPR 2018.

    Examples
    --------
    >>> from sklmeta import RelationNetClassifier
    >>> from sklmeta.datasets import make_classification_tasks
    >>> X, y, task = make_classification_tasks(40, random_state=0)
    >>> old = task < 39
    >>> est = RelationNetClassifier(n_way=5, max_iter=50, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:25], y[~old][:25])
    >>> est.predict(X[~old][25:]).shape
    (25,)
    """

    loss: str = "cross_entropy"
    pool: str = "mean"
    relation_hidden_layer_sizes: int | Sequence[int] = (64,)
    relation_module: type[nn.Module] | nn.Module | None = None
    relation_params: dict[str, Any] | None = None
    weight_decay: float = 0.1

    _parameter_constraints = {
        "loss": [StrOptions(set(LOSSES))],
        "pool": [StrOptions(set(POOLS))],
        "relation_hidden_layer_sizes": [
            Interval(numbers.Integral, 1, None, closed="left"),
            "array-like",
        ],
        "relation_module": [None, nn.Module, type],
        "relation_params": [dict, None],
    }

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> Learner:
        width = spec.n_features_out
        spec, encoder, n_members = self._build_members(spec, encoder)
        relations = [self._build_relation(2 * width) for _ in range(n_members)]
        return RelationLearner(spec, encoder, relations, loss=self.loss, pool=self.pool)

    def _build_relation(self, n_features: int) -> nn.Module:
        sizes = layer_sizes(self.relation_hidden_layer_sizes)
        if self.relation_module is None:
            if self.relation_params:
                raise ValueError(
                    "relation_params needs a relation_module: with None it is an MLP "
                    "set by relation_hidden_layer_sizes and activation."
                )
            if len(sizes) == 0:
                raise ValueError(
                    "relation_hidden_layer_sizes must have a layer: without one a row "
                    "and a class would not meet."
                )
            hidden = MLP(n_features, sizes, self.activation)
            last = nn.Linear(sizes[-1], 1)
            # Saturated scores have no gradient, and with torch's own start "mse" begins
            # with many of them.
            nn.init.normal_(last.weight, std=0.1 / sizes[-1] ** 0.5)
            nn.init.zeros_(last.bias)
            return nn.Sequential(*hidden, last)
        try:
            relation, width = build_encoder(
                self.relation_module, self.relation_params, (n_features,), (), "relu"
            )
        except ValueError as error:
            raise ValueError(
                f"relation_module cannot be used, with relation_params: {error}"
            ) from error
        if width != 1:
            raise ValueError(
                f"relation_module must map pairs (n, {n_features}) to (n, 1); it "
                f"returned {width} numbers for each."
            )
        return relation
