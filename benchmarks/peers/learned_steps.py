"""Plain loops over tasks of MAML with learned step sizes and MAML++'s schedule."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from benchmarks.peers import Updates
from benchmarks.peers.loop import drawn, make_net, start
from benchmarks.shared.workloads import OUTER_LR, STABILISERS, Workload

Rates = list[dict[str, Tensor]]
"""Step sizes of every step, by the names of the network's parameters."""


def meta_sgd_updates(workload: Workload) -> Updates:
    """A step of every parameter's own, in all steps the same."""
    net = _seeded_net(workload)
    rates = {
        name: nn.Parameter(torch.full_like(p, workload.inner_lr))
        for name, p in net.named_parameters()
    }
    return _updates(workload, net, [rates] * workload.inner_steps, _last_alone)


def stabilised_updates(workload: Workload) -> Updates:
    """A rate of every tensor and step; losses of every step; first order at first."""
    net, n_steps = _seeded_net(workload), workload.inner_steps
    rates = [
        {
            name: nn.Parameter(torch.tensor(workload.inner_lr))
            for name, _ in net.named_parameters()
        }
        for _ in range(n_steps)
    ]
    share = STABILISERS["multi_step_loss"]

    def phase(progress: float) -> tuple[bool, list[float]]:
        first_order = progress < STABILISERS["derivative_order_annealing"]
        if progress >= share:
            return first_order, [0.0] * (n_steps - 1) + [1.0]
        early = max(1 - progress / share, 0.03) / n_steps
        return first_order, [early] * (n_steps - 1) + [1 - (n_steps - 1) * early]

    return _updates(workload, net, rates, phase)


def _last_alone(progress: float) -> tuple[bool, list[float]]:
    return False, []


def _seeded_net(workload: Workload) -> nn.Module:
    torch.manual_seed(0)
    return make_net(workload)


def _updates(
    workload: Workload,
    net: nn.Module,
    rates: Rates,
    phase: Callable[[float], tuple[bool, list[float]]],
) -> Updates:
    rng = np.random.default_rng(0)
    X, y = workload.tensors()
    learned = {id(p): p for step in rates for p in step.values()}
    optimizer = torch.optim.Adam([*net.parameters(), *learned.values()], OUTER_LR)

    def run(n: int) -> None:
        for i in range(n):
            first_order, weights = phase(i / n)
            optimizer.zero_grad()
            for task, support, query in zip(*drawn(workload, rng), strict=True):
                loss = task_loss(
                    net,
                    workload,
                    (X[task, support], y[task, support]),
                    (X[task, query], y[task, query]),
                    rates,
                    weights or [0.0] * (len(rates) - 1) + [1.0],
                    first_order,
                )
                (loss / workload.meta_batch_size).backward()
            optimizer.step()

    return run


def task_loss(
    net: nn.Module,
    workload: Workload,
    support: tuple[Tensor, Tensor],
    query: tuple[Tensor, Tensor],
    rates: Rates,
    weights: list[float],
    first_order: bool,
) -> Tensor:
    """Weighted query losses of one task after the steps that have a weight."""
    parameters, total = start(net, workload, workload.n_way), torch.zeros(())
    for rate, weight in zip(rates, weights, strict=True):
        loss = workload.loss(
            functional_call(net, parameters, (support[0],)), support[1]
        )
        gradients = torch.autograd.grad(
            loss, list(parameters.values()), create_graph=not first_order
        )
        parameters = {
            name: value - rate[name] * gradient
            for (name, value), gradient in zip(
                parameters.items(), gradients, strict=True
            )
        }
        if weight:
            output = functional_call(net, parameters, (query[0],))
            total = total + weight * workload.loss(output, query[1])
    return total
