"""Gradient steps of a dense network, and their meta-gradient, in memory used again."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sklmeta.episodes.rows import Rows
from sklmeta.learners.dense.derivatives import output_loss, row_weights
from sklmeta.learners.dense.network import Arena, DenseNetwork, Layer, Shapes
from sklmeta.learners.dense.rates import LearnedRates, Rates, count_rates
from sklmeta.learners.dense.sweep import StepWeights, meta_gradient
from sklmeta.learners.engine import Parameters

MAX_NETWORKS = 256
"""Padded sizes whose buffers are laid out, all in the same memory."""


class _Settings(NamedTuple):
    """One call's arguments, but for the tensors that are differentiated."""

    names: tuple[str, ...]  # of the start, and of the rates after it
    support: Rows
    query: Rows
    n_steps: int
    first_order: bool
    step_weights: StepWeights | None


def _values(start: Parameters, rates: Rates | None) -> list[Tensor]:
    own = [] if rates is None else [rates[name] for name in start]
    return [*start.values(), *own]


def _named(
    names: Sequence[str], values: Sequence[Tensor]
) -> tuple[Parameters, Rates | None]:
    """Undo `_values`."""
    n = len(names)
    rates = dict(zip(names, values[n:], strict=True)) if len(values) > n else None
    return dict(zip(names, values[:n], strict=True)), rates


