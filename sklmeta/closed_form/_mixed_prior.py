"""A mixed model as part of a Gaussian process's prior."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from sklmeta.mixed_models.start import MixedStart


class MixedPrior(nn.Module):
    """Fixed effects as a mean, random effects as a kernel; neither is trained.

    Parameters
    ----------
    n_features : int
        Columns of X; a constant follows them.
    """

    coef: Tensor
    root: Tensor

    def __init__(self, n_features: int):
        super().__init__()
        size = n_features + 1
        self.register_buffer("coef", torch.zeros(size))
        self.register_buffer("root", torch.zeros(size, size))

    def start_from(self, start: MixedStart) -> None:
        """Take a fitted model."""
        values, vectors = np.linalg.eigh(start.covariance)
        self.coef.copy_(torch.as_tensor(start.mean))
        self.root.copy_(torch.as_tensor(vectors * np.sqrt(np.maximum(values, 0.0))))

    def mean(self, design: Tensor) -> Tensor:  # shape: (n_tasks, n_rows, 1)
        """Prior mean of rows."""
        return design @ self.coef.to(design.dtype)[:, None]

    def covariance(
        self, left: Tensor, right: Tensor
    ) -> Tensor:  # shape: (n_tasks, n_left, n_right)
        """Prior covariance of pairs of rows."""
        root = self.root.to(left.dtype)
        return (left @ root) @ (right @ root).mT

    def variance(self, design: Tensor) -> Tensor:  # shape: (n_tasks, n_rows)
        """Prior variance of rows."""
        return (design @ self.root.to(design.dtype)).square().sum(-1)
