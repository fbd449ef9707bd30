"""TorchOpt: a differentiable optimiser, and the network's state put back per task."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from functools import partial
from importlib.util import find_spec

from torch import nn
from workloads import Workload

from peers import Updates, loop


def importable() -> bool:
    return find_spec("torchopt") is not None


def make_net(workload: Workload) -> nn.Module:
    return loop.whole_net(workload)


def updates(workload: Workload) -> Updates | None:
    if workload.first_order:
        return None
    return loop.task_by_task(workload, make_net, partial(backward, workload))


def backward(workload: Workload, net: nn.Module, support: tuple, query: tuple) -> None:
    import torchopt

    optimizer = torchopt.MetaSGD(net, lr=workload.inner_lr)
    before = torchopt.extract_state_dict(net, by="reference", detach_buffers=True)
    for _ in range(workload.inner_steps):
        optimizer.step(workload.loss(net(support[0]), support[1]))
    loss = workload.loss(net(query[0]), query[1])
    (loss / workload.meta_batch_size).backward()
    torchopt.recover_state_dict(net, before)
