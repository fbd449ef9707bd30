"""Collections of few rows per task, to learn on some tasks and be judged on others.

The classic examples of mixed models are read from ``$SKLMETA_DATA/mixed_models``: they
come with R packages under the GPL and are not part of this repository. Where rows have
a time they are sorted by it within each task, and the set has a second setting,
``<name>-first``, in which the labelled rows of a new task are its first in time.

Defaults are chosen on ``TUNING`` alone, with ``tuning=True``: generated tasks of other
seeds, and tasks of three large sets that the reported tables never hold out. Those of
``wages`` and ``egsingle-child`` take no part in the tables at all; the tables learn
from the 80 schools of ``hsb82`` that tuning uses, and hold out the other 80.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.shared.field_models import load_parkinsons
from sklmeta.datasets import make_linear_tasks, make_pharmacokinetics, make_sinusoids

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


def read(
    name: str,
    task: str,
    target: str,
    columns: str,
    order: str | None = None,
    logs: str = "",
) -> Callable[[int], tuple[Any, Any, Any]]:
    """Loader of one of the classic sets: a frame of features, targets and tasks."""

    def load(seed: int) -> tuple[Any, Any, Any]:
        frame = pd.read_csv(folder() / f"{name}.csv")
        if order is not None:
            frame = frame.sort_values([task, order], kind="stable", ignore_index=True)
        for column in logs.split():
            frame[column] = np.log(frame[column])
        return (
            frame[columns.split()],
            frame[target].to_numpy(),
            frame[task].to_numpy(),
        )

    return load


def folder() -> Path:
    root = os.environ.get("SKLMETA_DATA")
    if root is None:
        raise SystemExit("Set SKLMETA_DATA to the folder that has mixed_models/.")
    return Path(root).expanduser() / "mixed_models"


def parkinsons(seed: int) -> tuple[Any, Any, Any]:
    X, y, task = load_parkinsons()
    order = np.lexsort((X[:, 2], task))  # days since recruitment
    return X[order], y[order], task[order]


def generated(make: Callable[..., Any], n_tasks: int, **params: Any) -> Any:
    return lambda seed: make(n_tasks, random_state=seed, **params)


SCHOOL_GROWTH = "year grade retained female black hispanic size lowinc mobility"
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
        read("hsb82", "school", "mAch", "minrty sx ses meanses sector cses"),
        ("minrty", "sx", "sector"),
        n_held_out=80,
        n_tuning=80,
    ),
    "exam": Grouped(
        read(
            "exam", "school", "normexam", "schgend schavg vr intake standLRT sex type"
        ),
        ("schgend", "vr", "intake", "sex", "type"),
    ),
    "egsingle-child": Grouped(
        read("egsingle", "childid", "math", SCHOOL_GROWTH, "year"),
        ("female",),
        in_time=True,
        n_tasks=300,
        n_tuning=300,
    ),
    "egsingle-school": Grouped(
        read("egsingle", "schoolid", "math", SCHOOL_GROWTH), ("female",)
    ),
    "wages": Grouped(
        read(
            "wages",
            "id",
            "lnw",
            "exper ged postexp black hispanic hgc uerate",
            "exper",
        ),
        in_time=True,
        n_tasks=300,
        n_tuning=300,
    ),
    "produc": Grouped(
        read(
            "produc",
            "state",
            "gsp",
            "year region pcap hwy water util pc emp unemp",
            "year",
            "gsp pcap hwy water util pc emp",
        ),
        ("region",),
        in_time=True,
    ),
    "dietox": Grouped(
        read("dietox", "Pig", "Weight", "Evit Cu Start Feed Time", "Time"),
        ("Evit", "Cu"),
        in_time=True,
    ),
    "radon": Grouped(read("radon", "county", "log.radon", "basement uranium")),
    "sleepstudy": Grouped(
        read("sleepstudy", "Subject", "Reaction", "Days", "Days"), in_time=True
    ),
    "theoph": Grouped(
        read("theoph", "Subject", "conc", "Wt Dose Time", "Time"), in_time=True
    ),
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
