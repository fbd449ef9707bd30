"""Modes of the random effects of many tasks at once, and the Laplace approximation.

The linear predictor of a row of task t is ``x @ beta + a @ u_t`` with ``a = R.T @ z``
and ``u_t ~ N(0, I)``, for every output with a beta and a u of its own. The integral
over u is that of the normal density that touches the integrand at its mode (Breslow and
Clayton, "Approximate Inference in Generalized Linear Mixed Models", 1993).
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sklmeta.mixed_models.blocks import BLOCK_NUMBERS
from sklmeta.mixed_models.families import Family

MAX_STEPS = 200
"""Newton steps, at most. A dozen are many, but for counts of many digits."""

TOLERANCE = 1e-14
"""Of the Newton decrement: twice how far a task's objective is above its least."""

ROUNDING = 1e-15
"""Of a sum of log-likelihoods, relative to it."""

MAX_HALVINGS = 60

FIRST_RADIUS = 10.0


class TaskRows(NamedTuple):
    """What the modes of a block of tasks depend on."""

    fixed: Tensor  # shape: (n_tasks, n_rows, n_outputs); x @ beta
    effects: Tensor  # shape: (n_tasks, n_rows, n_factors); a
    y: Tensor  # shape: (n_tasks, n_rows)
    weight: Tensor  # shape: (n_tasks, n_rows); 0 where there is no row


class Modes(NamedTuple):
    """Where the random effects of every task are most probable."""

    u: Tensor  # shape: (n_tasks, n_factors, n_outputs)
    eta: Tensor  # shape: (n_tasks, n_rows, n_outputs)
    factor: Tensor  # of the precision at u, in the order of u.flatten(1); Cholesky's
    value: Tensor  # shape: (n_tasks,); minus the logarithm of what is integrated, at u


def find_modes(
    rows: TaskRows, family: Family, log_dispersion: float, start: Tensor
) -> Modes:
    """Newton's method for all tasks at once; a step that does not help is halved."""
    u = start
    eta = rows.fixed + rows.effects @ u
    value = _objective(rows, family, log_dispersion, u, eta)
    # How far a predictor may go in one step: where an exponent is far off, a step by
    # the curvature here is too long by many orders of magnitude.
    radius = value.new_full(value.shape, FIRST_RADIUS)
    open_ = torch.ones_like(value, dtype=torch.bool)
    for _ in range(MAX_STEPS):
        gradient, weight = family.slopes(eta, rows.y, log_dispersion)
        gradient = u - rows.effects.mT @ (rows.weight[..., None] * gradient)
        factor = cholesky(hessian(rows.effects, rows.weight[..., None, None] * weight))
        flat = gradient.flatten(1)[..., None]
        step = -torch.cholesky_solve(flat, factor)[..., 0].view_as(u)
        decrement = -(gradient * step).sum((1, 2))
        if not (open_ & (decrement > TOLERANCE + ROUNDING * value.abs())).any():
            break
        along = rows.effects @ step
        reach = along.abs().flatten(1).sum(1).clamp(min=TOLERANCE)
        first = torch.where(open_, (radius / reach).clamp(max=1.0), 0.0)
        at = (u, eta, value)
        length, value = _search(rows, family, log_dispersion, at, (step, along), first)
        open_ &= length > 0
        radius = 4 * (length * reach).clamp(min=1.0)
        u = u + length[:, None, None] * step
        eta = rows.fixed + rows.effects @ u
    return Modes(u, eta, factor, value)


def _search(
    rows: TaskRows,
    family: Family,
    log_dispersion: float,
    at: tuple[Tensor, Tensor, Tensor],
    step: tuple[Tensor, Tensor],
    length: Tensor,  # shape: (n_tasks,)
) -> tuple[Tensor, Tensor]:
    """Halve the length of every task's step until it helps; 0 where none does."""
    u, eta, value = at
    # At the mode, steps change the objective by rounding alone: there any is right.
    most = value + 100 * ROUNDING * value.abs()
    for _ in range(MAX_HALVINGS):
        moved = [
            now + length[:, None, None] * by
            for now, by in zip((u, eta), step, strict=True)
        ]
        new = _objective(rows, family, log_dispersion, *moved)
        worse = ~(new <= most)
        if not worse.any():
            break
        length = torch.where(worse, 0.5 * length, length)
    return torch.where(worse, 0.0, length), torch.where(worse, value, new)


def _objective(
    rows: TaskRows, family: Family, log_dispersion: float, u: Tensor, eta: Tensor
) -> Tensor:  # shape: (n_tasks,)
    fit = rows.weight * family.log_likelihood(eta, rows.y, log_dispersion)
    return 0.5 * u.square().sum((1, 2)) - fit.sum(1)


