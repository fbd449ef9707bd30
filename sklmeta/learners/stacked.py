"""All tasks' networks as the rows of one matrix, and their training.

What keeps no graph need not keep parameters apart either: an update of every parameter
of every task is then one operation on two matrices.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from sklmeta.episodes.rows import Rows
from sklmeta.learners.engine import Parameters
from sklmeta.learners.inner_optimizers import InnerOptimizer
from sklmeta.learners.network import AdaptedNetwork, spread


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
    own = spread(start, n_tasks, own_head)
    stack = Stack({name: value.shape[1:] for name, value in own.items()})
    return stack, stack.flat(own)


class Trainer(Protocol):
    """Trains the networks of all tasks, each on its own rows.

    It is handed the learner at every call and keeps none, as a `Descent`.
    """

    def train(
        self,
        learner: AdaptedNetwork,
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
    """By autograd, for every network."""

    def train(
        self,
        learner: AdaptedNetwork,
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
                loss = learner.support_loss(stack.named(leaf), rows)
                (gradient,) = torch.autograd.grad(loss.sum(), leaf)
            optimizer.step(point, gradient)
        return point, learner.support_loss(stack.named(point), judged)


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
