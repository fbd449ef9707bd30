"""``sklmeta predict --in-pieces``: does its memory grow with the number of tasks?

    python -m benchmarks.scale.pieces [n_tasks ...]

Tasks of ten rows, of which five have a label, in a Parquet file sorted by task. Each
file is predicted by a process of its own, whose largest memory is what counts.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.shared.report import write_report

N_ROWS, N_LABELLED, N_TRAINING = 10, 5, 300
COMMAND = [
    sys.executable,
    "-c",
    "from sklmeta.cli import main; raise SystemExit(main())",
]


def table(n_tasks: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(n_tasks), N_ROWS)
    X = rng.normal(size=(len(task), 2))
    own = rng.normal(size=(n_tasks, 3))[task]
    y = own[:, 0] + (1 + own[:, 1:] * X).sum(axis=1) + 0.1 * rng.normal(size=len(task))
    return pd.DataFrame({"task": task, "a": X[:, 0], "b": X[:, 1], "y": y})


def run(*arguments: str | Path) -> tuple[float, float]:
    """Return the seconds of the process, and its largest memory in MB."""
    start = time.perf_counter()
    child = subprocess.Popen([*COMMAND, *map(str, arguments)])
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise RuntimeError(f"{arguments[0]} ended with {status}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def main(sizes: list[int]) -> None:
    lines = ["| tasks | rows | s | peak MB |", "| --- | --- | --- | --- |"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, out = folder / "model.skops", folder / "out.parquet"
        table(N_TRAINING).to_csv(folder / "old.csv", index=False)
        about = ["--task", "task", "--target", "y", "--model", "mixed model"]
        run("fit", folder / "old.csv", *about, "--out", model, "--no-validation")
        for n_tasks in sizes:
            rows = table(n_tasks)
            rows["y"] = rows["y"].where(rows.index % N_ROWS < N_LABELLED)
            rows.to_parquet(folder / "new.parquet")
            given = folder / "new.parquet", "--in-pieces", "--out", out
            took, memory = run("predict", model, *given)
            lines.append(f"| {n_tasks:,} | {len(rows):,} | {took:.0f} | {memory:.0f} |")
    title = (
        "`sklmeta predict --in-pieces` of a mixed model, from Parquet to Parquet: "
        "seconds on the clock, and the largest memory of the process."
    )
    write_report("pieces", title, lines, ("numpy", "pandas", "pyarrow", "torch"))


if __name__ == "__main__":
    main([int(n) for n in sys.argv[1:]] or [10_000, 200_000])
