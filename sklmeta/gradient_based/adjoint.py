"""The meta-gradient of a dense network without autograd.

Gradient descent on the support, ``theta_{k+1} = theta_k - lr * g(theta_k)``, is
differentiated by its adjoint: from ``v_K``, the query loss's gradient at ``theta_K``,

    v_k = v_{k+1} - lr * H(theta_k) v_{k+1},        k = K - 1, ..., 0,

with H the Hessian of the support loss.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sklmeta.engine import Parameters
from sklmeta.gradient_based.dense import Arena, DenseNetwork, Layer, Shapes
from sklmeta.gradient_based.derivatives import output_loss, row_weights
from sklmeta.learner import Rows

MAX_NETWORKS = 256
"""Padded sizes whose buffers are laid out, all in the same memory."""


def meta_gradient(
    network: DenseNetwork,
    start: Parameters,
    support: Rows,
    query: Rows,
    *,
    lr: float,
    first_order: bool,
    differentiate: bool = True,
) -> Tensor:  # shape: (n_tasks,)
    """Query loss after the steps; its gradient at `start` into `network.adjoint`."""
    points, steps, adjoint = network.points, network.passes, network.adjoint
    points[0].set(start, len(support.X))
    weight, query_weight = row_weights(support), row_weights(query)
    for k, step in enumerate(steps):
        network.forward(points[k], support, step)
        network.backward(points[k], support, step, weight, network.gradient)
        points[k].step(network.gradient, lr, points[k + 1])
    output = network.forward(points[-1], query, network.last)
    loss = output_loss(output, query, query_weight)
    if not differentiate:
        return loss
    network.backward(points[-1], query, network.last, query_weight, adjoint)
    if not first_order:
        for k in range(len(steps) - 1, -1, -1):
            product = network.hessian_product(
                points[k], support, steps[k], weight, adjoint
            )
            adjoint.step(product, lr, adjoint)
    return loss


class _MetaGradient(torch.autograd.Function):
    """Hands the adjoint's gradient to autograd."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx: Any, descent: DenseDescent, settings: tuple, *start: Tensor
    ):
        differentiate = any(ctx.needs_input_grad)
        network, loss = descent.run(settings, start, differentiate=differentiate)
        ctx.save_for_backward(*start)
        ctx.descent, ctx.settings, ctx.network = descent, settings, network
        ctx.n_uses = descent.n_uses
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, weight: Tensor) -> tuple[Any, ...]:
        network, start = ctx.network, ctx.saved_tensors
        if ctx.descent.n_uses != ctx.n_uses:  # the memory holds another's by now
            network, _ = ctx.descent.run(ctx.settings, start)
        found = network.adjoint.named()
        return (
            None,
            None,
            *[
                _gradient(value, found[name], weight)
                for name, value in zip(ctx.settings[0], start, strict=True)
            ],
        )


def _gradient(
    start: Tensor,
    block: Tensor,  # shape: (n_tasks, *turned shape)
    weight: Tensor,  # shape: (n_tasks,)
) -> Tensor:
    """Gradient at `start` of the weighted sum of the losses."""
    if start.ndim < block.ndim:  # one start of all tasks
        gradient = (weight @ block.flatten(1)).view(block.shape[1:])
    else:
        gradient = block * weight.view(-1, *[1] * (block.ndim - 1))
    return gradient.mT if block.ndim == 3 else gradient


