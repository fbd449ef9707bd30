"""Against what a user would otherwise run, from the table to the score.

    SKLMETA_DATA=... python -m benchmarks.speed.end_to_end [--fast] [--folds 0 1 2 3]

Parkinson's telemonitoring: an estimator against a training loop written by hand in
plain torch (`shared/by_hand.py`), of the same mathematics, updates and folds. Errors
agree within the noise of the seed, or the comparison is void. Then 10,000 new tasks:
one `adapt` and one `predict` against fitting a scikit-learn Ridge for every task.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.linear_model import Ridge
from torch import nn

from benchmarks.shared import by_hand
from benchmarks.shared.report import pin_to_one_core, ratio, table, write_report
from sklmeta import (
    BayesianLinearRegressor,
    MAMLRegressor,
    TransformerNeuralProcessRegressor,
)
from sklmeta.datasets import fetch_parkinsons, make_linear_tasks
from sklmeta.model_selection import TaskKFold

SHOTS, N_DRAWS, N_FOLDS = (5, 10), 5, 4
PAIRS: dict[str, tuple[Any, Any]] = {
    "BayesianLinearRegressor": (BayesianLinearRegressor, by_hand.BayesianLinear),
    "TransformerNeuralProcessRegressor": (
        TransformerNeuralProcessRegressor,
        by_hand.TransformerNeuralProcess,
    ),
}


class Result(NamedTuple):
    """Seconds of training and scoring, and the error for every number of shots."""

    train: float
    score: float
    rmse: list[float]


class ByHand:
    """A learner of `by_hand`, with the standardisation that a user would write."""

    def __init__(self, make_model: Any, n_updates: int, seed: int):
        self.make_model, self.n_updates, self.seed = make_model, n_updates, seed

    def fit(self, X: np.ndarray, y: np.ndarray, task: np.ndarray) -> None:
        self.shift, self.scale = X.mean(0), X.std(0)
        self.y_mean, self.y_std = y.mean(), y.std()
        torch.manual_seed(self.seed)
        self.model: nn.Module = self.make_model(X.shape[1])
        tasks = [self.rows(X[task == t], y[task == t]) for t in np.unique(task)]
        by_hand.train(self.model, tasks, self.n_updates, self.seed)

    def rows(self, X: np.ndarray, y: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        X, y = (X - self.shift) / self.scale, (y - self.y_mean) / self.y_std
        return torch.from_numpy(X).float(), torch.from_numpy(y).float()

    def predictions(self, X: Any, y: Any, task: Any, support: Any) -> np.ndarray:
        """Of the rows that are not support rows, task by task."""
        parts = []
        for t in np.unique(task):
            known, unknown = (task == t) & support, (task == t) & ~support
            X_query = self.rows(X[unknown], y[unknown])[0]
            with torch.no_grad():
                mean, _ = self.model(*self.rows(X[known], y[known]), X_query)
            parts.append(mean.double().numpy() * self.y_std + self.y_mean)
        return np.concatenate(parts)


class Ours:
    """An estimator behind the same two methods."""

    def __init__(self, estimator: Any):
        self.estimator = estimator

    def fit(self, X: np.ndarray, y: np.ndarray, task: np.ndarray) -> None:
        self.estimator.fit(X, y, task=task)

    def predictions(self, X: Any, y: Any, task: Any, support: Any) -> np.ndarray:
        self.estimator.adapt(X[support], y[support], task=task[support])
        return self.estimator.predict(X[~support], task=task[~support])


def supports(task: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Shots and support rows of every draw; `task` is sorted."""
    rng = np.random.default_rng(0)
    first = np.searchsorted(task, task)  # where a row's task begins
    for shots in SHOTS:
        for _ in range(N_DRAWS):
            order = np.lexsort((rng.random(len(task)), task))
            support = np.zeros(len(task), dtype=bool)
            support[order[np.arange(len(task)) - first < shots]] = True
            yield shots, support


def run(model: Any, train: Sequence[Any], test: Sequence[Any], sd: float) -> Result:
    start = time.perf_counter()
    model.fit(*train)
    trained = time.perf_counter()
    X, y, task = test
    errors: dict[int, list[float]] = {shots: [] for shots in SHOTS}
    for shots, support in supports(task):
        error = model.predictions(X, y, task, support) - y[~support]
        of_task = task[~support]
        errors[shots] += [
            float(np.sqrt(np.square(error[of_task == t]).mean())) / sd
            for t in np.unique(task)
        ]
    seconds = time.perf_counter() - trained
    means = [float(np.mean(errors[shots])) for shots in SHOTS]
    return Result(trained - start, seconds, means)


def check_same_mathematics(estimator: Any, make_model: Any, data: Any) -> None:
    """The estimator's weights, in the model written by hand, predict the same.

    Raises
    ------
    AssertionError
        If a prediction differs by more than 1e-3 standard deviations.
    """
    X, y, task = data
    ours = Ours(estimator.set_params(max_iter=5))
    ours.fit(X, y, task)
    hand = ByHand(make_model, 0, 0)
    hand.fit(X, y, task)
    with ours.estimator._lent_learner() as learner:
        hand.model.load_state_dict(learner.state_dict())
    _, support = next(supports(task))
    difference = ours.predictions(*data, support) - hand.predictions(*data, support)
    worst = float(np.abs(difference).max()) / hand.y_std
    assert worst < 1e-3, (type(estimator).__name__, worst)


