"""What the learners that adapt by a forward pass share."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.rows import Episodes, Rows, empty_some_supports
from sklmeta.learners.encoders import MLP
from sklmeta.learners.learner import State, TaskSpec
from sklmeta.learners.likelihoods import likelihood_of, loss_of
from sklmeta.learners.losses import (
    gaussian_nll,
    masked_mean,
    of_targets,
    summed,
)
from sklmeta.learners.raw_features import RawFeaturesLearner
from sklmeta.mixed_models.start import MixedClassStart
from sklmeta.model_based.mixed_class_skip import MixedClassSkip
from sklmeta.model_based.mixed_skip import MixedSkip, MixedSkips


class Reference(NamedTuple):
    """From what, and in what unit, a target's deviations are counted."""

    mean: Tensor  # shape: (n_tasks, n_rows or 1, n_targets)
    log_std: Tensor  # shape: (n_tasks or 1, n_rows or 1, n_targets or 1)

    def deviation(self, y: Tensor) -> Tensor:  # shape: (n_tasks, n_rows, n_targets)
        """Targets as they enter a network."""
        y = y[..., None] if y.ndim == 2 else y
        return (y - self.mean) * (-self.log_std).exp()

    def place(self, deviation: Tensor) -> Tensor:
        """A network's deviations as means."""
        return self.mean + self.log_std.exp() * deviation


class Logits(NamedTuple):
    """What a mixed model says of rows' classes; a network adds to it."""

    values: Tensor  # shape: (n_tasks, n_rows, n_classes)
    log_divisor: Tensor  # shape: (n_tasks, n_rows, 1); for what is unknown


