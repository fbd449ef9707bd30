"""Logistic regressions of many tasks by Newton's method, differentiable."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sklmeta.closed_form._linear_algebra import PenalisedDesign

MAX_STEPS = 50
N_LENGTHS = 10
TOLERANCE = 1e-13


def logistic_heads(
    features: Tensor,  # shape: (n_tasks, n_rows, n_features)
    signs: Tensor,  # shape: (n_tasks, n_rows, n_classes); 1, -1, or 0 for padding
    weight: Tensor,  # shape: (n_tasks, n_rows, 1)
    prior: Tensor,  # shape: (n_features, n_classes)
    penalty: Tensor,  # shape: ()
    n_steps: int | None = None,
) -> Tensor:  # shape: (n_tasks, n_features, n_classes)
    """Coefficients of one logistic regression per class, that class against the rest.

    Each minimises the weighted sum over rows of ``log(1 + exp(-sign * features @ w))``,
    plus ``penalty / 2 * ||w - prior||^2``: scikit-learn's `LogisticRegression` with
    ``C=1 / penalty``, but for the prior.

    The gradient is that of the optimum itself, by the implicit function theorem, and
    does not go back through the steps that led there.

    Parameters
    ----------
    features, signs, weight, prior, penalty : Tensor
        See above; the features of padding rows are zeros.

    n_steps : int, default=None
        Newton steps; None takes as many as convergence needs.
    """
    problem = _LogisticProblem(features, signs.mT, weight.mT, prior, penalty)
    with torch.no_grad():
        shift = problem.detach().minimise(n_steps)
    # A Newton step from the optimum goes nowhere, but carries the gradient: the optimum
    # moves by minus the inverse Hessian times what a parameter adds to the slope.
    gradient = problem.gradient(shift)
    step = problem.detach().newton_step(shift, gradient)
    return prior + (shift + step).mT


class _LogisticProblem:
    """The objective in the shift of the weights from their prior."""

    def __init__(
        self,
        features: Tensor,
        signs: Tensor,
        weight: Tensor,
        prior: Tensor,
        penalty: Tensor,
    ):
        self.design = PenalisedDesign(features, penalty)
        self.signs = signs  # (n_tasks, n_classes, n_rows)
        self.weight = weight  # (n_tasks, 1, n_rows)
        self.offset = (features @ prior).mT

    def detach(self) -> _LogisticProblem:
        other = object.__new__(_LogisticProblem)
        other.design, other.signs = self.design.detach(), self.signs
        other.weight = self.weight
        other.offset = self.offset.detach()
        return other

    def margins(self, shift: Tensor) -> Tensor:  # (n_tasks, n_classes, n_rows)
        return self.signs * (self.offset + shift @ self.design.features.mT)

    def gradient(self, shift: Tensor) -> Tensor:  # (n_tasks, n_classes, n_features)
        residual = -self.weight * self.signs * torch.sigmoid(-self.margins(shift))
        return residual @ self.design.features + self.design.penalty * shift

    def newton_step(self, shift: Tensor, gradient: Tensor) -> Tensor:
        margins = self.margins(shift)
        weights = self.weight * torch.sigmoid(margins) * torch.sigmoid(-margins)
        return -self.design.solve_weighted(weights, gradient)

    def minimise(self, n_steps: int | None) -> Tensor:
        shape = (*self.signs.shape[:2], self.design.features.shape[2])
        shift = self.design.features.new_zeros(shape)
        for _ in range(MAX_STEPS if n_steps is None else n_steps):
            gradient = self.gradient(shift)
            step = self.newton_step(shift, gradient)
            shift = shift + self._length(shift, step) * step
            # Half of it is about how far the objective is above its minimum.
            decrement = -(gradient * step).sum(-1)
            if n_steps is None and not (decrement > TOLERANCE).any():
                break
        return shift

    def _length(self, shift: Tensor, step: Tensor) -> Tensor:
        """Length of the step, of 1, 1/2, 1/4, ..., that lowers the objective most.

        All are tried at once, along the margins alone, so that nothing has to be
        decided task by task, and none can diverge.
        """
        lengths = 0.5 ** torch.arange(N_LENGTHS, dtype=shift.dtype, device=shift.device)
        along = self.signs * (step @ self.design.features.mT)
        # (n_tasks, n_classes, n_lengths, n_rows)
        margins = self.margins(shift)[..., None, :]
        margins = margins + lengths[:, None] * along[..., None, :]
        cross = (shift * step).sum(-1, keepdim=True)
        norm = shift.square().sum(-1, keepdim=True) + 2 * lengths * cross
        norm = norm + lengths.square() * step.square().sum(-1, keepdim=True)
        fit = (F.softplus(-margins) * self.weight[..., None, :]).sum(-1)
        loss = fit + 0.5 * self.design.penalty * norm
        # Near the optimum lengths differ by rounding alone: there the longest is right.
        least = loss.amin(-1, keepdim=True)
        rounding = 100 * torch.finfo(loss.dtype).eps * least
        first = (loss <= least + rounding).to(torch.uint8).argmax(-1)
        return lengths[first][..., None]
