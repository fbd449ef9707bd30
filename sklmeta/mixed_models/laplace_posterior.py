"""What is known of new tasks' random effects, and what it says of new rows."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklmeta.data.codes import IntArray
from sklmeta.mixed_models.blocks import row_blocks_of
from sklmeta.mixed_models.coordinates import Parameters
from sklmeta.mixed_models.families import Family
from sklmeta.mixed_models.generalised import (
    GeneralisedMixedModel,
    LaplaceProblem,
    Rows,
)
from sklmeta.mixed_models.laplace import Modes

Floats = NDArray[np.float64]

ROWS_AT_A_TIME = 2**16


class Posterior(NamedTuple):
    """Normal posterior of every task's random effects: mode, and curvature there.

    The covariance is ``F @ F.T``, or the prior's minus that where `is_reduction`, which
    is smaller for tasks of few rows.
    """

    mean: Floats  # shape: (n_tasks, n_random, n_outputs)
    factor: Floats  # F, shape: (n_tasks, n_random, n_outputs, any)
    is_reduction: bool


def posterior_of(model: GeneralisedMixedModel, family: Family, rows: Rows) -> Posterior:
    """Condition on the rows of every task; none may be without."""
    root = torch.from_numpy(model.root)
    problem = LaplaceProblem(rows, family, model.random, root.shape[1])
    sizes = np.bincount(rows.codes, minlength=rows.n_tasks)
    is_reduction = bool(sizes.max() < root.shape[1])
    mean, factors = np.empty((rows.n_tasks, len(root), family.n_outputs)), None
    parameters = Parameters(torch.from_numpy(model.coef), root, model.log_dispersion)
    for block, reduced, modes in problem.solve(parameters, reduce=is_reduction):
        mean[block.tasks] = root @ problem.u[block.tasks]
        if is_reduction:
            assert reduced.basis is not None
            wide, inner = root @ reduced.basis, _lost(modes)
        else:
            wide, inner = root[None], _left(modes)
        m, n_inner = family.n_outputs, inner.shape[-1]
        inner = inner.reshape(len(inner), wide.shape[-1], m * n_inner)
        part = (wide @ inner).reshape(len(inner), len(root), m, n_inner)
        if factors is None:
            width = int(sizes.max()) * m if is_reduction else n_inner
            factors = np.zeros((rows.n_tasks, len(root), m, width))
        factors[block.tasks, :, :, :n_inner] = part.numpy()
    assert factors is not None
    return Posterior(mean, factors, is_reduction)


def _left(modes: Modes) -> Tensor:
    """A root of the inverse of the precision."""
    eye = torch.eye(modes.factor.shape[-1], dtype=torch.float64)
    return torch.linalg.solve_triangular(modes.factor, eye, upper=False).mT


def _lost(modes: Modes) -> Tensor:
    """A root of the identity minus the inverse of the precision."""
    values, vectors = torch.linalg.eigh(modes.factor @ modes.factor.mT)
    return vectors * (1 - 1 / values.clamp(min=1)).sqrt()[:, None, :]


def prior_of(model: GeneralisedMixedModel, n_outputs: int) -> Posterior:
    """What is known of a task without rows."""
    mean = np.zeros((1, len(model.root), n_outputs))
    return Posterior(mean, np.zeros((*mean.shape, 0)), True)


class Predictor(NamedTuple):
    """Normal distribution of the linear predictor of rows."""

    mean: Tensor  # shape: (n_samples, n_outputs)
    covariance: Tensor  # shape: (n_samples, n_outputs, n_outputs)


def predictor_of(
    model: GeneralisedMixedModel, posterior: Posterior, X: Floats, codes: IntArray
) -> Predictor:
    """Predict rows by their tasks' random effects."""
    design = torch.from_numpy(X)
    mean = design @ torch.from_numpy(model.coef)
    m = mean.shape[1]
    Z = design[:, torch.from_numpy(model.random)]
    covariance = mean.new_zeros(len(X), m, m)
    if posterior.is_reduction:
        prior = (Z @ torch.from_numpy(model.root)).square().sum(1)
        covariance += prior[:, None, None] * torch.eye(m, dtype=torch.float64)
    n_random, width = Z.shape[1], posterior.factor.shape[-1]
    effects, factors = map(torch.from_numpy, posterior[:2])
    per_task = n_random * m * width
    # Many rows of one task come in pieces.
    for start in range(0, len(X), ROWS_AT_A_TIME):
        some = codes[start : start + ROWS_AT_A_TIME]
        asked, local = np.unique(some, return_inverse=True)
        for block in row_blocks_of(local, len(asked), n_random + m * width, per_task):
            at = start + block.rows[block.present > 0]
            tasks = torch.from_numpy(asked)[block.tasks]
            z = Z[start + block.rows]
            shift = z @ effects[tasks]
            root = (z @ factors[tasks].flatten(2)).view(*z.shape[:2], m, width)
            spread = root @ root.mT
            mean[at] += shift[block.present > 0]
            sign = -1 if posterior.is_reduction else 1
            covariance[at] += sign * spread[block.present > 0]
    # The difference of two large numbers may round to below zero.
    covariance.diagonal(dim1=-2, dim2=-1).clamp_(min=0)
    return Predictor(mean, covariance)


def without_own_row(
    predictor: Predictor, family: Family, y: Tensor, log_dispersion: float
) -> Predictor:
    """Take what a row itself says out of the distribution of its own predictor.

    The row's likelihood is replaced by the normal one that touches it at the mode, as
    Laplace's approximation does (Vehtari et al., "Bayesian Leave-One-Out
    Cross-Validation Approximations for Gaussian Latent Variable Models", 2016).
    """
    mean, covariance = predictor
    gradient, weight = family.slopes(mean, y, log_dispersion)
    eye = torch.eye(mean.shape[1], dtype=mean.dtype)
    # V (I - W V)^-1: the product of W and V is below the identity, but for rounding.
    left = torch.linalg.solve(eye * (1 + 1e-12) - covariance @ weight, covariance)
    left = 0.5 * (left + left.mT)
    return Predictor(mean - (left @ gradient[..., None])[..., 0], left)
