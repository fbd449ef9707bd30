"""The workloads of the engines' table: data, network and episodes, and our estimator.

A task's rows lie class by class, so that drawing an episode is a permutation within
each class; a regression task is one class. The peers draw with `Workload.draw`, all
tasks of a meta-batch at once, which costs them less than their own loaders would.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta import (
    ANILClassifier,
    ANILRegressor,
    MAMLClassifier,
    MAMLRegressor,
    MetaSGDClassifier,
    MetaSGDRegressor,
    ProtoNetClassifier,
    ReptileClassifier,
    ReptileRegressor,
)
from sklmeta.datasets import make_sinusoids
from sklmeta.learners.encoders import MLP, Conv4

OUTER_LR = 1e-3
REPTILE_LR = 1.0
INNER_BATCH = 10  # rows of Reptile's minibatches
STABILISERS: dict[str, Any] = {  # all of MAML++'s
    "multi_step_loss": 0.1,
    "learn_inner_lr": True,
    "derivative_order_annealing": 0.3,
}


@dataclass(frozen=True, eq=False)
class Workload:
    """One row of the table."""

    name: str
    title: str
    kind: str  # "regression", "shared" or "own"
    X: np.ndarray  # shape: (n_tasks, n_way * n_rows, *input), float32
    y: np.ndarray  # shape: (n_tasks, n_way * n_rows)
    make_encoder: Callable[[], nn.Module]
    n_features_out: int
    n_way: int  # 1 for regression
    n_support: int  # rows per class
    n_query: int
    meta_batch_size: int
    inner_steps: int
    inner_lr: float
    first_order: bool = False
    widths: tuple[int, ...] | None = None  # of the MLP; None for another encoder
    params: dict[str, Any] = field(default_factory=dict)  # of the estimator

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Draw tasks (n,), support rows (n, n_way * n_support) and query rows."""
        n_tasks, n_rows = len(self.X), self.X.shape[1] // self.n_way
        tasks = rng.integers(0, n_tasks, self.meta_batch_size)
        order = rng.random((self.meta_batch_size, self.n_way, n_rows)).argsort(-1)
        order += n_rows * np.arange(self.n_way)[:, None]
        n = self.n_support
        support, query = order[..., :n], order[..., n : n + self.n_query]
        flat = self.meta_batch_size, -1
        return tasks, support.reshape(flat), query.reshape(flat)

    def tensors(self, device: str = "cpu") -> tuple[Tensor, Tensor]:
        y = self.y.astype(np.float32 if self.kind == "regression" else np.int64)
        return torch.tensor(self.X, device=device), torch.tensor(y, device=device)

    def loss(self, output: Tensor, y: Tensor) -> Tensor:
        if self.kind == "regression":
            return (output[:, 0] - y).square().mean()
        return F.cross_entropy(output, y)

    def table(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """X, y and task, as `fit` takes them."""
        n_tasks, n_rows = self.y.shape
        task = np.repeat(np.arange(n_tasks), n_rows)
        return self.X.reshape(-1, *self.X.shape[2:]), self.y.ravel(), task

    def estimator(self, max_iter: int, **params: Any) -> Any:
        """The same learner, as a user would ask for it."""
        shared = self.kind == "shared"
        common: dict[str, Any] = {
            "inner_lr": self.inner_lr,
            "inner_steps": self.inner_steps,
            "first_order": self.first_order,
            # Where tasks share their classes, the rows are counted in total.
            "n_shots": self.n_support * (self.n_way if shared else 1),
            "n_query": self.n_query * (self.n_way if shared else 1),
            "meta_batch_size": self.meta_batch_size,
            "lr": OUTER_LR,
            "max_iter": max_iter,
            "device": "cpu",
            "random_state": 0,
        }
        if self.widths is not None:
            common["hidden_layer_sizes"] = self.widths
        common |= self.params | params
        if self.kind == "regression":
            return MAMLRegressor(**common)
        if self.kind == "own":
            common |= {"n_way": self.n_way, "head_init": "shared"}
        return MAMLClassifier(**common)

    def fit_seconds(self, n_updates: int, **params: Any) -> tuple[float, Any]:
        """Seconds per update of a whole `fit`, and the fitted estimator."""
        X, y, task = self.table()
        estimator = self.estimator(n_updates, **params)
        start = time.perf_counter()
        estimator.fit(X, y, task=task)
        return (time.perf_counter() - start) / n_updates, estimator

    def update_seconds(
        self, n_updates: int, **params: Any
    ) -> tuple[np.ndarray, float, Any]:
        """Seconds of every update after the first of a `fit`, and of all the rest.

        The rest is what `fit` does once: checks, the first update with its choice of
        an engine, and the adaptation that it ends with.
        """
        clock = Clock()
        seconds, estimator = self.fit_seconds(
            n_updates + 1, callbacks=[("clock", clock)], **params
        )
        updates = np.diff(clock.times)
        return updates, seconds * (n_updates + 1) - updates.sum(), estimator


class Clock(Callback):
    """Notes the time at the end of every meta-update."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __deepcopy__(self, memo: Any) -> Clock:
        return self  # `fit` copies its callbacks, and this one is read afterwards

    def on_batch_end(self, net: Any, **kwargs: Any) -> None:
        self.times.append(time.perf_counter())


class UserMLP(nn.Module):
    """A user's own module: nothing that the package could recognise."""

    def __init__(self, n_features_in: int, width: int):
        super().__init__()
        self.first = nn.Linear(n_features_in, width)
        self.second = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x))))


