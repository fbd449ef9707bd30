"""SIGKILL at random moments: what is begun again ends bit for bit where it would have.

    python -m benchmarks.faults.kills [n_kills]

Fits of five estimators, of a blend and of a comparison run in a process of their own,
which is killed after a random time and started again, until it ends.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.faults.interrupts import estimators
from sklmeta.comparing import compare
from sklmeta.datasets import make_sinusoids
from sklmeta.training import checkpoint

COMPARISON = "comparison"


def end_of(name: str, folder: Path | None) -> str:
    """Fit, and return a digest of what was learned."""
    X, y, task = make_sinusoids(12, n_rows=20, random_state=0)
    warnings.simplefilter("ignore")
    checkpoint.EVERY = 0.0
    models = estimators()
    if name == COMPARISON:
        chosen = [models["steps"], models["fine tuning"]]
        found = compare(
            chosen, X, y, task, shots=[3], cv=2, n_draws=1, checkpoint_dir=folder
        )
        return _digest(found.draws.score.to_numpy())
    est = models[name].set_params(checkpoint_dir=folder)
    if "max_iter" in est.get_params(deep=False):
        est.set_params(max_iter=5 * est.max_iter)  # several epochs
    est.fit(X, y, task=task)
    est.adapt(X[:5], y[:5])
    return _digest(est.predict(X))


def _digest(values: np.ndarray) -> str:
    return hashlib.sha256(values.tobytes()).hexdigest()


def in_a_child(name: str, folder: Path | None, seconds: float | None) -> Any:
    """Return the end, or None if the child was killed before; and how long it took."""
    answer = Path(tempfile.mkstemp()[1])
    began = time.perf_counter()
    child = os.fork()
    if not child:
        answer.write_text(end_of(name, folder))
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)  # a child that has ended waits to be asked
    os.waitpid(child, 0)
    text = answer.read_text()
    answer.unlink()
    return text or None, time.perf_counter() - began


def main() -> None:
    n_kills = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    names, rng = [*estimators(), COMPARISON], random.Random(0)
    whole = {name: in_a_child(name, None, None) for name in names}
    killed = dict.fromkeys(names, 0)
    ends = dict.fromkeys(names, 0)
    equal = dict.fromkeys(names, 0)
    while sum(killed.values()) < n_kills:
        name = min(names, key=lambda name: killed[name])
        expected, takes = whole[name]
        with tempfile.TemporaryDirectory() as folder:
            end = None
            for _ in range(6):
                seconds = rng.random() * takes
                end, _ = in_a_child(name, Path(folder), seconds)
                if end is not None:
                    break
                killed[name] += 1
            end = end or in_a_child(name, Path(folder), None)[0]
        ends[name] += 1
        equal[name] += end == expected
    for name in names:
        print(f"{name:20} {killed[name]:4} kills {equal[name]:4}/{ends[name]} equal")


if __name__ == "__main__":
    main()
