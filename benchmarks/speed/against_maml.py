"""What learned steps cost: Meta-SGD and MAML++ as multiples of plain MAML's `fit`.

    python -m benchmarks.speed.against_maml [--rounds 7] [--updates 300]

The same network, episodes and inner steps; whole `fit`s, interleaved in one process,
with one thread on one core. A figure is the median over rounds of the time divided by
plain MAML's in the same round, and in brackets the range.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import time
from typing import Any

import torch

from benchmarks.shared import workloads
from benchmarks.shared.report import pin_to_one_core, ratio, table, write_report
from benchmarks.shared.workloads import Workload

WORKLOADS = {
    "sinusoid-1": lambda: workloads.sinusoid(1),
    "sinusoid-5": lambda: workloads.sinusoid(5),
    "tabular": workloads.tabular,
}


def seconds(estimator: Any, data: tuple[Any, ...]) -> float:
    X, y, task = data
    start = time.perf_counter()
    estimator.fit(X, y, task=task)
    return time.perf_counter() - start


def row_of(workload: Workload, n_rounds: int, n_updates: int) -> list[str]:
    data = workload.table()
    made = {
        "MAML": lambda: workload.estimator(n_updates),
        "Meta-SGD": lambda: workloads.meta_sgd(workload, n_updates),
        "MAML++": lambda: workloads.stabilised(workload, n_updates),
    }
    seconds(workload.estimator(2), data)  # what torch does once
    times: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(n_rounds):
        for name, make in made.items():
            times[name].append(seconds(make(), data))
    plain = times["MAML"]
    cells = [workload.title, ratio([1e3 * s / n_updates for s in plain])]
    for name in ("Meta-SGD", "MAML++"):
        found = [s / base for s, base in zip(times[name], plain, strict=True)]
        cells.append(ratio(found, 2))
    print(" | ".join(cells), flush=True)
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--updates", type=int, default=300)
    arguments = parser.parse_args()
    pinned = pin_to_one_core()
    torch.set_num_threads(1)
    rows = [
        row_of(make(), arguments.rounds, arguments.updates)
        for make in WORKLOADS.values()
    ]
    write_report(
        "against_maml",
        f"`fit` as a multiple of plain MAML's: float32, one thread, {pinned}.",
        table(["workload", "MAML, ms per update", "Meta-SGD", "MAML++"], rows),
    )


if __name__ == "__main__":
    main()
