"""How time and memory grow with the number of tasks, from 100 to 100,000 of 20 rows.

    python -m benchmarks.speed.scale [--sizes 100 1000 10000 100000]

A fixed number of meta-updates, `adapt` to every task, `predict` for every row. Every
size runs in a process of its own. Memory is the peak of the resident set during the
call, beyond what was resident when the process had its arrays. The slope is that of
log(time) over log(tasks) between the two largest sizes: 1 is linear, 0 is constant.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.shared.report import RESULTS, pin_to_one_core, table, write_report
from sklmeta import BayesianLinearRegressor, MAMLRegressor

N_ROWS, N_FEATURES, N_UPDATES = 20, 16, 100
ESTIMATORS = {"MAML": MAMLRegressor, "BayesianLinear": BayesianLinearRegressor}
STEPS = ("fit", "adapt", "predict")
STATUS = Path("/proc/self/status")


def memory_mib(entry: str) -> float:
    """VmRSS, resident now, or VmHWM, its peak; nan where /proc does not tell."""
    if not STATUS.exists():
        return float("nan")
    found = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(found[entry].split()[0]) / 2**10


def measured(call: Callable[[], Any], before: float) -> dict[str, float]:
    """Seconds, of CPU too, and peak MiB beyond `before`."""
    if STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    start, cpu = time.perf_counter(), time.process_time()
    call()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {"seconds": seconds, "cpu": cpu, "mib": memory_mib("VmHWM") - before}


def run_one(name: str, n_tasks: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    pin_to_one_core()
    rng = np.random.default_rng(0)
    make = ESTIMATORS[name]
    warm = rng.normal(size=(100, N_FEATURES))
    few = make(max_iter=1, device="cpu").fit(
        warm, warm[:, 0], task=np.arange(100) // 10
    )
    few.adapt(warm, warm[:, 0], task=np.arange(100) // 10)
    X = rng.normal(size=(N_ROWS * n_tasks, N_FEATURES))
    y, task = X[:, 0] + rng.normal(size=len(X)), np.arange(len(X)) % n_tasks
    estimator = make(max_iter=N_UPDATES, random_state=0, device="cpu")
    before = memory_mib("VmRSS")
    return {
        "arrays": (X.nbytes + y.nbytes + task.nbytes) / 2**20,
        "fit": measured(lambda: estimator.fit(X, y, task=task), before),
        "adapt": measured(lambda: estimator.adapt(X, y, task=task), before),
        "predict": measured(lambda: estimator.predict(X, task=task), before),
    }


def in_a_process(name: str, n_tasks: int) -> dict[str, Any]:
    module = [sys.executable, "-m", "benchmarks.speed.scale"]
    command = [*module, "--one", name, "--sizes", str(n_tasks)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise RuntimeError(found.stderr)
    return json.loads(found.stdout.splitlines()[-1])


def slope(sizes: list[int], values: list[float]) -> str:
    if len(sizes) < 2:
        return ""
    growth = np.log(values[-1] / values[-2]) / np.log(sizes[-1] / sizes[-2])
    return f"{growth:.2f}"


def plot(sizes: list[int], results: dict[str, list[dict[str, Any]]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 4.5), layout="constrained")
    for name, found in results.items():
        style = "-" if name == "MAML" else "--"
        for i, step in enumerate(STEPS):
            for ax, entry in zip(axes, ("seconds", "mib"), strict=True):
                values = [one[step][entry] for one in found]
                marker = "os^"[i]
                ax.plot(
                    sizes,
                    values,
                    style,
                    marker=marker,
                    color=f"C{i}",
                    label=f"{name}, {step}",
                )
    arrays = [one["arrays"] for one in next(iter(results.values()))]
    axes[1].plot(sizes, arrays, ":", color="0.5", label="the arrays themselves")
    for ax, words in zip(axes, ("time (s)", "peak memory (MiB)"), strict=True):
        ax.set(xscale="log", yscale="log", xlabel="number of tasks", ylabel=words)
        ax.grid(alpha=0.3)
    handles, labels = axes[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    axes[0].set_title(f"fit of {N_UPDATES} updates; adapt and predict for all tasks")
    axes[1].set_title("beyond the arrays themselves")
    figure.savefig(RESULTS / "scale.png", dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sizes = [100, 1000, 10_000, 100_000]
    parser.add_argument("--sizes", type=int, nargs="+", default=sizes)
    parser.add_argument(
        "--estimators", nargs="+", choices=ESTIMATORS, default=list(ESTIMATORS)
    )
    parser.add_argument("--one", choices=ESTIMATORS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(run_one(args.one, args.sizes[0])))
        return
    results: dict[str, list[dict[str, Any]]] = {}
    rows = []
    for name in args.estimators:
        results[name] = []
        for n_tasks in args.sizes:
            found = in_a_process(name, n_tasks)
            print(name, n_tasks, found, flush=True)
            results[name].append(found)
            cells = [
                f"{found[step]['seconds']:.2f} ({found[step]['cpu']:.2f}), "
                f"{found[step]['mib']:.0f} MiB"
                for step in STEPS
            ]
            rows.append([name, f"{n_tasks:,}", f"{found['arrays']:.1f}", *cells])
        slopes = [
            slope(args.sizes, [one[step]["cpu"] for one in results[name]])
            for step in STEPS
        ]
        rows.append([name, "slope of CPU time", "", *slopes])
    RESULTS.mkdir(exist_ok=True)
    plot(args.sizes, results)
    header = ["", "tasks", "arrays, MiB", f"`fit`, {N_UPDATES} updates"]
    write_report(
        "scale",
        f"Tasks of {N_ROWS} rows and {N_FEATURES} features, integer labels in no "
        "order; one thread. Seconds on the clock, in brackets of CPU, and peak memory "
        "beyond the arrays themselves. The slope is between the two largest sizes.",
        [
            *table([*header, "`adapt` to all", "`predict` all rows"], rows),
            "",
            "![](scale.png)",
        ],
    )


if __name__ == "__main__":
    main()
