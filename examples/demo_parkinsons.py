"""New patients of the Parkinson's telemonitoring study, from few visits."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
from _report import compare, print_table, save
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklmeta import (
    BayesianLinearRegressor,
    PerTask,
    Pooled,
    TransformerNeuralProcessRegressor,
    adapted,
)
from sklmeta.datasets import DatasetNotFoundError, fetch_parkinsons
from sklmeta.model_selection import TaskKFold

TEST_TIME = 2  # the column of days since recruitment
MIXED = "mixed model of test_time alone"
TRANSFORMER = "transformer neural process"
CASES = {"random": "random rows", "first": "the first rows in time"}


def models_for(support: str) -> dict[str, Any]:
    """Build the models; the meta-learners train on supports of the kind to come."""
    boosting = HistGradientBoostingRegressor(random_state=0)
    meta = {"support": support, "random_state": 0}
    only_time = make_column_transformer(("passthrough", [TEST_TIME]))
    return {
        TRANSFORMER: TransformerNeuralProcessRegressor(**meta),
        "Bayesian linear": BayesianLinearRegressor(**meta),
        # Without an encoder: a population of lines, each patient's a draw from it.
        MIXED: make_pipeline(
            only_time, BayesianLinearRegressor(hidden_layer_sizes=(), **meta)
        ),
        "own ridge": make_pipeline(StandardScaler(), PerTask(Ridge())),
        "own ridge on test_time alone": make_pipeline(
            only_time, StandardScaler(), PerTask(Ridge())
        ),
        "pooled boosting": Pooled(boosting),
        "pooled + offset": Pooled(boosting, support="offset"),
        "centred pooled": Pooled(boosting, center=True),
    }


def run() -> None:
    """Compare, print two tables, draw new patients; without the data, say so."""
    print("New patients from few visits (Parkinson's telemonitoring, real data)")
    try:
        X, y, patient = fetch_parkinsons(return_X_y_task=True, n_retries=0)
    except DatasetNotFoundError as error:
        print(f"  left out: {error}\n")
        return
    train, _ = next(TaskKFold(4, shuffle=True, random_state=0).split(X, y, patient))
    old = np.zeros(len(y), dtype=bool)
    old[train] = True
    n_old = len(np.unique(patient[old]))
    n_new = len(np.unique(patient[~old]))
    print(f"  {n_old} patients to learn from, {n_new} new ones; a single split of four")
    fitted = {}
    for support, words in CASES.items():
        print(f"  labelled: {words}")
        scores, fitted[support] = compare(
            models_for(support), X, y, patient, old, [5, 10], support=support, n_draws=3
        )
        scores["rmse"] = np.sqrt(scores.sse / scores.n_query) / y.std()
        rmse = scores.groupby(["model", "shots"], sort=False).rmse.mean()
        title = "RMSE over sd(y), averaged over patients, lower is better; labelled: "
        print_table(title + words, rmse, "rows")
    print(
        "The scores were assessed at three visits and interpolated in between, so\n"
        "random rows measure interpolation; the first in time are the honest case."
    )
    draw(fitted, X, y, patient, old)


def draw(fitted: dict[str, Any], X: Any, y: Any, patient: Any, old: Any) -> None:
    """Draw one new patient from ten random rows and from the first ten."""
    from matplotlib import pyplot as plt

    new = np.unique(patient[~old])[0]
    rows = np.flatnonzero(patient == new)
    chosen = {
        "random": np.sort(np.random.default_rng(0).choice(rows, 10, replace=False)),
        "first": rows[:10],
    }
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True)
    for (support, words), axis in zip(CASES.items(), axes, strict=True):
        few = chosen[support]
        model = adapted(fitted[support][MIXED], X[few], y[few])
        mean, std = model.predict(X[rows], return_std=True)
        day = X[rows, TEST_TIME]
        low, high = mean - 1.96 * std, mean + 1.96 * std
        axis.fill_between(day, low, high, color="C0", alpha=0.2, lw=0, label="95 %")
        axis.plot(day, mean, color="C0", label=MIXED)
        axis.plot(day, y[rows], "k--", lw=1, label="truth")
        alone = adapted(fitted[support]["own ridge on test_time alone"], X[few], y[few])
        axis.plot(day, alone.predict(X[rows]), ":", color="0.4", label="own line")
        axis.plot(X[few, TEST_TIME], y[few], "ks", label="the ten labelled rows")
        axis.set(title=f"labelled: {words}", xlabel="days since recruitment")
    axes[0].set_ylabel("total UPDRS")
    axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle(f"Patient {new}, of whom no model has learned before")
    figure.tight_layout()
    save(figure, "parkinsons.png")
    plt.close(figure)
