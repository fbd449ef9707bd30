"""`compile=True`: updates per second once compilation is over, and what it costs."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
from skorch.callbacks import Callback

from benchmarks.peers import Updates, jax_, loop, seconds_per_update
from benchmarks.shared.report import ratio, table
from benchmarks.shared.workloads import Workload

UPDATES_PER_EPOCH = 100


class Interleaved(Callback):
    """Times the loop after every epoch of our `fit`, so that both meet one machine."""

    def __init__(self, loop_updates: Updates, jax_updates: Updates | None):
        self.loop_updates, self.jax_updates = loop_updates, jax_updates
        self.loop_seconds: list[float] = []
        self.jax_seconds: list[float] = []

    def __deepcopy__(self, memo: Any) -> Interleaved:
        return self  # `fit` copies its callbacks, and this one is read afterwards

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        self.loop_seconds.append(seconds_per_update(self.loop_updates, 8))
        if self.jax_updates is not None:
            self.jax_seconds.append(seconds_per_update(self.jax_updates, 100))


def compiled_row(workload: Workload, n_rounds: int) -> list[str]:
    """Lines of a small table; one saying so where there is no `compile` parameter."""
    estimator = workload.estimator(UPDATES_PER_EPOCH * (n_rounds + 2))
    if "compile" not in estimator.get_params():
        return ["No `compile` parameter in this version."]
    loop_updates = loop.updates(workload)
    jax_updates = jax_.updates(workload) if jax_.importable() else None
    for updates in (loop_updates, jax_updates):
        if updates is not None:
            updates(2)
    watch = Interleaved(loop_updates, jax_updates)
    estimator.set_params(compile=True, callbacks=[("watch", watch)])
    X, y, task = workload.table()
    estimator.fit(X, y, task=task)
    # A rare shape may compile in the second epoch still.
    ours = np.array([row["dur"] for row in estimator.history_]) / UPDATES_PER_EPOCH
    compilation = UPDATES_PER_EPOCH * float((ours[:2] - np.median(ours[2:])).sum())
    base = np.array(watch.loop_seconds)
    per_jax = [""]
    if watch.jax_seconds:
        per_jax = [ratio((np.array(watch.jax_seconds) / ours)[2:], 2)]
    header = [
        "workload",
        "compile=True, times the loop",
        "ms per update",
        "compilation, s",
        "times JAX jit",
    ]
    cells = [
        workload.title,
        ratio((base / ours)[2:]),
        ratio(1e3 * ours[2:], 2),
        f"{compilation:.1f}",
    ]
    return table(header, [cells + per_jax])
