"""A million tasks of ten rows in partitions on Dask, a worker killed in the middle.

    python -m benchmarks.scale.partitions [n_tasks]

Each partition of 10,000 tasks is made where it is worked on, by a seed of its own:
seven rows of each task are labelled, three are predicted. One process works on a tenth
of the partitions for comparison, and what it finds must be what the cluster found.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from distributed import Client, LocalCluster

from benchmarks.shared.report import write_report
from sklmeta import BayesianLinearRegressor, MixedModelRegressor
from sklmeta.datasets import make_linear_tasks
from sklmeta.partitions import adapt_partition

FEATURES = [f"x{i}" for i in range(5)]
N_ROWS, N_LABELLED, TASKS_OF_PART = 10, 7, 10_000


def partition(number: int) -> pd.DataFrame:
    rng = np.random.default_rng(number)
    n_rows = TASKS_OF_PART * N_ROWS
    task = np.repeat(np.arange(TASKS_OF_PART), N_ROWS)
    X = rng.normal(size=(n_rows, 5))
    weights = rng.normal(size=(TASKS_OF_PART, 5))
    y = (X * weights[task]).sum(axis=1) + rng.normal(size=n_rows)
    y[np.arange(n_rows) % N_ROWS >= N_LABELLED] = np.nan
    frame = pd.DataFrame(X, columns=FEATURES)
    return frame.assign(task=number * TASKS_OF_PART + task, y=y)


def work(number: int, model: Any) -> tuple[int, int, float]:
    """Rows predicted, those that are not finite, and a sum to tell answers by."""
    found = adapt_partition(model, partition(number), task="task", target="y")
    values = found["prediction"].to_numpy()
    return len(values), int((~np.isfinite(values)).sum()), float(np.abs(values).sum())


def kill_one(client: Client, after: float) -> threading.Thread:
    """End a worker's process as a machine ends: without a word."""
    pids = client.run(os.getpid)

    def kill() -> None:
        time.sleep(after)
        os.kill(next(iter(pids.values())), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


def row(name: str, model: Any, client: Client, n_parts: int) -> str:
    some = range(max(n_parts // 10, 1))
    start = time.perf_counter()
    here = [work(number, model) for number in some]
    one = len(some) * TASKS_OF_PART / (time.perf_counter() - start)
    killer = kill_one(client, after=0.3 * n_parts * TASKS_OF_PART / one)
    start = time.perf_counter()
    futures = client.map(partial(work, model=model), range(n_parts), pure=False)
    there = client.gather(futures)
    taken = time.perf_counter() - start
    killer.join()
    n_rows = sum(part[0] for part in there)
    lost = n_parts * TASKS_OF_PART * (N_ROWS - N_LABELLED) - n_rows
    same = all(np.allclose(a, b) for a, b in zip(here, there, strict=False))
    n_bad = sum(part[1] for part in there)
    many = n_parts * TASKS_OF_PART / taken
    return (
        f"| {name} | {n_parts * TASKS_OF_PART:,} | {one:,.0f} | {many:,.0f} | "
        f"{taken:.0f} | {lost} | {n_bad} | {'yes' if same else 'NO'} |"
    )


def main(n_tasks: int = 1_000_000) -> None:
    X, y, task = make_linear_tasks(n_tasks=200, n_rows=10, random_state=0)
    models = {
        "mixed model": MixedModelRegressor(),
        "Bayesian linear": BayesianLinearRegressor(
            max_iter=100, early_stopping=False, random_state=0
        ),
    }
    head = (
        *("model", "tasks", "tasks/s, one process", "tasks/s, two workers", "s"),
        *("rows lost", "not finite", "as one process"),
    )
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        for name, model in models.items():
            frame = pd.DataFrame(X, columns=FEATURES)
            model.fit(frame, y, task=task)
            lines.append(row(name, model, client, n_tasks // TASKS_OF_PART))
    title = (
        "Tasks of ten rows and five features, seven rows labelled, in partitions of "
        "10,000 tasks; a third of the way one of two workers is killed, and Dask "
        "starts another."
    )
    write_report("partitions", title, lines)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