def parkinsons(folds: Sequence[int], n_updates: int) -> list[str]:
    X, y, task = fetch_parkinsons(return_X_y_task=True)
    order = np.argsort(task, kind="stable")
    X, y, task = X[order], y[order], task[order]
    cv = TaskKFold(N_FOLDS, shuffle=True, random_state=0)
    splits = list(cv.split(X, y, task))
    rows = []
    for name, (make, make_model) in PAIRS.items():
        check_same_mathematics(
            make(random_state=0, device="cpu"), make_model, (X, y, task)
        )
        found: dict[str, list[Result]] = {"estimator": [], "by hand": []}
        for fold in folds:
            train, test = ([part[i] for part in (X, y, task)] for i in splits[fold])
            estimator = make(
                meta_batch_size=by_hand.META_BATCH,
                max_iter=n_updates,
                random_state=fold,
                device="cpu",
            )
            for who, model in (
                ("estimator", Ours(estimator)),
                ("by hand", ByHand(make_model, n_updates, fold)),
            ):
                result = run(model, train, test, y.std())
                found[who].append(result)
                print(name, who, fold, result, flush=True)
        rows += pair_rows(name, found)
    words = [f"RMSE at {shots} shots" for shots in SHOTS]
    return table(["", "", "training, s", "scoring, s", "times faster", *words], rows)


def pair_rows(name: str, found: dict[str, list[Result]]) -> list[list[str]]:
    rows = []
    total = {
        who: [r.train + r.score for r in results] for who, results in found.items()
    }
    faster = ratio(np.array(total["by hand"]) / total["estimator"])
    for who, results in found.items():
        rows.append(
            [
                name,
                who,
                ratio([result.train for result in results]),
                ratio([result.score for result in results], 2),
                faster if who == "estimator" else "",
                *(ratio([r.rmse[i] for r in results], 3) for i in range(len(SHOTS))),
            ]
        )
    return rows


def against_ridge(n_tasks: int, n_rounds: int) -> list[str]:
    """`adapt` to many tasks of 20 rows and 16 features, and a Ridge for each."""
    X, y, task = make_linear_tasks(
        n_tasks + 500, n_rows=40, n_features=16, random_state=0
    )
    old = task >= n_tasks
    support = ~old & (np.arange(len(task)) % 40 < 20)
    query = ~old & ~support
    estimators = {
        "BayesianLinearRegressor": BayesianLinearRegressor(max_iter=300),
        "MAMLRegressor": MAMLRegressor(max_iter=300),
    }
    seconds: dict[str, list[float]] = {"Ridge": [], **{name: [] for name in estimators}}
    rmse = {}
    for name, estimator in estimators.items():
        estimator.set_params(random_state=0, device="cpu")
        estimators[name] = estimator.fit(X[old], y[old], task=task[old])
    shape = n_tasks, 20, -1
    tables = X[support].reshape(shape), y[support].reshape(shape[:2])
    X_query = X[query].reshape(shape)
    for _ in range(n_rounds):
        start = time.perf_counter()
        found = [
            Ridge().fit(X_task, y_task).predict(rows)
            for X_task, y_task, rows in zip(*tables, X_query, strict=True)
        ]
        seconds["Ridge"].append(time.perf_counter() - start)
        rmse["Ridge"] = np.sqrt(np.mean((np.concatenate(found) - y[query]) ** 2))
        for name, estimator in estimators.items():
            start = time.perf_counter()
            estimator.adapt(X[support], y[support], task=task[support])
            mean = estimator.predict(X[query], task=task[query])
            seconds[name].append(time.perf_counter() - start)
            rmse[name] = np.sqrt(np.mean((mean - y[query]) ** 2))
    base = np.array(seconds["Ridge"])
    rows = [
        [name, ratio(values, 2), ratio(base / values), f"{rmse[name]:.2f}"]
        for name, values in seconds.items()
    ]
    header = ["", f"{n_tasks:,} tasks, s", "times Ridge's speed", "RMSE"]
    return table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(N_FOLDS)))
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5, help="of the new tasks")
    parser.add_argument("--fast", action="store_true", help="one fold, 20 updates")
    args = parser.parse_args()
    pinned = pin_to_one_core()
    torch.set_num_threads(1)
    n_updates = by_hand.N_UPDATES
    if args.fast:
        args.folds, n_updates, args.tasks, args.rounds = [0], 20, 300, 1
    updates = f"{n_updates} updates of {by_hand.META_BATCH} patients"
    lines = [
        f"Parkinson's telemonitoring, {updates}; RMSE in sd(y) on held-out patients,",
        f"{N_DRAWS} draws of random support rows; median over the folds and range.",
        "",
        *parkinsons(args.folds, n_updates),
        "",
        "New tasks of 20 labelled rows and 16 features, and 20 rows to predict:",
        "`adapt` and `predict`, or a Ridge fitted for each.",
        "",
        *against_ridge(args.tasks, args.rounds),
    ]
    write_report(
        "end_to_end-fast" if args.fast else "end_to_end",
        f"What a user would otherwise run; one thread, {pinned}.",
        lines,
    )


if __name__ == "__main__":
    main()
