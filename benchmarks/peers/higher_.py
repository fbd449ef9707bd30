"""higher: a functional copy of the network and its optimiser for every task."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from importlib.util import find_spec

import torch
from torch import nn

from benchmarks.peers import Updates, loop
from benchmarks.shared.workloads import Workload


def importable() -> bool:
    return find_spec("higher") is not None


make_net = loop.whole_net


def updates(workload: Workload) -> Updates | None:
    return loop.updates_through(workload, backward)


def backward(workload: Workload, net: nn.Module, support: tuple, query: tuple) -> None:
    import higher

    sgd = torch.optim.SGD(net.parameters(), workload.inner_lr)
    with higher.innerloop_ctx(net, sgd, copy_initial_weights=False) as (copy, inner):
        for _ in range(workload.inner_steps):
            inner.step(workload.loss(copy(support[0]), support[1]))
        loss = workload.loss(copy(query[0]), query[1])
        (loss / workload.meta_batch_size).backward()
