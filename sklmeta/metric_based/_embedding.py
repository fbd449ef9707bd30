"""What learners that compare rows in an embedding have in common."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
import numbers
from typing import Any

import torch
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta._compat import Interval
from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.estimator.faces import PartOfMetaEstimator
from sklmeta.estimator.meta import BaseMetaEstimator
from sklmeta.learners.learner import Learner, State, TaskSpec
from sklmeta.learners.losses import row_loss
from sklmeta.metric_based._members import MLPMembers


class EmbeddingLearner(Learner):
    """Base of the learners that compare query rows with what they remember.

    The encoder may hold several members, networks whose features stand side by side.
    Each is trained by its own loss, as if alone, and their probabilities are averaged:
    with few tasks to learn from, one network depends much on where it started.

    With classes of each task's own, the raw rows may be compared beside the features of
    each member, with a learned weight of every raw feature: an encoder trained on few
    classes loses what tells new ones apart.

    A subclass implements `adapt` and `_member_logits`.

    Parameters
    ----------
    spec : TaskSpec
        What the tasks are; its kind must be "shared" or "own".

    encoder : nn.Module
        Maps rows (n, *input) to the embedding (n, n_features_out).

    n_members : int, default=1
        Number of members: the encoder's features are cut into as many equal parts.

    raw : bool, default=False
        Whether to compare the raw rows as well.

    Raises
    ------
    ValueError
        If the tasks are regression tasks.
    """

    encoder: nn.Module
    takes_weights = True

    def __init__(
        self,
        spec: TaskSpec,
        encoder: nn.Module,
        *,
        n_members: int = 1,
        raw: bool = False,
    ):
        super().__init__(spec)
        if spec.kind == TaskKind.REGRESSION:
            raise ValueError(
                f"{type(self).__name__} is of classes: the kind of task must be "
                f"'shared' or 'own', got {spec.kind!r}."
            )
        self.encoder = encoder
        self.n_members = n_members
        self.raw = raw
        self.n_raw = math.prod(spec.input_shape) if raw else 0
        self.width = spec.n_features_out // n_members
        if raw:
            # A logarithm: weight decay pulls towards the raw distance, not to nothing.
            self.log_raw_scale = nn.Parameter(torch.zeros(self.n_raw))

    @property
    def n_embedding(self) -> int:
        """Width of what `embed` returns."""
        return self.spec.n_features_out + self.n_raw

    def embed(
        self,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_embedding)
        """Return the members' features and the weighted raw ones, side by side.

        Squared distances between them are the average of the members'.
        """
        parts = [self.encode(X) / self.n_members**0.5]
        if self.raw:
            parts.append(self._raw_features(X)[:, 0])
        return torch.cat(parts, dim=-1)

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
        return self._joined(self._member_logits(state, X))

    def _joined(
        self,
        logits: Tensor,  # shape: (n_tasks, n_members, n_rows, n_classes)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_classes)
        """Average the members' probabilities."""
        if self.n_members == 1:
            return logits[:, 0]
        return logits.log_softmax(-1).logsumexp(1)

    def prior_state(self) -> State | None:
        """State before any support row; None with classes of each task's own."""
        return self.state_without_rows()

    def _member_logits(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_members, n_rows, n_classes)
        # How a row and a class are compared is all that these learners differ in.
        raise NotImplementedError(f"{type(self).__name__} lacks _member_logits.")

    def _features(self, X: Tensor) -> Tensor:  # (n_tasks, n_members, n_rows, d)
        features = self.encode(X).unflatten(-1, (self.n_members, -1))
        return features.transpose(1, 2)

    def _raw_features(self, X: Tensor) -> Tensor:  # (n_tasks, 1, n_rows, n_raw)
        return X.flatten(2)[:, None] * self.log_raw_scale.exp()


def class_indicators(
    support: Rows,
    dtype: torch.dtype,
) -> Tensor:  # shape: (n_tasks, 1, n_rows, n_classes)
    """The weight, 1, of a real row of a class, the same for every member."""
    indicators = F.one_hot(support.y, support.n_classes).to(dtype)
    return (indicators * support.mask[..., None])[:, None]


def closeness(
    features: Tensor,  # shape: (n_tasks, n_members, n_rows, d)
    others: Tensor,  # shape: (n_tasks, n_members, n_others, d)
) -> Tensor:  # shape: (n_tasks, n_members, n_rows, n_others)
    """Minus the squared distances, without the row's norm, which all others share."""
    norms = others.square().sum(-1)
    return 2 * features @ others.mT - norms[:, :, None]


class MemberParameters(BaseMetaEstimator):
    """The parameters of estimators whose default encoder has several members."""

    n_members: int = 4
    n_shots: int | tuple[int, int] = (5, 15)
    n_query: int = 20
    lr: float = 1e-2
    optimizer: str | type[torch.optim.Optimizer] = "AdamW"
    weight_decay: float = 1.0
    standardize: bool | str = "auto"

    _parameter_constraints = {
        "n_members": [Interval(numbers.Integral, 1, None, closed="left")],
    }

    def _build_members(
        self, spec: TaskSpec, encoder: nn.Module
    ) -> tuple[TaskSpec, nn.Module, int]:
        """Put `n_members` networks in place of the default encoder.

        A `module` is used as it is.
        """
        if self.module is not None:
            return spec, encoder, 1
        n_features, n_members = math.prod(spec.input_shape), self.n_members
        layers, activation = self.hidden_layer_sizes, self.activation
        members = MLPMembers(n_features, n_members, layers, activation)
        width = n_members * spec.n_features_out
        return spec._replace(n_features_out=width), members, n_members

    def _make_metric_learner(
        self,
        learner: type[EmbeddingLearner],
        metric: str,
        spec: TaskSpec,
        encoder: nn.Module,
    ) -> EmbeddingLearner:
        """Build a learner that compares by `metric`, beside the raw rows if it may."""
        raw = (
            metric == "sqeuclidean"
            and spec.kind == TaskKind.OWN
            and self.module is None
        )
        spec, encoder, n_members = self._build_members(spec, encoder)
        params: dict[str, Any] = {"metric": metric, "n_members": n_members, "raw": raw}
        return learner(spec, encoder, **params)


class EmbeddingMixin(
    PartOfMetaEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
):
    """The `transform` of estimators whose learner is an `EmbeddingLearner`."""

    def transform(self, X: Any) -> NDArray:
        """Embed rows into the space in which they are compared.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Rows to embed.

        Returns
        -------
        ndarray of shape (n_samples, n_embedding)
            The embedding, which adaptation does not change.
        """
        rows = self._rows_of(X)
        with self._lent_learner() as learner, torch.no_grad():
            return learner.embed(rows[:-1][None])[0].cpu().numpy()

    @property
    def _n_features_out(self) -> int:
        with self._lent_learner() as learner:
            return learner.n_embedding

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
