"""Many tasks: how long `fit` takes to its first update, and how much memory it needs.

python benchmarks/scale.py
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import resource
import threading
import time
from typing import Self

import numpy as np
import torch
from report import write_report

import sklmeta.training
from sklmeta import MAMLRegressor

N_FEATURES = 16
MAX_ADAPTED = 5000


def resident_mib() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


class PeakMemory:
    """Largest resident memory while the block runs, sampled every 5 ms."""

    def __enter__(self) -> Self:
        self.peak = self.start = resident_mib()
        self.running = True
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while self.running:
            self.peak = max(self.peak, resident_mib())
            time.sleep(0.005)

    def __exit__(self, *error: object) -> None:
        self.running = False
        self.thread.join()


def first_update_seconds(X: np.ndarray, y: np.ndarray, task: np.ndarray) -> tuple:
    """Seconds from the call of `fit` to the first drawn meta-batch, and peak MiB."""
    first: list[float] = []
    original = sklmeta.training._MetaNet.infer

    def infer(self, x, **unused):  # type: ignore[no-untyped-def]
        if not first:
            first.extend([time.perf_counter(), time.process_time()])
        return original(self, x, **unused)

    sklmeta.training._MetaNet.infer = infer
    estimator = MAMLRegressor(max_iter=20, random_state=0)
    try:
        with PeakMemory() as memory:
            start, cpu = time.perf_counter(), time.process_time()
            estimator.fit(X, y, task=task)
            total = time.perf_counter() - start
    finally:
        sklmeta.training._MetaNet.infer = original
    some = task < MAX_ADAPTED
    support = X[some], y[some], task[some]
    with PeakMemory() as bulk:
        begin = time.perf_counter()
        estimator.adapt(*support[:2], task=support[2])
        adapt_seconds = time.perf_counter() - begin
    return (
        first[0] - start,
        first[1] - cpu,
        total,
        memory.peak - memory.start,
        adapt_seconds,
        bulk.peak - bulk.start,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    sizes = parser.parse_args().sizes
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    warm = rng.normal(size=(100, N_FEATURES))
    MAMLRegressor(max_iter=1).fit(warm, warm[:, 0], task=np.arange(100) // 10)
    more = "| more MiB |"
    head = "| tasks | arrays, MiB | first update, s | its CPU, s | 20 updates, s "
    lines = [
        f"{head}{more} adapt to {MAX_ADAPTED:,} at most, s {more}",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for n_tasks in sizes:
        X = rng.normal(size=(20 * n_tasks, N_FEATURES))
        y, task = X[:, 0] + rng.normal(size=len(X)), np.arange(len(X)) % n_tasks
        size = (X.nbytes + y.nbytes + task.nbytes) / 2**20
        found = first_update_seconds(X, y, task)
        lines.append(
            f"| {n_tasks:,} | {size:.0f} | {found[0]:.2f} | {found[1]:.2f} "
            f"| {found[2]:.2f} | {found[3]:.0f} | {found[4]:.1f} | {found[5]:.0f} |"
        )
    write_report(
        "scale",
        f"MAMLRegressor on tasks of 20 rows and {N_FEATURES} features, integer labels "
        "in no order; memory beyond the arrays themselves.",
        lines,
    )


if __name__ == "__main__":
    main()
