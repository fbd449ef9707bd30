"""What the learners that adapt by a forward pass share."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import torch
from torch import Tensor, nn

from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.rows import Episodes, Rows, empty_some_supports
from sklmeta.learners.learner import State, TaskSpec
from sklmeta.learners.losses import gaussian_nll, masked_mean, row_loss
from sklmeta.learners.raw_features import RawFeaturesLearner


class AmortisedLearner(RawFeaturesLearner):
    """Base of the learners that read a support of any size, none included.

    In regression targets enter, and means leave, as deviations from the level
    ``(k * mean(y) + kappa * mu) / (k + kappa)`` of the k support rows, with learned
    kappa and mu. Shifts of the level between tasks are harmless, one row keeps its
    level and an empty support has mu.

    Parameters
    ----------
    spec : TaskSpec
        The tasks, of any kind.

    encoder : nn.Module or None
        Maps (n, *input) to (n, spec.n_features_out). None leaves the raw features.

    beta : float, default=0.5
        In training a row's negative log-likelihood is multiplied by its predicted
        variance to this power (Seitzer et al., "On the Pitfalls of Heteroscedastic
        Uncertainty Estimation", ICLR 2022). With 0 the mean is hardly learned where
        the variance has grown.
    """

    def __init__(self, spec: TaskSpec, encoder: nn.Module | None, *, beta: float = 0.5):
        super().__init__(spec, encoder)
        self.beta = beta
        self.row_width = self.n_encoded + self.n_raw
        if spec.kind == TaskKind.REGRESSION:
            self.level = nn.Parameter(torch.tensor(0.0))  # mu
            self.log_level_strength = nn.Parameter(torch.tensor(-1.0))  # log kappa

    def row_features(
        self,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, row_width)
        """Encoded and raw features side by side; for images the encoded alone."""
        blocks = self.feature_blocks(X)
        return blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=-1)

    def level_of(self, support: Rows) -> Tensor:  # shape: (n_tasks,)
        strength = self.log_level_strength.exp()
        total = (support.y * support.mask).sum(1) + strength * self.level
        return total / (support.mask.sum(1) + strength)

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

    def query_loss(
        self,
        output: Tensor,  # shape: (n_tasks, n_rows, n_outputs)
        query: Rows,
    ) -> Tensor:  # shape: (n_tasks,)
        """`learner.row_loss`, weighted with `beta` while a regressor trains."""
        if not self.training or self.spec.kind != TaskKind.REGRESSION:
            return row_loss(output, query)
        loss = gaussian_nll(output[..., 0], output[..., 1], query.y)
        weight = (self.beta * output[..., 1].detach()).exp()
        return masked_mean(weight * loss, query.mask)
