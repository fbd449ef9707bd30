"""Adaptation: 1,000 tasks at once, and a single one, which is what a service does."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.shared import workloads
from benchmarks.shared.bulk import Bulk
from sklmeta import BayesianLinearRegressor
from sklmeta.datasets import make_linear_tasks


@pytest.mark.parametrize("ragged", [False, True], ids=["equal", "ragged"])
def bench_maml_bulk(benchmark: Any, ragged: bool) -> None:
    bulk = Bulk(workloads.tabular(), ragged)
    estimator = bulk.fitted("auto")
    benchmark.pedantic(bulk.seconds, (estimator,), rounds=5, warmup_rounds=1)


def bench_maml_one_task(benchmark: Any) -> None:
    bulk = Bulk(workloads.tabular(), ragged=False)
    estimator = bulk.fitted("auto")
    first, query = bulk.task == 0, bulk.task_query == 0
    X, y, X_query = bulk.X[first], bulk.y[first], bulk.X_query[query]
    benchmark(lambda: estimator.adapt(X, y).predict(X_query))


def bench_bayesian_linear_bulk(benchmark: Any) -> None:
    X, y, task = make_linear_tasks(2000, n_rows=20, n_features=16, random_state=0)
    estimator = BayesianLinearRegressor(max_iter=10, random_state=0)
    estimator.fit(X, y, task=task)

    def run() -> None:
        estimator.adapt(X, y, task=task).predict(X, task=task)

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)
