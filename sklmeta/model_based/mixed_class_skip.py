"""A logistic mixed model beside a network, which learns what that does not know."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta.episodes.rows import Rows
from sklmeta.learners.learner import State
from sklmeta.mixed_models.class_modes import ClassRows, find_class_modes
from sklmeta.mixed_models.families import Bernoulli, Multinomial, family_of_classes
from sklmeta.mixed_models.laplace import TaskRows, cholesky, find_modes
from sklmeta.mixed_models.start import MixedClassStart
from sklmeta.model_based.mixed_skip import with_constant

BLOCK_NUMBERS = 2**22
"""Of the precisions of the random effects of the tasks that are solved at once."""

LARGEST_LOGIT = 1e4


class MixedClassSkip(nn.Module):
    """Logits of a fitted logistic mixed model, given a support of any size.

    They are those at the most probable random effects, shrunk by how much is unknown of
    these. Its numbers are not trained. Before `start_from` it is a random intercept of
    every class, which shrinks the classes' frequencies in a support to equal ones.

    Parameters
    ----------
    n_features : int
        Width of a row.

    n_classes : int
        Two or more.
    """

    coef: Tensor
    root: Tensor

    def __init__(self, n_features: int, n_classes: int):
        super().__init__()
        self.n_classes = n_classes
        self.register_buffer("coef", torch.zeros(n_features + 1, n_classes - 1))
        root = torch.zeros(n_features + 1, n_features + 1)
        root[-1, -1] = 1.0
        self.register_buffer("root", root)

    def start_from(self, start: MixedClassStart) -> None:
        """Take a fitted model."""
        self.coef.copy_(torch.as_tensor(start.coef))
        self.root.zero_()
        self.root[:, : start.root.shape[1]] = torch.as_tensor(start.root)

    @torch.no_grad()
    def adapt(self, support: Rows) -> State:
        """Mode and spread of every task's coefficients.

        Returns
        -------
        state : dict
            ``coef`` (n_tasks, n_columns, n_classes - 1); ``gain`` (n_tasks, n_columns,
            n_factors), of the covariance of each contrast, about: for that all
            contrasts count as equally curved.
        """
        coef, root = (part.to(torch.float64) for part in (self.coef, self.root))
        root = root[:, root.any(0)]
        n_factors, size = root.shape[1], support.y.shape[1]
        by_rows = 4 * self.n_classes * size**3 < (coef.shape[1] * n_factors) ** 3
        n_numbers = self.n_classes * size**2 + (0 if by_rows else root.numel())
        n_at_once = max(1, BLOCK_NUMBERS // max(1, n_numbers))
        parts = zip(*(rows.split(n_at_once) for rows in support[:3]), strict=True)
        modes, gains = [], []
        for X, y, mask in parts:
            mask = mask.to(coef.dtype)
            design = with_constant(X) * (mask > 0)[..., None]
            effects, fixed = design @ root, design @ coef
            solve = self._by_rows if by_rows else self._by_factors
            u = solve(fixed, effects, y, mask)
            modes.append(u)
            gains.append(self._gain(root, effects, fixed + effects @ u, mask))
        return {"coef": coef + root @ torch.cat(modes), "gain": torch.cat(gains)}

    def _gain(
        self, root: Tensor, effects: Tensor, eta: Tensor, mask: Tensor
    ) -> Tensor:  # shape: (n_tasks, n_columns, n_factors)
        family = self.family(eta)
        p = family.logits(eta).softmax(-1)
        # A mean over the contrasts, which are as many as classes less one.
        curvature = (p * (1 - p)).sum(-1) / (self.n_classes - 1)
        weight = mask * curvature * family.basis[:, 0].square().sum()
        inner = effects.mT @ (weight[..., None] * effects)
        inner.diagonal(dim1=-2, dim2=-1).add_(1.0)
        factor = cholesky(inner)
        return torch.linalg.solve_triangular(factor, root.mT, upper=False).mT

    def family(self, like: Tensor) -> Bernoulli | Multinomial:
        return family_of_classes(self.n_classes, like.device)

    def _by_factors(
        self, fixed: Tensor, effects: Tensor, y: Tensor, mask: Tensor
    ) -> Tensor:  # shape: (n_tasks, n_factors, n_classes - 1)
        zero = effects.new_zeros(len(effects), effects.shape[2], fixed.shape[2])
        rows = TaskRows(fixed, effects, y * (mask > 0).to(mask), mask)
        return find_modes(rows, self.family(fixed), 0.0, zero).u

    def _by_rows(
        self, fixed: Tensor, effects: Tensor, y: Tensor, mask: Tensor
    ) -> Tensor:  # shape: (n_tasks, n_factors, n_classes - 1)
        family = self.family(fixed)
        kernel = family.basis[:, 0].square().sum() * (effects @ effects.mT)
        is_class = F.one_hot(y, self.n_classes) * mask[..., None]
        logits = family.logits(fixed)
        rows = ClassRows(logits.mT, kernel[:, None], is_class.mT, mask[:, None])
        return effects.mT @ find_class_modes(rows).mT @ family.basis

    def describe(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> tuple[Tensor, Tensor]:  # (n_tasks, n_rows, n_classes), (n_tasks, n_rows, 1)
        """Logits that add up to zero, and the logarithm of what divided them.

        The less is known of the coefficients, the smaller they are (MacKay, "The
        Evidence Framework Applied to Classification Networks", 1992).
        """
        rows = with_constant(X)
        family = self.family(rows)
        logits = family.logits(rows @ state["coef"].to(rows.dtype))
        spread = (rows @ state["gain"].to(rows.dtype)).square().sum(-1, keepdim=True)
        # The variance of the difference between the logits of two classes.
        variance = 2 * family.basis[:, 0].square().sum() * spread
        log_divisor = 0.5 * torch.log1p(math.pi / 8 * variance)
        logits = logits * (-log_divisor).exp()
        logits = logits.clamp(-LARGEST_LOGIT, LARGEST_LOGIT)
        return logits.to(X.dtype), log_divisor.to(X.dtype)
