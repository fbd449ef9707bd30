"""Class means and the learned prior of shared classes."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.rows import Rows
from sklmeta.learners.learner import State, TaskSpec
from sklmeta.learners.losses import or_one
from sklmeta.metric_based._embedding import EmbeddingLearner


class PrototypeLearner(EmbeddingLearner):
    """Base of the learners that remember one prototype of each class.

    With classes of each task's own, a prototype is the mean of the class's embedded
    support rows. With shared classes it is a posterior mean: the mean of those rows
    and of ``kappa`` imaginary ones that lie at a learned prototype of the class; and
    the logit has the class prior ``b_c + gamma log(n_c + alpha_c)``, which for
    ``gamma = 1`` is the posterior of a Dirichlet law after n_c rows of class c. All of
    these are learned. So a class absent from the support can be predicted, and there
    is a prediction for a task of which nothing is known.
    """

    def __init__(self, spec: TaskSpec, encoder: nn.Module, **options: Any):
        super().__init__(spec, encoder, **options)
        if spec.kind == TaskKind.SHARED:
            n_classes = spec.n_classes
            prior = torch.zeros(self.n_members, n_classes, self.width)
            self.prior_prototypes = nn.Parameter(prior)
            self.log_prior_strength = nn.Parameter(torch.tensor(0.0))
            self.class_bias = nn.Parameter(torch.zeros(n_classes))
            self.log_concentration = nn.Parameter(torch.zeros(n_classes))
            self.count_weight = nn.Parameter(torch.tensor(1.0))

    def _remember(
        self,
        features: Tensor,  # shape: (n_tasks, n_members, n_rows, d)
        indicators: Tensor,  # shape: (n_tasks, 1, n_rows, n_classes)
    ) -> State:
        """Prototypes (n_tasks, n_members, n_classes, d), counts (n_tasks, n_classes).

        The prototype of an absent class of a task's own is zero.
        """
        state = {
            "prototypes": class_means(features, indicators),
            "counts": indicators.sum((1, 2)),
        }
        if self.spec.kind == TaskKind.SHARED:
            strength = self.log_prior_strength.exp()
            counts = state["counts"][:, None, :, None]
            sums = counts * state["prototypes"] + strength * self.prior_prototypes
            state["prototypes"] = sums / (counts + strength)
        return state

    def _without_own_row(
        self,
        features: Tensor,  # shape: (n_tasks, n_members, n_rows, d)
        prototypes: Tensor,  # shape: (n_tasks, n_members, n_classes, d)
        support: Rows,
        counts: Tensor,  # shape: (n_tasks, n_classes)
    ) -> Tensor:  # shape: (n_tasks, n_members, n_rows, d)
        """The prototype of each row's class, had the row not been there."""
        weight = counts
        if self.spec.kind == TaskKind.SHARED:
            weight = counts + self.log_prior_strength.exp()
        weight = weight.gather(1, support.y)[:, None, :, None]
        own = support.y[:, None, :, None].expand_as(features)
        without = weight * prototypes.gather(2, own) - features
        return without / (weight - 1).clamp(min=torch.finfo(weight.dtype).tiny)

    def _with_class_prior(
        self,
        logits: Tensor,  # shape: (n_tasks, n_members, n_rows, n_classes)
        counts: Tensor,  # shape: (n_tasks, 1 or n_rows, n_classes)
    ) -> Tensor:  # shape: (n_tasks, n_members, n_rows, n_classes)
        """Add the prior of shared classes; an absent own one gets probability zero."""
        counts = counts[:, None]
        if self.spec.kind == TaskKind.OWN:
            return logits.masked_fill(counts == 0, -torch.inf)
        log_frequency = (counts + self.log_concentration.exp()).log()
        return logits + self.class_bias + self.count_weight * log_frequency


def class_means(
    features: Tensor,  # shape: (n_tasks, n_members, n_rows, d)
    indicators: Tensor,  # shape: (n_tasks, 1, n_rows, n_classes)
) -> Tensor:  # shape: (n_tasks, n_members, n_classes, d); 0 for an absent class
    return indicators.mT @ features / or_one(indicators.sum(2))[..., None]
