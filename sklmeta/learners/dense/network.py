"""A dense network with its first and second derivatives written out.

Back-propagation gives the gradient, Pearlmutter's R-operator the product of the Hessian
with a vector: it differentiates the forward and the backward pass along a direction.
Small networks are bound by the number of operations and by fresh memory: this takes
fewer than half of autograd's operations for the same numbers, all in buffers that the
next meta-update uses again.

References
----------
Pearlmutter, "Fast Exact Multiplication by the Hessian", Neural Computation 6, 1994.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sklmeta.episodes.rows import Rows
from sklmeta.learners.dense.derivatives import (
    DERIVATIVES,
    Derivatives,
    has_derivatives,
    output_curve,
    output_delta,
)
from sklmeta.learners.engine import Parameters

Shapes = dict[str, tuple[int, ...]]


class Layer(NamedTuple):
    """A linear layer of the tasks' own, and the activation after it."""

    weight: str
    bias: str | None = None
    activation: nn.Module | None = None


def dense_layers(
    layers: Sequence[nn.Module] | None, names: dict[int, str]
) -> list[Layer] | None:
    """Pair linear layers with the activations after them, where that is all there is.

    Parameters
    ----------
    layers : sequence of nn.Module or None
        Layers in order; a first Flatten is passed over.

    names : dict of int to str
        Name of every parameter that is adapted, by its identity.

    Returns
    -------
    list of Layer, or None if there is anything else, or a parameter is used twice
    """
    if layers is None:
        return None
    dense: list[Layer] = []
    for position, layer in enumerate(layers):
        if type(layer) is nn.Identity or (type(layer) is nn.Flatten and not position):
            continue
        if type(layer) is nn.Linear:
            own = [p for p in (layer.weight, layer.bias) if p is not None]
            if any(id(p) not in names for p in own):
                return None
            bias = None if layer.bias is None else names[id(layer.bias)]
            dense.append(Layer(names[id(layer.weight)], bias))
        elif dense and dense[-1].activation is None and has_derivatives(layer):
            dense[-1] = dense[-1]._replace(activation=layer)
        else:
            return None
    used = [name for layer in dense for name in layer[:2] if name is not None]
    return dense if len(used) == len(set(used)) == len(names) else None


class Arena:
    """Hands out memory that is used again after every `reset`.

    Fresh memory is paid for in page faults, which cost small networks more than their
    arithmetic.
    """

    def __init__(self, like: Tensor):
        self.memory = like.new_empty(0)
        self.used = 0

    def fits(self, like: Tensor) -> bool:
        memory = self.memory
        return (memory.dtype, memory.device) == (like.dtype, like.device)

    def reset(self) -> None:
        self.used = 0

    def take(self, *shape: int) -> Tensor:
        size = math.prod(shape)
        if self.used + size > len(self.memory):
            # What was handed out before keeps the old memory alive.
            self.memory = self.memory.new_empty(2 * (self.used + size))
            self.used = 0
        self.used += size
        return self.memory[self.used - size : self.used].view(shape)


