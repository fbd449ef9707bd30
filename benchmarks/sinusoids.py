"""Sinusoids of Finn et al. (2017): MAML by their protocol, and what is better.

    python benchmarks/sinusoids.py [--fast] [--seed 0]

MAML: a network 1-40-40-1, one inner step of .01 on 10 rows, 70,000 meta-updates of 25
tasks with Adam at 1e-3, no standardisation; more steps at test time by
``set_params(adapt_steps=...)``. The other two have their default parameters, the
transformer with more meta-updates. All learn from the same 20,000 tasks of 40 rows and
are judged on the same 2,000 new ones, of 100 query rows each.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from report import write_report

from sklmeta import (
    BayesianLinearRegressor,
    MAMLRegressor,
    TransformerNeuralProcessRegressor,
)
from sklmeta.datasets import make_sinusoids

N_OLD, N_ROWS = 20_000, 40
N_NEW, N_QUERY = 2_000, 100
SHOTS, STEPS = (5, 10), (1, 5, 10)


def models(seed: int, fast: bool) -> dict[str, Any]:
    maml = MAMLRegressor(
        hidden_layer_sizes=(40, 40),
        inner_lr=0.01,
        inner_steps=1,
        n_shots=10,
        n_query=10,
        meta_batch_size=25,
        max_iter=300 if fast else 70_000,
        lr=1e-3,
        lr_schedule="constant",
        standardize=False,
        random_state=seed,
    )
    transformer = TransformerNeuralProcessRegressor(
        max_iter=20 if fast else 12_000, random_state=seed
    )
    bayes = BayesianLinearRegressor(random_state=seed)
    if fast:
        bayes.set_params(max_iter=20)
    return {
        "BayesianLinearRegressor": bayes,
        "TransformerNeuralProcessRegressor": transformer,
        "MAMLRegressor": maml,
    }


class NewTasks:
    """The tasks that models are judged on."""

    def __init__(self, seed: int):
        n_rows = max(SHOTS) + N_QUERY
        X, y, task = make_sinusoids(N_NEW, n_rows=n_rows, random_state=seed)
        self.X, self.y, self.task = X, y, task
        self.position = np.arange(len(y)) % n_rows

    def judge(self, model: Any, shots: int) -> str:
        """Mean squared error with its 95 % interval, median, non-finite predictions."""
        support, query = self.position < shots, self.position >= max(SHOTS)
        model.adapt(self.X[support], self.y[support], task=self.task[support])
        prediction = model.predict(self.X[query], task=self.task[query])
        error = (prediction - self.y[query]) ** 2
        each = error.reshape(N_NEW, N_QUERY).mean(1)
        interval = 1.96 * each.std() / np.sqrt(N_NEW)
        lost = int(np.sum(~np.isfinite(prediction)))
        mean = f"{each.mean():.4f} ± {interval:.4f}"
        return f"{mean} | {np.median(each):.4f} | {lost} | {model.n_guarded_}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fast", action="store_true", help="few meta-updates")
    args = parser.parse_args()
    X, y, task = make_sinusoids(N_OLD, n_rows=N_ROWS, random_state=args.seed)
    new = NewTasks(args.seed + 1000)
    lines = [
        "Mean squared error on 2,000 new tasks (± 95 % interval over tasks), the",
        "median over tasks, predictions that are not finite, and adaptation steps that",
        "the guard shortened or dropped. Seconds of `fit` on the clock of a shared",
        "machine / of CPU.",
        "",
        "| model | updates | fit s | shots | steps | MSE | median | lost | guarded |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, model in models(args.seed, args.fast).items():
        start, cpu = time.perf_counter(), time.process_time()
        model.fit(X, y, task=task)
        seconds = time.perf_counter() - start, time.process_time() - cpu
        head = f"| {name} | {model.n_iter_:,} | {seconds[0]:.0f} / {seconds[1]:.0f}"
        for shots in SHOTS:
            for steps in STEPS if "inner_steps" in model.get_params() else ("",):
                if steps:
                    model.set_params(adapt_steps=steps)
                lines.append(
                    f"{head} | {shots} | {steps} | {new.judge(model, shots)} |"
                )
                print(lines[-1], flush=True)
    write_report(
        "sinusoids-fast" if args.fast else "sinusoids",
        "Sinusoids of Finn, Abbeel and Levine (ICML 2017), section 5.1; "
        f"seed {args.seed}.",
        lines,
    )


if __name__ == "__main__":
    main()
