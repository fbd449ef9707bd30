"""One new task of five rows, adapted to and predicted: what a service waits for.

    python -m benchmarks.speed.one_task

In turn and in one process, beside scikit-learn's ridge fitted to the same rows. Models
are trained for a few updates only, on which this cost does not depend.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.linear_model import Ridge

import sklmeta
from benchmarks.shared.report import write_report
from sklmeta.datasets import make_linear_tasks, make_sensor_arrays

N_ROUNDS, N_ROWS, N_ASKED = 200, 5, 10
FEW: dict[str, Any] = {"max_iter": 5, "random_state": 0}
FIXED = {"early_stopping": False, **FEW}


def models() -> dict[str, tuple[Any, Any]]:
    """Fitted models by name, each with the rows that it knows."""
    numbers, gases = make_linear_tasks(30, random_state=0), make_sensor_arrays(10)
    regressors = {
        "mixed model": sklmeta.MixedModelRegressor(),
        "Bayesian linear": sklmeta.BayesianLinearRegressor(**FIXED),
        "ridge head": sklmeta.RidgeHeadRegressor(**FIXED),
        "deep kernel": sklmeta.DeepKernelRegressor(**FIXED),
        "neural process": sklmeta.NeuralProcessRegressor(**FIXED),
        "transformer neural process": sklmeta.TransformerNeuralProcessRegressor(
            **FIXED
        ),
        "MAML": sklmeta.MAMLRegressor(**FEW),
        "Reptile": sklmeta.ReptileRegressor(**FEW),
    }
    made = {
        name: (model.fit(*numbers[:2], task=numbers[2]), numbers)
        for name, model in regressors.items()
    }
    prototypes = sklmeta.ProtoNetClassifier(**FEW)
    made["prototypes"] = prototypes.fit(*gases[:2], task=gases[2]), gases
    return {"scikit-learn's ridge": (Ridge(), numbers), **made}


def seconds(model: Any, X: np.ndarray, y: np.ndarray) -> float:
    asked = X[N_ROWS : N_ROWS + N_ASKED]
    start = time.perf_counter()
    if isinstance(model, Ridge):
        clone(model).fit(X[:N_ROWS], y[:N_ROWS]).predict(asked)
    else:
        model.adapt(X[:N_ROWS], y[:N_ROWS]).predict(asked)
    return time.perf_counter() - start


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    made = models()
    took: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(N_ROUNDS):
        for name, (model, (X, y, *_)) in made.items():
            took[name].append(seconds(model, X, y))
    medians = {name: float(np.median(each)) for name, each in took.items()}
    ridge = medians["scikit-learn's ridge"]
    lines = ["| model | ms | times the ridge |", "| --- | --- | --- |"]
    lines += [f"| {n} | {1e3 * s:.1f} | {s / ridge:.1f} |" for n, s in medians.items()]
    title = (
        f"`adapt` to one task of {N_ROWS} rows and `predict` {N_ASKED} others: medians "
        f"of {N_ROUNDS} rounds."
    )
    write_report("one_task", title, lines)


if __name__ == "__main__":
    main()