def sinusoid(inner_steps: int) -> Workload:
    n_tasks, n_rows = 2000, 20
    X, y, _ = make_sinusoids(n_tasks, n_rows=n_rows, random_state=0)
    steps = f"{inner_steps} inner step" + "s" * (inner_steps > 1)
    return Workload(
        name=f"sinusoid-{inner_steps}",
        title=f"sinusoid, 25 tasks, 10 + 10 rows, MLP 40-40, {steps}",
        kind="regression",
        X=X.astype(np.float32).reshape(n_tasks, n_rows, 1),
        y=y.reshape(n_tasks, n_rows),
        make_encoder=lambda: MLP(1, (40, 40)),
        n_features_out=40,
        n_way=1,
        n_support=10,
        n_query=10,
        meta_batch_size=25,
        inner_steps=inner_steps,
        inner_lr=0.01,
        widths=(40, 40),
    )


def classes_apart(
    n_tasks: int, n_way: int, n_rows: int, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Tasks whose classes are normal about centres of the task's own."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_tasks, n_way, n_rows, *shape), dtype=np.float32)
    X += rng.standard_normal((n_tasks, n_way, 1, *shape), dtype=np.float32)
    y = np.broadcast_to(np.arange(n_way)[:, None], X.shape[:3])
    return X.reshape(n_tasks, -1, *shape), y.reshape(n_tasks, -1)


def tabular(first_order: bool = False, meta_batch_size: int = 32) -> Workload:
    X, y = classes_apart(500, 5, 25, (32,))
    order = "first order" if first_order else "second order"
    return Workload(
        name="tabular-first-order" if first_order else "tabular",
        title=f"5-way 5-shot, own classes, 32 features, {meta_batch_size} tasks, MLP "
        f"64-64, 5 inner steps, {order}",
        kind="own",
        X=X,
        y=y,
        make_encoder=lambda: MLP(32, (64, 64)),
        n_features_out=64,
        n_way=5,
        n_support=5,
        n_query=15,
        meta_batch_size=meta_batch_size,
        inner_steps=5,
        inner_lr=0.1,
        first_order=first_order,
        widths=(64, 64),
    )


def conv4(n_filters: int) -> Workload:
    X, y = classes_apart(60, 5, 10, (1, 28, 28))
    return Workload(
        name=f"conv4-{n_filters}",
        title=f"Conv4 28 x 28, {n_filters} filters, 5-way 1-shot, shared classes, 5 "
        "query rows per class, 8 tasks, 1 inner step",
        kind="shared",
        X=X,
        y=y,
        make_encoder=lambda: Conv4(n_filters=n_filters),
        n_features_out=n_filters,
        n_way=5,
        n_support=1,
        n_query=5,
        meta_batch_size=8,
        inner_steps=1,
        inner_lr=0.1,
        params={"module": Conv4, "module_params": {"n_filters": n_filters}},
    )


def with_user_module(workload: Workload) -> Workload:
    """The same network, written by a user."""
    assert workload.widths is not None
    params = {"module": UserMLP, "module_params": {"width": workload.widths[0]}}
    return replace(
        workload,
        name=f"{workload.name}-module",
        title=f"{workload.title}; a user's own module",
        widths=None,
        params=params,
    )


def wide(width: int, meta_batch_size: int) -> Workload:
    """The grid of `widths.py`: 25 support and 75 query rows, two inner steps."""
    X, y = classes_apart(300, 5, 20, (32,))
    return Workload(
        name=f"width-{width}-{meta_batch_size}",
        title=f"MLP {width}-{width}, {meta_batch_size} tasks",
        kind="shared",
        X=X,
        y=y,
        make_encoder=lambda: MLP(32, (width, width)),
        n_features_out=width,
        n_way=5,
        n_support=5,
        n_query=15,
        meta_batch_size=meta_batch_size,
        inner_steps=2,
        inner_lr=0.01,
        widths=(width, width),
    )


def proto_net(workload: Workload, max_iter: int, **params: Any) -> Any:
    """ProtoNet with one network of the workload's widths, as in the paper."""
    return ProtoNetClassifier(
        module=MLP,
        module_params={"hidden_layer_sizes": workload.widths},
        n_way=workload.n_way,
        n_shots=workload.n_support,
        n_query=workload.n_query,
        meta_batch_size=workload.meta_batch_size,
        optimizer="Adam",
        weight_decay=0.0,
        lr=OUTER_LR,
        max_iter=max_iter,
        random_state=0,
        **{"device": "cpu", **params},
    )


def _as_asked(workload: Workload, max_iter: int) -> dict[str, Any]:
    """What ANIL and Reptile have in common: the workload's episodes and widths."""
    return {
        "hidden_layer_sizes": workload.widths,
        "inner_lr": workload.inner_lr,
        "inner_steps": workload.inner_steps,
        "n_shots": workload.n_support,
        "n_query": workload.n_query,
        "meta_batch_size": workload.meta_batch_size,
        "max_iter": max_iter,
        "device": "cpu",
        "random_state": 0,
        **({"n_way": workload.n_way} if workload.kind == "own" else {}),
    }


def anil(workload: Workload, max_iter: int) -> Any:
    """ANIL, whose head starts from one vector for all classes."""
    params = _as_asked(workload, max_iter) | {"lr": OUTER_LR}
    if workload.kind == "own":
        return ANILClassifier(head_init="shared", **params)
    return ANILRegressor(**params)


def reptile(workload: Workload, max_iter: int) -> Any:
    """Reptile as its reference code has it, with all tasks at once."""
    params = _as_asked(workload, max_iter)
    params |= {"lr": REPTILE_LR, "inner_batch_size": INNER_BATCH}
    if workload.kind == "own":
        return ReptileClassifier(head_init="shared", **params)
    return ReptileRegressor(**params)


def meta_sgd(workload: Workload, max_iter: int) -> Any:
    params = _as_asked(workload, max_iter) | {"lr": OUTER_LR}
    if workload.kind == "own":
        return MetaSGDClassifier(head_init="shared", **params)
    return MetaSGDRegressor(**params)


def stabilised(workload: Workload, max_iter: int) -> Any:
    """MAML with all of MAML++'s stabilisers."""
    return workload.estimator(max_iter, **STABILISERS)
