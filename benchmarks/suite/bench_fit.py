"""Meta-training: one round is a whole `fit` of a few hundred updates or less."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import warnings
from typing import Any

import pytest

from benchmarks.shared import workloads
from sklmeta import BayesianLinearRegressor, TransformerNeuralProcessRegressor
from sklmeta.datasets import make_linear_tasks
from sklmeta.learners.engine import EngineWarning

MAML = {
    "sinusoid, 1 step": (workloads.sinusoid(1), 200),
    "sinusoid, 5 steps": (workloads.sinusoid(5), 100),
    "tabular": (workloads.tabular(), 30),
    "tabular, first order": (workloads.tabular(first_order=True), 30),
    "tabular, user's module": (workloads.with_user_module(workloads.tabular()), 20),
    "conv4, 16 filters": (workloads.conv4(16), 3),
}


def fit(benchmark: Any, estimator: Any, data: tuple, n_rounds: int = 5) -> None:
    X, y, task = data

    def run() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", EngineWarning)
            estimator.fit(X, y, task=task)

    benchmark.extra_info["updates"] = estimator.max_iter
    benchmark.pedantic(run, rounds=n_rounds, warmup_rounds=1)


@pytest.mark.parametrize("name", MAML)
def bench_maml(benchmark: Any, name: str) -> None:
    workload, n_updates = MAML[name]
    n_rounds = 2 if "conv4" in name else 5
    fit(benchmark, workload.estimator(n_updates), workload.table(), n_rounds)


def bench_proto_net(benchmark: Any) -> None:
    workload = workloads.tabular()
    fit(benchmark, workloads.proto_net(workload, 100), workload.table())


@pytest.mark.parametrize(
    "make", [BayesianLinearRegressor, TransformerNeuralProcessRegressor]
)
def bench_regressor(benchmark: Any, make: Any) -> None:
    data = make_linear_tasks(200, n_rows=40, n_features=16, random_state=0)
    fit(benchmark, make(max_iter=50, random_state=0, device="cpu"), data)


def bench_many_tasks(benchmark: Any) -> None:
    """Validation and set-up: 20,000 tasks and a single update."""
    data = make_linear_tasks(20_000, n_rows=20, n_features=16, random_state=0)
    fit(benchmark, BayesianLinearRegressor(max_iter=1, random_state=0), data)
