"""The engines on a CUDA device, and how their lead grows with the meta-batch.

python -m benchmarks.speed.gpu [--tasks 32 128 512 1024 4096]
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import warnings
from dataclasses import replace

import torch

from benchmarks.peers import loop, seconds_per_update
from benchmarks.shared import workloads
from benchmarks.shared.report import ratio, table, write_report
from benchmarks.shared.workloads import Workload
from sklmeta.learners.engine import EngineWarning
from sklmeta.learners.network import ENGINES

MAX_LOOP_TASKS = 256  # the loop's time is linear in the tasks, and long


def loop_seconds(workload: Workload, n_updates: int) -> float:
    """Seconds per update of the loop on the device."""
    n_tasks = workload.meta_batch_size
    fewer = replace(workload, meta_batch_size=min(n_tasks, MAX_LOOP_TASKS))
    updates = loop.updates(fewer, "cuda")
    updates(1)
    factor = n_tasks / fewer.meta_batch_size
    return factor * seconds_per_update(updates, n_updates)


def measure(workload: Workload, n_rounds: int, n_updates: int) -> list[str]:
    ratios: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    base, chosen = [], ""
    for engine in list(ratios):
        try:
            workload.fit_seconds(2, engine=engine, device="cuda")
        except (ValueError, RuntimeError):
            del ratios[engine]
    for _ in range(n_rounds):
        base.append(loop_seconds(workload, 2))
        for engine, found in ratios.items():
            n = 2 if engine == "loop" else n_updates
            seconds, fitted = workload.fit_seconds(n, engine=engine, device="cuda")
            found.append(base[-1] / seconds)
            chosen = fitted.engine_ if engine == "auto" else chosen
    cells = [ratio(ratios.get(engine, [])) or "–" for engine in ENGINES]
    return [workload.title, ratio([1e3 * s for s in base]), str(chosen), *cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--tasks", type=int, nargs="+", default=[32, 128, 512, 1024, 4096]
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=100)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA device")
        return
    warnings.simplefilter("ignore", EngineWarning)
    found = [workloads.sinusoid(1), workloads.sinusoid(5)]
    found += [workloads.tabular(first_order=True)]
    found += [workloads.conv4(n_filters) for n_filters in (16, 32, 64)]
    found += [workloads.tabular(meta_batch_size=n_tasks) for n_tasks in args.tasks]
    rows = []
    for workload in found:
        rows.append(measure(workload, args.rounds, args.updates))
        print(" | ".join(rows[-1]), flush=True)
    write_report(
        "gpu",
        f"Times the speed of a plain loop over tasks, both on one "
        f"{torch.cuda.get_device_name()}; whole `fit`s of {args.updates} updates. From "
        f"{MAX_LOOP_TASKS} tasks on the loop's time is that of {MAX_LOOP_TASKS}, in "
        "proportion.",
        table(["workload", "loop, ms per update", "auto is", *ENGINES], rows),
    )


if __name__ == "__main__":
    main()
