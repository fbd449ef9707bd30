"""Many fits, one after the other or side by side, under one line of progress."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import shutil
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from joblib import effective_n_jobs
from joblib.parallel import get_active_backend
from sklearn.utils.parallel import Parallel, delayed

from sklmeta.evaluation.containers import inner_estimator
from sklmeta.exceptions import warn
from sklmeta.training.progress import Progress, reported_to

ALONE = 20.0
"""Seconds of fits in this process before it is asked whether others would help."""

WORTH_STARTING = 40.0
"""Seconds of work that must be left for them: starting one takes some."""

OF_A_FIT = 50
"""Meta-updates that any fit counts for, beside its own."""


def worth_of(estimator: Any) -> float:
    """Return how many meta-updates a fit is like, about.

    Parameters
    ----------
    estimator : estimator

    Returns
    -------
    float
    """
    inner = inner_estimator(estimator)
    if not hasattr(inner, "meta_batch_size"):
        return OF_A_FIT
    times = 4 if inner.early_stopping in ("folds", "auto") else 1
    return float(OF_A_FIT + times * inner.max_iter)


def run_jobs(
    jobs: Sequence[Any],
    worths: Sequence[float],
    progress: Progress,
    n_jobs: int | None,
) -> Iterator[Any]:
    """Yield what the jobs return, in their order.

    Parameters
    ----------
    jobs : sequence of tuple
        A function that can be pickled, and its arguments.

    worths : sequence of float
        Meta-updates that each is like.

    progress : Progress
        Which they move on, while they run.

    n_jobs : int or None
        Of None the first run here; if much is left after twenty seconds, the others
        run in as many processes as there are cores, where nothing speaks against it.
        What they return does not depend on it.

    Yields
    ------
    object
    """
    with _Shares(worths, progress) as shares:
        here = os.getpid()
        told = [
            delayed(_tell)(shares.path(i), here, *job) for i, job in enumerate(jobs)
        ]
        for i, (found, heard) in enumerate(_spread(told, jobs, worths, n_jobs)):
            for message, category in heard:
                warn(message, category)
            shares.finish(i)
            yield found


def _tell(path: Path | None, home: int, function: Any, *args: Any) -> Any:
    """Do a job; say how far it is, and what it warned of if that was elsewhere."""
    report = None if path is None else partial(_write_share, path)
    with reported_to(report):
        if os.getpid() == home:
            return function(*args), []
        with warnings.catch_warnings(record=True) as caught:
            found = function(*args)
        return found, [(str(one.message), one.category) for one in caught]


def _write_share(path: Path, share: float) -> None:
    with contextlib.suppress(OSError):  # the folder goes when nobody looks any more
        path.write_text(f"{share:.4f}")


def _spread(
    told: list[Any], jobs: Sequence[Any], worths: Sequence[float], n_jobs: int | None
) -> Iterator[Any]:
    if n_jobs is not None or not _has_cores():
        yield from Parallel(n_jobs=n_jobs, return_as="generator")(told)
        return
    began, i = time.monotonic(), 0
    while i < len(told):
        gone = time.monotonic() - began
        left = gone * sum(worths[i:]) / max(sum(worths[:i]), 1e-9)
        pays = gone > ALONE and left > WORTH_STARTING and len(told) - i > 1
        if pays and _can_travel(jobs[i:]):
            break
        yield from Parallel(n_jobs=1)(told[i : i + 1])
        i += 1
    if i < len(told):
        n_jobs = min(effective_n_jobs(-1), len(told) - i)
        yield from Parallel(n_jobs=n_jobs, return_as="generator")(told[i:])


def _has_cores() -> bool:
    """Whether this is the user's own process, with cores of its own to use."""
    backend, n_jobs = get_active_backend()
    return (
        n_jobs in (None, 1)  # a user's context knows better
        and type(backend).__name__ == "LokyBackend"
        and not getattr(backend, "nesting_level", 0)
        and multiprocessing.current_process().name == "MainProcess"
        and threading.current_thread() is threading.main_thread()
        and not torch.cuda.is_available()  # which all would share
        and effective_n_jobs(-1) > 1
    )


def _can_travel(jobs: Sequence[Any]) -> bool:
    """Whether the estimators among the arguments can be sent to another process."""
    given = [value for job in jobs for value in job]
    parts = [v for value in given for v in (value if type(value) is list else [value])]
    try:
        pickle.dumps([value for value in parts if hasattr(value, "get_params")])
    except Exception:  # noqa: BLE001 - whatever hinders it, they can run here
        return False
    return True


class _Shares:
    """Reads which share of each job is done, and moves the line of all.

    Jobs in other processes have nothing but files to say it by.
    """

    def __init__(self, worths: Sequence[float], progress: Progress):
        self.worths, self.progress = worths, progress
        self.start = progress.done
        self.done = [0.0] * len(worths)
        self.folder: Path | None = None
        self._over = threading.Event()

    def __enter__(self) -> Self:
        if self.progress.is_seen:
            self.folder = Path(tempfile.mkdtemp(prefix="sklmeta-"))
            self._thread = threading.Thread(target=self._look, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._over.set()
        if self.folder is not None:
            self._thread.join()
            shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, i: int) -> Path | None:
        return None if self.folder is None else self.folder / str(i)

    def finish(self, i: int) -> None:
        self.done[i] = 1.0
        if self.folder is None:
            self._move()

    def _look(self) -> None:
        while not self._over.wait(0.5):
            for i, done in enumerate(self.done):
                path = self.path(i)
                if path is not None and done < 1.0:
                    with contextlib.suppress(OSError, ValueError):
                        self.done[i] = max(self.done[i], float(path.read_text()))
            self._move()
        self._move()

    def _move(self) -> None:
        pairs = zip(self.worths, self.done, strict=True)
        done = sum(worth * share for worth, share in pairs)
        self.progress.move_to(int(self.start + done))
