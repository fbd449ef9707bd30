"""Gradient steps of a dense network, and their derivative, without autograd."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sklmeta.episodes.rows import Episodes, Rows, of_tasks
from sklmeta.learners.dense.derivatives import output_loss, row_weights
from sklmeta.learners.dense.network import Arena, DenseNetwork, Layer, Shapes
from sklmeta.learners.dense.rates import LearnedRates
from sklmeta.learners.dense.sweep import meta_gradient
from sklmeta.learners.descent import GraphDescent, Steps
from sklmeta.learners.engine import Parameters
from sklmeta.learners.inner_loop import guard_wild_tasks
from sklmeta.learners.learner import State
from sklmeta.learners.losses import accumulate_gradients
from sklmeta.learners.network import AdaptedNetwork

MAX_NETWORKS = 256
"""Padded sizes whose buffers are laid out, all in the same memory."""


class _Settings(NamedTuple):
    """One call's arguments, but for the tensors that are differentiated."""

    names: tuple[str, ...]  # of the start, and of the rates after it
    episodes: Episodes
    steps: Steps  # without rates

    def named(self, values: Sequence[Tensor]) -> tuple[Parameters, Steps]:
        """Tell the start and the rates of `values` apart."""
        n, rates = len(self.names), None
        if len(values) > n:
            rates = dict(zip(self.names, values[n:], strict=True))
        start = dict(zip(self.names, values[:n], strict=True))
        return start, self.steps._replace(rates=rates)


def _call(
    start: Parameters, episodes: Episodes, steps: Steps
) -> tuple[_Settings, list[Tensor]]:
    """Arguments, and the tensors that are differentiated."""
    rates = [] if steps.rates is None else [steps.rates[name] for name in start]
    settings = _Settings(tuple(start), episodes, steps._replace(rates=None))
    return settings, [*start.values(), *rates]


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
        return None, None, *_gradients(network, ctx.settings, values, weight)


