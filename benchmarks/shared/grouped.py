"""Collections of few rows per task, to learn on some tasks and be judged on others.

Where rows have a time they are sorted by it within each task, and the set has a second
setting, ``<name>-first``, in which the labelled rows of a new task are its first in
time. A set's features are those of its loader; ``produc`` is taken in logarithms.

Defaults are chosen on ``TUNING`` alone, with ``tuning=True``: generated tasks of other
seeds, and tasks of three large sets that the reported tables never hold out. Those of
``wages`` and ``egsingle-child`` take no part in the tables at all; the tables learn
from the 80 schools of ``hsb82`` that tuning uses, and hold out the other 80.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.shared.field_models import load_parkinsons
from sklmeta.datasets import (
    fetch_mixed_model_data,
    make_linear_tasks,
    make_pharmacokinetics,
    make_sinusoids,
)

ROWS = [1, 2, 5, 10, 20]
ALL = 10**9
OTHER_SEEDS = 1000  # added to those of the tables when defaults are chosen


class Problem(NamedTuple):
    """What is fitted and judged: rows, folds of held-out tasks, labelled rows."""

    X: Any
    y: NDArray[Any]
    task: NDArray[Any]
    folds: list[tuple[NDArray[np.intp], NDArray[np.intp]]]
    rows: list[int]
    support: str
    prepare: Callable[[], list[Any]]
    seed: int
    metric: str | None = None
    shared_classes: bool = True
    params: dict[str, Any] = {}  # of meta-learners, that describe the episodes


class Grouped(NamedTuple):
    """A collection, which of its tasks serve for what, and how rows are prepared."""

    load: Callable[[int], tuple[Any, Any, Any]]
    categories: tuple[str, ...] = ()
    in_time: bool = False
    n_tasks: int = ALL  # in the tables
    n_held_out: int = ALL  # of these
    n_tuning: int = 0  # others, for choosing defaults
    is_reported: bool = True


def classic(
    name: str, task_name: str | None = None, logs: tuple[str, ...] = ()
) -> Callable[[int], tuple[Any, Any, Any]]:
    """Loader of one of the standard examples of mixed models."""

    def load(seed: int) -> tuple[Any, Any, Any]:
        bunch = fetch_mixed_model_data(name, task_name=task_name)
        X, y = bunch.data.copy(), bunch.target.to_numpy()
        for column in logs:
            X[column] = np.log(X[column])
        return X, np.log(y) if logs else y, bunch.task.to_numpy()

    return load


def parkinsons(seed: int) -> tuple[Any, Any, Any]:
    X, y, task = load_parkinsons()
    order = np.lexsort((X[:, 2], task))  # days since recruitment
    return X[order], y[order], task[order]


def generated(make: Callable[..., Any], n_tasks: int, **params: Any) -> Any:
    return lambda seed: make(n_tasks, random_state=seed, **params)


SETS = {
    "parkinsons": Grouped(parkinsons, in_time=True),
    "drug-curves": Grouped(
        generated(make_pharmacokinetics, 200), in_time=True, n_tuning=ALL
    ),
    "sinusoids": Grouped(generated(make_sinusoids, 200, n_rows=30), n_tuning=ALL),
    "linear": Grouped(
        generated(make_linear_tasks, 100, n_rows=(3, 40)),
        n_tuning=ALL,
        is_reported=False,
    ),
    "hsb82": Grouped(
        classic("hsb82"), ("minrty", "sx", "sector"), n_held_out=80, n_tuning=80
    ),
    "exam": Grouped(classic("exam"), ("schgend", "vr", "intake", "sex", "type")),
    "egsingle-child": Grouped(
        classic("egsingle"), ("female",), in_time=True, n_tasks=300, n_tuning=300
    ),
    "egsingle-school": Grouped(classic("egsingle", "schoolid"), ("female",)),
    "wages": Grouped(classic("wages"), in_time=True, n_tasks=300, n_tuning=300),
    "produc": Grouped(
        classic("produc", logs=("pcap", "hwy", "water", "util", "pc", "emp")),
        ("region",),
        in_time=True,
    ),
    "dietox": Grouped(classic("dietox"), ("Evit", "Cu"), in_time=True),
    "radon": Grouped(classic("radon")),
    "sleepstudy": Grouped(classic("sleepstudy"), in_time=True),
    "theoph": Grouped(classic("theoph"), in_time=True),
}
TUNING = [name for name, chosen in SETS.items() if chosen.n_tuning]
SETTINGS = [name for name, chosen in SETS.items() if chosen.is_reported]
SETTINGS += [f"{name}-first" for name in SETTINGS if SETS[name].in_time]


def problem(setting: str, seed: int = 0, *, tuning: bool = False) -> Problem:
    """Tasks, folds and numbers of labelled rows of one setting.

    Parameters
    ----------
    setting : str
        Name of a set, or with ``-first`` where rows have a time.
    seed : int
        Of generated tasks and of the folds.
    tuning : bool
        Take the tasks that defaults may be chosen on.
    """
    name = setting.removesuffix("-first")
    chosen = SETS[name]
    if tuning and not chosen.n_tuning:
        raise ValueError(f"Nothing is ever chosen on {name}; tune on {TUNING}.")
    seed += tuning * OTHER_SEEDS
    X, y, task = chosen.load(seed)
    tasks = np.random.default_rng(2026).permutation(np.unique(task))
    if tuning:
        held_out = tasks = tasks[-chosen.n_tuning :]
    else:
        tasks = tasks[: chosen.n_tasks]
        held_out = tasks[: chosen.n_held_out]
    kept = np.isin(task, tasks)
    X, y, task = X[kept], y[kept], task[kept]
    return Problem(
        *(X, y, task),
        folds=folds_of(task, held_out, seed),
        rows=rows_of(task, held_out),
        support="random" if setting == name else "first",
        prepare=partial(preparation, chosen.categories),
        seed=seed,
    )


def folds_of(task: NDArray[Any], held_out: NDArray[Any], seed: int) -> list[Any]:
    """Hold each of these tasks out once: four folds of few tasks, else three."""
    n_folds = 4 if len(np.unique(task)) < 50 else 3
    shuffled = np.random.default_rng(seed).permutation(held_out)
    inside = [np.isin(task, part) for part in np.array_split(shuffled, n_folds)]
    return [(np.flatnonzero(~test), np.flatnonzero(test)) for test in inside]


def rows_of(task: NDArray[Any], held_out: NDArray[Any]) -> list[int]:
    """Numbers of labelled rows that leave two to predict in enough of the tasks."""
    _, counts = np.unique(task[np.isin(task, held_out)], return_counts=True)
    enough = min(len(counts) / 2, 20)
    return [k for k in ROWS if np.sum(counts >= k + 2) >= enough]


def preparation(categories: tuple[str, ...]) -> list[Any]:
    """One column a category, gaps filled and marked, one scale."""
    encoder = OneHotEncoder(
        drop="if_binary", handle_unknown="ignore", sparse_output=False
    )
    filled = SimpleImputer(strategy="median", add_indicator=True)
    if not categories:
        return [filled, StandardScaler()]
    columns = make_column_transformer((encoder, list(categories)), remainder=filled)
    return [make_pipeline(columns, StandardScaler())]
