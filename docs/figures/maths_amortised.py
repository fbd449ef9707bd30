"""Draw how near a network comes to Bayes' rule, by the number of labelled rows.

``python docs/figures/maths_amortised.py`` writes the figure beside this file, in some
minutes. Tasks are lines whose level and slope are standard normal, with noise of a
known size, so that the exact predictive density is known too.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
from maths_style import BLUE, GREEN, ORANGE, PINK, new_figure, save
from scipy.stats import norm

from sklmeta import (
    BayesianLinearRegressor,
    NeuralProcessRegressor,
    TransformerNeuralProcessRegressor,
)

NOISE = 0.5
SHOTS = (0, 1, 2, 3, 5, 8, 12, 20, 32, 50, 80)
N_QUERY, N_NEW = 20, 200
TRAINED = 1, 20
NETWORK = {"start": None, "random_state": 0, "max_iter": 1000}
MODELS = {
    "transformer, 400 tasks": (
        TransformerNeuralProcessRegressor(**NETWORK), 400, BLUE, "o-",
    ),
    "neural process, 400 tasks": (
        NeuralProcessRegressor(**NETWORK), 400, ORANGE, "s-",
    ),
    "transformer, 40 tasks": (
        TransformerNeuralProcessRegressor(**NETWORK), 40, PINK, "^--",
    ),
    "Bayesian linear, 40 tasks": (
        BayesianLinearRegressor(hidden_layer_sizes=(), random_state=0), 40, GREEN, "D-",
    ),
}  # fmt: skip


def make_lines(n_tasks: int, n_rows: int, seed: int):
    """Rows (n_tasks, n_rows) of lines."""
    rng = np.random.default_rng(seed)
    level, slope = rng.normal(size=(2, n_tasks, 1))
    x = rng.normal(size=(n_tasks, n_rows))
    return x, level + slope * x + NOISE * rng.normal(size=x.shape)


def flat(x, y):
    """X, y and task."""
    return x.reshape(-1, 1), y.ravel(), np.repeat(np.arange(len(x)), x.shape[1])


def exact_density(x, y, x_new, y_new) -> float:
    """Mean log density of the queries, by the posterior of each task's line."""
    total = 0.0
    for own in zip(x, y, x_new, y_new, strict=True):
        A, B = (np.column_stack([np.ones_like(v), v]) for v in (own[0], own[2]))
        inverse = np.linalg.inv(np.eye(2) + A.T @ A / NOISE**2)
        mean = B @ inverse @ A.T @ own[1] / NOISE**2
        variance = NOISE**2 + ((B @ inverse) * B).sum(axis=1)
        total += norm.logpdf(own[3], mean, np.sqrt(variance)).mean()
    return total / len(x)


def learned_density(est, x, y, x_new, y_new) -> float:
    """The same of a fitted estimator."""
    X_new, target, task = flat(x_new, y_new)
    if x.shape[1]:
        X, y, own = flat(x, y)
        mean, std = est.adapt(X, y, task=own).predict(X_new, task=task, return_std=True)
    else:
        mean, std = est.predict(X_new, return_std=True)
    return norm.logpdf(target, mean, std).mean()


def main() -> None:
    """Train, judge and draw."""
    figure, ax = new_figure(3.9)
    x, y = make_lines(N_NEW, max(SHOTS) + N_QUERY, seed=1)
    query = x[:, -N_QUERY:], y[:, -N_QUERY:]
    for name, (est, n_tasks, colour, style) in MODELS.items():
        X, target, task = flat(*make_lines(n_tasks, 40, seed=0))
        est.fit(X, target, task=task)
        gap = []
        for k in SHOTS:  # before `adapt`, nothing is known of a task
            support = x[:, :k], y[:, :k]
            best = exact_density(*support, *query)
            gap.append(best - learned_density(est, *support, *query))
        print(name, np.round(gap, 3))
        ax.plot(range(len(SHOTS)), gap, style, color=colour, label=name, ms=5)
    low, high = (np.interp(k, SHOTS, range(len(SHOTS))) for k in TRAINED)
    ax.axvspan(low, high, color="#eeeeee", lw=0, zorder=0)
    trained = f"trained with {TRAINED[0]} to {TRAINED[1]} rows"
    place = {"xycoords": ("data", "axes fraction"), "ha": "center", "fontsize": 9}
    ax.annotate(trained, ((low + high) / 2, 0.02), **place)
    ax.axhline(0, color="black", lw=0.8)
    ax.set_xticks(range(len(SHOTS)), [str(k) for k in SHOTS])
    ax.set_ylim(-0.012)
    ax.set(xlabel="labelled rows of the new task", ylabel="nats per row lost to Bayes")
    ax.set_title("How far from the exact posterior")
    ax.legend(loc="upper right")
    save(figure, __file__)


if __name__ == "__main__":
    main()
