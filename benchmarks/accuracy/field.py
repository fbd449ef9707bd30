"""Every estimator beside every baseline on real tasks, with its cost.

    SKLMETA_DATA=... python -m benchmarks.accuracy.field parkinsons
        [--models NAME ...] [--fast]
    python -m benchmarks.accuracy.field parkinsons --models

Sets: parkinsons (regression; 42 patients), wisdm (36 users, six activities) and heart
(4 hospitals, disease or not). Every task is held out once; k labelled rows in total,
at random (with classes, one of each class of the task first); the rest is predicted.
Estimators have their default parameters. Figures of every model are kept in
``results/field-<set>.json`` and the table is written from what is kept.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.base import clone
from sklearn.utils import _safe_indexing

from benchmarks.shared.field_models import SETS, models
from benchmarks.shared.report import keep, kept, table, write_report
from sklmeta import adapted
from sklmeta.model_selection import TaskKFold, few_shot_cross_validate

SHOTS = [1, 5, 10, 20]
N_FOLDS = 4
N_TIMED = 64  # tasks adapted to together
TIMED_SHOTS = 10


def seconds_per_task(model: Any, data: tuple[Any, ...]) -> float:
    """Time of one adapted task, of many that are adapted to in one call."""
    X, y, task = data
    tasks = np.resize(np.unique(task), N_TIMED)
    rng = np.random.default_rng(0)
    rows = np.concatenate(
        [rng.permutation(np.flatnonzero(task == name))[:TIMED_SHOTS] for name in tasks]
    )
    names = np.repeat(np.arange(N_TIMED), TIMED_SHOTS)
    support, y = _safe_indexing(X, rows), y[rows]
    times = []
    for _ in range(3):
        start = time.perf_counter()
        adapted(model, support, y, task=names)
        times.append(time.perf_counter() - start)
    return float(np.median(times)) / N_TIMED


def evaluate(
    model: Any, data: tuple[Any, ...], seed: int, n_draws: int
) -> dict[str, Any]:
    """Score of every task and number of shots, and the costs."""
    X, y, task = data
    cv = TaskKFold(N_FOLDS, shuffle=True, random_state=seed)
    how = {"cv": cv, "n_draws": n_draws, "support": "stratified"}
    results = few_shot_cross_validate(model, X, y, task, shots=SHOTS, **how)
    if "sse" in results:
        results["score"] = np.sqrt(results.sse / results.n_query) / np.std(y)
    scores = results.groupby(["shots", "task"]).score.mean()
    train, _ = next(iter(cv.split(X, y, groups=task)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # heard already in the evaluation
        fitted = fit(clone(model), data, train)
    return {
        "scores": {str(k): scores[k].round(5).tolist() for k in SHOTS},
        "fit": float(results.groupby("fold").fit_time.first().mean()),
        "adapt": seconds_per_task(fitted, data),
        "seed": seed,
        "n_draws": n_draws,
    }


def fit(model: Any, data: tuple[Any, ...], rows: NDArray[np.intp]) -> Any:
    X, y, task = data
    name = model.steps[-1][0]
    params = {f"{name}__task": task[rows]}
    return model.fit(_safe_indexing(X, rows), y[rows], **params)


def interval(scores: list[float]) -> tuple[float, float]:
    """Mean over tasks and half its 95 % interval, by Student's t."""
    half = student.ppf(0.975, len(scores) - 1) * np.std(scores, ddof=1)
    return float(np.mean(scores)), float(half / np.sqrt(len(scores)))


def lines_of(figures: dict[str, Any], measure: str) -> list[str]:
    """Markdown: a line per model."""
    lines = [
        f"{measure}: of each task,",
        "averaged over draws, then over tasks; ± is the 95 % interval over tasks",
        "(Student's t). `fit` is the mean over the folds in seconds, on the",
        f"clock of a shared machine; `adapt` that of one task of {N_TIMED} adapted to",
        f"together, of {TIMED_SHOTS} rows each.",
        "",
    ]
    header = ["model", *(f"k={k}" for k in SHOTS), "`fit` s", "`adapt` µs", "draws"]
    rows = []
    for name, own in figures.items():
        pairs = [interval(own["scores"][str(k)]) for k in SHOTS]
        cells = [f"{mean:.3f} ± {half:.3f}" for mean, half in pairs]
        costs = [f"{own['fit']:.1f}", f"{1e6 * own['adapt']:,.0f}"]
        rows.append([name, *cells, *costs, str(own["n_draws"])])
    return lines + table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--models", nargs="*", help="default: all; none: the table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n-draws", type=int, default=5)
    parser.add_argument("--fast", action="store_true", help="20 updates, nothing kept")
    args = parser.parse_args()
    chosen = SETS[args.set]
    data, report = chosen.load(), f"field-{args.set}"
    built = models(chosen, 20 if args.fast else None)
    for name in built if args.models is None else args.models:
        # A refit per draw: one draw is enough.
        n_draws = 1 if "support rows" in name or args.fast else args.n_draws
        result = evaluate(built[name], data, args.seed, n_draws)
        brief = {k: round(float(np.mean(v)), 3) for k, v in result["scores"].items()}
        print(name, brief, pd.Series(result)[["fit", "adapt"]].to_dict(), flush=True)
        if not args.fast:
            keep(report, name, result)
    if not args.fast:
        figures = kept(report)
        figures = {name: figures[name] for name in built if name in figures}
        write_report(
            report,
            f"{chosen.title}, {N_FOLDS} folds of held-out tasks.",
            lines_of(figures, chosen.measure),
            command=f"python -m benchmarks.accuracy.field {args.set}",
        )


if __name__ == "__main__":
    main()
