"""Memory of a meta-update, by the number of inner steps.

    python -m benchmarks.speed.memory

MAML, MLP 32-256-256-5, 32 tasks of 25 + 75 rows, second order, float32. Each figure is
the peak of the resident set over a few meta-updates beyond what was resident before, in
a process of its own.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace

import torch

from benchmarks.peers import loop
from benchmarks.shared import workloads
from benchmarks.shared.report import pin_to_one_core, table, write_report
from benchmarks.speed.scale import measured, memory_mib

STEPS = (1, 2, 5, 20, 50)
N_UPDATES = 3
COLUMNS = {
    "plain loop over tasks": None,
    "adjoint": {"engine": "adjoint"},
    "adjoint, all tasks at once": {"engine": "adjoint", "chunk_size": 32},
    "vmap": {"engine": "vmap"},
    "vmap, all tasks at once": {"engine": "vmap", "chunk_size": 32},
    "loop": {"engine": "loop"},
}


def peak_mib(column: str, inner_steps: int) -> float:
    torch.set_num_threads(1)
    pin_to_one_core()
    workload = replace(workloads.wide(256, 32), inner_steps=inner_steps)
    X, y, task = workload.table()
    params = COLUMNS[column]
    # What torch loads at the first use of it all is not the update's.
    small = replace(workload, meta_batch_size=2, inner_steps=1)
    small.estimator(1, **(params or {})).fit(X[:2000], y[:2000], task=task[:2000])
    if params is None:
        updates = loop.updates(workload)
        return measured(lambda: updates(N_UPDATES), memory_mib("VmRSS"))["mib"]
    estimator = workload.estimator(N_UPDATES, **params)
    before = memory_mib("VmRSS")
    return measured(lambda: estimator.fit(X, y, task=task), before)["mib"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    one = parser.parse_args().one
    if one:
        print(json.dumps(peak_mib(one[0], int(one[1]))))
        return
    rows = []
    for inner_steps in STEPS:
        cells = []
        for column in COLUMNS:
            module = [sys.executable, "-m", "benchmarks.speed.memory"]
            command = [*module, "--one", column, str(inner_steps)]
            found = subprocess.run(command, capture_output=True, text=True, check=True)
            cells.append(f"{json.loads(found.stdout.splitlines()[-1]):,.0f}")
        rows.append([str(inner_steps), *cells])
        print(" | ".join(rows[-1]), flush=True)
    write_report(
        "memory",
        "Peak MiB of a meta-update beyond what was resident before it: MAML, MLP "
        "32-256-256-5, 32 tasks, 25 + 75 rows, second order, float32; the engines "
        "within `fit`, with chunk_size='auto' unless said. Memory grows with the inner "
        "steps and with the chunk, not with the meta-batch.",
        table(["inner steps", *COLUMNS], rows),
    )


if __name__ == "__main__":
    main()
