"""Losses over the rows of many tasks, and going back from them."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from sklmeta.episodes.rows import Rows


def accumulate_gradients(values: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
    """Go back from `values`, which may be parameters, with their gradients."""
    inner = [(v, g) for v, g in zip(values, gradients, strict=True) if not v.is_leaf]
    if inner:
        torch.autograd.backward([v for v, _ in inner], [g for _, g in inner])
    for value, gradient in zip(values, gradients, strict=True):
        if value.is_leaf and value.requires_grad:
            # Laid out as the parameter is: an optimiser's kernel walks both at once.
            gradient = gradient.contiguous()
            if value.grad is None:
                value.grad = gradient
            else:
                value.grad += gradient


def mask_absent_classes(
    logits: Tensor,  # shape: (n_tasks, n_rows, n_classes)
    ways: Tensor | None,  # shape: (n_tasks,)
) -> Tensor:
    """Give the classes that a task does not have probability zero."""
    if ways is None:
        return logits
    index = torch.arange(logits.shape[-1], device=logits.device)
    absent = index >= ways[:, None]  # (n_tasks, n_classes)
    return logits.masked_fill(absent[:, None, :], -torch.inf)


def masked_mean(
    values: Tensor,  # shape: (n_tasks, n_rows)
    mask: Tensor,  # shape: (n_tasks, n_rows)
) -> Tensor:  # shape: (n_tasks,)
    """Mean over the real rows of each task; 0 for a task that has none.

    Parameters
    ----------
    values : Tensor of shape (n_tasks, n_rows)
        A number for each row, padding included.

    mask : Tensor of shape (n_tasks, n_rows)
        1 for a real row, or its weight; 0 for padding.

    Returns
    -------
    Tensor of shape (n_tasks,)

    Examples
    --------
    >>> import torch
    >>> from sklmeta.learners import masked_mean
    >>> values = torch.tensor([[1.0, 3.0], [5.0, 0.0]])
    >>> masked_mean(values, torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
    tensor([2., 5.])
    """
    return (values * mask).sum(1) / or_one(mask.sum(1))


def or_one(total: Tensor) -> Tensor:
    """Sums of weights to divide by: 1 where there is no row, and the sum is zero."""
    return torch.where(total > 0, total, 1)


def row_loss(
    output: Tensor,  # shape: (n_tasks, n_rows, n_outputs)
    rows: Rows,
) -> Tensor:  # shape: (n_tasks,)
    """Mean loss over the rows of each task.

    Cross-entropy for classes; squared error for a mean; Gaussian negative
    log-likelihood for a mean and a log-variance. The losses of several targets are
    summed: what adapts each of them alone learns it as if there were no other.

    Parameters
    ----------
    output : Tensor of shape (n_tasks, n_rows, n_outputs)
        What `Learner.predict` returned.

    rows : Rows
        The rows that were predicted, with their targets.

    Returns
    -------
    Tensor of shape (n_tasks,)

    Examples
    --------
    >>> import torch
    >>> from sklmeta.learners import Rows, row_loss
    >>> rows = Rows(torch.zeros(1, 2, 3), torch.tensor([[1.0, 2.0]]), torch.ones(1, 2))
    >>> row_loss(torch.zeros(1, 2, 1), rows)
    tensor([2.5000])
    """
    if rows.n_classes:
        output = mask_absent_classes(output, rows.ways)
        # Padding rows have class 0, which every task has: their loss is finite.
        loss = F.cross_entropy(output.transpose(1, 2), rows.y, reduction="none")
    else:
        mean, log_variance = of_targets(output, rows.y)
        if log_variance is None:
            loss = (mean - rows.y).square()
        else:
            loss = gaussian_nll(mean, log_variance, rows.y)
        loss = summed(loss)
    return masked_mean(loss, rows.mask)


def of_targets(
    output: Tensor,  # shape: (n_tasks, n_rows, n_outputs)
    y: Tensor,  # shape: (n_tasks, n_rows) or, of several, (n_tasks, n_rows, n_targets)
) -> tuple[Tensor, Tensor | None]:
    """Means and, where there are any, log-variances, in the shape of `y`."""
    if y.ndim == 2:
        return output[..., 0], output[..., 1] if output.shape[-1] > 1 else None
    n_targets = y.shape[-1]
    mean, log_variance = output[..., :n_targets], output[..., n_targets:]
    return mean, log_variance if log_variance.shape[-1] else None


def summed(values: Tensor) -> Tensor:  # shape: (n_tasks, n_rows)
    """Sum over the targets, where there are several."""
    return values if values.ndim == 2 else values.sum(-1)


def gaussian_nll(mean: Tensor, log_variance: Tensor, y: Tensor) -> Tensor:
    """Negative log-likelihood under a normal, without its constant."""
    return 0.5 * (log_variance + (y - mean).square() * torch.exp(-log_variance))
