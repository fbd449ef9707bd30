"""Derivatives of losses and activations, written out."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta.episodes.rows import Rows
from sklmeta.learners.losses import or_one

Derivatives = tuple[Tensor, Tensor | None]
"""First and second derivative of an activation; None for zero."""


def row_weights(rows: Rows) -> Tensor:  # shape: (n_tasks, n_rows, 1)
    mask = rows.mask[..., None]
    return mask / or_one(mask.sum(1, keepdim=True))


def _targets(rows: Rows) -> Tensor:  # shape: (n_tasks, n_rows, n_targets)
    return rows.y[..., None] if rows.y.ndim == 2 else rows.y


def output_loss(value: Tensor, rows: Rows, weight: Tensor) -> Tensor:
    """`learner.row_loss`."""
    if not rows.n_classes:
        return ((value - _targets(rows)).square() * weight).sum((1, 2))
    # Over a short last axis softmax is four times slower than over the one before it.
    log_p = F.log_softmax(_present(value, rows), 1)
    return -(log_p.gather(1, rows.y[:, None]) * weight.mT).sum((1, 2))


def output_delta(
    value: Tensor, rows: Rows, weight: Tensor, out: Any
) -> tuple[Tensor, Tensor | None]:
    """Gradient of the loss at the output, and the probabilities of the classes."""
    if not rows.n_classes:
        # A Python int would be made a tensor and converted at every call.
        error = torch.sub(value, _targets(rows), out=out)
        return error.mul_(weight).mul_(2.0), None
    p = torch.softmax(_present(value, rows), 1).mT
    delta = p.contiguous() if out is None else out.copy_(p)
    index = rows.y[..., None]
    delta = delta.scatter_add_(-1, index, p.new_full((), -1.0).expand(index.shape))
    return delta.mul_(weight), p


def _present(
    value: Tensor,  # shape: (n_tasks, n_rows, n_classes)
    rows: Rows,
) -> Tensor:  # shape: (n_tasks, n_classes, n_rows)
    value = value.mT.contiguous()
    if rows.ways is None:
        return value
    absent = torch.arange(rows.n_classes, device=value.device) >= rows.ways[:, None]
    return value.masked_fill_(absent[..., None], -torch.inf)


def output_curve(tangent: Tensor, p: Tensor | None, weight: Tensor, out: Any) -> Tensor:
    """Multiply by the Hessian of the loss with respect to the output."""
    if p is None:
        return torch.mul(tangent, weight, out=out).mul_(2.0)
    inner = torch.mul(p, tangent, out=out)
    return inner.addcmul_(p, inner.sum(-1, keepdim=True), value=-1).mul_(weight)


def _tanh(_: Any, z: Tensor, a: Tensor) -> Derivatives:
    first = 1 - a * a
    return first, -2 * a * first


def _silu(_: Any, z: Tensor, a: Tensor) -> Derivatives:
    s = torch.sigmoid(z)
    return s + a * (1 - s), s * (1 - s) * (2 + z * (1 - 2 * s))


def _elu(layer: Any, z: Tensor, a: Tensor) -> Derivatives:
    below = torch.where(z > 0, 0.0, a + layer.alpha)
    return torch.where(z > 0, 1.0, below), below


def _gelu(_: Any, z: Tensor, a: Tensor) -> Derivatives:
    density = torch.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return torch.special.ndtr(z) + z * density, density * (2 - z * z)


def _relu(_: Any, z: Tensor, a: Tensor) -> Derivatives:
    return (a > 0).to(a.dtype), None


DERIVATIVES: dict[type[nn.Module], Callable[[Any, Tensor, Tensor], Derivatives]] = {
    nn.ReLU: _relu,
    nn.Tanh: _tanh,
    nn.SiLU: _silu,
    nn.ELU: _elu,
    nn.GELU: _gelu,
}


def has_derivatives(layer: nn.Module) -> bool:
    """Whether the table has the layer.

    GELU's approximation is another function, and SiLU's derivative needs the input,
    which must not be written over.
    """
    exact = getattr(layer, "approximate", "none") == "none"
    in_place = type(layer) is nn.SiLU and layer.inplace
    return exact and not in_place and type(layer) in DERIVATIVES
