"""Do 90 % intervals cover 90 % on new tasks, and how wide are they?

    SKLMETA_DATA=... python -m benchmarks.accuracy.intervals
        [--sets parkinsons drugs] [--fast]

Tasks are split three ways, to fit, to calibrate and to judge: four times over, because
the calibration tasks are a draw as well. Parkinson's has 42 patients, so every patient
is judged once, in one of eight folds; half of the others are there to fit and half, 18,
to calibrate. In parkinsons-cross there are four folds, and all others, 31 or 32, are
there for both, by cross-validation. What is found is kept for each set in
results/intervals.json, from which the table is written.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.shared.report import keep, kept, table, write_report
from sklmeta import BayesianLinearRegressor, DeepKernelRegressor, PerTask
from sklmeta.calibration import cross_calibrated, few_shot_intervals
from sklmeta.datasets import fetch_parkinsons, make_pharmacokinetics, make_sinusoids
from sklmeta.model_selection import TaskKFold, TaskShuffleSplit

COVERAGE = 0.9
N_BOOTSTRAP = 4000


class Case(NamedTuple):
    title: str
    load: Callable[[], tuple[Any, ...]]
    shots: list[int]
    n_splits: int
    is_k_fold: bool = False
    spares_no_task: bool = False


def load_parkinsons() -> tuple[Any, ...]:
    return fetch_parkinsons(return_X_y_task=True)


CASES = {
    "parkinsons": Case(
        "Parkinson's, 42 patients", load_parkinsons, [5, 10, 20], 8, is_k_fold=True
    ),
    "parkinsons-cross": Case(
        "Parkinson's, 42 patients, fitted to and calibrated on the same ones",
        load_parkinsons,
        [5, 10, 20],
        4,
        is_k_fold=True,
        spares_no_task=True,
    ),
    "drugs": Case(
        "Drug curves, 600 patients",
        lambda: make_pharmacokinetics(600, random_state=0),
        [2, 3, 5],
        4,
    ),
    "sinusoids": Case(
        "Sinusoids, 600 tasks",
        lambda: make_sinusoids(600, n_rows=40, random_state=0),
        [5, 10],
        4,
    ),
}


def models(max_iter: int | None) -> dict[str, Any]:
    params = {} if max_iter is None else {"max_iter": max_iter}
    return {
        "Bayesian linear": BayesianLinearRegressor(random_state=0, **params),
        "deep kernel": DeepKernelRegressor(random_state=0, **params),
        "own ridge": PerTask(make_pipeline(StandardScaler(), Ridge())),
    }


def judge(
    model: Any, case: Case, data: tuple[Any, ...], n_splits: int, seed: int
) -> pd.DataFrame:
    """Fit, calibrate and judge, once per split, on tasks of their own."""
    X, y, task = data
    parts = []
    if case.is_k_fold:
        cv: Any = TaskKFold(case.n_splits, shuffle=True, random_state=seed)
    else:
        cv = TaskShuffleSplit(case.n_splits, test_size=0.25, random_state=seed)
    splits = enumerate(cv.split(X, y, groups=task))
    for split, (rest, new) in itertools.islice(splits, n_splits):
        if case.spares_no_task:
            model = cross_calibrated(
                model, X[rest], y[rest], task[rest], shots=case.shots
            )
        else:
            share = 1 / 2 if case.is_k_fold else 1 / 3
            inner = TaskShuffleSplit(1, test_size=share, random_state=seed + split)
            (old, held), *_ = inner.split(X[rest], y[rest], groups=task[rest])
            old, held = rest[old], rest[held]
            model.fit(X[old], y[old], task=task[old])
            model.calibrate(X[held], y[held], task[held], shots=case.shots)
        judged = few_shot_intervals(
            model,
            *(X[new], y[new], task[new]),
            shots=case.shots,
            coverage=COVERAGE,
            n_draws=5,
        )
        parts.append(judged.assign(split=split))
    return pd.concat(parts, ignore_index=True)


def interval(values: NDArray[Any]) -> tuple[float, float]:
    """95 % interval of the mean over tasks, by a bootstrap over tasks."""
    rng = np.random.default_rng(0)
    means = rng.choice(values, (N_BOOTSTRAP, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def rows_of(name: str, case: Case, y: Any, judged: pd.DataFrame) -> list[list[str]]:
    scale = np.asarray(y, dtype=float).std()
    rows = []
    for k in case.shots:
        part = judged[judged.shots == k]
        by_task = part.groupby("task")[["covered", "width", "winkler"]].mean()
        low, high = interval(by_task.covered.to_numpy())
        inside = "yes" if low <= COVERAGE <= high else "no"
        cells = [f"{by_task.covered.mean():.3f}", f"{low:.3f} to {high:.3f}", inside]
        each = part.groupby("split").covered.mean()
        spread = "" if case.is_k_fold else f"{each.min():.3f} to {each.max():.3f}"
        width = f"{by_task.width.mean() / scale:.3f}"
        score = f"{by_task.winkler.mean() / scale:.3f}"
        rows.append([name, str(k), *cells, spread, width, score, str(len(by_task))])
    return rows


HEADER = ["model", "rows", "coverage", "95 % interval", "holds .90", "single splits"]


def write() -> None:
    lines = [
        f"Intervals of coverage {COVERAGE:g}; width and Winkler's score in units of",
        "the standard deviation of y; means over tasks and five draws of support.",
        "The interval of the coverage is over the tasks judged (bootstrap). That the",
        "calibration tasks are a draw too is told by the coverage of single splits.",
        "",
    ]
    for name, case in CASES.items():
        found = kept("intervals").get(name)
        if found is not None:
            titles = [*HEADER, "width", "Winkler", "tasks"]
            lines += [f"## {case.title}", "", *table(titles, found["rows"]), ""]
            lines += [f"Seed {found['seed']}.", ""]
    write_report(
        "intervals",
        "Hierarchical split-conformal intervals on new tasks.",
        lines[:-1],
        command="python -m benchmarks.accuracy.intervals",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fast", action="store_true", help="20 updates, nothing kept")
    arguments = parser.parse_args()
    for key in arguments.sets:
        case = CASES[key]
        data = case.load()
        rows = []
        for name, model in models(20 if arguments.fast else None).items():
            n_splits = 2 if arguments.fast else case.n_splits
            judged = judge(model, case, data, n_splits, arguments.seed)
            rows += rows_of(name, case, data[1], judged)
            print(case.title, *rows[-len(case.shots) :], sep="\n", flush=True)
        if not arguments.fast:
            keep("intervals", key, {"rows": rows, "seed": arguments.seed})
    if not arguments.fast:
        write()


if __name__ == "__main__":
    main()
