"""Modes of the random effects of tasks of few rows, whose classes are several.

In the space of the rows Newton's step takes a factorisation for every class, of the
square of the rows, where `find_modes` factorises all classes' effects together
(Rasmussen and Williams, "Gaussian Processes for Machine Learning", algorithm 3.3).
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sklmeta.mixed_models.laplace import MAX_HALVINGS, ROUNDING, TOLERANCE, cholesky

MAX_STEPS = 50
"""Newton steps, at most; a dozen are many."""


class ClassRows(NamedTuple):
    """Rows of a block of tasks; classes come before rows."""

    fixed: Tensor  # shape: (n_tasks, n_classes, n_rows); logits
    kernel: Tensor  # shape: (n_tasks, 1, n_rows, n_rows); what their effects share
    is_class: Tensor  # shape: (n_tasks, n_classes, n_rows); a row's weight, or 0
    weight: Tensor  # shape: (n_tasks, 1, n_rows); 0 where there is no row


def find_class_modes(rows: ClassRows) -> Tensor:  # shape: (n_tasks, n_classes, n_rows)
    """Return alpha at the mode, where the logits are ``fixed + kernel @ alpha``.

    A step that does not help is halved. It is zero for padding.
    """
    alpha, effect = torch.zeros_like(rows.fixed), torch.zeros_like(rows.fixed)
    value = _objective(rows, alpha, effect)
    open_ = torch.ones_like(value, dtype=torch.bool)
    for _ in range(MAX_STEPS):
        p = (rows.fixed + effect).softmax(1) * rows.weight
        step = _newton(rows, p, effect) - alpha
        along = (rows.kernel @ step[..., None])[..., 0]
        decrement = (along * (rows.is_class - p - alpha)).sum((1, 2))
        open_ &= decrement > TOLERANCE + ROUNDING * value.abs()
        if not open_.any():
            break
        length = open_.to(value.dtype)
        most = value + 100 * ROUNDING * value.abs()
        for _ in range(MAX_HALVINGS):
            by = length[:, None, None]
            new = _objective(rows, alpha + by * step, effect + by * along)
            worse = ~(new <= most)
            if not worse.any():
                break
            length = torch.where(worse, 0.5 * length, length)
        by = torch.where(worse, 0.0, length)[:, None, None]
        alpha, effect = alpha + by * step, effect + by * along
        value = torch.where(worse, value, new)
        open_ &= ~worse
    return alpha


def _newton(rows: ClassRows, p: Tensor, effect: Tensor) -> Tensor:
    """Alpha at the mode of the quadratic that touches the objective."""
    root = p.sqrt()
    inner = root[..., :, None] * rows.kernel * root[..., None, :]
    inner.diagonal(dim1=-2, dim2=-1).add_(1.0)
    inverse = torch.cholesky_inverse(cholesky(inner))
    gain = root[..., :, None] * inverse * root[..., None, :]
    weighted, there = p * effect, rows.weight > 0
    mean = weighted.sum(1, keepdim=True) / torch.where(there, rows.weight, 1)
    b = weighted - p * mean + rows.is_class - p
    c = gain @ (rows.kernel @ b[..., None])
    total = gain.sum(1) + torch.diag_embed((~there[:, 0]).to(p))
    shared = torch.cholesky_solve(c.sum(1), cholesky(total))
    return b - (c - gain @ shared[:, None])[..., 0]


def _objective(rows: ClassRows, alpha: Tensor, effect: Tensor) -> Tensor:
    """Minus the logarithm of what the mode is of; (n_tasks,)."""
    fit = rows.is_class * (rows.fixed + effect).log_softmax(1)
    return (0.5 * alpha * effect - fit).sum((1, 2))
