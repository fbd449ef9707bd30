"""TorchOpt: a differentiable optimiser, and the network's state put back per task."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from importlib.util import find_spec

from torch import nn

from benchmarks.peers import Updates, loop
from benchmarks.shared.workloads import Workload


def importable() -> bool:
    return find_spec("torchopt") is not None


make_net = loop.whole_net


def updates(workload: Workload) -> Updates | None:
    return loop.updates_through(workload, backward)


def backward(workload: Workload, net: nn.Module, support: tuple, query: tuple) -> None:
    import torchopt

    optimizer = torchopt.MetaSGD(net, lr=workload.inner_lr)
    before = torchopt.extract_state_dict(net, by="reference", detach_buffers=True)
    for _ in range(workload.inner_steps):
        optimizer.step(workload.loss(net(support[0]), support[1]))
    loss = workload.loss(net(query[0]), query[1])
    (loss / workload.meta_batch_size).backward()
    torchopt.recover_state_dict(net, before)
