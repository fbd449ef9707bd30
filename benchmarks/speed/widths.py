"""The engine that "auto" chooses against each that may be asked for, over sizes.

    python -m benchmarks.speed.widths [--widths 32 64 ...] [--tasks 8 32 ...]

MAML on MLPs of two layers of equal width, 25 support and 75 query rows of 32 features,
two inner steps, second order. A figure is the time of the fastest fixed engine divided
by that of "auto", of their medians over all meta-updates after the first of each `fit`;
1.00 is the best choice, and where "auto" runs the fastest engine what is left is noise.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np
import torch

from benchmarks.shared import workloads
from benchmarks.shared.report import pin_to_one_core, ratio, table, write_report
from benchmarks.shared.workloads import Workload
from sklmeta.learners.engine import EngineWarning
from sklmeta.learners.network import ENGINES

FIXED = [engine for engine in ENGINES if engine != "auto"]
N_MORE = 40  # meta-updates of one `fit`, at most


def update_seconds(workload: Workload, engine: str, n: int) -> tuple[float, str]:
    """Median seconds of `n` meta-updates after the first, and the engine in use."""
    updates, _, estimator = workload.update_seconds(n, engine=engine)
    return float(np.median(updates)), str(estimator.engine_)


def measure(workload: Workload, n_rounds: int, seconds: float) -> dict[str, Any]:
    """Median seconds of every engine, and auto's ratio to the best of them."""
    found: dict[str, list[float]] = {engine: [] for engine in ("auto", *FIXED)}
    counts, name = {}, ""
    for engine in found:
        first, _ = update_seconds(workload, engine, 1)
        counts[engine] = max(1, min(N_MORE, int(seconds / first)))
    for _ in range(n_rounds):
        for engine, times in found.items():
            median, used = update_seconds(workload, engine, counts[engine])
            times.append(median)
            name = used if engine == "auto" else name
    medians = {engine: float(np.median(times)) for engine, times in found.items()}
    best = min(FIXED, key=lambda engine: medians[engine])
    ratios = np.array(found[best]) / np.array(found["auto"])
    return {"medians": medians, "best": best, "ratios": ratios, "auto": name}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--widths", type=int, nargs="+", default=[32, 64, 128, 256, 512, 1024]
    )
    parser.add_argument("--tasks", type=int, nargs="+", default=[8, 32, 128, 256])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, default=0.5, help="of one timing, about"
    )
    parser.add_argument("--name", default="widths", help="of the file in results/")
    args = parser.parse_args()
    pinned = pin_to_one_core()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", EngineWarning)
    rows = []
    for width in args.widths:
        for n_tasks in args.tasks:
            found = measure(workloads.wide(width, n_tasks), args.rounds, args.seconds)
            cells = [f"{1e3 * found['medians'][engine]:,.1f}" for engine in FIXED]
            rows.append(
                [
                    str(width),
                    str(n_tasks),
                    *cells,
                    found["best"],
                    found["auto"],
                    ratio(found["ratios"], 2),
                ]
            )
            print(" | ".join(rows[-1]), flush=True)
    header = ["width", "tasks", *(f"{engine}, ms" for engine in FIXED)]
    header += ["best", "auto is", "best / auto"]
    write_report(
        args.name,
        "MAML, MLP 32-h-h-5, 25 + 75 rows, two inner steps, second order, float32, one "
        f"thread, {pinned}. Milliseconds per meta-update within `fit`, medians; and "
        "the time of the fastest fixed engine over that of engine='auto', median and "
        "range over the rounds.",
        table(header, rows),
    )


if __name__ == "__main__":
    main()
