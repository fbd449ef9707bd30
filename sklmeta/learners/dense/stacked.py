"""Training the dense networks of many tasks, with derivatives by hand."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from sklmeta.episodes.rows import Rows
from sklmeta.learners.dense.derivatives import output_loss, row_weights
from sklmeta.learners.dense.network import Arena, DenseNetwork, Layer, Pass, Vector
from sklmeta.learners.inner_optimizers import InnerOptimizer
from sklmeta.learners.network import AdaptedNetwork
from sklmeta.learners.stacked import Stack

MAX_BUFFERS = 256
"""Padded sizes whose buffers are laid out, all in the same memory."""


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
        learner: AdaptedNetwork,
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