class _MetaGradient(torch.autograd.Function):
    """Hands the adjoint's gradient to autograd."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx: Any, descent: DenseDescent, settings: _Settings, *values: Tensor
    ):
        differentiate = any(ctx.needs_input_grad)
        network, loss = descent.run(settings, values, differentiate=differentiate)
        ctx.save_for_backward(*values)
        ctx.descent, ctx.settings, ctx.network = descent, settings, network
        ctx.n_uses = descent.n_uses
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, weight: Tensor) -> tuple[Any, ...]:
        network, values = ctx.network, ctx.saved_tensors
        if ctx.descent.n_uses != ctx.n_uses:  # the memory holds another's by now
            network, _ = ctx.descent.run(ctx.settings, values)
        return None, None, *_gradients(network, ctx.settings.names, values, weight)


def _gradients(
    network: DenseNetwork,
    names: Sequence[str],
    values: Sequence[Tensor],
    weight: Tensor,  # shape: (n_tasks,)
) -> list[Tensor]:
    """Gradients of the weighted losses at the start, and at the rates after it."""
    found, learned = network.adjoint.named(), network.learned
    start, rates = _named(names, values)
    gradients = [_gradient(v, found[name], weight) for name, v in start.items()]
    if rates is not None:
        gradients += learned.gradients(rates, weight)
    return gradients


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
        Step size, where none is learned.

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
        self,
        start: Parameters,
        support: Rows,
        query: Rows,
        n_steps: int,
        *,
        rates: Rates | None = None,
        step_weights: StepWeights | None = None,
    ) -> Tensor:  # shape: (n_tasks,)
        """Return each task's query loss, which can be differentiated once.

        `start` holds parameters of shape (n_tasks, *shape), or (*shape) where all tasks
        start from the same ones. `rates` have no task dimension.
        """
        settings = _Settings(
            tuple(start), support, query, n_steps, self.first_order, step_weights
        )
        loss = _MetaGradient.apply(self, settings, *_values(start, rates))
        assert isinstance(loss, Tensor)
        return loss

    @torch.no_grad()
    def gradients(
        self,
        start: Parameters,
        support: Rows,
        query: Rows,
        n_steps: int,
        scale: float,
        *,
        rates: Rates | None = None,
        step_weights: StepWeights | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Return each task's query loss, and the gradient of `scale` times their sum.

        The same as `query_loss` and a backward pass, without autograd's part in it. The
        gradients at the start come first, then those at the rates.
        """
        settings = _Settings(
            tuple(start), support, query, n_steps, self.first_order, step_weights
        )
        values = _values(start, rates)
        if self.compiler is not None:
            return self._compiled_gradients(settings, values, scale)
        network, loss = self.run(settings, values)
        weight = torch.full_like(loss, scale)
        return loss, _gradients(network, settings.names, values, weight)

    def _compiled_gradients(
        self, settings: _Settings, values: list[Tensor], scale: float
    ) -> tuple[Tensor, list[Tensor]]:
        names, support, query, n_steps, first_order, step_weights = settings
        layers, lr = self.layers, self.lr

        def gradients(
            values: list[Tensor],
            support: Rows,
            query: Rows,
            step_weights: Tensor | None,
        ) -> tuple[Tensor, list[Tensor]]:
            network = DenseNetwork(layers, {}, n_steps, (0, 0), None)
            start, rates = _named(names, values)
            if rates is not None:
                n_rates = count_rates(rates)
                network.learned = LearnedRates(layers, {}, n_rates, n_steps, None)
            loss = meta_gradient(
                network,
                start,
                support,
                query,
                lr=lr,
                first_order=first_order,
                rates=rates,
                step_weights=step_weights,
            )
            weight = torch.full_like(loss, scale)
            return loss, _gradients(network, names, values, weight)

        assert self.compiler is not None
        values = [value.detach() for value in values]
        head = values[names.index(layers[-1].weight)]
        every = step_weights is not None
        if step_weights is not None:  # a number would be compiled in
            step_weights = torch.as_tensor(step_weights, dtype=head.dtype)
            step_weights = step_weights.to(head.device, non_blocking=True)
        # One function for each phase of the training.
        name = f"gradients, first_order={first_order}, every_step={every}"
        key = (support.X.shape, query.X.shape, head.shape, n_steps, scale)
        return self.compiler(name, gradients, key, values, support, query, step_weights)

    def run(
        self,
        settings: _Settings,
        values: Sequence[Tensor],
        *,
        differentiate: bool = True,
    ) -> tuple[DenseNetwork, Tensor]:
        names, support, query, n_steps, first_order, step_weights = settings
        start, rates = _named(names, values)
        n_rows = support.X.shape[1], query.X.shape[1]
        network = self._network(
            start, len(support.X), n_rows, n_steps, count_rates(rates)
        )
        self.n_uses += 1
        loss = meta_gradient(
            network,
            start,
            support,
            query,
            lr=self.lr,
            first_order=first_order,
            rates=rates,
            step_weights=step_weights,
            differentiate=differentiate,
        )
        return network, loss

    @torch.no_grad()
    def descend(
        self,
        start: Parameters,
        support: Rows,
        n_steps: int,
        *,
        rates: Rates | None = None,
        n_trained_steps: int = 0,
    ) -> tuple[Parameters, Tensor]:  # shape: (n_steps + 1, n_tasks)
        """Return the parameters after the steps, and the support loss before each.

        The last loss is that of the parameters returned. The first `n_trained_steps`
        follow the rates, where there are any. No step is guarded.
        """
        n_tasks, n_rows = len(support.X), support.X.shape[1]
        n_rates = count_rates(rates)
        network = self._network(start, n_tasks, (n_rows, 0), 1, n_rates)
        if rates is not None:
            network.learned.set(rates)
        self.n_uses += 1
        point, step, weight = network.points[0], network.passes[0], row_weights(support)
        point.set(start, n_tasks)
        losses = []
        for k in range(n_steps + 1):
            value = network.forward(point, support, step)
            losses.append(output_loss(value, support, weight))
            if k < n_steps:
                network.backward(point, support, step, weight, network.gradient)
                learned = n_rates and k < n_trained_steps
                rate = network.learned.of_step(k) if learned else self.lr
                point.step(network.gradient, rate, point)
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
        n_rates: int,
    ) -> DenseNetwork:
        head = start[self.layers[-1].weight]
        sizes = n_tasks, *n_rows, n_steps, n_rates, head.shape[-2]
        key = (*sizes, head.dtype, head.device)
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
        if n_rates:
            network.learned = LearnedRates(
                self.layers, shapes, n_rates, n_steps, self._arena
            )
        self._networks[key] = network
        return network
