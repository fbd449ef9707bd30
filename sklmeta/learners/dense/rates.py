"""Learned step sizes of a dense network, and the adjoint's part in their gradient.

With a step ``theta_{k+1} = theta_k - a_k * g(theta_k)``, ``*`` entry by entry, and
``v_{k+1}`` the outer loss's gradient at ``theta_{k+1}``, the gradient at ``a_k`` is
``-v_{k+1} * g(theta_k)``.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sklmeta.learners.dense.network import Arena, Layer, Shapes, Vector
from sklmeta.learners.descent import Rates, Steps
from sklmeta.learners.engine import Parameters


class LearnedRates:
    """Step sizes as vectors of parameters, one per task, and the gradients kept.

    In an arena they are spread over the tasks once for each meta-update, so that a step
    with its derivatives stays three operations, whatever the number of parameters.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        shapes: Shapes,
        steps: Steps,
        arena: Arena | None,
    ):
        n_rates, n_steps = steps.n_rates, steps.n_steps
        self.layers, self.n_rates, self.n_steps = layers, n_rates, n_steps
        self.rates, self._rate_blocks = _stacked(layers, shapes, n_rates, arena)
        self.products, self._product_blocks = _stacked(layers, shapes, n_rates, arena)
        self.inner_gradients = [Vector(layers, shapes, arena) for _ in range(n_steps)]
        self.scaled = Vector(layers, shapes, arena)

    def set(self, rates: Rates) -> None:
        if self._rate_blocks is None:
            turned = {n: r.mT if r.ndim == 3 else r for n, r in rates.items()}
            for k, vector in enumerate(self.rates):
                vector.put({name: rate[k] for name, rate in turned.items()})
            return
        for name, rate in rates.items():
            if rate.ndim == 3:
                rate = rate.mT
                if 1 not in rate.shape[1:]:
                    rate = rate.contiguous()  # turned once, not once per task
            self._rate_blocks[name].copy_(rate[:, None])

    def of_step(self, k: int) -> Vector:
        return self.rates[min(k, self.n_rates - 1)]

    def scale(self, k: int, vector: Vector) -> Vector:
        """Multiply a vector by the rates of step `k`."""
        vector.multiply(self.of_step(k), self.scaled)
        return self.scaled

    def collect(self, k: int, adjoint: Vector) -> None:
        """Note what step `k`, taken from its last to its first, says of its rates."""
        product = self.products[min(k, self.n_rates - 1)]
        if self.n_rates > 1 or k == self.n_steps - 1:
            adjoint.multiply(self.inner_gradients[k], product)
        else:
            product.add_product(adjoint, self.inner_gradients[k])

    def gradients(
        self,
        rates: Rates,
        weight: Tensor,  # shape: (n_tasks,)
    ) -> list[Tensor]:
        """Gradients at the rates of the weighted sum of the losses, by ``-v * g``."""
        blocks = self._product_blocks
        if blocks is None:
            named = [product.named() for product in self.products]
            blocks = {name: torch.stack([p[name] for p in named]) for name in rates}
        weight, found = -weight, []
        for name, rate in rates.items():
            flat = blocks[name].flatten(2)  # (n_rates, n_tasks, size)
            if rate.numel() == self.n_rates:
                found.append((flat.sum(2) @ weight).view(rate.shape))
                continue
            gradient = torch.stack([weight @ part for part in flat.unbind()])
            gradient = gradient.view(self.n_rates, *blocks[name].shape[2:])
            gradient = gradient.mT if rate.ndim == 3 else gradient
            if gradient.shape != rate.shape:  # one rate for many entries
                gradient = gradient.sum_to_size(rate.shape)
            found.append(gradient)
        return found


def _stacked(
    layers: Sequence[Layer], shapes: Shapes, n_vectors: int, arena: Arena | None
) -> tuple[list[Vector], Parameters | None]:
    """Vectors in one memory, and the blocks of each parameter in all of them."""
    if arena is None:
        return [Vector(layers, shapes, None) for _ in range(n_vectors)], None
    sizes = [math.prod(shape) for shape in shapes.values()]
    memory = arena.take(n_vectors, sum(sizes))
    blocks = {
        name: block.view(n_vectors, *shapes[name])
        for name, block in zip(shapes, memory.split(sizes, dim=1), strict=True)
    }
    return [Vector(layers, shapes, arena, row) for row in memory], blocks