class AmortisedLearner(RawFeaturesLearner):
    """Base of the learners that read a support of any size, none included.

    In regression targets enter, and means leave, as deviations from a reference: from
    the level ``(k * mean(y) + kappa * mu) / (k + kappa)`` of the k support rows, with
    learned kappa and mu, so that shifts of the level between tasks are harmless, one
    row keeps its level and an empty support has mu; or, with `skips`, from the
    posterior mean of a mixed model, in units of its standard deviation. Rows enter
    together with these two. Where classes are shared, `skips` has rows enter together
    with the logits of a mixed model, to which the network's are added.

    Parameters
    ----------
    spec : TaskSpec
        The tasks, of any kind.

    encoder : nn.Module or None
        Maps (n, *input) to (n, spec.n_features_out). None leaves the raw features.

    skips : bool, default=False
        Whether a mixed model stands beside the network, where rows are numbers and
        classes, if any, are shared.

    min_noise : float, default=1e-2
        Smallest predicted standard deviation, in units of the standardised target.

    beta : float, default=0.5
        In training a row's negative log-likelihood is multiplied by its predicted
        variance to this power (Seitzer et al., "On the Pitfalls of Heteroscedastic
        Uncertainty Estimation", ICLR 2022). With 0 the mean is hardly learned where
        the variance has grown.
    """

    takes_weights = True
    decayed = "(?!level|log_level_strength|likelihood)"  # the network's weights

    def __init__(
        self,
        spec: TaskSpec,
        encoder: nn.Module | None,
        *,
        skips: bool = False,
        min_noise: float = 1e-2,
        beta: float = 0.5,
    ):
        super().__init__(spec, encoder)
        self.beta, self.min_noise = beta, min_noise
        self.row_width = self.n_encoded + self.n_raw
        self.likelihood = likelihood_of(spec, predicts_spread=True)
        self.skip: MixedSkip | MixedSkips | None = None
        self.class_skip: MixedClassSkip | None = None
        skips = skips and self.uses_raw and not self.has_log_link
        if spec.kind != TaskKind.REGRESSION:
            if skips and spec.kind == TaskKind.SHARED and spec.n_classes > 1:
                self.class_skip = MixedClassSkip(self.n_raw, spec.n_classes)
                self.row_width += spec.n_classes + 1
        elif skips:
            self.skip = MixedSkip(self.n_raw)
            if spec.n_targets > 1:
                self.skip = MixedSkips(self.n_raw, spec.n_targets)
            self.row_width += 2 * spec.n_targets
        else:
            self.level = nn.Parameter(torch.zeros(spec.target_shape))  # mu
            self.log_level_strength = nn.Parameter(torch.tensor(-1.0))  # log kappa

    @property
    def has_log_link(self) -> bool:
        """Whether levels and means are logarithms."""
        return self.likelihood is not None and self.likelihood.has_log_link

    def seen(self, y: Tensor) -> Tensor:
        """Targets as the reference, and the network, take them."""
        return y if self.likelihood is None else self.likelihood.as_seen(y)

    @property
    def has_skip(self) -> bool:
        """Whether a mixed model stands beside the network, which begins at zero."""
        return self.skip is not None or self.class_skip is not None

    def start_from(self, start: Any) -> None:
        """Put the mixed model beside the network."""
        if isinstance(start, MixedClassStart):
            if self.class_skip is not None:
                self.class_skip.start_from(start)
        elif self.skip is not None:
            self.skip.start_from(start, self.min_noise)

    def row_features(
        self,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, row_width)
        """Encoded and raw features side by side; for images the encoded alone."""
        blocks = self.feature_blocks(X)
        return blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=-1)

    def refer(self, support: Rows) -> State:
        """What a support says of the reference, or by it."""
        if self.class_skip is not None:
            return self.class_skip.adapt(support)
        if self.spec.kind != TaskKind.REGRESSION:
            return {}
        if self.skip is not None:
            return self.skip.adapt(support)
        strength = self.log_level_strength.exp()
        mask = support.mask if support.y.ndim == 2 else support.mask[..., None]
        level = self.level.exp() if self.has_log_link else self.level
        total = (support.y * mask).sum(1) + strength * level
        level = total / (mask.sum(1) + strength)
        return {"level": level.log() if self.has_log_link else level}

    def reference(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Reference | Logits | None:
        """The reference at some rows; for classes, logits or None."""
        if self.class_skip is not None:
            return Logits(*self.class_skip.describe(state, X))
        if self.skip is not None:
            return Reference(*self.skip.describe(state, X))
        if self.spec.kind != TaskKind.REGRESSION:
            return None
        level = state["level"]
        level = level.reshape(len(level), 1, -1)  # one for all before any support
        return Reference(level, X.new_zeros(1, 1, 1))

    def row_inputs(
        self,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
        reference: Reference | Logits | None,
    ) -> Tensor:  # shape: (n_tasks, n_rows, row_width)
        """The rows' features and, where it stands beside them, the mixed model's."""
        features = self.row_features(X)
        if reference is None or not self.has_skip:
            return features
        return torch.cat([features, *reference], dim=-1)

    def prior_state(self) -> State | None:
        """State of one task with an empty support; None for own classes."""
        return self.state_without_rows()

    def for_training(self, episodes: Episodes) -> Episodes:
        """Empty some supports, unless classes are a task's own."""
        return (
            episodes
            if self.spec.kind == TaskKind.OWN
            else empty_some_supports(episodes)
        )

    def accumulate(self, episodes: Episodes, scale: float) -> Tensor:
        """See the base class; Newton's steps are as many as a mixed model takes."""
        compiler = self.compiler
        if self.class_skip is not None and compiler and not compiler.gave_up:
            compiler.give_up("the mixed model of classes is not compiled")
        return super().accumulate(episodes, scale)

    def meta_loss(self, episodes: Episodes) -> Tensor:  # shape: (n_tasks,)
        """Loss of the query; a regressor's rows are weighted in training."""
        support, query = episodes
        return self.query_loss(self.predict(self.adapt(support), query.X), query)

    def query_loss(
        self,
        output: Tensor,  # shape: (n_tasks, n_rows, n_outputs)
        query: Rows,
    ) -> Tensor:  # shape: (n_tasks,)
        """Its loss, weighted with `beta` while a normal regressor trains."""
        own = self.likelihood is not None
        if own or not self.training or self.spec.kind != TaskKind.REGRESSION:
            return loss_of(self, output, query)
        mean, log_variance = of_targets(output, query.y)
        assert log_variance is not None
        loss = gaussian_nll(mean, log_variance, query.y)
        weight = (self.beta * log_variance.detach()).exp()
        return masked_mean(summed(weight * loss), query.mask)


def dense_network(n_in: int, width: int, n_out: int, n_layers: int) -> nn.Sequential:
    """`n_layers` linear layers with ReLU between them; at least one."""
    hidden = [width] * (n_layers - 1)
    last = nn.Linear(hidden[-1] if hidden else n_in, n_out)
    return nn.Sequential(*MLP(n_in, hidden), last)
