"""Covariance functions of features, batched over tasks, with learned parameters."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MIN_NORM = 1e-3
"""Shorter rows are not scaled up to length one: their gradient would be too large."""


class Kernel(nn.Module):
    """A positive semi-definite function of two rows of features.

    All parameters are logarithms, or frequencies, and near zero at the start, so that
    weight decay pulls towards a kernel of variance `variance` at the usual scale of
    standardised features.

    Parameters
    ----------
    n_features : int
        Width of a row.

    variance : float, default=1.0
        Prior variance of the function before anything is learned.
    """

    def __init__(self, n_features: int, variance: float = 1.0):
        super().__init__()
        self.n_features = n_features
        self.start = math.log(variance)
        self.log_variance = nn.Parameter(torch.zeros(()))

    def variance(self) -> Tensor:  # shape: ()
        return (self.log_variance + self.start).to(torch.float64).exp()

    def quantities(self) -> dict[str, Tensor]:
        """What was learned, by name."""
        return {"variance": self.variance()}

    def forward(
        self,
        left: Tensor,  # shape: (n_tasks, n_left, n_features)
        right: Tensor,  # shape: (n_tasks, n_right, n_features)
    ) -> Tensor:  # shape: (n_tasks, n_left, n_right)
        """Covariances of all pairs of rows of each task."""
        # Every kernel has its own formula; plain, as in torch's own `Module.forward`.
        raise NotImplementedError(f"{type(self).__name__} lacks forward.")

    def diagonal(
        self,
        rows: Tensor,  # shape: (n_tasks, n_rows, n_features)
    ) -> Tensor:  # shape: (n_tasks, n_rows)
        """Prior variance of every row."""
        return self.variance().expand(rows.shape[:2])


class RBF(Kernel):
    """``s exp(-|(a - b) / l|^2 / 2)``, with a length scale of every feature."""

    def __init__(self, n_features: int, variance: float = 1.0):
        super().__init__(n_features, variance)
        self.log_lengthscale = nn.Parameter(torch.zeros(n_features))

    def lengthscale(self) -> Tensor:  # shape: (n_features,)
        # Squared distances grow with the number of features.
        scale = self.log_lengthscale.to(torch.float64).exp()
        return scale * math.sqrt(self.n_features)

    def quantities(self) -> dict[str, Tensor]:
        return {"variance": self.variance(), "lengthscale": self.lengthscale()}

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        scale = self.lengthscale()
        distance = squared_distance(left / scale, right / scale)
        return self.variance() * torch.exp(-0.5 * distance)


class Linear(Kernel):
    """``a^T diag(s) b / n_features``: linear functions, a variance of every weight."""

    def __init__(self, n_features: int, variance: float = 1.0):
        super().__init__(n_features, variance)
        self.log_variance = nn.Parameter(torch.zeros(n_features))

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return (left * (self.variance() / self.n_features)) @ right.mT

    def diagonal(self, rows: Tensor) -> Tensor:
        return rows.square() @ (self.variance() / self.n_features)


class Cosine(Kernel):
    """``s cos(a, b)``: linear functions of the rows' directions."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.variance() * (self.direction(left) @ self.direction(right).mT)

    def diagonal(self, rows: Tensor) -> Tensor:
        return self.variance() * self.direction(rows).square().sum(-1)

    @staticmethod
    def direction(rows: Tensor) -> Tensor:
        return F.normalize(rows, dim=-1, eps=MIN_NORM)


class Constant(Kernel):
    """``s``: an offset of each task's own."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.variance().expand(*left.shape[:2], right.shape[1])


class Spectral(Kernel):
    """Mixture of Gaussians in the frequency domain (Wilson and Adams 2013).

    ``sum_q s_q exp(-|(a - b) / l_q|^2 / 2) cos(w_q^T (a - b))``.
    """

    n_components = 4

    def __init__(self, n_features: int, variance: float = 1.0):
        super().__init__(n_features, variance / self.n_components)
        shape = (self.n_components, n_features)
        self.log_variance = nn.Parameter(torch.zeros(self.n_components))
        self.log_lengthscale = nn.Parameter(torch.zeros(shape))
        self.frequencies = nn.Parameter(torch.randn(shape) / math.sqrt(n_features))

    def lengthscale(self) -> Tensor:  # shape: (n_components, n_features)
        scale = self.log_lengthscale.to(torch.float64).exp()
        return scale * math.sqrt(self.n_features)

    def quantities(self) -> dict[str, Tensor]:
        return {
            "variance": self.variance(),
            "lengthscale": self.lengthscale(),
            "frequency": self.frequencies,
        }

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        scale = self.lengthscale()
        total = left.new_zeros(())
        for q, variance in enumerate(self.variance()):
            envelope = squared_distance(left / scale[q], right / scale[q])
            frequency = self.frequencies[q].to(torch.float64)
            phase = (left @ frequency)[:, :, None] - (right @ frequency)[:, None]
            total = total + variance * torch.exp(-0.5 * envelope) * phase.cos()
        return total

    def diagonal(self, rows: Tensor) -> Tensor:
        return self.variance().sum().expand(rows.shape[:2])


class Sum(Kernel):
    """The sum of other kernels: a sum of independent functions."""

    def __init__(self, kernels: list[Kernel]):
        nn.Module.__init__(self)
        self.kernels = nn.ModuleList(kernels)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        first, *others = (kernel(left, right) for kernel in self.parts())
        return sum(others, start=first)

    def diagonal(self, rows: Tensor) -> Tensor:
        first, *others = (kernel.diagonal(rows) for kernel in self.parts())
        return sum(others, start=first)

    def parts(self) -> list[Kernel]:
        return cast(list[Kernel], list(self.kernels))


KERNELS: dict[str, type[Kernel]] = {
    "rbf": RBF,
    "linear": Linear,
    "cosine": Cosine,
    "spectral": Spectral,
    "constant": Constant,
}


def make_kernel(name: str, n_features: int) -> Sum:
    """Make a kernel from its name, or several joined by "+".

    Raises
    ------
    ValueError
        If a name is not one of `KERNELS`.
    """
    names = [part.strip() for part in name.split("+")]
    unknown = [part for part in names if part not in KERNELS]
    if unknown:
        raise ValueError(
            f"kernel must be one of {', '.join(map(repr, KERNELS))}, or a sum such as "
            f"'rbf+constant'; got {name!r}."
        )
    return Sum([KERNELS[part](n_features, 1 / len(names)) for part in names])


def squared_distance(
    left: Tensor,  # shape: (n_tasks, n_left, n_features)
    right: Tensor,  # shape: (n_tasks, n_right, n_features)
) -> Tensor:  # shape: (n_tasks, n_left, n_right)
    """Squared Euclidean distances; by products, as differences take n_features more."""
    norms = left.square().sum(-1)[:, :, None] + right.square().sum(-1)[:, None]
    return (norms - 2 * left @ right.mT).clamp(min=0)
