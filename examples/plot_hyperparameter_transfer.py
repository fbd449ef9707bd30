"""
Hyper-parameters carried over from other tables
===============================================

How well do settings work on a new table, when five of them have been tried there? Each
table is a task: what settings scored on other tables says what such surfaces look like,
and five scores say which of them this one is. The surfaces are those of scikit-learn's
support vector machine on its bundled tables, and whole tables are held out. A deep
kernel predicts them better than a Gaussian process that starts anew, and a search with
it is shorter; but a plain list of what worked on other tables is as hard to beat as
people say.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sklearn.datasets
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.model_selection import KFold, LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, SplineTransformer, StandardScaler
from sklearn.svm import SVC

from sklmeta import DeepKernelRegressor, MixedModelRegressor, PerTask, Pooled
from sklmeta.comparing import compare

TABLES = ["breast_cancer", "diabetes", "digits", "iris", "wine"]
N_SETS = 6  # made of each table
N_VALUES = 7  # of either setting
MAX_ITER = 150
SHOTS = 5
N_STEPS = 10
N_STARTS = 3

# %%
# The surfaces
# ------------
# Five tables are few, so each gives several data sets: some of its rows, some of its
# columns, some labels wrong. Data sets of one table are relatives, and stay together,
# as learning from one and testing on the other would flatter. The score is the accuracy
# in three folds, in per cent, at every pair of settings.

grid = np.array(np.meshgrid(np.linspace(-2, 4, N_VALUES), np.linspace(-4, 2, N_VALUES)))
grid = grid.reshape(2, -1).T  # log10 of C, and of gamma times the number of columns
rng = np.random.default_rng(0)


def data_set(X, y):
    rows = rng.permutation(len(X))[: rng.integers(60, 150)]
    columns = rng.permutation(X.shape[1])[
        : max(2, int(X.shape[1] * rng.uniform(0.3, 1)))
    ]
    X, y = StandardScaler().fit_transform(X[np.ix_(rows, columns)]), y[rows]
    wrong = rng.random(len(y)) < rng.uniform(0, 0.2)
    return X, np.where(wrong, rng.permutation(y), y)


def surface(X, y):
    model = SVC(random_state=0)
    for log_c, log_gamma in grid:
        model.set_params(C=10**log_c, gamma=10**log_gamma / X.shape[1])
        yield 100 * cross_val_score(model, X, y, cv=KFold(3)).mean()


surfaces, table = [], np.repeat(TABLES, N_SETS)
for name in TABLES:
    X, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    y = y > np.median(y) if name == "diabetes" else y
    surfaces += [list(surface(*data_set(X, y))) for _ in range(N_SETS)]
surfaces = np.array(surfaces)  # (n data sets, n settings)
n_sets, n_settings = surfaces.shape
X, task = np.tile(grid, (n_sets, 1)), np.repeat(np.arange(n_sets), n_settings)

# %%
# Predicting a surface from five of its points
# --------------------------------------------
# A whole table is held out at a time. Beside the deep kernel [1]_ there are a mixed
# model on products of splines, a Gaussian process for each data set on its own, and
# boosting of the other tables' scores, with an offset for the new one.
#
# .. [1] M. Wistuba and J. Grabocka, "Few-Shot Bayesian Optimization with Deep Kernel
#    Surrogates", ICLR 2021.

kernel = RBF([2.0, 2.0]) + WhiteKernel(0.05)
process = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)
deep = DeepKernelRegressor(n_shots=(2, 15), max_iter=MAX_ITER, random_state=0)
products = PolynomialFeatures(2, interaction_only=True, include_bias=False)
splines = SplineTransformer(4, degree=2)
boosting = HistGradientBoostingRegressor(max_iter=100, random_state=0)
candidates = {
    "deep kernel": deep,
    "splines, mixed model": make_pipeline(splines, products, MixedModelRegressor()),
    "own Gaussian process": PerTask(process),
    "pooled boosting + offset": Pooled(boosting, support="offset"),
}
folds = list(LeaveOneGroupOut().split(X, groups=table[task]))
how = {"shots": SHOTS, "cv": folds, "n_jobs": 1, "verbose": 0}
result = compare(candidates, X, surfaces.ravel(), task, **how)
draws = result.draws.assign(table=table[result.draws["task"].astype(int)])
by_table = draws.pivot_table(index="estimator", columns="table", values="score")
by_table["mean"] = by_table.mean(axis=1)
print(f"RMSE from {SHOTS} settings, in points of accuracy, by the table held out:")
print(by_table.sort_values("mean").round(1).to_string())

# %%
# A search that starts from it
# ----------------------------
# After the same five settings each search tries the one whose prediction plus standard
# deviation is highest, learns its score, and so on. What is left to gain is the best
# score of the grid less the best that was found. The simplest way to carry something
# over is in the race, too: a list of settings by their mean rank on other tables.


def search(first, scores, choose):
    """What is left to gain after each evaluation, for all `scores` at once."""
    tried = first.copy()
    for _ in range(N_STEPS):
        known = np.take_along_axis(scores, tried, 1)
        value = choose(tried, known)
        np.put_along_axis(value, tried, -np.inf, 1)
        tried = np.column_stack([tried, value.argmax(1)])
    best = np.maximum.accumulate(np.take_along_axis(scores, tried, 1), axis=1)
    return scores.max(1, keepdims=True) - best[:, SHOTS - 1 :]


def by_process(tried, known):
    value = []
    for rows, scores in zip(tried, known, strict=True):
        here = clone(process).fit(grid[rows], scores)
        value.append(np.add(*here.predict(grid, return_std=True)))
    return np.array(value)


def by_deep_kernel(tried, known):
    whose = np.arange(len(tried))
    old = np.repeat(whose, tried.shape[1])
    deep.adapt(grid[tried.ravel()], known.ravel(), task=old)
    cells = np.tile(grid, (len(whose), 1))
    new = np.repeat(whose, n_settings)
    return np.add(*deep.predict(cells, task=new, return_std=True)).reshape(
        -1, n_settings
    )


left = {name: [] for name in ("deep kernel", "Gaussian process", "list", "random")}
for train, test in folds:
    deep.fit(X[train], surfaces.ravel()[train], task=task[train])
    others, scores = surfaces[np.unique(task[train])], surfaces[np.unique(task[test])]
    order = pd.DataFrame(others).rank(axis=1).mean().to_numpy()
    for _ in range(N_STARTS):
        first = rng.permuted(np.tile(np.arange(n_settings), (len(scores), 1)), axis=1)
        choices = {
            "deep kernel": by_deep_kernel,
            "Gaussian process": by_process,
            "list": lambda tried, known, order=order: np.tile(order, (len(tried), 1)),
            "random": lambda tried, known: rng.random((len(tried), n_settings)),
        }
        for name, choose in choices.items():
            left[name].append(search(first[:, :SHOTS], scores, choose))
left = {
    k: np.reshape(v, (len(TABLES), -1, N_STEPS + 1)).mean(1) for k, v in left.items()
}
gaps = pd.DataFrame({name: values.mean(0) for name, values in left.items()})
print(f"\nLeft to gain, in points, by the evaluations after the first {SHOTS}:")
print(gaps.T.round(1).to_string())

# %%
# Above, a data set of the last table, and what is made of five of its settings
# (circles; the star is the best). Below, the searches, as means over tables.

scores = surfaces[-N_SETS]
five = rng.permutation(n_settings)[:SHOTS]
deep.adapt(grid[five], scores[five])
shown = {
    f"{TABLES[-1]}: the truth": scores,
    "deep kernel": deep.predict(grid),
    "Gaussian process": clone(process).fit(grid[five], scores[five]).predict(grid),
}
figure, axes = plt.subplot_mosaic(
    [[*shown], ["below"] * 3], figsize=(7, 6.5), layout="constrained"
)
limits = {"vmin": scores.min(), "vmax": scores.max(), "cmap": "viridis"}
for name, values in shown.items():
    x, y = np.unique(grid[:, 0]), np.unique(grid[:, 1])
    cells = values.reshape(len(y), len(x))
    image = axes[name].pcolormesh(x, y, cells, **limits)
    axes[name].plot(*grid[five].T, "o", mfc="none", mec="w", ms=9, mew=2)
    axes[name].plot(*grid[values.argmax()], "*", color="tab:red", mec="w", ms=14)
    axes[name].set_title(name, fontsize=11)
    axes[name].set(xlabel="log₁₀ C", xticks=[-2, 0, 2, 4], yticks=[-4, -2, 0, 2])
axes[next(iter(shown))].set_ylabel("log₁₀ γ × columns")
figure.colorbar(image, ax=[axes[name] for name in shown], label="accuracy, %")
looks = {
    "deep kernel": ("tab:blue", "o-"),
    "list": ("k", "s:"),
    "Gaussian process": ("tab:orange", "^--"),
    "random": ("0.6", "x-."),
}
for name, (colour, line) in looks.items():
    axes["below"].plot(gaps.index, gaps[name], line, color=colour, label=name)
axes["below"].set(xlabel=f"evaluations after the first {SHOTS}", ylim=(0, None))
axes["below"].set_ylabel("left to gain, points")
axes["below"].legend(fontsize=9)
plt.show()

names = list(candidates)
best = by_table["mean"][names[1:]].idxmin()
better = (by_table.loc[names[0]] < by_table.loc[best])[TABLES].sum()
print(
    f"Predicting: {names[0]} has {by_table['mean'][names[0]]:.1f} points of error, the "
    f"best of the others ({best}) {by_table['mean'][best]:.1f}. On {better} of "
    f"{len(TABLES)} tables it is the better one: too few for a claim."
)
middle = N_STEPS // 2
better = (left["deep kernel"] < left["list"])[:, middle].sum()
print(
    f"Searching, after {middle} more: {gaps['deep kernel'][middle]:.2f} points left by "
    f"the deep kernel, {gaps['Gaussian process'][middle]:.2f} by the Gaussian process "
    f"and {gaps['list'][middle]:.2f} by a list, which costs nothing; the deep kernel "
    f"is ahead of that on {better} of {len(TABLES)} tables."
)
