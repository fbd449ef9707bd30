"""Thirty-two threads that adapt and predict beside a running fit.

    python -m benchmarks.faults.threads [n_each]

Each thread adapts copies of the same fitted estimators to its own tasks and predicts,
`n_each` times, while another thread fits. What they find must be what one thread found;
the caller's random streams must not have moved; a process that is forked in the middle
must come to its end. scikit-learn's ridge, which has no lock, tells how long a thread
waits for a core and for Python among so many.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
import random
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.linear_model import Ridge

import sklmeta
from benchmarks.shared.report import write_report
from sklmeta.datasets import make_linear_tasks
from sklmeta.learners import engine, torch_state

N_THREADS, N_TASKS = 32, 64
LIMIT = 60.0


class TimedLock:
    """A lock that knows how long anybody has waited for it."""

    def __init__(self, lock: Any):
        self.lock = lock
        self.waits = [0.0]

    def __enter__(self) -> None:
        start = time.perf_counter()
        self.lock.acquire()
        self.waits.append(time.perf_counter() - start)

    def __exit__(self, *error: object) -> None:
        self.lock.release()


LOCKS = {
    "_GENERATOR_LOCK": torch_state,
    "_THREADS_LOCK": torch_state,
    "_SDPA_LOCK": engine,
}


def models() -> dict[str, Any]:
    X, y, task = make_linear_tasks(n_tasks=30, random_state=0)
    few = {"max_iter": 5, "random_state": 0}
    no_folds = {"early_stopping": False, **few}
    made = {
        "mixed model": sklmeta.MixedModelRegressor(),
        "Bayesian linear": sklmeta.BayesianLinearRegressor(**no_folds),
        "ridge head": sklmeta.RidgeHeadRegressor(**no_folds),
        "MAML": sklmeta.MAMLRegressor(**few),
        "transformer": sklmeta.TransformerNeuralProcessRegressor(**no_folds),
    }
    fitted = {name: model.fit(X, y, task=task) for name, model in made.items()}
    return {"scikit-learn's ridge": Ridge(), **fitted}


def answer(model: Any, number: int) -> Any:
    rng = np.random.default_rng(number)
    X, y, asked = rng.normal(size=(5, 5)), rng.normal(size=5), rng.normal(size=(3, 5))
    if isinstance(model, Ridge):
        return clone(model).fit(X, y).predict(asked)
    return sklmeta.adapted(model, X, y).predict(asked)


def work(model: Any, seed: int, n_each: int, expected: Any) -> tuple[float, int]:
    """Longest that one adaptation took, and how many answers differed."""
    longest, n_wrong = 0.0, 0
    for i in range(n_each):
        number = (seed + i) % N_TASKS
        start = time.perf_counter()
        found = answer(model, number)
        longest = max(longest, time.perf_counter() - start)
        n_wrong += not np.array_equal(found, expected[number])
    return longest, n_wrong


def fit_until(done: threading.Event) -> None:
    X, y, task = make_linear_tasks(n_tasks=30, random_state=1)
    while not done.is_set():
        sklmeta.MAMLRegressor(max_iter=200, random_state=0).fit(X, y, task=task)


def streams() -> list[list[int]]:
    """Where the process-wide generators stand."""
    numpy = np.random.mtrand._rand.get_state(legacy=False)
    state = numpy["state"]
    return [
        torch.get_rng_state().tolist(),
        [*state["key"].tolist(), int(state["pos"])],
        list(random.getstate()[1]),
    ]


def fork_ends(model: Any) -> bool:
    """Adapt in a forked process, while threads hold whatever they hold."""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        answer(model, 0)
        os._exit(0)
    start = time.perf_counter()
    while time.perf_counter() - start < LIMIT:
        if os.waitpid(child, os.WNOHANG)[0]:
            return True
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


def row(name: str, model: Any, n_each: int) -> str:
    expected = [answer(model, number) for number in range(N_TASKS)]
    locks = [getattr(home, lock) for lock, home in LOCKS.items()]
    for lock in locks:
        lock.waits = [0.0]
    done = threading.Event()
    before = streams()
    start = time.perf_counter()
    with ThreadPoolExecutor(N_THREADS + 1) as pool:
        fitting = pool.submit(fit_until, done)
        jobs = [
            pool.submit(work, model, seed, n_each, expected)
            for seed in range(N_THREADS)
        ]
        forked = fork_ends(model)
        said = [job.result() for job in jobs]
        taken = time.perf_counter() - start
        done.set()
        fitting.result()
    same = streams() == before
    cells = (
        *(name, f"{N_THREADS * n_each:,}", f"{taken:.0f}"),
        *(f"{sum(wrong for _, wrong in said)}", f"{1e3 * max(s for s, _ in said):.0f}"),
        f"{1e3 * max(max(lock.waits) for lock in locks):.1f}",
        *("untouched" if same else "MOVED", "ended" if forked else "HUNG"),
    )
    return f"| {' | '.join(cells)} |"


def main(n_each: int = 10_000) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for name, home in LOCKS.items():
        setattr(home, name, TimedLock(getattr(home, name)))
    head = (
        *("model", "adaptations", "s", "unlike one thread's", "longest ms"),
        *("longest for a lock ms", "random streams", "fork"),
    )
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    lines += [row(name, model, n_each) for name, model in models().items()]
    title = (
        f"{N_THREADS} threads, each {n_each:,} times: adapt a copy to five rows of one"
        " of 64 tasks and predict three, beside a thread that fits. The longest has"
        " the waiting for one of the cores among 33 threads in it."
    )
    write_report("threads", title, lines)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
