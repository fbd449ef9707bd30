"""
Trained on one kind of task, adapted to another
===============================================

What a meta-learner has learned is what its tasks have in common, and it takes that to
whatever it is adapted to. Here it learns from sinusoids, from faster ones, from lines
or from steps, and is then given ten points of a curve of each kind. At home it is ahead
of a Gaussian process that has these points alone, but for the fast sinusoids, which ask
for longer training. Abroad it is far behind one, and the report says so; trained on all
kinds it is about as good as one everywhere.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import textwrap
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import RidgeCV

from sklmeta import BayesianLinearRegressor, PerTask, adapted
from sklmeta.comparing import Comparison, compare

N_OLD = 100
N_NEW = 40
N_ROWS = 40
SHOTS = 10
MAX_ITER = 1200

# %%
# Four kinds of tasks
# -------------------
# All are curves over the same range and of about the same height, with a little noise.


def make_tasks(kind, seed):
    rng = np.random.default_rng(seed)
    n = N_OLD + N_NEW
    x = rng.uniform(-5, 5, (n, N_ROWS))
    height, place = rng.uniform(0.5, 3, (n, 1)), rng.uniform(-np.pi, np.pi, (n, 1))
    if kind == "lines":
        y = height * rng.choice([-1, 1], (n, 1)) * x / 3 + rng.normal(0, 1, (n, 1))
    elif kind == "steps":
        y = height * np.where(x > place, 1, -1)
    else:
        y = height * np.sin({"sinusoids": 1, "fast sinusoids": 2}[kind] * x + place)
    y = y + rng.normal(0, 0.1, y.shape)
    return x.reshape(-1, 1), y.ravel(), np.repeat(np.arange(n), N_ROWS)


kinds = ["sinusoids", "fast sinusoids", "lines", "steps"]
tasks = {kind: make_tasks(kind, seed) for seed, kind in enumerate(kinds)}

# %%
# A model of each kind, and one of all
# ------------------------------------
# The last has as many tasks as each of the others, a quarter of each kind.

old = {kind: task < N_OLD for kind, (_, _, task) in tasks.items()}
training = {kind: [part[old[kind]] for part in tasks[kind]] for kind in kinds}
quarters = []
for i, kind in enumerate(kinds):
    X, y, task = training[kind]
    some = task % len(kinds) == i  # no label twice
    quarters.append([X[some], y[some], task[some]])
training["all kinds"] = [np.concatenate(parts) for parts in zip(*quarters, strict=True)]
models = {}
for kind, (X, y, task) in training.items():
    models[kind] = BayesianLinearRegressor(
        n_shots=(2, 20), max_iter=MAX_ITER, early_stopping=False, random_state=0
    ).fit(X, y, task=task)

# %%
# At home and abroad
# ------------------
# The models are fitted, and frozen for `compare`. The baselines have the ten points and
# nothing else.

kernel = RBF(1.0, (0.1, 10)) + WhiteKernel(0.1, (1e-3, 1))
own = GaussianProcessRegressor(kernel, normalize_y=True)
baselines = {
    "own Gaussian process": PerTask(own),
    "own ridge": PerTask(RidgeCV(np.logspace(-3, 2, 6))),
}
candidates = {kind: FrozenEstimator(model) for kind, model in models.items()}
results = {}
for kind, (X, y, task) in tasks.items():
    split = [(np.flatnonzero(old[kind]), np.flatnonzero(~old[kind]))]
    how = {"shots": SHOTS, "cv": split, "n_draws": 1, "n_jobs": 1, "verbose": 0}
    with warnings.catch_warnings():  # of ten points some say little of the kernel
        warnings.simplefilter("ignore", ConvergenceWarning)
        results[kind] = compare({**candidates, **baselines}, X, y, task, **how)
table = pd.DataFrame({k: r.table(SHOTS)["mean"] for k, r in results.items()})
print(table.round(2))

# %%
# How the report shows it
# -----------------------
# Take the model of sinusoids and ask of each kind of new tasks whether it pays. A
# report like this needs some labelled tasks of the new kind: those that were held out
# of the old one know nothing of it, and would have promised the first verdict for both.

first = kinds[0]
for kind in (first, kinds[-1]):
    draws = results[kind].draws
    report = Comparison(
        draws[draws.estimator.isin([first, *baselines])],
        baselines=list(baselines),
        metric="RMSE",
        greater_is_better=False,
    )
    print(f"\nLearned from {first}, adapted to {kind}:")
    print(textwrap.fill(report.verdict(), 80))

# %%
# What the picture shows
# ----------------------
# Left, the error of every model (row) on new tasks of every kind (column), as a
# multiple of that of the Gaussian process that has the ten points alone: purple is
# better, orange worse, and a star is where the 95 % interval over tasks says so. Right,
# what the model of sinusoids makes of ten points at home; and of ten points of a step,
# in which it sees a sinusoid, as it has seen nothing else.

figure, axes = plt.subplot_mosaic(
    [["ratio", "home"], ["ratio", "away"]],
    figsize=(8, 4.8),
    layout="constrained",
    width_ratios=[5, 3],
)
alone = "own Gaussian process"
ratio = table.loc[list(models)] / table.loc[alone]
axes["ratio"].imshow(np.log2(ratio), cmap="PuOr_r", vmin=-3, vmax=3, aspect="auto")
for i, trained in enumerate(ratio.index):
    for j, kind in enumerate(kinds):
        clear = results[kind].paired(trained, alone, SHOTS).better is not None
        value = ratio.iloc[i, j]
        dark = "w" if abs(np.log2(value)) > 2 else "k"
        text = f"{value:.2g}" + "*" * clear
        axes["ratio"].text(j, i, text, ha="center", va="center", color=dark)
names = [name.replace(" ", "\n") for name in ratio.index]
axes["ratio"].set_xticks(range(len(kinds)), labels=names[: len(kinds)])
axes["ratio"].set_yticks(range(len(names)), labels=names)
axes["ratio"].set(xlabel="adapted to", ylabel="learned from")
axes["ratio"].set_title("error, relative to the points alone", fontsize=11)

grid = np.linspace(-5, 5, 200)[:, None]
for place, kind in (("home", first), ("away", kinds[-1])):
    X, y, task = tasks[kind]
    rows = np.flatnonzero(task == N_OLD)
    known = rows[:SHOTS]
    curve = adapted(models[first], X[known], y[known]).predict(grid)
    axes[place].plot(X[rows], y[rows], ".", color="0.6", label="not shown")
    axes[place].plot(X[known], y[known], "o", color="k", ms=5, label="ten points")
    axes[place].plot(grid, curve, color="tab:purple", label=f"model of {first}")
    axes[place].set_title(f"a task of {kind}", fontsize=11)
figure.legend(
    *axes["home"].get_legend_handles_labels(), loc="outside lower right", ncols=3
)
plt.show()

home = [kind for kind in kinds if ratio.loc[kind, kind] < 1]
away = ratio.loc[kinds].to_numpy()[~np.eye(len(kinds), dtype=bool)]
print(
    f"At home {len(home)} of {len(kinds)} models are ahead of the points alone "
    f"({', '.join(home)}), abroad {np.sum(away < 1)} of {len(away)}; the model of all "
    f"kinds is on {np.sum(ratio.iloc[-1] < 1)} of {len(kinds)}."
)