class DenseDescent:
    """Gradient steps of a dense network on the support, and their derivative.

    Parameters
    ----------
    layers : sequence of Layer
        The whole network, head included.

    lr : float
        Step size.

    first_order : bool, default=False
        Take the inner gradients as constants, so that every H above is zero.
    """

    def __init__(
        self, layers: Sequence[Layer], *, lr: float, first_order: bool = False
    ):
        self.layers, self.lr, self.first_order = layers, lr, first_order
        self.compiler: Any = None
        self.n_uses = 0
        self._networks: dict[Any, DenseNetwork] = {}
        self._arena: Arena | None = None

    def query_loss(
        self, start: Parameters, support: Rows, query: Rows, n_steps: int
    ) -> Tensor:  # shape: (n_tasks,)
        """Return each task's query loss, which can be differentiated once.

        `start` holds parameters of shape (n_tasks, *shape), or (*shape) where all tasks
        start from the same ones.
        """
        settings = (tuple(start), support, query, n_steps)
        loss = _MetaGradient.apply(self, settings, *start.values())
        assert isinstance(loss, Tensor)
        return loss

    @torch.no_grad()
    def gradients(
        self, start: Parameters, support: Rows, query: Rows, n_steps: int, scale: float
    ) -> tuple[Tensor, list[Tensor]]:
        """Return each task's query loss, and the gradient of `scale` times their sum.

        The same as `query_loss` and a backward pass, without autograd's part in it.
        """
        if self.compiler is not None:
            return self._compiled_gradients(start, support, query, n_steps, scale)
        settings = (tuple(start), support, query, n_steps)
        network, loss = self.run(settings, list(start.values()))
        weight, found = torch.full_like(loss, scale), network.adjoint.named()
        return loss, [_gradient(start[name], found[name], weight) for name in start]

    def _compiled_gradients(
        self, start: Parameters, support: Rows, query: Rows, n_steps: int, scale: float
    ) -> tuple[Tensor, list[Tensor]]:
        names, layers = tuple(start), self.layers
        lr, first_order = self.lr, self.first_order

        def gradients(
            values: list[Tensor], support: Rows, query: Rows
        ) -> tuple[Tensor, list[Tensor]]:
            network = DenseNetwork(layers, {}, n_steps, (0, 0), None)
            loss = meta_gradient(
                network,
                dict(zip(names, values, strict=True)),
                support,
                query,
                lr=lr,
                first_order=first_order,
            )
            found = network.adjoint.named()
            weight = torch.full_like(loss, scale)
            return loss, [
                _gradient(value, found[name], weight)
                for name, value in zip(names, values, strict=True)
            ]

        assert self.compiler is not None
        values = [value.detach() for value in start.values()]
        head = start[layers[-1].weight]
        key = (support.X.shape, query.X.shape, head.shape, n_steps, scale)
        return self.compiler("gradients", gradients, key, values, support, query)

    def run(
        self, settings: tuple, start: Sequence[Tensor], *, differentiate: bool = True
    ) -> tuple[DenseNetwork, Tensor]:
        names, support, query, n_steps = settings
        values = dict(zip(names, start, strict=True))
        n_rows = support.X.shape[1], query.X.shape[1]
        network = self._network(values, len(support.X), n_rows, n_steps)
        self.n_uses += 1
        loss = meta_gradient(
            network,
            values,
            support,
            query,
            lr=self.lr,
            first_order=self.first_order,
            differentiate=differentiate,
        )
        return network, loss

    @torch.no_grad()
    def descend(
        self, start: Parameters, support: Rows, n_steps: int
    ) -> tuple[Parameters, Tensor]:  # shape: (n_steps + 1, n_tasks)
        """Return the parameters after the steps, and the support loss before each.

        The last loss is that of the parameters returned. No step is guarded.
        """
        n_tasks, n_rows = len(support.X), support.X.shape[1]
        network = self._network(start, n_tasks, (n_rows, 0), 1)
        self.n_uses += 1
        point, step, weight = network.points[0], network.passes[0], row_weights(support)
        point.set(start, n_tasks)
        losses = []
        for remaining in range(n_steps, -1, -1):
            value = network.forward(point, support, step)
            losses.append(output_loss(value, support, weight))
            if remaining:
                network.backward(point, support, step, weight, network.gradient)
                point.step(network.gradient, self.lr, point)
        adapted = {
            name: (block.mT if block.ndim == 3 else block).clone(
                memory_format=torch.contiguous_format
            )
            for name, block in point.named().items()
        }
        return adapted, torch.stack(losses)

    def _network(
        self,
        start: Parameters,
        n_tasks: int,
        n_rows: tuple[int, int],  # of support and query
        n_steps: int,
    ) -> DenseNetwork:
        head = start[self.layers[-1].weight]
        key = (n_tasks, *n_rows, n_steps, head.shape[-2], head.dtype, head.device)
        if key in self._networks:
            return self._networks[key]
        full = len(self._networks) == MAX_NETWORKS
        if self._arena is None or full or not self._arena.fits(head):
            self._arena, self._networks = Arena(head), {}
        shapes: Shapes = {}
        for weight, bias, _ in self.layers:
            d_out, d_in = start[weight].shape[-2:]
            shapes[weight] = (n_tasks, d_in, d_out)
            if bias is not None:
                shapes[bias] = (n_tasks, d_out)
        network = DenseNetwork(self.layers, shapes, n_steps, n_rows, self._arena)
        self._networks[key] = network
        return network