def hessian(effects: Tensor, weight: Tensor) -> Tensor:
    """Precision of the random effects: the identity plus the rows' information."""
    total = weighted_products(effects, effects, weight)
    total.diagonal(dim1=-2, dim2=-1).add_(1.0)
    return total


def weighted_products(
    left: Tensor,  # shape: (n_tasks, n_rows, p)
    right: Tensor,  # shape: (n_tasks, n_rows, r)
    weight: Tensor,  # shape: (n_tasks, n_rows, n_outputs, n_outputs)
) -> Tensor:  # shape: (n_tasks, p * n_outputs, r * n_outputs)
    """Sum over rows of ``kron(outer(left, right), weight)``."""
    (n_tasks, n_rows, p), r, m = left.shape, right.shape[2], weight.shape[-1]
    total = left.new_zeros(n_tasks, p, m * m * r)
    # A table of many rows is summed up piece by piece.
    step = max(1, BLOCK_NUMBERS // max(1, n_tasks * m * m * r))
    for start in range(0, n_rows, step):
        part = slice(start, start + step)
        weighted = weight[:, part, :, :, None] * right[:, part, None, None, :]
        total += left[:, part].mT @ weighted.flatten(2)
    shaped = total.view(n_tasks, p, m, m, r).transpose(-1, -2)
    return shaped.reshape(n_tasks, p * m, r * m)


def cholesky(matrix: Tensor) -> Tensor:
    """Factors of matrices that are at least the identity, up to rounding."""
    factor, info = torch.linalg.cholesky_ex(matrix)
    jitter = 1e-16
    while info.any() and jitter < 1:
        jitter *= 10
        scale = matrix.diagonal(dim1=-2, dim2=-1).amax(-1) * (info > 0)
        eye = torch.eye(matrix.shape[-1]).to(matrix)
        factor, info = torch.linalg.cholesky_ex(
            matrix + jitter * scale[..., None, None] * eye
        )
    return factor


class LaplaceSlopes(NamedTuple):
    """Exact derivatives of a block's summed Laplace value."""

    fixed: Tensor  # shape: (n_tasks, n_rows, n_outputs)
    effects: Tensor  # shape: (n_tasks, n_rows, n_factors)
    log_dispersion: float


def laplace_value(modes: Modes) -> Tensor:  # shape: (n_tasks,)
    """Minus the logarithm of every task's approximated likelihood."""
    diagonal = modes.factor.diagonal(dim1=-2, dim2=-1)
    return modes.value + diagonal.log().sum(-1)


def laplace_slopes(
    rows: TaskRows, family: Family, log_dispersion: float, modes: Modes
) -> LaplaceSlopes:
    """Differentiate the Laplace value, the move of the modes included.

    With H the precision at the mode, the value is stationary in u but for
    ``log det H / 2``. A parameter that adds dg to the objective's gradient in u moves
    the mode by ``-H^-1 dg``.
    """
    (n_tasks, n_rows, n_factors), m = rows.effects.shape, family.n_outputs
    a, w, at = rows.effects, rows.weight[..., None], (modes.eta, rows.y, log_dispersion)
    gradient, weight = family.slopes(*at)
    gradient, weight = w * gradient, w[..., None] * weight
    inverse = torch.cholesky_inverse(modes.factor)
    by_output = inverse.view(n_tasks, n_factors, m, n_factors, m).transpose(-1, -2)
    solved = (a @ by_output.flatten(2)).view(n_tasks, n_rows, m, m, n_factors)
    leverage = (solved * a[:, :, None, None, :]).sum(-1)
    of_weight = 0.5 * w * family.weight_slope(*at, leverage)
    pull = (a.mT @ of_weight).flatten(1)[..., None]
    move = (inverse @ pull)[..., 0].view_as(modes.u)
    moved = a @ move
    of_eta = of_weight - gradient - (weight @ moved[..., None])[..., 0]
    of_effects = of_eta @ modes.u.mT + gradient @ move.mT
    of_effects += (weight[..., None] * solved).sum((2, 3))
    of_dispersion = 0.0
    if family.has_dispersion:
        value, slopes = family.dispersion_slopes(*at)
        total = 0.5 * (leverage * slopes.weight).sum((2, 3)) - value
        total += (moved * slopes.gradient).sum(-1)
        of_dispersion = float((rows.weight * total).sum())
    return LaplaceSlopes(of_eta, of_effects, of_dispersion)
