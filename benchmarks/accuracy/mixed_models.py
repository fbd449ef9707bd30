"""Every collection of grouped data: is anything worse than the mixed model?

    SKLMETA_DATA=... python -m benchmarks.accuracy.mixed_models
        [--sets NAME ...] [--models NAME ...] [--again] [--tuning] [--fast]
    python -m benchmarks.accuracy.mixed_models --classes ...
    python -m benchmarks.accuracy.mixed_models --table [--classes]

Every task that the table reports is held out once, in three folds (four where there are
fewer than 50 tasks); of wages and of egsingle by child 300 tasks take part, drawn once.
Three supports of each size are drawn, the same for all models; the first rows in time
need no draw. Estimators have their default parameters. What was measured is kept for
each set and model, a run goes on where another was interrupted, and the table is
written from what is kept: `--again` measures anew.

`--tuning` prints figures for choosing defaults, on other tasks with other seeds, and
keeps nothing; see `grouped.py` and `grouped_classes.py` in `benchmarks/shared`. Nothing
was chosen on the tasks that the table holds out.
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
import sklearn
from sklearn.base import clone, is_regressor
from sklearn.utils import _safe_indexing

from benchmarks.shared import grouped, grouped_classes
from benchmarks.shared.grouped import Problem
from benchmarks.shared.grouped_models import in_order, models
from benchmarks.shared.grouped_tables import lines_of, means_of
from benchmarks.shared.report import keep, kept, write_report
from sklmeta import adapted
from sklmeta.model_selection.validation import evaluate_fold

N_DRAWS = 3


def evaluate(model: Any, problems: list[Problem], n_draws: int = N_DRAWS) -> Any:
    """Score of every task by number of labelled rows, averaged over draws; and costs.

    Of a regressor the score is the RMSE in units of the standard deviation of y over
    all rows; of a classifier the accuracy, or what the problem's metric says.
    """
    tables, one = [], []
    for problem in problems:
        for fold in problem.folds:
            fitted = seeded(model, problem.seed)
            tables.append(scores_of(fitted, problem, fold, n_draws))
            one.append(milliseconds(fitted, problem, fold))
    results = pd.concat(tables, ignore_index=True)
    scores = results.groupby(["shots", "task"]).score.mean().dropna()
    return {
        "scores": {
            str(k): scores[k].round(5).tolist()
            for k in problems[0].rows
            if k in scores.index
        },
        "fit": round(float(np.mean([part.fit_time[0] for part in tables])), 2),
        "one": round(float(np.median(one)), 2),
    }


def seeded(model: Any, seed: int) -> Any:
    """Clone whose last step has this seed, if it has any."""
    name = f"{model.steps[-1][0]}__random_state"
    params = {name: seed} if name in model.get_params() else {}
    return clone(model).set_params(**params)


def scores_of(fitted: Any, problem: Problem, fold: Any, n_draws: int) -> pd.DataFrame:
    with sklearn.config_context(enable_metadata_routing=True):
        results = evaluate_fold(
            fitted,
            (problem.X, problem.y, problem.task, None),
            fold,
            problem.rows,
            {"score": problem.metric},
            {
                "n_draws": n_draws,
                "support": problem.support,
                "random_state": problem.seed,
                "tell": False,
            },
        )
    if is_regressor(fitted):
        results["score"] = np.sqrt(results.sse / results.n_query) / np.std(problem.y)
    return results


def milliseconds(fitted: Any, problem: Problem, fold: Any) -> float:
    """One task, adapted to alone, and its other rows predicted."""
    names, counts = np.unique(problem.task[fold[1]], return_counts=True)
    largest = names[np.argmax(counts)]
    rows = np.flatnonzero(problem.task == largest)
    if problem.shared_classes:
        n_support = min(10, len(rows) // 2)
    else:
        n_support = len(rows) // 2
    support = np.random.default_rng(0).permutation(rows)[:n_support]
    X, y = _safe_indexing(problem.X, support), problem.y[support]
    query = _safe_indexing(problem.X, np.setdiff1d(rows, support)[:50])
    times = []
    for _ in range(5):
        start = time.perf_counter()
        adapted(fitted, X, y).predict(query)
        times.append(time.perf_counter() - start)
        if times[0] > 1:
            break
    return 1e3 * float(np.median(times))


def run(setting: str, args: argparse.Namespace) -> dict[str, Any]:
    """Figures of every model on one set; those that are kept are not measured again."""
    keeps = not (args.tuning or args.fast or args.seed)
    figures = kept(f"{folder(args)}/{setting}") if keeps else {}
    if args.models == []:
        return in_order(figures, not args.classes)
    if args.classes:
        problems = grouped_classes.problems(setting, args.seed, tuning=args.tuning)
    else:
        problems = [grouped.problem(setting, args.seed, tuning=args.tuning)]
    if args.fast:
        first = problems[0]
        problems = [first._replace(folds=first.folds[:1], rows=first.rows[:2])]
    built = models(problems[0], not args.classes, args.fast)
    for name in built if args.models is None else args.models:
        if name not in built or (name in figures and not args.again):
            continue
        # Episodes of own classes are drawn already, and many.
        n_draws = N_DRAWS if problems[0].shared_classes and not args.fast else 1
        figures[name] = evaluate(built[name], problems, n_draws)
        means = {k: round(v, 4) for k, v in means_of(figures[name]).items()}
        costs = {cost: figures[name][cost] for cost in ("fit", "one")}
        print(setting, "|", name, means, costs, flush=True)
        if keeps:
            keep(f"{folder(args)}/{setting}", name, figures[name], indent=None)
    return in_order(figures, not args.classes)


def folder(args: argparse.Namespace) -> str:
    return "mixed_models" + args.classes * "_classes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", action="store_true", help="sets of classes")
    parser.add_argument("--sets", nargs="+", help="default: all")
    parser.add_argument("--models", nargs="+", help="default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="also what is kept")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--tuning", action="store_true", help="for choosing defaults")
    parser.add_argument("--fast", action="store_true", help="20 updates, nothing kept")
    args = parser.parse_args()
    module = grouped_classes if args.classes else grouped
    known = module.SETTINGS
    sets = args.sets or list(module.TUNING if args.tuning else known)
    if args.table:
        args.models = []
    warnings.filterwarnings("ignore", "Found unknown categories")
    found = {setting: run(setting, args) for setting in sets}
    lines = lines_of(found, not args.classes)
    if args.tuning or args.fast or args.seed:
        print(*lines, sep="\n")
        return
    # Sets that this run left out stay in the table.
    args.models = []
    found |= {name: run(name, args) for name in known if name not in found}
    write_report(
        folder(args),
        "Collections of grouped data, tasks held out.",
        lines_of({name: found[name] for name in known}, not args.classes),
        command="python -m benchmarks.accuracy.mixed_models"
        + args.classes * " --classes",
    )


if __name__ == "__main__":
    main()
