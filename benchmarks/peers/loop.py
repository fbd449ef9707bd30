"""The plain loop over tasks: functional_call and autograd.grad, in torch alone.

It is what learn2learn does, and a little faster: everything is measured against it.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from benchmarks.peers import Updates
from benchmarks.shared.workloads import OUTER_LR, Workload

Parameters = dict[str, Tensor]


def importable() -> bool:
    return True


def make_net(workload: Workload) -> nn.Module:
    """Encoder "0" and head "1"; one row of the head serves classes of a task's own."""
    n_outputs = workload.n_way if workload.kind == "shared" else 1
    return nn.Sequential(
        workload.make_encoder(), nn.Linear(workload.n_features_out, n_outputs)
    )


def whole_net(workload: Workload) -> nn.Module:
    """The same with one row of the head for each class: what the other peers take."""
    return nn.Sequential(
        workload.make_encoder(), nn.Linear(workload.n_features_out, workload.n_way)
    )


def updates_through(workload: Workload, backward: Callable) -> Updates | None:
    """Second-order updates of the whole net, by another library's `backward`."""
    if workload.first_order:
        return None
    return task_by_task(workload, whole_net, partial(backward, workload))


def start(net: nn.Module, workload: Workload, n_way: int) -> Parameters:
    parameters = dict(net.named_parameters())
    if workload.kind == "own":
        for name in ("1.weight", "1.bias"):
            row = parameters[name]
            parameters[name] = row.expand(n_way, *row.shape[1:])
    return parameters


def adapt(
    net: nn.Module,
    workload: Workload,
    X: Tensor,
    y: Tensor,
    parameters: Parameters,
    create_graph: bool,
) -> Parameters:
    for _ in range(workload.inner_steps):
        loss = workload.loss(functional_call(net, parameters, (X,)), y)
        gradients = torch.autograd.grad(
            loss, list(parameters.values()), create_graph=create_graph
        )
        parameters = {
            name: value - workload.inner_lr * gradient
            for (name, value), gradient in zip(
                parameters.items(), gradients, strict=True
            )
        }
    return parameters


def backward(
    workload: Workload,
    net: nn.Module,
    support: tuple[Tensor, Tensor],
    query: tuple[Tensor, Tensor],
) -> None:
    """Add one task's share of the meta-gradient."""
    parameters = start(net, workload, workload.n_way)
    create_graph = not workload.first_order
    parameters = adapt(net, workload, *support, parameters, create_graph)
    loss = workload.loss(functional_call(net, parameters, (query[0],)), query[1])
    (loss / workload.meta_batch_size).backward()


def updates(workload: Workload, device: str = "cpu") -> Updates:
    return task_by_task(workload, make_net, partial(backward, workload), device)


def task_by_task(
    workload: Workload,
    make_net: Callable[[Workload], nn.Module],
    backward: Callable[..., None],
    device: str = "cpu",
) -> Updates:
    """Whole meta-updates that take one task at a time.

    ``backward(net, support, query)`` adds one task's share of the meta-gradient.
    """
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    X, y = workload.tensors(device)
    net = make_net(workload).to(device)
    optimizer = torch.optim.Adam(net.parameters(), OUTER_LR)

    def run(n: int) -> None:
        for _ in range(n):
            optimizer.zero_grad()
            for task, support, query in zip(*drawn(workload, rng, device), strict=True):
                backward(
                    net,
                    (X[task, support], y[task, support]),
                    (X[task, query], y[task, query]),
                )
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def drawn(
    workload: Workload, rng: np.random.Generator, device: str = "cpu"
) -> tuple[Sequence[int], Tensor, Tensor]:
    tasks, support, query = workload.draw(rng)
    rows = (torch.from_numpy(part).to(device) for part in (support, query))
    return tasks.tolist(), *rows


def proto_net_updates(workload: Workload) -> Updates:
    """Prototypical networks, one episode after the other."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    X, y = workload.tensors()
    net, n_way = workload.make_encoder(), workload.n_way
    log_scale = nn.Parameter(torch.tensor(0.0))
    optimizer = torch.optim.Adam([*net.parameters(), log_scale], OUTER_LR)

    def run(n: int) -> None:
        for _ in range(n):
            optimizer.zero_grad()
            for task, support, query in zip(*drawn(workload, rng), strict=True):
                features = net(X[task, support])
                prototypes = features.view(n_way, -1, features.shape[-1]).mean(1)
                distances = torch.cdist(net(X[task, query]), prototypes).square()
                logits = -log_scale.exp() * distances
                loss = workload.loss(logits, y[task, query])
                (loss / workload.meta_batch_size).backward()
            optimizer.step()

    return run


def adapt_and_predict(
    net: nn.Module,
    workload: Workload,
    support: Sequence[tuple[Tensor, Tensor]],
    query: Sequence[Tensor],
) -> list[Tensor]:
    """Adapt to one task after the other and return the logits of its query rows."""
    outputs = []
    for (X, y), X_query in zip(support, query, strict=True):
        parameters = start(net, workload, int(y.max()) + 1)
        parameters = adapt(net, workload, X, y, parameters, create_graph=False)
        with torch.no_grad():
            outputs.append(functional_call(net, parameters, (X_query,)))
    return outputs
