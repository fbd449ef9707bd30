"""Sinusoids of Finn et al. (2017): every regressor, beside what is published.

    python -m benchmarks.accuracy.sinusoids NAME ... [--fast] [--seed 0]
    python -m benchmarks.accuracy.sinusoids

Each name trains one model and keeps its figures; without a name the table is written
from what is kept. All learn from the same 20,000 tasks of 40 rows and are judged on the
same 2,000 new ones, of 100 query rows each. The gradient-based learners follow the
paper: a network 1-40-40-1, one inner step of .01 on 10 rows, meta-updates of 25 tasks
with Adam at 1e-3, no standardisation; more steps at test time by
``set_params(adapt_steps=...)``. What differs is in `models`; the others have their
default parameters, some with more meta-updates, the meta-LSTM with a larger `lr`.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from benchmarks.shared.report import DOCS, keep, kept, table, write_report
from sklmeta import (
    ANILRegressor,
    BayesianLinearRegressor,
    DeepKernelRegressor,
    FineTuneRegressor,
    MAMLRegressor,
    MetaLSTMRegressor,
    MetaSGDRegressor,
    NeuralProcessRegressor,
    ReptileRegressor,
    RidgeHeadRegressor,
    TransformerNeuralProcessRegressor,
)
from sklmeta.datasets import make_sinusoids

N_OLD, N_ROWS = 20_000, 40
N_NEW, N_QUERY = 2_000, 100
SHOTS, STEPS = (5, 10), (1, 5, 10)
PAPER: dict[str, Any] = {
    "hidden_layer_sizes": (40, 40),
    "n_shots": 10,
    "n_query": 10,
    "meta_batch_size": 25,
    "lr": 1e-3,
    "lr_schedule": "constant",
    "standardize": False,
}
# Mean squared error with 10 support rows; by one step for what takes steps, ANIL five.
PAPERS = {"MAML": "0.77", "Meta-SGD": "0.53", "deep kernel, RBF": "1.38"}
OTHERS = {
    "MAML": "0.33–0.42 (JAX), 0.67",
    "first-order MAML": "0.42",
    "ANIL": "0.38",
    "Meta-SGD": "0.22 (JAX), 0.31",
    "neural process, mean": "0.012",
    "ridge head": "0.001",
    "fine-tuned": "1.65–2.97",
}


def models(seed: int) -> dict[str, Any]:
    """Build every model."""
    built = {
        "Bayesian linear": BayesianLinearRegressor(),
        "ridge head": RidgeHeadRegressor(
            n_shots=10, meta_batch_size=16, max_iter=30_000, early_stopping=False
        ),
        "deep kernel, RBF": DeepKernelRegressor(),
        "deep kernel, linear + constant": DeepKernelRegressor(kernel="linear+constant"),
        "transformer neural process": TransformerNeuralProcessRegressor(
            max_iter=12_000
        ),
        "neural process, attention": NeuralProcessRegressor(max_iter=6_000),
        "neural process, mean": NeuralProcessRegressor(
            aggregation="mean", max_iter=15_000
        ),
        "MAML": MAMLRegressor(inner_steps=1, max_iter=70_000, **PAPER),
        # Past this many updates the start drifts, and one step reaches less far.
        "first-order MAML": MAMLRegressor(
            inner_steps=1, first_order=True, max_iter=25_000, **PAPER
        ),
        "MAML, stabilised": MAMLRegressor(
            inner_steps=5,
            learn_inner_lr=True,
            multi_step_loss=0.5,
            max_iter=20_000,
            **{**PAPER, "lr_schedule": "cosine"},
        ),
        "Meta-SGD": MetaSGDRegressor(inner_steps=1, max_iter=70_000, **PAPER),
        "ANIL": ANILRegressor(inner_steps=5, max_iter=70_000, **PAPER),
        "Reptile": ReptileRegressor(
            hidden_layer_sizes=(64, 64),
            n_shots=10,
            meta_batch_size=5,
            max_iter=30_000,
            standardize=False,
        ),
        "meta-LSTM": MetaLSTMRegressor(lr=1e-2, max_iter=10_000),
        "fine-tuned": FineTuneRegressor(tune="all", max_iter=10_000),
    }
    return {k: model.set_params(random_state=seed) for k, model in built.items()}


class NewTasks:
    """The tasks that models are judged on."""

    def __init__(self, seed: int):
        n_rows = max(SHOTS) + N_QUERY
        X, y, task = make_sinusoids(N_NEW, n_rows=n_rows, random_state=seed)
        self.X, self.y, self.task = X, y, task
        self.position = np.arange(len(y)) % n_rows

    def judge(self, model: Any, shots: int) -> dict[str, Any]:
        """Mean squared error with its 95 % interval, median, non-finite predictions."""
        support, query = self.position < shots, self.position >= max(SHOTS)
        model.adapt(self.X[support], self.y[support], task=self.task[support])
        prediction = model.predict(self.X[query], task=self.task[query])
        each = (prediction - self.y[query]).reshape(N_NEW, N_QUERY) ** 2
        each = each.mean(1)
        return {
            "shots": shots,
            "mse": float(each.mean()),
            "half": float(1.96 * each.std() / np.sqrt(N_NEW)),
            "median": float(np.median(each)),
            "lost": int(np.sum(~np.isfinite(prediction))),
            "guarded": int(model.n_guarded_),
        }


def run(model: Any, seed: int) -> dict[str, Any]:
    """Fit, and judge after 5 and 10 support rows, by steps where there are steps."""
    X, y, task = make_sinusoids(N_OLD, n_rows=N_ROWS, random_state=seed)
    start, cpu = time.perf_counter(), time.process_time()
    model.fit(X, y, task=task)
    figures = {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "updates": int(model.n_iter_),
        "seed": seed,
        "judged": [],
    }
    new = NewTasks(seed + 1000)
    steps = STEPS if "inner_steps" in model.get_params() else (None,)
    if isinstance(model, ReptileRegressor):
        steps = (*STEPS, 50)
    if isinstance(model, MetaLSTMRegressor):
        steps = (None,)  # its steps are learned, one after the other
    for shots in SHOTS:
        for n in steps:
            if n is not None:
                model.set_params(adapt_steps=n)
            figures["judged"].append({"steps": n, **new.judge(model, shots)})
    return figures


def lines_of(figures: dict[str, Any]) -> list[str]:
    """Markdown: what is published beside what was measured, then all settings."""
    lines = [
        "Mean squared error on 2,000 new tasks (± 95 % interval over tasks). Paper:",
        "MAML and Meta-SGD from Li et al. (2017), 10 rows, one step; the deep kernel",
        "from Patacchiola et al. (2020), by their protocol. Others: an independent JAX",
        "implementation of this protocol, and a re-implementation of Meta-SGD.",
        "",
    ]
    header = ["method", "paper", "others", "ours, 10 rows", "updates", "CPU s", "seed"]
    rows = []
    for name, own in figures.items():
        ten = [one for one in own["judged"] if one["shots"] == 10]
        ours = "; ".join(
            f"{one['mse']:.4f} ± {one['half']:.4f}"
            + (f" ({one['steps']} steps)" if one["steps"] else "")
            for one in ten
        )
        numbers = [f"{own['updates']:,}", f"{own['cpu']:.0f}", str(own["seed"])]
        rows.append([name, PAPERS.get(name, ""), OTHERS.get(name, ""), ours, *numbers])
    lines += table(header, rows)
    lines += ["", "## All settings", ""]
    lines += [
        "`lost`: predictions that are not finite. `guarded`: adaptation steps that"
    ]
    lines += ["were shortened or dropped.", ""]
    header = ["method", "rows", "steps", "MSE", "median", "lost", "guarded"]
    rows = [
        [
            name,
            str(one["shots"]),
            str(one["steps"] or ""),
            f"{one['mse']:.4f} ± {one['half']:.4f}",
            f"{one['median']:.4f}",
            str(one["lost"]),
            str(one["guarded"]),
        ]
        for name, own in figures.items()
        for one in own["judged"]
    ]
    return lines + table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fast", action="store_true", help="20 updates, nothing kept")
    args = parser.parse_args()
    built = models(args.seed)
    for name in args.names:
        model = built[name]
        if args.fast:
            model.set_params(max_iter=20)
        figures = run(model, args.seed)
        print(name, figures, flush=True)
        if not args.fast:
            keep("sinusoids", name, figures)
    if not args.fast:
        figures = kept("sinusoids")
        write_report(
            "sinusoids",
            "Sinusoids of Finn, Abbeel and Levine (ICML 2017), section 5.1.",
            lines_of({name: figures[name] for name in built if name in figures}),
            folder=DOCS,
            command="python -m benchmarks.accuracy.sinusoids NAME",
        )


if __name__ == "__main__":
    main()
