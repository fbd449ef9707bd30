"""All tasks' networks as the rows of one matrix, and their training.

What keeps no graph need not keep parameters apart either: an update of every parameter
of every task is then one operation on two matrices.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from sklmeta.episodes.rows import Rows
from sklmeta.learners.dense.derivatives import output_loss, row_weights
from sklmeta.learners.dense.network import Arena, DenseNetwork, Layer, Pass, Vector
from sklmeta.learners.engine import Parameters
from sklmeta.learners.inner_optimizers import InnerOptimizer
from sklmeta.learners.losses import row_loss

MAX_BUFFERS = 256
"""Padded sizes whose buffers are laid out, all in the same memory."""


class Stack:
    """Where each parameter lies in a row; matrices lie turned, as `Vector` has them.

    Parameters
    ----------
    shapes : dict of tuple
        Shape of every parameter, by name, without the tasks.
    """

    def __init__(self, shapes: Mapping[str, Sequence[int]]):
        self.turned = {
            name: (shape[1], shape[0]) if len(shape) == 2 else tuple(shape)
            for name, shape in shapes.items()
        }
        self.sizes = [math.prod(shape) for shape in self.turned.values()]

    def flat(self, values: Parameters) -> Tensor:  # shape: ([n_tasks,] n_parameters)
        """Parameters, all with the tasks as first axis or none, as rows."""
        parts = []
        for name, shape in self.turned.items():
            value = values[name].mT if len(shape) == 2 else values[name]
            parts.append(value.reshape(*value.shape[: value.ndim - len(shape)], -1))
        return torch.cat(parts, dim=-1)

    def blocks(self, flat: Tensor) -> Parameters:
        """Views of the parameters, matrices turned."""
        return {
            name: part.unflatten(-1, shape)
            for (name, shape), part in zip(
                self.turned.items(), flat.split(self.sizes, -1), strict=True
            )
        }

    def named(self, flat: Tensor) -> Parameters:
        """Views of the parameters in their own shapes."""
        return {
            name: block.mT if len(self.turned[name]) == 2 else block
            for name, block in self.blocks(flat).items()
        }


def stacked(
    start: Parameters, n_tasks: int, own_head: bool
) -> tuple[Stack, Tensor]:  # shape: ([n_tasks,] n_parameters)
    """The start as one row for all tasks, or with heads of their own as one for each.

    The head's parameters then have the tasks as first axis.
    """
    if not own_head:
        stack = Stack({name: value.shape for name, value in start.items()})
        return stack, stack.flat(start)
    own = {
        name: p if name.startswith("head.") else p.expand(n_tasks, *p.shape)
        for name, p in start.items()
    }
    stack = Stack({name: value.shape[1:] for name, value in own.items()})
    return stack, stack.flat(own)


class Trainer(Protocol):
    """Trains the networks of all tasks, each on its own rows."""

    def train(
        self,
        start: Tensor,  # shape: ([n_tasks,] n_parameters)
        stack: Stack,
        batches: Sequence[Rows],
        optimizer: InnerOptimizer,
        judged: Rows,
    ) -> tuple[Tensor, Tensor]:
        """Take a step on each minibatch.

        Returns
        -------
        point : Tensor of shape (n_tasks, n_parameters)
            Where they lead; the next call may write over it.
        losses : Tensor of shape (n_tasks,)
            Loss on the rows of `judged` there.
        """


class GraphTrainer:
    """Takes the gradients by autograd, for every network.

    Parameters
    ----------
    run : callable
        Maps parameters with the tasks as first axis, and rows, to outputs.
    """

    def __init__(self, run: Callable[[Parameters, Tensor], Tensor]):
        self.run = run

    def train(
        self,
        start: Tensor,
        stack: Stack,
        batches: Sequence[Rows],
        optimizer: InnerOptimizer,
        judged: Rows,
    ) -> tuple[Tensor, Tensor]:
        point = start.expand(len(judged.X), -1).clone()
        for rows in batches:
            with torch.enable_grad():
                leaf = point.detach().requires_grad_()
                loss = row_loss(self.run(stack.named(leaf), rows.X), rows)
                (gradient,) = torch.autograd.grad(loss.sum(), leaf)
            optimizer.step(point, gradient)
        return point, row_loss(self.run(stack.named(point), judged.X), judged)


class DenseTrainer:
    """The same for a dense network, in memory that is used again.

    Parameters
    ----------
    layers : sequence of Layer
        The whole network, head included.
    """

    def __init__(self, layers: Sequence[Layer]):
        self.layers = list(layers)
        self._network = DenseNetwork(self.layers, {}, 0, (0, 0), None)
        self._arena: Arena | None = None
        self._buffers: dict[tuple, tuple[Tensor, Tensor, dict[int, Pass]]] = {}

    def train(
        self,
        start: Tensor,
        stack: Stack,
        batches: Sequence[Rows],
        optimizer: InnerOptimizer,
        judged: Rows,
    ) -> tuple[Tensor, Tensor]:
        n_rows = [rows.X.shape[1] for rows in (*batches[:1], judged)]
        point, gradient, tapes = self._memory(start, stack, len(judged.X), n_rows)
        point.copy_(start)
        at, slope = self._vector(point, stack), self._vector(gradient, stack)
        # A task has as many rows in every minibatch.
        weight = row_weights(batches[0]) if batches else point
        tape = tapes[n_rows[0]]
        for rows in batches:
            self._network.forward(at, rows, tape)
            self._network.backward(at, rows, tape, weight, slope)
            optimizer.step(point, gradient)
        output = self._network.forward(at, judged, tapes[n_rows[-1]])
        return point, output_loss(output, judged, row_weights(judged))

    def _vector(self, matrix: Tensor, stack: Stack) -> Vector:
        vector = Vector(self.layers, {}, None)
        vector.put(stack.blocks(matrix))
        return vector

    def _memory(
        self, start: Tensor, stack: Stack, n_tasks: int, n_rows: Sequence[int]
    ) -> tuple[Tensor, Tensor, dict[int, Pass]]:
        """A point, a gradient, and a pass over each number of rows."""
        key = (n_tasks, *n_rows, *stack.sizes, start.dtype, start.device)
        if key not in self._buffers:
            full = len(self._buffers) == MAX_BUFFERS
            if self._arena is None or full or not self._arena.fits(start):
                self._arena, self._buffers = Arena(start), {}
            arena = self._arena
            arena.reset()
            shapes = {name: (n_tasks, *s) for name, s in stack.turned.items()}
            self._buffers[key] = (
                arena.take(n_tasks, start.shape[-1]),
                arena.take(n_tasks, start.shape[-1]),
                {n: Pass.over(self.layers, shapes, n, arena) for n in n_rows},
            )
        return self._buffers[key]


def draw_towards(
    losses: Tensor,  # shape: (n_tasks,)
    gone: Tensor,  # shape: (n_tasks, n_parameters); start minus end
    stack: Stack,
    start: Sequence[Tensor],  # the first parameters of the stack
) -> Tensor:  # shape: (n_tasks,)
    """The losses, whose gradient at the start is how far each task went, reversed."""
    passed = _Displacement.apply(losses, gone, stack, *start)
    assert isinstance(passed, Tensor)
    return passed


class _Displacement(torch.autograd.Function):
    """Hands `gone` to autograd."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx: Any,
        losses: Tensor,
        gone: Tensor,
        stack: Stack,
        *start: Tensor,
    ):
        ctx.save_for_backward(gone)
        ctx.stack, ctx.n_start = stack, len(start)
        return losses.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, weight: Tensor) -> tuple[Any, ...]:
        (gone,) = ctx.saved_tensors
        found = list(ctx.stack.named(weight @ gone).values())[: ctx.n_start]
        return None, None, None, *[value.contiguous() for value in found]
