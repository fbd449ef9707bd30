"""Draw how far a mixed model goes from the population towards a task's own rows.

``python docs/figures/maths_shrinkage.py`` writes the figure beside this file.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
from maths_style import BLUE, GREEN, GREY, ORANGE, new_figure, save

from sklmeta import MixedModelRegressor

INNER_LR, INNER_STEPS = 0.1, 5
RATIOS = {  # noise, over the variance of levels; colour; where its name stands
    0.3: (GREEN, (1.4, 0.745)),
    3: (BLUE, (2.1, 0.33)),
    30: (ORANGE, (8, 0.13)),
}


def draw_weights(ax) -> None:
    """The weight of a task's own mean, by its number of rows."""
    k = np.geomspace(1, 100, 60)
    for ratio, (colour, place) in RATIOS.items():
        ax.plot(k, k / (k + ratio), color=colour)
        ax.annotate(f"mixed model, noise {ratio}", place, color=colour)
    taken = 1 - (1 - 2 * INNER_LR) ** INNER_STEPS
    ax.axhline(taken, color=GREY, ls="--")
    ax.annotate("five gradient steps", (1.05, taken - 0.07), color=GREY)
    ax.set(xscale="log", xlabel="labelled rows of the task")
    ax.set(ylabel="weight of its mean")
    ax.set(title="How much a task's own rows count", ylim=(0, 1.02))
    ax.set_xticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
    ax.minorticks_off()


def make_levels():
    """Tasks of one to thirty rows that differ in their level."""
    rng = np.random.default_rng(2)
    n_rows = np.repeat([1, 2, 3, 5, 10, 30], 5)
    task = np.repeat(np.arange(len(n_rows)), n_rows)
    level = 10 + rng.normal(size=len(n_rows))
    y = level[task] + np.sqrt(3) * rng.normal(size=len(task))
    return rng.normal(size=(len(task), 1)), y, task


def draw_tasks(ax) -> None:
    """Each task's mean, and what the fitted model predicts for it."""
    X, y, task = make_levels()
    est = MixedModelRegressor(random_slopes="none").fit(X, y, task=task)
    level = float(est.predict(np.zeros((1, 1)))[0])
    tasks = np.unique(task)
    est.adapt(X, y, task=task)
    predicted = est.predict(np.zeros((len(tasks), 1)), task=tasks)
    mean = np.bincount(task, y - X[:, 0] * est.coef_[0]) / np.bincount(task)
    sizes, group = np.unique(np.bincount(task), return_inverse=True)
    place = group + 0.14 * (np.arange(len(tasks)) % 5 - 2)
    ax.axhline(level, color=GREY, lw=0.8)
    for at, start, end in zip(place, mean, predicted, strict=True):
        ax.plot([at, at], [start, end], color=GREY, lw=0.8)
    ax.plot(place, mean, "o", mfc="white", color=ORANGE, label="mean of its rows")
    ax.plot(place, predicted, "o", color=BLUE, label="prediction")
    ax.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    ax.set(xlabel="labelled rows of the task", ylabel="level")
    ax.set(title="Thirty tasks, fitted: few rows are drawn in")
    ax.set_ylim(6.7)
    ax.legend(loc="lower right", ncols=2)


def main() -> None:
    """Draw both halves."""
    figure, (top, bottom) = new_figure(6.4, nrows=2)
    draw_weights(top)
    draw_tasks(bottom)
    save(figure, __file__)


if __name__ == "__main__":
    main()
