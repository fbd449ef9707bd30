"""Ctrl-C at random moments: an estimator that can be used, or the one of before.

    python -m benchmarks.faults.interrupts [n_interrupts]

Every fit is of an estimator that was fitted before, to other tasks. After SIGINT it
must predict finite numbers, and say that it was interrupted; where it made no update
it must be, bit for bit, what it was. A fit that returns must have made all updates.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import warnings
from collections import Counter
from typing import Any

import numpy as np
from sklearn.linear_model import Ridge

from sklmeta import (
    AutoMetaRegressor,
    BayesianLinearRegressor,
    FineTuneRegressor,
    MAMLRegressor,
    PerTask,
    ReptileRegressor,
    TransformerNeuralProcessRegressor,
)
from sklmeta.datasets import make_sinusoids

SMALL = {"hidden_layer_sizes": (8,), "random_state": 0}


def estimators() -> dict[str, Any]:
    closed = BayesianLinearRegressor(max_iter=300, **SMALL)
    members = [("own", PerTask(Ridge())), ("mixed", closed)]
    return {
        "closed form, folds": closed,
        "steps": MAMLRegressor(max_iter=60, **SMALL),
        "Reptile": ReptileRegressor(max_iter=60, **SMALL),
        "attention": TransformerNeuralProcessRegressor(max_iter=60, random_state=0),
        "fine tuning": FineTuneRegressor(max_iter=300, **SMALL),
        "blend": AutoMetaRegressor(estimators=members, shots=[0, 3], random_state=0),
    }


def interrupted(est: Any, data: Any, after: float) -> str:
    """Fit, press Ctrl-C after so many seconds, and say what became of it."""
    X, y, task = data
    before = est.predict(X)
    timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT))
    raised, done = False, False
    try:
        timer.start()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            est.fit(X, y, task=task)
            done = True
        timer.cancel()
        timer.join()
    except KeyboardInterrupt:
        raised = True
    finally:
        timer.cancel()
    now = est.predict(X)
    if not np.isfinite(now).all():
        return "UNUSABLE"
    if done:
        return "done before"
    if raised and np.array_equal(now, before):
        return "earlier state"
    told = any("Interrupted" in str(warning.message) for warning in said)
    return "stopped, usable" if told else "complete, then stopped"


def main() -> None:
    n_interrupts = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    # A shell starts what runs in its background with the signal ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rng = random.Random(0)
    old = make_sinusoids(12, n_rows=20, random_state=0)
    new = make_sinusoids(12, n_rows=20, random_state=1)
    counts: Counter[tuple[str, str]] = Counter()
    seconds = {}
    models = estimators()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, est in models.items():
            est.fit(*old[:2], task=old[2])
            began = time.perf_counter()
            est.fit(*new[:2], task=new[2])
            seconds[name] = time.perf_counter() - began
        for i in range(n_interrupts):
            name = list(models)[i % len(models)]
            models[name].fit(*old[:2], task=old[2])
            after = rng.random() * seconds[name]
            counts[name, interrupted(models[name], new, after)] += 1
    for (name, outcome), n in sorted(counts.items()):
        print(f"{name:20} {outcome:24} {n:4}")


if __name__ == "__main__":
    main()
