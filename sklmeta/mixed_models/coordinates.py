"""Parameters of a generalised mixed model, and coordinates to seek them in."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklmeta.mixed_models.covariance import Correlations, Floats, FreeEntries

LOG_DISPERSIONS = (-10.0, 14.0)
"""Bounds: rows without any spread of their own have none to find."""


class Parameters(NamedTuple):
    """What is sought."""

    coef: Tensor  # shape: (n_columns, n_outputs)
    root: Tensor  # shape: (n_random, n_factors)
    log_dispersion: float


class Coordinates(NamedTuple):
    """Parameters as one vector in which the objective is about equally curved."""

    origin: Tensor  # shape: (n_columns, n_outputs)
    factor: Tensor  # of the information of the fixed effects; Cholesky's
    of_root: FreeEntries | Correlations
    theta_scale: float
    has_dispersion: bool

    def parameters(self, vector: Floats) -> Parameters:
        white, theta = self._parts(vector)
        shift = torch.linalg.solve_triangular(self.factor.mT, white, upper=True)
        root = torch.from_numpy(self.of_root.root(theta))
        log_dispersion = float(vector[-1]) if self.has_dispersion else 0.0
        return Parameters(
            self.origin + shift.view_as(self.origin), root, log_dispersion
        )

    def _parts(self, vector: Floats) -> tuple[Tensor, Floats]:
        n_fixed = self.origin.numel()
        theta = vector[n_fixed : len(vector) - self.has_dispersion]
        return torch.from_numpy(vector[:n_fixed, None]), theta * self.theta_scale

    def pull(
        self, vector: Floats, value: float, slopes: Parameters
    ) -> tuple[float, Floats]:
        """An objective and its gradient, penalised where correlations are shrunk."""
        flat = slopes.coef.reshape(-1, 1)
        of_fixed = torch.linalg.solve_triangular(self.factor, flat, upper=False)
        _, theta = self._parts(vector)
        twice, of_theta = self.of_root.pull(theta, 2 * value, 2 * slopes.root.numpy())
        of_theta = 0.5 * self.theta_scale * of_theta
        last = [slopes.log_dispersion] if self.has_dispersion else []
        return 0.5 * twice, np.r_[of_fixed[:, 0].numpy(), of_theta, last]

    def start(self) -> Floats:
        """Where coefficients that vary independently explain a variance of 1."""
        n_random = self.of_root.structure.shape[0]
        theta = self.of_root.start(np.full(n_random, n_random**-0.5))
        zeros = np.zeros(self.origin.numel())
        return np.r_[zeros, theta / self.theta_scale, [0.0] * self.has_dispersion]

    def bounds(self) -> list[tuple[float | None, float | None]]:
        free: list[tuple[float | None, float | None]] = [(None, None)]
        n_free = len(self.start()) - self.has_dispersion
        return free * n_free + [LOG_DISPERSIONS] * self.has_dispersion
