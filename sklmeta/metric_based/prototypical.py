"""Prototypical networks: classify a row by the nearest class prototype.

The prototype of a class is the mean of its support rows in the space of a
meta-learned encoder; adaptation is that mean and nothing else.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta._compat import StrOptions
from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.rows import Rows
from sklmeta.estimator.faces import MetaClassifierMixin
from sklmeta.learners.learner import Learner, State, TaskSpec
from sklmeta.metric_based._covariance import class_covariances
from sklmeta.metric_based._embedding import (
    EmbeddingMixin,
    MemberParameters,
    class_indicators,
    closeness,
)
from sklmeta.metric_based._prototypes import PrototypeLearner, class_means

METRICS = ("sqeuclidean", "cosine", "mahalanobis")


class PrototypicalLearner(PrototypeLearner):
    """Nearest class prototype under a learned embedding.

    The logit of a class is minus a learned inverse temperature times the distance
    between the row and the prototype of the class, averaged over the members' own
    features and, if `raw`, the raw ones.

    Parameters
    ----------
    spec : TaskSpec
        What the tasks are; its kind must be "shared" or "own".

    encoder : nn.Module
        Maps rows (n, *input) to the embedding (n, n_features_out).

    metric : {"sqeuclidean", "cosine", "mahalanobis"}, default="sqeuclidean"
        Distance between a row and a prototype.

        - "sqeuclidean": squared Euclidean distance.
        - "cosine": minus the cosine of the angle.
        - "mahalanobis": squared distance under the covariance of each class,
          estimated from the support and shrunk towards the covariance of the whole
          task and the identity (Bateni et al. 2020).

    n_members : int, default=1
        Number of members: the encoder's features are cut into as many equal parts.

    raw : bool, default=False
        Whether to add the distance between the raw rows; for classes of a task's own
        and "sqeuclidean" only.

    Raises
    ------
    ValueError
        If `metric` is unknown, or if the tasks are regression tasks.

    References
    ----------
    Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning",
    NeurIPS 2017.

    Bateni, Goyal, Masrani, Wood and Sigal, "Improved Few-Shot Visual Classification",
    CVPR 2020.

    Examples
    --------
    >>> import torch
    >>> from sklmeta.episodes.rows import Rows
    >>> from sklmeta.learners.learner import TaskSpec
    >>> from sklmeta.metric_based.prototypical import PrototypicalLearner
    >>> learner = PrototypicalLearner(TaskSpec("own", (1,), 1, 0), torch.nn.Identity())
    >>> X = torch.tensor([[[0.0], [1.0], [8.0], [9.0]]])
    >>> y = torch.tensor([[0, 0, 1, 1]])
    >>> state = learner.adapt(Rows(X, y, torch.ones(1, 4), n_classes=2))
    >>> learner.predict(state, torch.tensor([[[2.0], [7.0]]])).argmax(-1)
    tensor([[0, 1]])
    """

    def __init__(
        self,
        spec: TaskSpec,
        encoder: nn.Module,
        *,
        metric: str = "sqeuclidean",
        n_members: int = 1,
        raw: bool = False,
    ):
        if metric not in METRICS:
            raise ValueError(f"metric must be one of {METRICS}, got {metric!r}.")
        if raw and (metric, spec.kind) != ("sqeuclidean", TaskKind.OWN):
            raise ValueError("raw=True needs metric='sqeuclidean' and own classes.")
        super().__init__(spec, encoder, n_members=n_members, raw=raw)
        self.metric = metric
        # Squared distances grow with the width: unscaled, the softmax saturates. Weight
        # decay then moves the scale from 1 / width towards 1, which generalised better.
        scale = 10.0 if metric == "cosine" else 1.0 / (self.width + self.n_raw)
        self.log_scale = nn.Parameter(torch.tensor(scale).log())
        if metric == "mahalanobis":
            self.log_ridge = nn.Parameter(torch.tensor(0.0))

    def adapt(self, support: Rows) -> State:
        """Compute the prototypes and, for "mahalanobis", the class covariances."""
        features = self._features(support.X)
        indicators = class_indicators(support, features.dtype)
        state = self._remember(features, indicators)
        if self.raw:
            raw = self._raw_features(support.X)
            state["raw_prototypes"] = class_means(raw, indicators)
        if self.metric == "mahalanobis":
            means = class_means(features, indicators)
            ridge = self.log_ridge.exp()
            covariances = class_covariances(features, indicators, means, ridge)
            # Without check_errors it neither raises nor waits for the device.
            state["cholesky"] = torch.linalg.cholesky_ex(covariances)[0]
        return state

    def leave_one_out(
        self, state: State, support: Rows
    ) -> Tensor | None:  # shape: (n_tasks, n_rows, n_classes)
        """Predict each row by prototypes without it; None with covariances."""
        if self.metric == "mahalanobis":
            return None
        features, counts = self._features(support.X), state["counts"]
        similarity = self._similarity(state, features)
        without = self._without_own_row(features, state["prototypes"], support, counts)
        own = self._to_own(features, without)
        if self.raw:
            raw, known = self._raw_features(support.X), state["raw_prototypes"]
            similarity = similarity + closeness(raw, known)
            without = self._without_own_row(raw, known, support, counts)
            own = own + self._to_own(raw, without)
        indicators = F.one_hot(support.y, support.n_classes)
        similarity = torch.where(indicators[:, None] > 0, own[..., None], similarity)
        logits = self._with_class_prior(
            self.log_scale.exp() * similarity, counts[:, None] - indicators
        )
        return self._joined(logits)

    def _to_own(
        self,
        features: Tensor,  # shape: (n_tasks, n_members, n_rows, d)
        prototypes: Tensor,  # shape: (n_tasks, n_members, n_rows, d); one for each row
    ) -> Tensor:  # shape: (n_tasks, n_members, n_rows)
        if self.metric == "cosine":
            return F.cosine_similarity(features, prototypes, dim=-1, eps=1e-12)
        return (2 * features * prototypes - prototypes.square()).sum(-1)

    def prototypes(
        self, state: State
    ) -> Tensor:  # shape: (n_tasks, n_classes, n_embedding)
        """The prototypes in the space of `embed`."""
        parts = state["prototypes"].transpose(1, 2).flatten(2) / self.n_members**0.5
        if self.raw:
            parts = torch.cat([parts, state["raw_prototypes"][:, 0]], dim=-1)
        return parts

    def _member_logits(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_members, n_rows, n_classes)
        similarity = self._similarity(state, self._features(X))
        if self.raw:
            raw = self._raw_features(X)
            similarity = similarity + closeness(raw, state["raw_prototypes"])
        logits = self.log_scale.exp() * similarity
        return self._with_class_prior(logits, state["counts"][:, None])

    def _similarity(
        self,
        state: State,
        features: Tensor,  # shape: (n_tasks, n_members, n_rows, d)
    ) -> Tensor:  # shape: (n_tasks, n_members, n_rows, n_classes)
        prototypes = state["prototypes"]
        if self.metric == "cosine":
            return F.normalize(features, dim=-1) @ F.normalize(prototypes, dim=-1).mT
        if self.metric == "mahalanobis":
            difference = (features[:, :, None] - prototypes[:, :, :, None]).mT
            # (n_tasks, n_members, n_classes, d, n_rows)
            whitened = torch.linalg.solve_triangular(
                state["cholesky"], difference, upper=False
            )
            return -whitened.square().sum(3).mT
        return closeness(features, prototypes)


class ProtoNetClassifier(EmbeddingMixin, MetaClassifierMixin, MemberParameters):
    """Prototypical network: the nearest class mean in a meta-learned embedding.

    Adaptation remembers one prototype per class, so it is immediate and cannot
    diverge. With classes of each task's own, a task may have any number of them. With
    shared classes, each prototype shrinks towards one that is learned across tasks,
    and a class absent from the support can still be predicted.

    Parameters
    ----------
    metric : {"sqeuclidean", "cosine", "mahalanobis"}, default="sqeuclidean"
        Distance between a row and a prototype: squared Euclidean; minus the cosine of
        the angle; or squared under a covariance of each class, estimated from the
        support and shrunk towards that of the task and the identity.

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
    ``weight_decay=1.0``, `max_grad_norm`, `chunk_size`, `early_stopping`,
    `validation_fraction`, `n_iter_no_change` and `callbacks`; and for
    ``standardize="auto"``, `transductive`, `device`, `compile`, `n_threads`,
    `random_state`, `verbose`, `max_time`, `checkpoint_dir`, `accelerator`
    and `warm_start`.

    Attributes
    ----------
    prototypes_ : ndarray of shape (n_classes, n_embedding)
        Class means of the task that is adapted to, in the space of `transform` and the
        order of `classes_`. After adapting to many tasks a dict of them by the task's
        label, each with the rows of its own classes.

    classes_ : ndarray of shape (n_classes,)
        The classes; where these are a task's own, those of the adapted tasks.

    shared_classes_ : bool
        Whether the tasks share their classes.

    See `sklmeta.estimator.Parameters` for `tasks_`, `engine_`, `n_features_in_`,
    `feature_names_in_`, `n_iter_`, `history_`, `compile_time_` and `n_guarded_`.

    See Also
    --------
    MatchingNetClassifier : Remembers every row rather than a mean.
    RelationNetClassifier : Learns the distance as well.
    MAMLClassifier : Adapts by gradient steps.
    TransformerNeuralProcessClassifier : Adapts by a forward pass over the support.

    Notes
    -----
    Classes should lie around one centre each. Where tasks differ in how the features
    respond to a class, rather than in where the class lies, prefer `MAMLClassifier`.

    References
    ----------
    Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning",
    NeurIPS 2017.

    Bateni, Goyal, Masrani, Wood and Sigal, "Improved Few-Shot Visual Classification",
    CVPR 2020.

    Examples
    --------
    >>> from sklmeta import ProtoNetClassifier
    >>> from sklmeta.datasets import make_classification_tasks
    >>> X, y, task = make_classification_tasks(40, random_state=0)
    >>> old = task < 39
    >>> est = ProtoNetClassifier(n_way=5, max_iter=100, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:25], y[~old][:25])
    >>> est.predict(X[~old][25:]).shape
    (25,)
    """

    metric: str = "sqeuclidean"

    _parameter_constraints = {"metric": [StrOptions(set(METRICS))]}

    @property
    def prototypes_(self) -> NDArray | dict[Any, NDArray]:
        """Class means of the task that is adapted to, or of each by its label."""
        found = self._of_states(lambda learner, state: learner.prototypes(state))
        return found.get(None, found)

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> Learner:
        return self._make_metric_learner(
            PrototypicalLearner, self.metric, spec, encoder
        )
