"""The meta-gradient of a dense network without autograd.

Gradient descent on the support, ``theta_{k+1} = theta_k - lr * g(theta_k)``, is
differentiated by its adjoint: from ``v_K``, the query loss's gradient at ``theta_K``,

    v_k = v_{k+1} - lr * H(theta_k) v_{k+1},        k = K - 1, ..., 0,

with H the Hessian of the support loss. With learned rates ``a_k`` the Hessian meets
``a_k * v_{k+1}``; where the query is judged after every step, ``v_k`` gains the
gradient of that loss at ``theta_k``.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from torch import Tensor

from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.dense.derivatives import output_loss, row_weights
from sklmeta.learners.dense.network import DenseNetwork, Vector
from sklmeta.learners.dense.rates import LearnedRates
from sklmeta.learners.descent import Steps
from sklmeta.learners.engine import Parameters


def meta_gradient(
    network: DenseNetwork,
    start: Parameters,
    episodes: Episodes,
    steps: Steps,
    *,
    differentiate: bool = True,
) -> Tensor:  # shape: (n_tasks,)
    """Query loss after the steps; its gradient at `start` into `network.adjoint`.

    With learned rates `network.learned` collects what their gradient needs. With
    `steps.weights` the loss is the weighted sum of those after each step.
    """
    support, query = episodes
    points, passes, adjoint = network.points, network.passes, network.adjoint
    learned: LearnedRates | None = network.learned
    points[0].set(start, len(support.X))
    if learned is not None:
        assert steps.rates is not None
        learned.set(steps.rates)
    weight = row_weights(support)
    for k, step in enumerate(passes):
        gradient = network.gradient if learned is None else learned.inner_gradients[k]
        network.forward(points[k], support, step)
        network.backward(points[k], support, step, weight, gradient)
        rate = steps.lr if learned is None else learned.of_step(k)
        points[k].step(gradient, rate, points[k + 1])
    judge = _Judge(network, query, steps.weights, differentiate)
    loss = judge(len(passes), adjoint)
    every = steps.weights is not None
    if not differentiate and not every:
        return loss
    for k in range(len(passes) - 1, -1, -1):
        if differentiate:
            _step_back(network, k, support, weight, steps)
        if every and k:
            loss = loss + judge(k, network.gradient)
            if differentiate:
                adjoint.step(network.gradient, -1.0, adjoint)
    return loss


class _Judge:
    """The query loss after a step, weighted, and its gradient there."""

    def __init__(
        self,
        network: DenseNetwork,
        query: Rows,
        step_weights: Tensor | None,
        differentiate: bool,
    ):
        self.network, self.query, self.differentiate = network, query, differentiate
        self.weight, self.step_weights = row_weights(query), step_weights

    def __call__(self, k: int, out: Vector) -> Tensor:  # shape: (n_tasks,)
        network, weight = self.network, self.weight
        if self.step_weights is not None:
            weight = weight * self.step_weights[k - 1]
        output = network.forward(network.points[k], self.query, network.last)
        loss = output_loss(output, self.query, weight)
        if self.differentiate:
            network.backward(network.points[k], self.query, network.last, weight, out)
        return loss


def _step_back(
    network: DenseNetwork,
    k: int,
    support: Rows,
    weight: Tensor,
    steps: Steps,
) -> None:
    """Carry the adjoint from the end of step `k` to its start."""
    adjoint, learned = network.adjoint, network.learned
    vector = adjoint
    if learned is not None:
        learned.collect(k, adjoint)
        if not steps.first_order:
            vector = learned.scale(k, adjoint)
    if not steps.first_order:
        product = network.hessian_product(
            network.points[k], support, network.passes[k], weight, vector
        )
        adjoint.step(product, steps.lr if learned is None else 1.0, adjoint)
