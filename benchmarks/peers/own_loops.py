"""ANIL and Reptile, one task after the other, in torch alone."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.peers import Updates
from benchmarks.peers.loop import drawn, make_net, task_by_task, whole_net
from benchmarks.shared.workloads import INNER_BATCH, REPTILE_LR, Workload


def anil_backward(
    workload: Workload,
    net: nn.Module,
    support: tuple[Tensor, Tensor],
    query: tuple[Tensor, Tensor],
) -> None:
    """Add one task's share of ANIL's meta-gradient."""
    body, head = net
    features = body(support[0])
    weight, bias = head.weight, head.bias
    if workload.kind == "own":
        weight, bias = weight.expand(workload.n_way, -1), bias.expand(workload.n_way)
    for _ in range(workload.inner_steps):
        loss = workload.loss(F.linear(features, weight, bias), support[1])
        steps = torch.autograd.grad(loss, [weight, bias], create_graph=True)
        weight = weight - workload.inner_lr * steps[0]
        bias = bias - workload.inner_lr * steps[1]
    loss = workload.loss(F.linear(body(query[0]), weight, bias), query[1])
    (loss / workload.meta_batch_size).backward()


def anil_updates(workload: Workload) -> Updates:
    return task_by_task(workload, make_net, partial(anil_backward, workload))


def reptile_task(
    workload: Workload,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[tuple[Tensor, Tensor]],
) -> list[Tensor]:
    """Train on one task, return where that leads, and go back."""
    parameters = list(net.parameters())
    start = [p.detach().clone() for p in parameters]
    for X, y in batches:
        optimizer.zero_grad()
        workload.loss(net(X), y).backward()
        optimizer.step()
    end = [p.detach().clone() for p in parameters]
    with torch.no_grad():
        for p, before in zip(parameters, start, strict=True):
            p.copy_(before)
    return end


def reptile_updates(workload: Workload) -> Updates:
    """The reference's: Adam without momentum, whose second moments stay."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    X, y = workload.tensors()
    net = whole_net(workload)
    adam = torch.optim.Adam(net.parameters(), workload.inner_lr, betas=(0.0, 0.999))
    n_rows = workload.n_way * workload.n_support
    n_drawn = workload.inner_steps * INNER_BATCH

    def run(n: int) -> None:
        for _ in range(n):
            ends = []
            for task, support, _ in zip(*drawn(workload, rng), strict=True):
                passes = [torch.randperm(n_rows) for _ in range(-(-n_drawn // n_rows))]
                order = support[torch.cat(passes)][:n_drawn].split(INNER_BATCH)
                batches = [(X[task, rows], y[task, rows]) for rows in order]
                ends.append(reptile_task(workload, net, adam, batches))
            with torch.no_grad():
                for p, *found in zip(net.parameters(), *ends, strict=True):
                    p.lerp_(torch.stack(found).mean(0), REPTILE_LR)

    return run
