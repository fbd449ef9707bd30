"""Prototypical networks: classify a row by the nearest class prototype.

The prototype of a class is the mean of its support rows in the space of a
meta-learned encoder; adaptation is that mean and nothing else.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta._compat import StrOptions
from sklmeta._docs import document
from sklmeta._params import CLASS_CONSTRAINTS
from sklmeta.base import BaseMetaEstimator
from sklmeta.encoders import encode
from sklmeta.faces import MetaClassifierMixin
from sklmeta.learner import Learner, Rows, State, TaskSpec

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
        self, spec: TaskSpec, encoder: nn.Module, *, metric: str = "sqeuclidean"
    ):
        super().__init__(spec)
        if metric not in METRICS:
            raise ValueError(f"metric must be one of {METRICS}, got {metric!r}.")
        if spec.kind not in ("shared", "own"):
            raise ValueError(
                "Prototypes are of classes: the kind of task must be 'shared' or "
                f"'own', got {spec.kind!r}."
            )
        self.metric = metric
        self.encoder = encoder
        width, n_classes = spec.n_features_out, spec.n_classes
        # Squared distances grow with the width: unscaled, the softmax saturates. Weight
        # decay then moves the scale from 1 / width towards 1, which generalised better.
        scale = 10.0 if metric == "cosine" else 1.0 / width
        self.log_scale = nn.Parameter(torch.tensor(scale).log())
        if metric == "mahalanobis":
            self.log_ridge = nn.Parameter(torch.tensor(0.0))
        if spec.kind == "shared":
            self.prior_prototypes = nn.Parameter(torch.zeros(n_classes, width))
            self.log_prior_strength = nn.Parameter(torch.tensor(0.0))
            self.class_bias = nn.Parameter(torch.zeros(n_classes))
            self.log_concentration = nn.Parameter(torch.zeros(n_classes))
            self.count_weight = nn.Parameter(torch.tensor(1.0))

    def embed(
        self,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_features_out)
        """Return the embedding of the rows, in which distances are taken."""
        return encode(self.encoder, X)

    def adapt(self, support: Rows) -> State:
        """Compute the prototypes and, for "mahalanobis", the class covariances."""
        features = self.embed(support.X)
        members = F.one_hot(support.y, support.n_classes).to(features.dtype)
        members = members * support.mask[..., None]  # (n_tasks, n_rows, n_classes)
        counts = members.sum(1)[..., None]  # (n_tasks, n_classes, 1)
        sums = members.mT @ features
        means = sums / counts.clamp(min=1)
        prototypes = means
        if self.spec.kind == "shared":
            strength = self.log_prior_strength.exp()
            prior_sums = strength * self.prior_prototypes
            prototypes = (sums + prior_sums) / (counts + strength)
        state = {"prototypes": prototypes, "counts": counts[..., 0]}
        if self.metric == "mahalanobis":
            covariances = self._covariances(features, members, means)
            # Without check_errors it neither raises nor waits for the device.
            state["cholesky"] = torch.linalg.cholesky_ex(covariances)[0]
        return state

    def _covariances(
        self,
        features: Tensor,  # shape: (n_tasks, n_rows, d)
        members: Tensor,  # shape: (n_tasks, n_rows, n_classes)
        means: Tensor,  # shape: (n_tasks, n_classes, d)
    ) -> Tensor:  # shape: (n_tasks, n_classes, d, d)
        """Regularised class covariances, equation 2 of Bateni et al. (2020)."""
        counts = members.sum(1)
        deviations = features - members @ means
        weighted = members.mT[..., None] * deviations[:, None]
        scatter = weighted.mT @ deviations[:, None]  # (n_tasks, n_classes, d, d)
        within = scatter / (counts - 1).clamp(min=1)[..., None, None]
        mask = members.sum(2)
        n_rows = mask.sum(1)[:, None, None]
        centre = (mask[:, None] @ features) / n_rows.clamp(min=1)
        centred = (features - centre) * mask[..., None]
        task = centred.mT @ centred / (n_rows - 1).clamp(min=1)
        weight = (counts / (counts + 1))[..., None, None]
        mixed = weight * within + (1 - weight) * task[:, None]
        # Rounding errors grow with the features: the ridge must not drown in them.
        rounding = mixed.shape[-1] * torch.finfo(mixed.dtype).eps
        trace = mixed.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
        ridge = self.log_ridge.exp() + rounding * trace
        return mixed + ridge * torch.eye(mixed.shape[-1]).to(mixed)

    def predict(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_classes)
        """Return the logits, up to a constant of each row."""
        features = self.embed(X)
        logits = self.log_scale.exp() * self._similarity(state, features)
        counts = state["counts"][:, None]  # (n_tasks, 1, n_classes)
        if self.spec.kind == "own":
            return logits.masked_fill(counts == 0, -torch.inf)
        log_frequency = (counts + self.log_concentration.exp()).log()
        return logits + self.class_bias + self.count_weight * log_frequency

    def _similarity(
        self,
        state: State,
        features: Tensor,  # shape: (n_tasks, n_rows, d)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_classes)
        prototypes = state["prototypes"]
        if self.metric == "cosine":
            return F.normalize(features, dim=-1) @ F.normalize(prototypes, dim=-1).mT
        if self.metric == "mahalanobis":
            difference = (features[:, None] - prototypes[:, :, None]).mT
            # (n_tasks, n_classes, d, n_rows)
            whitened = torch.linalg.solve_triangular(
                state["cholesky"], difference, upper=False
            )
            return -whitened.square().sum(2).mT
        # The squared norm of the row is the same for every class.
        norms = prototypes.square().sum(-1)
        return 2 * features @ prototypes.mT - norms[:, None]

    def prior_state(self) -> State | None:
        """State before any support row; None with classes of each task's own."""
        if self.spec.kind == "own":
            return None
        like = self.prior_prototypes
        X = like.new_zeros(1, 0, *self.spec.input_shape)
        empty = like.new_zeros(1, 0)
        return self.adapt(Rows(X, empty.long(), empty, self.spec.n_classes))


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
    n_shots: int | tuple[int, int] = (5, 15)
    n_query: int = 20
    lr: float = 1e-2
    optimizer: str | type[torch.optim.Optimizer] = "AdamW"
    weight_decay: float = 1.0

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CLASS_CONSTRAINTS,
        "metric": [StrOptions(set(METRICS))],
    }

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> Learner:
        return PrototypicalLearner(spec, encoder, metric=self.metric)

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
            return embed(rows[None, :-1])[0].cpu().numpy()

    @property
    def _n_features_out(self) -> int:
        return self._load_learner().spec.n_features_out

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
