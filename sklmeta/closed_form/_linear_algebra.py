"""Penalised least squares of many tasks, in the smaller of two spaces."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import torch
from torch import Tensor


class PenalisedDesign:
    """The matrices ``features.T @ diag(weights) @ features + penalty * I``.

    With fewer rows than features they are never formed: by the Woodbury identity a
    system of the size of the rows does the same. Rows of zeros add nothing to either.

    Parameters
    ----------
    features : Tensor of shape (n_tasks, n_rows, n_features)
        Rows of each task; padding rows are zeros.

    penalty : Tensor of shape ()
        It is raised by the rounding error of the largest eigenvalue, so that every
        matrix can be factored and nothing has to be checked, which on a GPU would make
        the host wait.

    Attributes
    ----------
    penalty : Tensor of shape (n_tasks, 1, 1)
        The penalty with which a task's systems are solved.
    """

    def __init__(self, features: Tensor, penalty: Tensor):
        n_rows, n_features = features.shape[1:]
        self.features = features
        self.in_row_space = n_rows < n_features
        rounding = n_features * torch.finfo(features.dtype).eps
        largest = features.detach().square().sum((1, 2))  # at most the trace
        self.penalty = penalty + rounding * largest[:, None, None]
        left, right = features, features.mT
        self.gram = left @ right if self.in_row_space else right @ left

    def detach(self) -> PenalisedDesign:
        """The same matrices as constants."""
        other = object.__new__(PenalisedDesign)
        other.features, other.gram = self.features.detach(), self.gram.detach()
        other.penalty = self.penalty.detach()
        other.in_row_space = self.in_row_space
        return other

    def ridge(
        self,
        targets: Tensor,  # shape: (n_tasks, n_rows, n_outputs)
    ) -> Tensor:  # shape: (n_tasks, n_features, n_outputs)
        """Coefficients of the ridge regression of `targets` on the features."""
        factor = _cholesky(self.gram, self.penalty)
        if self.in_row_space:
            return self.features.mT @ torch.cholesky_solve(targets, factor)
        return torch.cholesky_solve(self.features.mT @ targets, factor)

    def without_own(self) -> Tensor:  # shape: (n_tasks, n_rows)
        """One minus the leverage: a row's residual over that without the row."""
        factor = _cholesky(self.gram, self.penalty)
        if not self.in_row_space:
            white = torch.linalg.solve_triangular(factor, self.features.mT, upper=False)
            return 1 - white.square().sum(1)
        eye = torch.eye(len(factor[0]), dtype=factor.dtype, device=factor.device)
        root = torch.linalg.solve_triangular(factor, eye.expand_as(factor), upper=False)
        return self.penalty[..., 0] * root.square().sum(1)

    def solve_weighted(
        self,
        weights: Tensor,  # shape: (n_tasks, n_outputs, n_rows); not negative
        right: Tensor,  # shape: (n_tasks, n_outputs, n_features)
    ) -> Tensor:  # shape: (n_tasks, n_outputs, n_features)
        """Solve one system for each output, with row weights of its own."""
        penalty = self.penalty[:, None]
        if not self.in_row_space:
            # One output at a time: all at once would repeat the rows for each.
            grams = [
                (self.features * w[..., None]).mT @ self.features
                for w in weights.unbind(1)
            ]
            factor = _cholesky(torch.stack(grams, dim=1), penalty)
            return torch.cholesky_solve(right[..., None], factor)[..., 0]
        root = weights.sqrt()
        gram = root[..., None] * self.gram[:, None] * root[..., None, :]
        factor = _cholesky(gram, penalty)
        inner = (root * (right @ self.features.mT))[..., None]
        inner = root * torch.cholesky_solve(inner, factor)[..., 0]
        return (right - inner @ self.features) / self.penalty


def _cholesky(gram: Tensor, penalty: Tensor) -> Tensor:
    size = gram.shape[-1]
    eye = torch.eye(size, dtype=gram.dtype, device=gram.device)
    return torch.linalg.cholesky_ex(gram + penalty * eye)[0]
