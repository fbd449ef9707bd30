"""learn2learn: a clone of the network for every task.

Its compiled data loaders do not build on Python 3.11 and later, and importing the
package imports them. Its MAML is plain Python: where the folder is on the path, as an
unpacked source distribution, that file is loaded alone.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import importlib
import sys
import types
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

from torch import nn

from benchmarks.peers import Updates, loop
from benchmarks.shared.workloads import Workload


@cache
def _maml() -> Any:
    """The class MAML, or None."""
    spec = find_spec("learn2learn")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = spec.submodule_search_locations[0]
    for name in ("learn2learn", "learn2learn.algorithms"):
        package = types.ModuleType(name)
        package.__path__ = [folder + name[len("learn2learn") :].replace(".", "/")]
        sys.modules[name] = package
    try:
        return importlib.import_module("learn2learn.algorithms.maml").MAML
    except ImportError:
        return None


def importable() -> bool:
    return _maml() is not None


def make_net(workload: Workload) -> nn.Module:
    net, lr = loop.whole_net(workload), workload.inner_lr
    return _maml()(net, lr, first_order=workload.first_order)


def updates(workload: Workload) -> Updates:
    return loop.task_by_task(workload, make_net, partial(backward, workload))


def backward(workload: Workload, net: Any, support: tuple, query: tuple) -> None:
    learner = net.clone()
    for _ in range(workload.inner_steps):
        learner.adapt(workload.loss(learner(support[0]), support[1]))
    loss = workload.loss(learner(query[0]), query[1])
    (loss / workload.meta_batch_size).backward()
