"""What the mixed model, the blend and a comparison cost on one core.

    SKLMETA_DATA=... python -m benchmarks.speed.mixed_models
        [--parts NAME ...] [--rounds 5] [--fast]

Parts: ``scale``, the mixed model on 100,000 tasks; ``hsb82``, beside statsmodels;
``auto``, AutoMeta on 100 tasks of 20 rows; ``compare``, the command line on 18 tasks of
24 rows. Each runs in a process of its own, on one thread pinned to one core; what is
compared is run in turn. Where a ratio is to boosting, that is one
``HistGradientBoostingRegressor().fit`` of the same rows in the same process.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

from benchmarks.shared.report import (
    PACKAGES,
    pin_to_one_core,
    ratio,
    table,
    write_report,
)
from benchmarks.speed.scale import measured, memory_mib
from sklmeta import AutoMetaRegressor, MixedModelRegressor
from sklmeta.datasets import fetch_mixed_model_data, make_linear_tasks

Rows = list[list[str]]
N_ADAPTED = 50


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def boosting(X: Any, y: Any, rounds: int) -> list[float]:
    HistGradientBoostingRegressor(max_iter=1).fit(X, y)  # its threads start
    return [
        seconds(lambda: HistGradientBoostingRegressor().fit(X, y))
        for _ in range(rounds)
    ]


def scale(rounds: int, fast: bool) -> Rows:
    """Time and memory of the mixed model, of which the second is beyond the data."""
    n_tasks = 2000 if fast else 100_000
    X, y, task = make_linear_tasks(n_tasks, n_rows=10, random_state=0)
    MixedModelRegressor().fit(X[:500], y[:500], task=task[:500])
    arrays = (X.nbytes + y.nbytes + task.nbytes) / 2**20
    model = MixedModelRegressor()
    found = measured(lambda: model.fit(X, y, task=task), memory_mib("VmRSS"))
    times = [found["seconds"]]
    times += [
        seconds(lambda: MixedModelRegressor().fit(X, y, task=task))
        for _ in range(rounds - 1)
    ]
    what = f"mixed model, {n_tasks:,} tasks of 10 rows, 5 features: "
    return [
        [f"{what}`fit`, s", ratio(times, 2), "10"],
        [f"{what}`fit`, s of CPU, first time", f"{found['cpu']:.2f}", ""],
        [
            f"{what}peak memory beyond the data, times their {arrays:.0f} MiB",
            f"{found['mib'] / arrays:.2f}",
            "2",
        ],
    ]


def hsb82(rounds: int, fast: bool) -> Rows:
    """Random intercept and slope of the pupil's own status, in both packages."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    bunch = fetch_mixed_model_data("hsb82")
    X = bunch.data[["meanses", "cses"]].assign(
        catholic=(bunch.data.sector == "Catholic").astype(float)
    )
    design = X.assign(constant=1.0)
    other = MixedLM(
        bunch.target,
        design[["constant", *X.columns]],
        groups=bunch.task,
        exog_re=design[["constant", "cses"]],
    )
    own = MixedModelRegressor(random_slopes=["cses"])
    times: dict[str, list[float]] = {"own": [], "other": []}
    own.fit(X, bunch.target, task=bunch.task)
    for _ in range(rounds):
        times["own"].append(seconds(lambda: own.fit(X, bunch.target, task=bunch.task)))
        times["other"].append(seconds(other.fit))
    likelihoods = own.log_likelihood_, other.fit().llf
    if not np.isclose(*likelihoods, rtol=1e-4):
        raise AssertionError(f"They do not agree: {likelihoods}.")
    gain = np.divide(times["other"], times["own"])
    return [
        ["hsb82: `fit` of the mixed model, s", ratio(times["own"], 3), "0.5"],
        ["hsb82: statsmodels' MixedLM, s", ratio(times["other"], 3), ""],
        ["hsb82: MixedLM by mixed model", ratio(gain.tolist()), "at least 10"],
    ]


def auto(rounds: int, fast: bool) -> Rows:
    X, y, task = make_linear_tasks(100, n_rows=20, random_state=0)
    params = {"member_params": {"max_iter": 20}} if fast else {}
    model = AutoMetaRegressor(random_state=0, **params)
    start = time.process_time()
    fit = seconds(lambda: model.fit(X, y, task=task))
    cpu = time.process_time() - start
    trees = boosting(X, y, rounds)
    new, target, _ = make_linear_tasks(1, n_rows=20, random_state=1)
    times = []
    for _ in range(3 if fast else N_ADAPTED):
        start = time.perf_counter()
        model.adapt(new[:10], target[:10]).predict(new[10:])
        times.append(1e3 * (time.perf_counter() - start))
    what = "AutoMeta, 100 tasks of 20 rows, 5 features: "
    return [
        [f"{what}`fit`, s", f"{fit:.1f}", "30"],
        [f"{what}`fit`, s of CPU", f"{cpu:.1f}", ""],
        [f"{what}`fit`, times boosting's", f"{fit / np.median(trees):.0f}", ""],
        [f"{what}`adapt` to 10 rows and `predict` 10, ms", ratio(times), "15"],
    ]


def compare(rounds: int, fast: bool) -> Rows:
    """Command line as a process, imports and report included."""
    X, y, task = make_linear_tasks(18, n_rows=24, random_state=0)
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(5)])
    trees = boosting(X, y, rounds)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "tasks.csv"
        frame.assign(y=y, shop=task).to_csv(data, index=False)
        command = [sys.executable, "-m", "sklmeta", "compare", str(data)]
        command += ["--task", "shop", "--target", "y", "--quiet"]
        command += ["--report", str(Path(folder) / "report.html")]
        command += ["--max-iter", "20"] if fast else []
        took = seconds(lambda: subprocess.run(command, capture_output=True, check=True))
    what = "`sklmeta compare`, 18 tasks of 24 rows, report included: "
    return [
        [f"{what}s", f"{took:.1f}", "15"],
        [f"{what}times boosting's `fit`", f"{took / np.median(trees):.0f}", ""],
    ]


PARTS = {"scale": scale, "hsb82": hsb82, "auto": auto, "compare": compare}


def in_a_process(name: str, args: argparse.Namespace) -> Rows:
    command = [sys.executable, "-m", "benchmarks.speed.mixed_models", "--one", name]
    command += ["--rounds", str(args.rounds), *["--fast"] * args.fast]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    found = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | threads, check=False
    )
    if found.returncode:
        raise RuntimeError(found.stderr)
    return json.loads(found.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fast", action="store_true", help="little of it, not kept")
    parser.add_argument("--one", choices=PARTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        pin_to_one_core()
        print(json.dumps(PARTS[args.one](args.rounds, args.fast)))
        return
    rows = []
    for name in args.parts:
        rows += in_a_process(name, args)
        print(*(" | ".join(row) for row in rows[-3:]), sep="\n", flush=True)
    lines = [
        "Medians, with the range in brackets where a figure was taken several times.",
        "",
        *table(["", "measured", "at most"], rows),
    ]
    if args.fast or set(args.parts) != set(PARTS):
        print(*lines, sep="\n")
        return
    write_report(
        "mixed_models_speed",
        "What the mixed model, the blend and a comparison cost on one core.",
        lines,
        (*PACKAGES, "statsmodels"),
    )


if __name__ == "__main__":
    main()