class Vector:
    """One vector of parameters per task.

    Weights lie as (n_tasks, d_in, d_out): a product of matrices is twice as fast where
    the second is not transposed, and the first layer has forward products alone. In an
    arena every parameter is a block of one memory, so that an update of them all is one
    operation.
    """

    memory: Any = None
    weights: list[Any]
    biases: list[Any]

    def __init__(
        self,
        layers: Sequence[Layer],
        shapes: Shapes,
        arena: Arena | None,
        memory: Tensor | None = None,
    ):
        self.layers = layers
        self.weights = [None] * len(layers)
        self.biases = [None] * len(layers)
        if arena is None:
            return
        sizes = [math.prod(shape) for shape in shapes.values()]
        self.memory = arena.take(sum(sizes)) if memory is None else memory
        blocks = dict(zip(shapes, self.memory.split(sizes), strict=True))
        self.put({name: blocks[name].view(shape) for name, shape in shapes.items()})

    def put(self, values: Parameters) -> None:
        """Let the parameters be these tensors, weights already turned."""
        self.weights = [values[layer.weight] for layer in self.layers]
        self.biases = [values.get(layer.bias or "") for layer in self.layers]

    def set(self, values: Parameters, n_tasks: int) -> None:
        """Take parameters over; those without a task dimension are all tasks'."""
        turned = {}
        for layer, block in zip(self.layers, self.weights, strict=True):
            value = values[layer.weight].mT
            if value.ndim == 2 and block is not None:
                value = value.contiguous()  # turned once, not once per task
            turned[layer.weight] = value.expand(n_tasks, *value.shape[-2:])
            if layer.bias is not None:
                bias = values[layer.bias]
                turned[layer.bias] = bias.expand(n_tasks, bias.shape[-1])
        if self.memory is None:
            self.put(turned)
            return
        for name, block in self.named().items():
            block.copy_(turned[name])

    def named(self) -> Parameters:
        found = {}
        for layer, weight, bias in zip(
            self.layers, self.weights, self.biases, strict=True
        ):
            found[layer.weight] = weight
            if layer.bias is not None:
                found[layer.bias] = bias
        return found

    def step(self, direction: Vector, lr: float | Vector, out: Vector) -> None:
        """Write ``self - lr * direction`` to `out`."""
        if self.memory is not None and direction.memory is not None:
            if isinstance(lr, Vector):
                torch.addcmul(
                    self.memory, direction.memory, lr.memory, value=-1, out=out.memory
                )
            else:
                torch.sub(self.memory, direction.memory, alpha=lr, out=out.memory)
            return
        other = direction.named()
        rates = lr.named() if isinstance(lr, Vector) else dict.fromkeys(other, lr)
        out.put(
            {
                name: value - rates[name] * other[name]
                for name, value in self.named().items()
            }
        )

    def multiply(self, other: Vector, out: Vector) -> None:
        """Write the product, entry by entry, to `out`."""
        if self.memory is not None:
            torch.mul(self.memory, other.memory, out=out.memory)
            return
        own, others = self.named(), other.named()
        out.put({name: value * others[name] for name, value in own.items()})

    def add_product(self, one: Vector, other: Vector) -> None:
        if self.memory is not None:
            self.memory.addcmul_(one.memory, other.memory)
            return
        ones, others = one.named(), other.named()
        self.put({n: value + ones[n] * others[n] for n, value in self.named().items()})


@dataclass
class Pass:
    """A forward and a backward pass over rows: what a Hessian product needs of them.

    Before the pass these are buffers, or None where there is no arena.
    """

    linear: list[Any]  # outputs of the linear layers, (n_tasks, n_rows, d_out)
    active: list[Any]  # the same after the activation
    deltas: list[Any]  # gradient at the outputs of the linear layers
    backs: list[Any]  # gradient at the outputs of the activations
    derivatives: list[Derivatives | None]
    probabilities: Tensor | None = None

    @classmethod
    def over(
        cls, layers: Sequence[Layer], shapes: Shapes, n_rows: int, arena: Arena | None
    ) -> Pass:
        """Make the buffers; a rectifier works in place, as it needs its output only."""
        empty = [None] * len(layers)
        if arena is None:
            return cls([*empty], [*empty], [*empty], [*empty], [*empty])
        linear, active, deltas, backs = [], [], [], []
        for layer in layers:
            n_tasks, _, width = shapes[layer.weight]
            shape = n_tasks, n_rows, width
            in_place = type(layer.activation) in (type(None), nn.ReLU)
            linear.append(arena.take(*shape))
            active.append(linear[-1] if in_place else arena.take(*shape))
            backs.append(arena.take(*shape))
            deltas.append(backs[-1] if in_place else arena.take(*shape))
        return cls(linear, active, deltas, backs, [*empty])


