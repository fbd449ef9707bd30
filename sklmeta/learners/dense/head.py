"""Gradient steps of a linear head on fixed features, and what they are worth.

With a constant among the features, a task's head is one matrix W and its output X @ W.
Steps ``W_{k+1} = W_k - lr * X^T D_k``, where D_k is the gradient of the support loss at
the output, are differentiated by their adjoint. From ``V_K``, the query loss's gradient
at ``W_K``, and with ``C_k`` the loss's curvature at the output along ``X V_{k+1}``,

    V_k = V_{k+1} - lr * X^T C_k,
    dX  = -lr * sum_k (D_k V_{k+1}^T + C_k W_k^T),

so that the features are told too what the steps would have them be. To the first order
C_k is taken for zero, and the gradients of the steps for constants of the features.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sklmeta.episodes.rows import Rows
from sklmeta.learners.dense.derivatives import (
    output_curve,
    output_delta,
    output_loss,
    row_weights,
)
from sklmeta.learners.descent import Steps


def joined(
    weight: Tensor,  # shape: (n_tasks, n_outputs, d)
    bias: Tensor,  # shape: (n_tasks, n_outputs)
) -> Tensor:  # shape: (n_tasks, d + 1, n_outputs)
    """The head as one matrix."""
    return torch.cat([weight.mT, bias[:, None]], dim=1)


def with_constant(
    features: Tensor,  # shape: (n_tasks, n_rows, d)
) -> Tensor:  # shape: (n_tasks, n_rows, d + 1)
    return F.pad(features, (0, 1), value=1.0)


def head_query_loss(
    head: Tensor,  # shape: (n_tasks, d + 1, n_outputs)
    support: Rows,
    query: Rows,
    steps: Steps,
) -> Tensor:  # shape: (n_tasks,)
    """Query loss after the steps, which can be differentiated once.

    ``X`` of the rows are features with their constant.
    """
    loss = _HeadDescent.apply(head, support.X, query.X, support, query, steps)
    assert isinstance(loss, Tensor)
    return loss


@torch.no_grad()
def descend_head(
    head: Tensor,  # shape: (n_tasks, d + 1, n_outputs)
    support: Rows,
    steps: Steps,
) -> tuple[Tensor, Tensor]:  # shape: (n_steps + 1, n_tasks)
    """The head after the steps, and the support loss before each and after the last."""
    weight, losses = row_weights(support), []
    for remaining in range(steps.n_steps, -1, -1):
        output = torch.bmm(support.X, head)
        losses.append(output_loss(output, support, weight))
        if remaining:
            delta, _ = output_delta(output, support, weight, None)
            head = torch.baddbmm(head, support.X.mT, delta, alpha=-steps.lr)
    return head, torch.stack(losses)


class _HeadDescent(torch.autograd.Function):
    """Hands the adjoint's gradient to autograd."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx: Any,
        head: Tensor,
        X: Tensor,
        X_query: Tensor,
        support: Rows,
        query: Rows,
        steps: Steps,
    ):
        weight, query_weight = row_weights(support), row_weights(query)
        heads, deltas, probabilities = [head], [], []
        for _ in range(steps.n_steps):
            output = torch.bmm(X, heads[-1])
            delta, p = output_delta(output, support, weight, None)
            heads.append(torch.baddbmm(heads[-1], X.mT, delta, alpha=-steps.lr))
            deltas.append(delta)
            probabilities.append(p)
        output = torch.bmm(X_query, heads[-1])
        loss = output_loss(output, query, query_weight)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(X, X_query, heads[0])
            ctx.steps, ctx.weight = steps, weight
            ctx.path = heads[1:], deltas, probabilities
            ctx.query_delta = output_delta(output, query, query_weight, None)[0]
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Any, ...]:
        X, X_query, start = ctx.saved_tensors
        later, deltas, probabilities = ctx.path
        heads, steps = [start, *later], ctx.steps
        delta = ctx.query_delta * scale[:, None, None]
        adjoint = torch.bmm(X_query.mT, delta)  # V_K
        d_query = torch.bmm(delta, heads[-1].mT)
        if steps.first_order or not deltas:
            return adjoint, None, d_query, None, None, None
        left, right = [], []  # one product for all steps, where each has two
        for k in range(steps.n_steps - 1, -1, -1):
            tangent = torch.bmm(X, adjoint)
            curve = output_curve(tangent, probabilities[k], ctx.weight, None)
            left += [deltas[k], curve]
            right += [adjoint, heads[k]]
            adjoint = torch.baddbmm(adjoint, X.mT, curve, alpha=-steps.lr)
        product = torch.bmm(torch.cat(left, -1), torch.cat(right, -1).mT)
        return adjoint, product.mul_(-steps.lr), d_query, None, None, None
