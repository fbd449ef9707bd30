"""The fits of a comparison: how many at a time, for how long, and what is kept."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from joblib import effective_n_jobs
from sklearn.base import clone

from sklmeta._version import __version__
from sklmeta.data.fingerprint import of_rows, of_value
from sklmeta.evaluation.containers import inner_estimator
from sklmeta.exceptions import warn
from sklmeta.model_selection.running import run_jobs, worth_of
from sklmeta.model_selection.validation import evaluate_fold
from sklmeta.training.checkpoint import Checkpoint, Checkpoints
from sklmeta.training.progress import Progress


class Means(NamedTuple):
    """What decides no score."""

    n_jobs: int | None
    verbose: int | None
    max_time: float | None
    checkpoint_dir: Any


class Share(NamedTuple):
    """Of the time of all: each fit to come has as much of what is left."""

    end: float | None
    n_to_come: int  # this one included, of those that can be told a time
    n_at_a_time: int

    def seconds(self) -> float | None:
        if self.end is None:
            return None
        left = max(0.0, self.end - time.time())
        return max(0.01, left * min(1.0, self.n_at_a_time / self.n_to_come))


def judged(
    models: Mapping[str, Any],
    tables: Mapping[str, Sequence[tuple[Any, ...]]],  # of each model, for each fold
    table: tuple[Any, ...],  # as it was given
    folds: Sequence[Any],
    how: tuple[Any, ...],  # shots, metrics and protocol, as `evaluate_fold` takes them
    means: Means,
) -> Iterator[pd.DataFrame]:
    """Yield the scores of each estimator on each fold, in this order."""
    checkpoints = None
    if means.checkpoint_dir is not None:
        about = _about(table, folds, how)
        checkpoints = Checkpoints(means.checkpoint_dir, about, 0)
    end = None if means.max_time is None else time.time() + means.max_time
    n_to_come = len(folds) * sum(map(_takes_time, models.values()))
    n_at_a_time = 1 if means.n_jobs is None else effective_n_jobs(means.n_jobs)
    jobs, worths = [], []
    for name, model in models.items():
        for i, fold in enumerate(folds):
            place, given = None, tables[name][i]
            own = clone(model)
            if checkpoints is not None:
                rows = None if given is table else of_rows(given[0])
                place = _place(checkpoints, name, model, rows, i)
                _let_keep(own, checkpoints, place)
            share = Share(end, max(1, n_to_come), n_at_a_time)
            n_to_come -= _takes_time(model)
            jobs.append((_judge, place, share, name, i, own, given, fold, *how))
            worths.append(worth_of(model))
    progress = Progress(sum(worths), "compare", means.verbose)
    yield from run_jobs(jobs, worths, progress, means.n_jobs)
    progress.close()


def gathered(
    parts: Iterator[pd.DataFrame],
    n_folds: int,
    on_estimator: Callable[[list[pd.DataFrame]], object],
) -> list[pd.DataFrame]:
    """Collect the scores; at Ctrl-C, those of estimators that are done."""
    found: list[pd.DataFrame] = []
    try:
        for part in parts:
            found.append(part)
            if not len(found) % n_folds:
                on_estimator(found)
    except KeyboardInterrupt:
        n_done = len(found) // n_folds
        if not n_done:
            raise
        warn(
            f"Interrupted: the comparison has the {n_done} estimator(s) that were "
            "judged on all folds by then."
        )
        return found[: n_done * n_folds]
    return found


def _takes_time(model: Any) -> bool:
    return "max_time" in inner_estimator(model).get_params(deep=False)


def _place(
    checkpoints: Checkpoints, name: str, model: Any, rows: str | None, i: int
) -> Checkpoint:
    text = " ".join([name, of_value(model), *([] if rows is None else [rows])])
    said = hashlib.sha256(text.encode()).hexdigest()[:12]
    letters = "".join(c if c.isalnum() else "-" for c in name)
    return checkpoints.part(f"{letters}-{said}-fold-{i}")


def _let_keep(model: Any, checkpoints: Checkpoints, place: Checkpoint) -> None:
    inner = inner_estimator(model)
    if inner.get_params(deep=False).get("checkpoint_dir", "") is None:
        folder = place.paths[0].with_suffix("")
        inner.set_params(checkpoint_dir=str(folder))


def _about(
    table: tuple[Any, ...], folds: Sequence[Any], how: tuple[Any, ...]
) -> dict[str, str]:
    X, y, task, _ = table
    shots, metrics, protocol = how
    tests = np.concatenate([np.r_[-1, test] for _, test in folds])
    return {
        "sklmeta": __version__,
        "X": of_rows(X),
        "y": of_rows(y),
        "task": of_rows(task),
        "cv": of_rows(tests),
        "shots": of_value(shots),
        "scoring": of_value(metrics),
        **{name: of_value(value) for name, value in protocol.items()},
    }


def _judge(
    place: Checkpoint | None,
    share: Share,
    name: str,
    i: int,
    model: Any,
    table: tuple[Any, ...],
    *how: Any,
) -> pd.DataFrame:
    labels = pd.Index(table[2]).unique().to_numpy()
    scores = None if place is None else _read(place, labels)
    if scores is None:
        seconds = share.seconds()
        if seconds is not None and _takes_time(model):
            inner = inner_estimator(model)
            inner.set_params(max_time=min(seconds, inner.max_time or seconds))
        try:
            scores = evaluate_fold(model, table, *how)
        except Exception as error:
            # Which of many estimators failed is the first thing to know.
            error.add_note(f"This was raised while compare() judged {name!r}.")
            raise
        if place is not None:
            _write(place, scores, labels)
    return scores.assign(estimator=name, fold=i)


def _write(place: Checkpoint, scores: pd.DataFrame, labels: np.ndarray) -> None:
    """Keep the scores, which are numbers but for the tasks."""
    task = pd.Index(labels).get_indexer(pd.Index(scores.task))
    columns = {
        n: torch.from_numpy(scores[n].to_numpy().copy()) for n in scores if n != "task"
    }
    place.save({"columns": {"task": torch.from_numpy(task), **columns}})


def _read(place: Checkpoint, labels: np.ndarray) -> pd.DataFrame | None:
    state = place.load()
    if state is None:
        return None
    columns = {name: values.numpy() for name, values in state["columns"].items()}
    return pd.DataFrame({**columns, "task": labels[columns["task"]]})
