"""Prototypical networks: classify a row by the nearest class prototype.

The prototype of a class is the mean of its support rows in the space of a
meta-learned encoder; adaptation is that mean and nothing else.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta._compat import Interval, StrOptions
from sklmeta._docs import document
from sklmeta._params import CLASS_CONSTRAINTS
from sklmeta.base import BaseMetaEstimator
from sklmeta.faces import MetaClassifierMixin
from sklmeta.learner import Episodes, Learner, Rows, State, TaskSpec, row_loss
from sklmeta.metric_based._covariance import class_covariances
from sklmeta.metric_based._members import MLPMembers

METRICS = ("sqeuclidean", "cosine", "mahalanobis")


class PrototypicalLearner(Learner):
    """Nearest class prototype under a learned embedding.

    The logit of a class is minus a learned inverse temperature times the distance
    between the row and the prototype of the class.

    With classes of each task's own, a prototype is the mean of the class's embedded
    support rows. With shared classes it is a posterior mean: the mean of those rows
    and of ``kappa`` imaginary ones that lie at a learned prototype of the class; and
    the logit has the class prior ``b_c + gamma log(n_c + alpha_c)``, which for
    ``gamma = 1`` is the posterior of a Dirichlet law after n_c rows of class c. All of
    these are learned. So a class absent from the support can be predicted, and there
    is a prediction for a task of which nothing is known.

    The encoder may hold several members, networks whose features stand side by side.
    Each is trained by its own loss, as if alone, and their probabilities are averaged:
    with few tasks to learn from, one network depends much on where it started.

    With classes of each task's own, the distance between the raw rows may be added to
    that in the features of each member, with a learned weight of every raw feature: an
    encoder trained on few classes loses what tells new ones apart.

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
    >>> from sklmeta.learner import Rows, TaskSpec
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
        super().__init__(spec)
        if metric not in METRICS:
            raise ValueError(f"metric must be one of {METRICS}, got {metric!r}.")
        if spec.kind not in ("shared", "own"):
            raise ValueError(
                "Prototypes are of classes: the kind of task must be 'shared' or "
                f"'own', got {spec.kind!r}."
            )
        if raw and (metric, spec.kind) != ("sqeuclidean", "own"):
            raise ValueError("raw=True needs metric='sqeuclidean' and own classes.")
        self.metric = metric
        self.encoder = encoder
        self.n_members = n_members
        self.raw = raw
        n_raw = math.prod(spec.input_shape) if raw else 0
        width, n_classes = spec.n_features_out // n_members, spec.n_classes
        # Squared distances grow with the width: unscaled, the softmax saturates. Weight
        # decay then moves the scale from 1 / width towards 1, which generalised better.
        scale = 10.0 if metric == "cosine" else 1.0 / (width + n_raw)
        self.log_scale = nn.Parameter(torch.tensor(scale).log())
        if metric == "mahalanobis":
            self.log_ridge = nn.Parameter(torch.tensor(0.0))
        if raw:
            # A logarithm: weight decay pulls towards the raw distance, not to nothing.
            self.log_raw_scale = nn.Parameter(torch.zeros(n_raw))
        if spec.kind == "shared":
            prior = torch.zeros(n_members, n_classes, width)
            self.prior_prototypes = nn.Parameter(prior)
            self.log_prior_strength = nn.Parameter(torch.tensor(0.0))
            self.class_bias = nn.Parameter(torch.zeros(n_classes))
            self.log_concentration = nn.Parameter(torch.zeros(n_classes))
            self.count_weight = nn.Parameter(torch.tensor(1.0))

    def embed(
        self,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_members * d + n_raw)
        """Return the members' features and the weighted raw ones, side by side.

        Squared distances between them are the average of the members'.
        """
        parts = [self.encode(X) / self.n_members**0.5]
        if self.raw:
            parts.append(self._raw_features(X)[:, 0])
        return torch.cat(parts, dim=-1)

    def _features(self, X: Tensor) -> Tensor:  # (n_tasks, n_members, n_rows, d)
        features = self.encode(X).unflatten(-1, (self.n_members, -1))
        return features.transpose(1, 2)

    def _raw_features(self, X: Tensor) -> Tensor:  # (n_tasks, 1, n_rows, n_raw)
        return X.flatten(2)[:, None] * self.log_raw_scale.exp()

    def adapt(self, support: Rows) -> State:
        """Compute the prototypes and, for "mahalanobis", the class covariances."""
        features = self._features(support.X)
        members = F.one_hot(support.y, support.n_classes).to(features.dtype)
        members = (members * support.mask[..., None])[:, None]  # for every network
        means = _class_means(features, members)
        state = {"prototypes": means, "counts": members.sum((1, 2))}
        if self.spec.kind == "shared":
            strength = self.log_prior_strength.exp()
            prior_sums = strength * self.prior_prototypes
            counts = state["counts"][:, None, :, None]
            sums = counts * means
            state["prototypes"] = (sums + prior_sums) / (counts + strength)
        if self.raw:
            raw = self._raw_features(support.X)
            state["raw_prototypes"] = _class_means(raw, members)
        if self.metric == "mahalanobis":
            ridge = self.log_ridge.exp()
            covariances = class_covariances(features, members, means, ridge)
            # Without check_errors it neither raises nor waits for the device.
            state["cholesky"] = torch.linalg.cholesky_ex(covariances)[0]
        return state

    def meta_loss(self, episodes: Episodes) -> Tensor:  # shape: (n_tasks,)
        """Sum of the members' losses, so that each learns as if it were alone."""
        state = self.adapt(episodes.support)
        logits = self._member_logits(state, episodes.query.X)
        losses = [row_loss(part, episodes.query) for part in logits.unbind(1)]
        return torch.stack(losses).sum(0)

    def predict(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_classes)
        """Return the logits, up to a constant of each row."""
        logits = self._member_logits(state, X)
        if self.n_members == 1:
            return logits[:, 0]
        return logits.log_softmax(-1).logsumexp(1)

    def _member_logits(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_members, n_rows, n_classes)
        similarity = self._similarity(state, self._features(X))
        if self.raw:
            raw = self._raw_features(X)
            similarity = similarity + _closeness(raw, state["raw_prototypes"])
        logits = self.log_scale.exp() * similarity
        counts = state["counts"][:, None, None]  # (n_tasks, 1, 1, n_classes)
        if self.spec.kind == "own":
            return logits.masked_fill(counts == 0, -torch.inf)
        log_frequency = (counts + self.log_concentration.exp()).log()
        return logits + self.class_bias + self.count_weight * log_frequency

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
        return _closeness(features, prototypes)

    def prior_state(self) -> State | None:
        """State before any support row; None with classes of each task's own."""
        if self.spec.kind == "own":
            return None
        like = self.prior_prototypes
        X = like.new_zeros(1, 0, *self.spec.input_shape)
        empty = like.new_zeros(1, 0)
        return self.adapt(Rows(X, empty.long(), empty, self.spec.n_classes))


