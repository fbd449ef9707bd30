"""Draw what bounds say of n tasks, and what a learned prior loses to the true one.

``python docs/figures/maths_tasks.py`` writes the figure beside this file, in some
minutes.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import warnings

import numpy as np
from maths_style import BLUE, GREEN, GREY, ORANGE, PINK, new_figure, save
from scipy.stats import t as student

from sklmeta import MixedModelRegressor

DELTA = 0.05
N_TASKS = 5, 10, 20, 50, 100, 200
N_ROWS, N_SHOTS, N_NEW, N_REPEATS = 20, 5, 300, 4
PRIORS = {  # features, covariance, numbers to learn
    "6 numbers: 1 feature": (1, "full", BLUE),
    "19 numbers: 8 features, diagonal": (8, "diagonal", ORANGE),
    "55 numbers: 8 features, full": (8, "full", PINK),
}


def draw_bounds(ax) -> None:
    """How far the loss on new tasks may be from that on the n tasks at hand."""
    n = np.geomspace(5, 5000, 60)
    one, best = (np.sqrt(np.log(2 * m / DELTA) / (2 * n)) for m in (1, 100))
    environment = np.sqrt((10 + np.log(2 * n / DELTA)) / (2 * (n - 1)))
    interval = 0.1 * student.ppf(1 - DELTA / 2, n - 1) / np.sqrt(n)
    lines = (
        ("PAC-Bayes, divergence 10", environment, PINK, "-"),
        ("Hoeffding, best of 100 learners", best, ORANGE, "-"),
        ("Hoeffding, one learner", one, BLUE, "-"),
        ("t interval, deviation 0.1", interval, GREEN, "--"),
    )
    for name, value, colour, style in lines:
        ax.plot(n, value, style, color=colour, label=name)
        at_20 = np.interp(20, n, value)
        ax.plot(20, at_20, "o", color=colour, ms=4)
        print(f"{name}: {at_20:.2f} at 20 tasks")
    ax.axvline(20, color=GREY, lw=0.8)
    ax.set(xscale="log", xlabel="tasks", ylabel="gap of a loss in [0, 1]", ylim=(0, 1))
    ax.set(title="What can be promised from n tasks")
    ax.set_xticks([5, 20, 100, 1000, 5000], ["5", "20", "100", "1,000", "5,000"])
    ax.minorticks_off()
    ax.legend(loc="upper right")


def make_tasks(n_tasks: int, n_features: int, rng):
    """Lines through the origin's neighbourhood: coefficients are standard normal."""
    w = rng.normal(size=(n_tasks, n_features + 1))
    X = rng.normal(size=(n_tasks, N_ROWS, n_features))
    y = w[:, :1] + np.einsum("tnd,td->tn", X, w[:, 1:]) + rng.normal(size=X.shape[:2])
    return X, y


def with_true_prior(X, y) -> float:
    """RMSE on the rows after the first `N_SHOTS`, by the exact posterior."""
    errors = []
    for rows, target in zip(X, y, strict=True):
        A = np.column_stack([np.ones(N_ROWS), rows])
        own, later = A[:N_SHOTS], A[N_SHOTS:]
        gram = own.T @ own + np.eye(own.shape[1])
        w = np.linalg.solve(gram, own.T @ target[:N_SHOTS])
        errors.append(target[N_SHOTS:] - later @ w)
    return float(np.sqrt(np.square(errors).mean()))


def learned(est, X, y) -> float:
    """The same of a fitted estimator."""
    n, _, d = X.shape
    task = np.repeat(np.arange(n), N_SHOTS)
    est.adapt(X[:, :N_SHOTS].reshape(-1, d), y[:, :N_SHOTS].ravel(), task=task)
    task = np.repeat(np.arange(n), N_ROWS - N_SHOTS)
    found = est.predict(X[:, N_SHOTS:].reshape(-1, d), task=task)
    return float(np.sqrt(np.square(found - y[:, N_SHOTS:].ravel()).mean()))


def excess(n_tasks: int, n_features: int, covariance: str, seed: int) -> float:
    """Per cent by which the RMSE exceeds that of the true prior."""
    rng = np.random.default_rng(seed)
    new = make_tasks(N_NEW, n_features, rng)
    X, y = make_tasks(n_tasks, n_features, rng)
    task = np.repeat(np.arange(n_tasks), N_ROWS)
    est = MixedModelRegressor(covariance=covariance, tol=1e-6)
    est.fit(X.reshape(len(task), -1), y.ravel(), task=task)
    return 100 * (learned(est, *new) / with_true_prior(*new) - 1)


def draw_excess(ax) -> None:
    """The mixed model by the number of tasks, for more and more to be learned."""
    places = range(len(N_TASKS))
    for name, (n_features, covariance, colour) in PRIORS.items():
        found = [
            np.mean([excess(n, n_features, covariance, s) for s in range(N_REPEATS)])
            for n in N_TASKS
        ]
        print(name, np.round(found, 1), flush=True)
        ax.plot(places, found, "o-", color=colour, ms=4, label=name)
    ax.set(xlabel="tasks", ylabel="excess error (%)", ylim=0)
    ax.set(title="What a learned prior loses to the true one")
    ax.set_xticks(places, [str(n) for n in N_TASKS])
    ax.axvline(N_TASKS.index(20), color=GREY, lw=0.8)
    ax.legend(loc="upper right")


def main() -> None:
    """Draw both halves."""
    warnings.simplefilter("ignore")  # of so few tasks
    figure, (top, bottom) = new_figure(6.6, nrows=2)
    draw_bounds(top)
    draw_excess(bottom)
    save(figure, __file__)


if __name__ == "__main__":
    main()
