"""A new patient's drug curve, from two to five blood samples."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
from _ceiling import map_pharmacokinetics
from _report import compare, print_table, save
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklmeta import (
    BayesianLinearRegressor,
    PerTask,
    Pooled,
    TransformerNeuralProcessRegressor,
    adapted,
)
from sklmeta.datasets import make_pharmacokinetics, pharmacokinetic_curve

N_OLD, N_NEW = 200, 100
TRANSFORMER = "transformer neural process"


class KnownLaw(RegressorMixin, BaseEstimator):
    """The ceiling: it knows the law that made the data, and learns nothing."""

    def fit(self, X: Any, y: Any, task: Any = None) -> KnownLaw:
        return self

    def adapt(self, X: np.ndarray, y: np.ndarray, task: np.ndarray) -> KnownLaw:
        """Keep the supports, all of one size."""
        order = np.argsort(task, kind="stable")
        n_tasks = len(np.unique(task))
        self.X_ = X[order].reshape(n_tasks, -1, 2)
        self.y_ = y[order].reshape(n_tasks, -1)
        return self

    def predict(self, X: np.ndarray, task: np.ndarray) -> np.ndarray:
        """Predict the query rows, the same number of every task adapted to."""
        order = np.argsort(task, kind="stable")
        queries = X[order].reshape(len(self.X_), -1, 2)
        y = np.empty(len(X))
        y[order] = map_pharmacokinetics(self.X_, self.y_, queries).ravel()
        return y

    def __sklearn_is_fitted__(self) -> bool:
        return True


def own_gaussian_process() -> Any:
    """Each patient's own Gaussian process, with what an expert would give it.

    In the root of time the curves are about equally smooth everywhere. The kernel is
    fixed: choosing it by the likelihood of two to five points is far worse.
    """
    kernel = RBF(1.0) + WhiteKernel(0.05)
    gp = PerTask(GaussianProcessRegressor(kernel, optimizer=None))
    pipe = make_pipeline(FunctionTransformer(np.sqrt), StandardScaler(), gp)
    return TransformedTargetRegressor(pipe, transformer=StandardScaler())


def run() -> None:
    """Compare, print the table, draw a new patient."""
    print("A new patient's drug curve")
    print(f"  {N_OLD} patients to learn from, {N_NEW} new ones, 12 samples each")
    X, y, patient, params = make_pharmacokinetics(
        N_OLD + N_NEW, return_params=True, random_state=0
    )
    old = patient < N_OLD
    boosting = HistGradientBoostingRegressor(random_state=0)
    models = {
        TRANSFORMER: TransformerNeuralProcessRegressor(random_state=0),
        "Bayesian linear": BayesianLinearRegressor(random_state=0),
        "own Gaussian process": own_gaussian_process(),
        "pooled boosting": Pooled(boosting),
        "pooled + offset": Pooled(boosting, support="offset"),
        "centred pooled": Pooled(boosting, center=True),
        "(ceiling: the true law known)": KnownLaw(),
    }
    scores, fitted = compare(models, X, y, patient, old, shots=[2, 3, 5], n_draws=3)
    sums = scores.groupby(["model", "shots"], sort=False)[["sse", "n_query"]].sum()
    rmse = np.sqrt(sums.sse / sums.n_query) / y.std()
    print_table("RMSE over sd(y), lower is better", rmse, "samples")
    draw(fitted, X, y, patient, params)


def draw(fitted: dict[str, Any], X: Any, y: Any, patient: Any, params: Any) -> None:
    """Draw one new patient: three samples, the prediction with its band, the truth."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), sharey=True)
    for new, axis in zip(range(N_OLD, N_OLD + 3), axes, strict=True):
        rows = np.flatnonzero(patient == new)
        support = rows[[1, 4, 9]]
        others = np.setdiff1d(rows, support)
        model = adapted(fitted[TRANSFORMER], X[support], y[support])
        time, dose = np.linspace(0.1, 24, 200), params["dose"][new]
        grid = np.column_stack([time, np.full(200, dose)])
        mean, std = model.predict(grid, return_std=True)
        names = ("absorption", "clearance", "volume")
        truth = pharmacokinetic_curve(time, dose, *(params[n][new] for n in names))
        low, high = mean - 1.96 * std, mean + 1.96 * std
        axis.fill_between(time, low, high, color="C0", alpha=0.2, lw=0, label="95 %")
        axis.plot(time, mean, color="C0", label="prediction")
        axis.plot(time, truth, "k--", lw=1, label="truth")
        pooled = fitted["pooled + offset"]
        pooled = adapted(pooled, X[support], y[support]).predict(grid)
        axis.plot(time, pooled, ":", color="0.5", label="pooled + offset")
        axis.plot(X[others, 0], y[others], "o", mfc="w", mec="k", label="held out")
        axis.plot(X[support, 0], y[support], "ks", ms=7, label="the three samples")
        axis.set(title=f"new patient {new - N_OLD + 1}", xlabel="time since dose (h)")
    axes[0].set_ylabel("concentration (mg/L)")
    axes[0].set_ylim(bottom=0)
    axes[-1].legend(frameon=False, fontsize=8)
    figure.suptitle("Drug curves of new patients, from three blood samples")
    figure.tight_layout()
    save(figure, "drug_curve.png")
    plt.close(figure)
