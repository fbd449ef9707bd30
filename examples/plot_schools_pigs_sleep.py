"""
Schools, pigs and sleep: the mixed model
========================================

Statistics has had a meta-learner for seventy years: the mixed model, whose coefficients
differ between groups. Here it is fitted to three of its standard examples, its variance
components are read, and new schools, pigs and sleepers are predicted from four rows.
None of the neural learners is better there. From where they are, generated plants show:
from where tasks differ in *when* something happens, and not in how much.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer

from sklmeta import (
    MAMLRegressor,
    MixedModelRegressor,
    PerTask,
    Pooled,
    TransformerNeuralProcessRegressor,
)
from sklmeta.comparing import compare
from sklmeta.datasets import DatasetNotFoundError, fetch_mixed_model_data

MAX_ITER = 80
MAX_ITER_PLANTS = 300
N_FOLDS = 3
N_PLANTS = 100
N_NEW = 300
SPREADS = [0, 3, 6, 12]
SHOTS = 4

# %%
# Three studies
# -------------
# Pupils' achievement in mathematics by their social status and that of their school;
# the weights of pigs, in kilograms, by the week; reaction times of people kept from
# sleep, in milliseconds, by the day. Where a study is not to be had, straight lines
# that are generated with similar variances take its place.

STUDIES = {  # columns, tasks, and a stand-in: its sizes, line and deviations
    "hsb82": (["cses", "meanses"], "schools", (160, 45, (12.7, 2.2), (1.6, 0.8, 6.1))),
    "dietox": (["Time"], "pigs", (72, 12, (15.7, 6.9), (4.4, 0.6, 2.5))),
    "sleepstudy": (["Days"], "sleepers", (18, 10, (251, 10.5), (25, 6, 26))),
}


def study(name):
    columns, _, (n, n_rows, line, deviations) = STUDIES[name]
    try:
        data = fetch_mixed_model_data(name, download_if_missing=False)  # or True
        return data.data[columns], data.target, data.task
    except DatasetNotFoundError:
        print(f"{name} is not here: these are generated lines in its place.")
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(n), n_rows)
    X = pd.DataFrame(0.0, index=range(n * n_rows), columns=columns)
    status = rng.normal(0, 0.7, len(X))
    X[columns[0]] = status if name == "hsb82" else np.tile(np.arange(n_rows), n)
    own = rng.normal(line, deviations[:2], (n, 2))[task]
    noise = rng.normal(0, deviations[2], len(X))
    return X, own[:, 0] + own[:, 1] * X[columns[0]] + noise, task


# %%
# Variance components
# -------------------
# What a mixed model says of the tasks is a table: how much their levels and slopes
# differ, how these go together, and what noise is left. (``summary`` has the standard
# errors of the fixed effects as well.)

tables = {name: study(name) for name in STUDIES}
components = {}
for name, (X, y, task) in tables.items():
    X = X.rename(columns={X.columns[0]: "slope"})
    model = MixedModelRegressor(random_slopes=["slope"]).fit(X, y, task=task)
    components[name] = model.summary()["estimate"]
print(pd.DataFrame(components).round(2).to_string(na_rep=""))

# %%
# New schools, new pigs, new sleepers
# -----------------------------------
# Whole tasks are held out, and predicted from four of their rows: any four pupils, but
# the first four weeks or days. A mixed model may have splines in front, as pigs do not
# grow in lines. Beside it are two neural learners, what one would do without
# meta-learning. (The transformer starts from a mixed model itself, and moves away where
# held-out tasks gain by it, so that it can be no worse by much.)


def candidates(n_knots, max_iter, **how):
    how = {"n_shots": (1, 8), "max_iter": max_iter, "random_state": 0, **how}
    splines = SplineTransformer(n_knots, degree=2)
    boosting = HistGradientBoostingRegressor(random_state=0)
    return {
        "transformer": TransformerNeuralProcessRegressor(**how),
        "MAML": MAMLRegressor(**how),
        "mixed model": MixedModelRegressor(),
        "splines, mixed model": make_pipeline(splines, MixedModelRegressor()),
        "pooled boosting + offset": Pooled(boosting, support="offset"),
        "own ridge": PerTask(Ridge()),
    }


NEURAL = ["transformer", "MAML"]


def against(result):
    """The best of the neural learners less the best of all others."""
    others = [name for name in candidates(3, 1) if name not in NEURAL]
    best = [result.leader(SHOTS, among=names) for names in (NEURAL, others)]
    gain = result.paired(*best, SHOTS)
    return best, np.array([gain.mean, gain.low, gain.high])


gains, scores = {}, {}
for name, (X, y, task) in tables.items():
    support = "random" if name == "hsb82" else "first"
    models = candidates(4, MAX_ITER, support=support)
    how = {"support": support, "cv": N_FOLDS, "n_draws": 1, "n_jobs": 1, "verbose": 0}
    result = compare(models, X, y, task, shots=SHOTS, **how)
    print(f"\n{name}: RMSE from {SHOTS} rows of a new task")
    print(result.table(SHOTS)[["mean", "low", "high", "fit_seconds"]].round(2))
    scores[name] = result.table(SHOTS)["mean"]
    best, gain = against(result)
    gains[name] = gain / scores[name][best[1]]
    print("{} less {}: {:+.1%} ({:+.1%} to {:+.1%})".format(*best, *gains[name]))

# %%
# From where the neural learners win
# ----------------------------------
# Height of plants, measured on four random days of eighty. All grow alike, to heights
# that differ; a mixed model is the truth. Then they begin to differ in the day of their
# growth, too, and no columns make sums of such curves. What a transformer makes of four
# measurements need not be a sum.


def plants(spread):
    rng = np.random.default_rng(0)
    n = N_PLANTS + N_NEW
    plant = np.repeat(np.arange(n), 12)
    day = rng.uniform(0, 80, len(plant))
    top, when = rng.normal(200, 25, n)[plant], rng.normal(40, spread, n)[plant]
    height = top / (1 + np.exp(-(day - when) / 4)) + rng.normal(0, 3, len(plant))
    return day[:, None], height, plant


errors, sides = {}, {}
for spread in SPREADS:
    X, y, plant = plants(spread)
    split = [(np.flatnonzero(plant < N_PLANTS), np.flatnonzero(plant >= N_PLANTS))]
    models = candidates(15, MAX_ITER_PLANTS)
    how = {"cv": split, "n_draws": 1, "n_jobs": 1, "verbose": 0}
    result = compare(models, X, y, plant, shots=SHOTS, **how)
    errors[spread] = result.table(SHOTS)[["mean", "low", "high"]]
    sides[spread] = against(result)
print(f"\nplants: RMSE in cm from {SHOTS} days, by the spread of the day of growth")
print(pd.DataFrame({s: table["mean"] for s, table in errors.items()}).round(2))

# %%
# Left, the three studies; right, the plants. (A line through each task's own rows is
# far outside both.)

figure, (left, right) = plt.subplots(
    1, 2, figsize=(7.5, 4.5), layout="constrained", width_ratios=[3, 4]
)
looks = {
    "splines, mixed model": ("tab:blue", "s-"),
    "transformer": ("tab:orange", "o-"),
    "MAML": ("tab:green", "x--"),
    "pooled boosting + offset": ("0.5", "^--"),
}
relative = pd.DataFrame({k: 100 * v / v["mixed model"] for k, v in scores.items()})
left.axvline(100, color="tab:blue", ls=":")
for i, (name, (colour, line)) in enumerate(looks.items()):
    place = np.arange(len(relative.columns)) + 0.12 * (i - 1.5)
    left.plot(relative.loc[name], place, line[0], color=colour)
    values = np.array([table.loc[name] for table in errors.values()]).T
    right.plot(SPREADS, values[0], line, color=colour, label=name)
    right.fill_between(SPREADS, *values[1:], color=colour, alpha=0.2, lw=0)
left.set_yticks(range(len(scores)), labels=[STUDIES[name][1] for name in relative])
left.set(xlabel="RMSE, % of the mixed model's", ylim=(len(scores) - 0.5, -0.5))
left.set_title(f"New tasks from {SHOTS} rows", fontsize=11)
right.set(xlabel="spread of the day of growth, days", ylabel="RMSE, cm", ylim=(0, None))
right.set_title(f"New plants from {SHOTS} measurements", fontsize=11)
figure.legend(loc="outside lower center", ncols=2, fontsize=9)
plt.show()

better = [STUDIES[name][1] for name, gain in gains.items() if gain[2] < 0]
print(f"Studies with a neural learner clearly better: {', '.join(better) or 'none'}.")
for spread, (best, gain) in sides.items():
    print(
        "Plants of {} days: {} is {:+.2f} cm ({:+.2f} to {:+.2f}) from {}.".format(
            spread, best[0], *gain, best[1]
        )
    )