def _gradients(
    network: DenseNetwork,
    settings: _Settings,
    values: Sequence[Tensor],
    weight: Tensor,  # shape: (n_tasks,)
) -> list[Tensor]:
    """Gradients of the weighted losses at the start, and at the rates after it."""
    found = network.adjoint.named()
    start, steps = settings.named(values)
    gradients = [_gradient(v, found[name], weight) for name, v in start.items()]
    if steps.rates is not None:
        gradients += network.learned.gradients(steps.rates, weight)
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
    """The same for a dense network: without autograd, in memory that is used again.

    Parameters
    ----------
    layers : sequence of Layer
        The whole network, head included.
    """

    def __init__(self, layers: Sequence[Layer]):
        self.layers = layers
        self.n_uses = 0
        self._networks: dict[Any, DenseNetwork] = {}
        self._arena: Arena | None = None

    @torch.no_grad()
    def adapt(
        self, learner: AdaptedNetwork, support: Rows, steps: Steps, n_steps: int
    ) -> State:
        def guarded(tasks: Tensor) -> State:
            few = of_tasks(support, tasks)
            return GraphDescent().adapt(learner, few, steps, n_steps)

        start = learner.start(support)
        state, losses = self._descend(start, support, steps, n_steps)
        return guard_wild_tasks(state, losses, steps.n_steps, guarded)

    def query_loss(
        self, learner: AdaptedNetwork, episodes: Episodes, steps: Steps
    ) -> Tensor:
        """See `Descent`; it can be differentiated once."""
        settings, values = _call(learner.start(episodes.support), episodes, steps)
        loss = _MetaGradient.apply(self, settings, *values)
        assert isinstance(loss, Tensor)
        return loss

    def accumulate(
        self, learner: AdaptedNetwork, episodes: Episodes, steps: Steps, scale: float
    ) -> Tensor:
        """See `Descent`; only from the start on does autograd go back.

        The same as `query_loss` and a backward pass, with less of autograd in it.
        """
        compiler = learner.compiler
        if compiler is not None:
            episodes = compiler.pad(episodes)
        settings, values = _call(learner.start(episodes.support), episodes, steps)
        with torch.no_grad():
            if compiler is None:
                network, losses = self.run(settings, values)
                weight = torch.full_like(losses, scale)
                gradients = _gradients(network, settings, values, weight)
            else:
                losses, gradients = self._compiled(compiler, settings, values, scale)
        accumulate_gradients(values, gradients)
        return losses

    def _compiled(
        self, compiler: Any, settings: _Settings, values: list[Tensor], scale: float
    ) -> tuple[Tensor, list[Tensor]]:
        names, episodes, steps = settings
        layers, plain = self.layers, steps._replace(weights=None)

        def losses_and_gradients(
            values: list[Tensor],
            episodes: Episodes,
            step_weights: Tensor | None,
            weight: Tensor,
        ) -> tuple[Tensor, list[Tensor]]:
            network = DenseNetwork(layers, {}, plain.n_steps, (0, 0), None)
            own = _Settings(names, episodes, plain._replace(weights=step_weights))
            start, steps = own.named(values)
            if steps.rates is not None:
                network.learned = LearnedRates(layers, {}, steps, None)
            loss = meta_gradient(network, start, episodes, steps)
            return loss, _gradients(network, own, values, weight)

        values = [value.detach() for value in values]
        support, query = episodes
        head = values[names.index(layers[-1].weight)]
        # A number would be compiled in.
        weight = head.new_full((len(support.X),), scale)
        # One function for each phase of the training.
        every = steps.weights is not None
        name = f"gradients, first_order={steps.first_order}, every_step={every}"
        key = (support.X.shape, query.X.shape, head.shape)
        return compiler(
            name, losses_and_gradients, key, values, episodes, steps.weights, weight
        )

    def run(
        self,
        settings: _Settings,
        values: Sequence[Tensor],
        *,
        differentiate: bool = True,
    ) -> tuple[DenseNetwork, Tensor]:
        start, steps = settings.named(values)
        support, query = settings.episodes
        n_rows = support.X.shape[1], query.X.shape[1]
        network = self._network(start, len(support.X), n_rows, steps)
        self.n_uses += 1
        loss = meta_gradient(
            network, start, settings.episodes, steps, differentiate=differentiate
        )
        return network, loss

    def _descend(
        self, start: Parameters, support: Rows, steps: Steps, n_steps: int
    ) -> tuple[Parameters, Tensor]:  # shape: (n_steps + 1, n_tasks)
        """Return the parameters after the steps, and the support loss before each.

        The last loss is that of the parameters returned. No step is guarded.
        """
        n_tasks, n_rows = len(support.X), support.X.shape[1]
        one = steps._replace(n_steps=1)
        network = self._network(start, n_tasks, (n_rows, 0), one)
        self.n_uses += 1
        n_learned = 0
        if steps.rates is not None:
            network.learned.set(steps.rates)
            n_learned = steps.n_steps
        point, step, weight = network.points[0], network.passes[0], row_weights(support)
        point.set(start, n_tasks)
        losses = []
        for k in range(n_steps + 1):
            value = network.forward(point, support, step)
            losses.append(output_loss(value, support, weight))
            if k < n_steps:
                network.backward(point, support, step, weight, network.gradient)
                rate = network.learned.of_step(k) if k < n_learned else steps.lr
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
        steps: Steps,
    ) -> DenseNetwork:
        head = start[self.layers[-1].weight]
        sizes = n_tasks, *n_rows, steps.n_steps, steps.n_rates
        key = (*sizes, head.shape[-2], head.dtype, head.device)
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
        network = DenseNetwork(self.layers, shapes, steps.n_steps, n_rows, self._arena)
        if steps.rates is not None:
            network.learned = LearnedRates(self.layers, shapes, steps, self._arena)
        self._networks[key] = network
        return network
