"""Adapting to many tasks and predicting for each: ours at once, the loop one by one."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from benchmarks.peers import loop
from benchmarks.shared.workloads import Workload, classes_apart

N_TASKS, N_ROWS, N_QUERY_PER_CLASS = 1000, 25, 15
RAGGED = (3, 50)


class Bulk:
    """Supports of 1,000 tasks, of one size or ragged, and 75 query rows for each."""

    def __init__(self, workload: Workload, ragged: bool):
        self.workload = workload
        sizes = np.full(N_TASKS, N_ROWS)
        if ragged:
            low, high = RAGGED
            sizes = np.random.default_rng(0).integers(low, high + 1, N_TASKS)
        words = "{}–{}".format(*RAGGED) if ragged else str(N_ROWS)
        self.title = (
            f"`adapt` and `predict`, {N_TASKS:,} tasks of {words} rows, 5 own classes, "
            "MLP 64-64, 5 steps"
        )
        n_way, n_query = workload.n_way, N_QUERY_PER_CLASS
        per_class = n_query + RAGGED[1] // n_way
        X, y = classes_apart(N_TASKS, n_way, per_class, workload.X.shape[2:])
        # Rows of the classes in turn, so that any first few hold several classes.
        order = np.arange(n_way * per_class).reshape(n_way, per_class).T.ravel()
        X, y = X[:, order], y[:, order]
        n_support = n_way * (per_class - n_query)
        is_support = np.arange(n_support) < sizes[:, None]
        tasks = np.arange(N_TASKS)
        self.X = X[:, :n_support][is_support]
        self.y = y[:, :n_support][is_support]
        self.task = np.repeat(tasks, sizes)
        self.X_query = X[:, n_support:].reshape(-1, *X.shape[2:])
        self.task_query = np.repeat(tasks, n_way * n_query)
        torch.manual_seed(0)
        self.net = loop.make_net(workload)
        ends = np.cumsum(sizes)[:-1].tolist()
        self._supports = list(
            zip(
                torch.from_numpy(self.X).tensor_split(ends),
                torch.from_numpy(self.y).tensor_split(ends),
                strict=True,
            )
        )
        self._queries = torch.from_numpy(self.X_query).tensor_split(N_TASKS)

    def loop_logits(self) -> list[torch.Tensor]:
        return loop.adapt_and_predict(
            self.net, self.workload, self._supports, self._queries
        )

    def loop_seconds(self) -> float:
        start = time.perf_counter()
        for logits in self.loop_logits():
            logits.argmax(1)
        return time.perf_counter() - start

    def fitted(self, engine: str) -> Any:
        X, y, task = self.workload.table()
        # The table's own units: the loop standardises nothing.
        estimator = self.workload.estimator(1, engine=engine, standardize=False)
        return estimator.fit(X, y, task=task)

    def seconds(self, estimator: Any) -> float:
        start = time.perf_counter()
        estimator.adapt(self.X, self.y, task=self.task)
        estimator.predict(self.X_query, task=self.task_query)
        return time.perf_counter() - start
