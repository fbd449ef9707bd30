"""
Which tasks are alike, and which is like none
=============================================

A model that is adapted to a task says what the task is like, so that tasks can be
compared by what a model has become for each. Here the tasks are pigs that are weighed
every week. Pigs of one litter turn out to grow alike; and a litter that was weighed in
pounds, and a pig whose weeks were entered backwards, stand out of the picture before
they harm what is predicted for others.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sklearn
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer

from sklmeta import (
    BayesianLinearRegressor,
    MixedModelRegressor,
    PerTask,
    Pooled,
    task_distance,
    task_embedding,
)
from sklmeta.comparing import Comparison, compare
from sklmeta.datasets import DatasetNotFoundError, fetch_mixed_model_data

N_LITTERS = 14  # that the models learn from; the others are new
MAX_ITER = 150
SHOTS = 3
SEED = 1

# %%
# The pigs
# --------
# 72 pigs of 21 litters, twelve weeks each (`fetch_mixed_model_data`). Where the data
# are not to be had, generated pigs take their place: lines that differ between litters,
# and between the pigs of a litter.


def pigs():
    try:
        return fetch_mixed_model_data("dietox", download_if_missing=False).frame
    except DatasetNotFoundError:
        print("The pigs' data are not here: these are generated pigs.")
    rng = np.random.default_rng(0)
    pig = np.repeat(np.arange(72), 12)
    week, litter = np.tile(np.arange(1, 13), 72), (pig // 3.5).astype(int)
    level = rng.normal(16, 1.5, 21)[litter] + rng.normal(0, 2, 72)[pig]
    slope = rng.normal(6.9, 0.4, 21)[litter] + rng.normal(0, 0.5, 72)[pig]
    weight = level + slope * week + rng.normal(0, 2, len(pig))
    columns = {"Pig": pig, "Litter": litter, "Time": week, "Weight": weight}
    return pd.DataFrame(columns)


frame = pigs()
X, pig, litter = frame[["Time"]], frame["Pig"].to_numpy(), frame["Litter"].to_numpy()
truth = frame["Weight"].to_numpy()
growth = make_pipeline(
    SplineTransformer(4, degree=2, knots="quantile"), MixedModelRegressor()
)

# %%
# Which tasks are alike
# ---------------------
# `task_distance` adapts the model to every pig and compares what it then predicts: the
# distance of two pigs is the root mean square of the difference, in kilograms. Whether
# pigs of one litter are nearer to each other than to others is asked by dealing the
# litters anew, many times.

with sklearn.config_context(enable_metadata_routing=True):
    growth.fit(X, truth, task=pig)
distance = task_distance(growth, X, truth, pig).to_numpy()
home = frame.groupby("Pig")["Litter"].first().to_numpy()
pairs = np.triu_indices(len(home), 1)


def within(home):
    return distance[pairs][home[pairs[0]] == home[pairs[1]]].mean()


rng = np.random.default_rng(SEED)
chance = np.array([within(rng.permutation(home)) for _ in range(1000)])
print(
    f"Two pigs of a litter are {within(home):.1f} kg apart; litters that are dealt at "
    f"random {chance.mean():.1f} kg (as near in {np.mean(chance <= within(home)):.1%})."
)

# %%
# What went wrong
# ---------------
# Two thirds of the litters are for learning. We spoil them as it happens: the scale of
# one litter shows pounds, and of a pig of another the weeks are entered backwards.

order = rng.permutation(np.unique(litter))
old = np.isin(litter, order[:N_LITTERS])
recorded = truth.copy()
recorded[litter == order[0]] *= 2.2046
backwards = np.flatnonzero(pig == pig[litter == order[1]][0])
recorded[backwards] = recorded[backwards[::-1]]
spoiled = np.unique(pig[old & (recorded != truth)])

# %%
# Which task is like none
# -----------------------
# A pig's distance from the others is the median over them; to say what is far, it is
# divided by that of the usual pig. Where in the sorted list to draw the line is for the
# eye. Here it is the widest step in its upper half, and what is beyond it wants a look
# at the farm, not a deletion by rule.

with sklearn.config_context(enable_metadata_routing=True):
    growth.fit(X[old], recorded[old], task=pig[old])
far = task_distance(growth, X[old], recorded[old], pig[old]).median().sort_values()
far /= far.median()
half = len(far) // 2
steps = np.diff(np.log(far))[half:]
found = far.index[half + 1 + steps.argmax() :]
listed = far.iloc[::-1].rename("distance").to_frame()
listed["found"] = listed.index.isin(found)
listed["was spoiled"] = listed.index.isin(spoiled)
print(listed.head(8).round(1))

# %%
# What harm it would have done
# ----------------------------
# New litters, from three of a pig's weeks: with the training pigs as recorded, without
# those that were found, and as they truly were. The new pigs' rows are right in all
# three.

candidates = {
    "splines, mixed model": growth,
    "Bayesian linear": BayesianLinearRegressor(
        n_shots=(1, 8), max_iter=MAX_ITER, random_state=0
    ),
    "pooled boosting + offset": Pooled(
        HistGradientBoostingRegressor(random_state=0), support="offset"
    ),
    "own ridge": PerTask(Ridge()),
}
cases = {
    "as recorded": (old, recorded),
    "without those found": (old & ~np.isin(pig, found), recorded),
    "the truth": (old, truth),
}
draws = []
for case, (rows, y) in cases.items():
    split = [(np.flatnonzero(rows), np.flatnonzero(~old))]
    how = {"shots": SHOTS, "cv": split, "n_jobs": 1, "verbose": 0}
    result = compare(candidates, X, y, pig, **how)
    draws.append(result.draws.assign(estimator=result.draws.estimator + f": {case}"))
together = Comparison(pd.concat(draws), metric="RMSE", greater_is_better=False)
errors = together.table(SHOTS)["mean"]
shown = pd.DataFrame(
    {case: [errors[f"{name}: {case}"] for name in candidates] for case in cases},
    index=list(candidates),
)
print(shown.round(2))

# %%
# Above, the training pigs as they were recorded, as curves and as the model sees them;
# below, what the table says.

embedding = task_embedding(growth, X[old], recorded[old], pig[old])
points = PCA(2).fit_transform(embedding)
labels = embedding.index.to_numpy()
kinds = {
    "the others": (~np.isin(labels, found), "0.6", "o"),
    "found": (np.isin(labels, found), "tab:orange", "s"),
}
figure, axes = plt.subplot_mosaic(
    [["curves", "embedding"], ["errors", "errors"]],
    figsize=(7, 6.5),
    layout="constrained",
    height_ratios=[3, 2],
)
for kind, (chosen, colour, marker) in kinds.items():
    for name in labels[chosen]:
        axes["curves"].plot(X[pig == name], recorded[pig == name], color=colour, lw=1)
    axes["embedding"].plot(*points[chosen].T, marker, color=colour, label=kind)
axes["curves"].set(xlabel="week", xticks=[1, 6, 12], ylabel="weight as recorded")
axes["curves"].set_title(f"{len(labels)} pigs to learn from", fontsize=11)
axes["embedding"].set(xlabel="first component, kg", ylabel="second, kg")
axes["embedding"].set_title("As the model sees them", fontsize=11)
axes["embedding"].legend(fontsize=9)
looks = {"as recorded": "X", "without those found": "s", "the truth": "o"}
colours = ["tab:orange", "tab:blue", "k"]
for i, (case, marker) in enumerate(looks.items()):
    place = np.arange(len(shown)) + 0.2 * (i - 1)
    axes["errors"].plot(shown[case], place, marker, color=colours[i], label=case)
axes["errors"].set_yticks(range(len(shown)), labels=shown.index)
axes["errors"].set(xlabel=f"RMSE on new litters from {SHOTS} weeks, kg")
axes["errors"].invert_yaxis()
axes["errors"].legend(fontsize=9)
plt.show()

right = np.isin(spoiled, found).sum()
print(f"Found: {right} of the {len(spoiled)} spoiled; of {len(found)} found in all.")
for name in candidates:
    gain = together.paired(
        f"{name}: as recorded", f"{name}: without those found", SHOTS
    )
    print(
        f"They would have cost {name} {gain.mean:+.2f} kg "
        f"(95 %: {gain.low:+.2f} to {gain.high:+.2f})."
    )
clean = [f"{name}: without those found" for name in candidates]
print(f"The best after looking is {together.leader(SHOTS, among=clean)}.")