class DenseNetwork:
    """A stack of linear layers and activations, with its loss and derivatives.

    With an arena it holds the buffers for supports and queries of one padded size, and
    one network of the arena may be in use at a time. Without one every result is a new
    tensor, as a compiler wants it.
    """

    learned: Any = None  # LearnedRates, where the step sizes are learned

    def __init__(
        self,
        layers: Sequence[Layer],
        shapes: Shapes,  # (n_tasks, d_in, d_out), or (n_tasks, d_out), by name
        n_steps: int,
        n_rows: tuple[int, int],  # of support and query
        arena: Arena | None,
    ):
        if arena is not None:
            arena.reset()
        self.layers, self.arena = list(layers), arena
        points = [Vector(self.layers, shapes, arena) for _ in range(n_steps + 3)]
        *self.points, self.gradient, self.adjoint = points
        passes = [
            Pass.over(layers, shapes, n_rows[0], arena) for _ in range(n_steps + 1)
        ]
        *self.passes, self.tangents = passes
        self.last = Pass.over(layers, shapes, n_rows[1], arena)

    def forward(self, point: Vector, rows: Rows, tape: Pass) -> Tensor:
        """Output of the network, (n_tasks, n_rows, n_outputs)."""
        value = rows.X.flatten(2)
        for depth, layer in enumerate(self.layers):
            linear = _affine(value, point, depth, tape.linear[depth])
            value = _activate(layer.activation, linear, tape.active[depth])
            tape.linear[depth], tape.active[depth] = linear, value
        return value

    def backward(
        self, point: Vector, rows: Rows, tape: Pass, weight: Tensor, out: Vector
    ) -> None:
        """Gradient of each task's loss with respect to its parameters, into `out`."""
        tape.backs[-1], tape.probabilities = output_delta(
            tape.active[-1], rows, weight, tape.backs[-1]
        )
        for depth in range(len(self.layers) - 1, -1, -1):
            delta = self._derive(depth, tape)
            inputs = tape.active[depth - 1] if depth else rows.X.flatten(2)
            out.weights[depth] = torch.bmm(inputs.mT, delta, out=out.weights[depth])
            if self.layers[depth].bias is not None:
                out.biases[depth] = torch.sum(delta, 1, out=out.biases[depth])
            if depth:
                tape.backs[depth - 1] = torch.bmm(
                    delta, point.weights[depth].mT, out=tape.backs[depth - 1]
                )

    def _derive(self, depth: int, tape: Pass) -> Tensor:
        """Pass the gradient through the activation of a layer."""
        activation, back = self.layers[depth].activation, tape.backs[depth]
        if activation is None:
            delta = back
        elif type(activation) is nn.ReLU:
            delta = _rectify(back, tape.active[depth], tape.deltas[depth])
        else:
            found = DERIVATIVES[type(activation)](
                activation, tape.linear[depth], tape.active[depth]
            )
            tape.derivatives[depth] = found
            delta = torch.mul(back, found[0], out=tape.deltas[depth])
        tape.deltas[depth] = delta
        return delta

    def hessian_product(
        self, point: Vector, rows: Rows, tape: Pass, weight: Tensor, vector: Vector
    ) -> Vector:
        """Hessian of each task's support loss times `vector`, by the R-operator."""
        moved, products = self.tangents, self.gradient
        linear, active = [*moved.linear], [*moved.active]
        for depth in range(len(self.layers)):
            inputs = tape.active[depth - 1] if depth else rows.X.flatten(2)
            tangent = _affine(inputs, vector, depth, linear[depth])
            if depth:  # the rows themselves do not move
                tangent = tangent.baddbmm_(active[depth - 1], point.weights[depth])
            linear[depth] = tangent
            active[depth] = self._through(depth, tape, tangent, active[depth])
        back = output_curve(active[-1], tape.probabilities, weight, moved.backs[-1])
        for depth in range(len(self.layers) - 1, -1, -1):
            delta = self._through(depth, tape, back, moved.deltas[depth])
            found = tape.derivatives[depth]
            if found is not None and found[1] is not None:
                delta = delta.addcmul_(tape.backs[depth] * found[1], linear[depth])
            inputs = tape.active[depth - 1] if depth else rows.X.flatten(2)
            product = torch.bmm(inputs.mT, delta, out=products.weights[depth])
            if self.layers[depth].bias is not None:
                products.biases[depth] = torch.sum(delta, 1, out=products.biases[depth])
            if depth:
                product = product.baddbmm_(active[depth - 1].mT, tape.deltas[depth])
                back = torch.bmm(
                    delta, point.weights[depth].mT, out=moved.backs[depth - 1]
                )
                back = back.baddbmm_(tape.deltas[depth], vector.weights[depth].mT)
            products.weights[depth] = product
        return products

    def _through(self, depth: int, tape: Pass, value: Tensor, out: Any) -> Tensor:
        """Multiply by the derivative of a layer's activation."""
        activation, found = self.layers[depth].activation, tape.derivatives[depth]
        if found is not None:
            return torch.mul(value, found[0], out=out)
        if activation is not None:
            return _rectify(value, tape.active[depth], out)
        return value


def _affine(X: Tensor, vector: Vector, depth: int, out: Any) -> Tensor:
    bias = vector.biases[depth]
    if bias is None:
        return torch.bmm(X, vector.weights[depth], out=out)
    return torch.baddbmm(bias[:, None], X, vector.weights[depth], out=out)


def _activate(activation: nn.Module | None, value: Tensor, out: Any) -> Tensor:
    if activation is None:
        return value
    if type(activation) is nn.ReLU:
        return torch.relu_(value)
    return activation(value) if out is None else out.copy_(activation(value))


def _rectify(value: Tensor, active: Tensor, out: Any) -> Tensor:
    """Zero where the rectifier is off; one operation, also in place."""
    operation = torch.ops.aten.threshold_backward
    if out is None:
        return operation.default(value, active, 0)
    return operation.grad_input(value, active, 0, grad_input=out)