def _class_means(
    features: Tensor,  # shape: (n_tasks, n_members, n_rows, d)
    members: Tensor,  # shape: (n_tasks, 1, n_rows, n_classes)
) -> Tensor:  # shape: (n_tasks, n_members, n_classes, d); 0 for an absent class
    return members.mT @ features / members.sum(2)[..., None].clamp(min=1)


def _closeness(
    features: Tensor,  # shape: (n_tasks, n_members, n_rows, d)
    prototypes: Tensor,  # shape: (n_tasks, n_members, n_classes, d)
) -> Tensor:  # shape: (n_tasks, n_members, n_rows, n_classes)
    """Minus the squared distances, without the row's norm, which all classes share."""
    norms = prototypes.square().sum(-1)
    return 2 * features @ prototypes.mT - norms[:, :, None]


@document
@dataclass(kw_only=True, eq=False, repr=False)
class ProtoNetClassifier(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    MetaClassifierMixin,
    BaseMetaEstimator,
):
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

    n_members : int, default=4
        Networks of different initial weights whose probabilities are averaged. Only
        the default encoder has members: a `module` is used as it is.

    %(module)s

    %(mlp)s

    %(own_classes)s

    %(episodes)s

    %(outer)s

    Attributes
    ----------
    %(fitted)s

    %(fitted_classes)s

    See Also
    --------
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
    n_members: int = 4
    n_shots: int | tuple[int, int] = (5, 15)
    n_query: int = 20
    lr: float = 1e-2
    optimizer: str | type[torch.optim.Optimizer] = "AdamW"
    weight_decay: float = 1.0

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CLASS_CONSTRAINTS,
        "metric": [StrOptions(set(METRICS))],
        "n_members": [Interval(numbers.Integral, 1, None, closed="left")],
    }

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> Learner:
        if self.module is not None:
            return PrototypicalLearner(spec, encoder, metric=self.metric)
        n_features = math.prod(spec.input_shape)
        layers = self.hidden_layer_sizes
        members = MLPMembers(n_features, self.n_members, layers, self.activation)
        width = self.n_members * spec.n_features_out
        return PrototypicalLearner(
            spec._replace(n_features_out=width),
            members,
            metric=self.metric,
            n_members=self.n_members,
            raw=spec.kind == "own" and self.metric == "sqeuclidean",
        )

    def transform(self, X: Any) -> NDArray:
        """Embed rows into the space in which prototypes are nearest.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows to embed.

        Returns
        -------
        ndarray of shape (n_samples, n_embedding)
            The embedding, which adaptation does not change.
        """
        rows, learner = self._rows_and_learner(X)
        with torch.no_grad():
            embed = cast(PrototypicalLearner, learner).embed
            return embed(rows[:-1][None])[0].cpu().numpy()

    @property
    def _n_features_out(self) -> int:
        learner = cast(PrototypicalLearner, self._load_learner())
        raw = math.prod(self._input_shape) if learner.raw else 0
        return learner.spec.n_features_out + raw

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
