"""
What a new user is doing, of whom some activities were never labelled
=====================================================================

A telephone is to tell walking from jogging, stairs, sitting and standing. A new user
has labelled a few moments, though of some of these activities only. A model of his own
cannot name what it was never shown, and a model of all users does not learn from him.
The example looks at labelled activities and at the others separately: what is best at
the one need not be at the other, and it pays to train for such gaps.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from itertools import chain, combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklmeta import PerTask, Pooled, ProtoNetClassifier
from sklmeta.datasets import DatasetNotFoundError, fetch_wisdm, make_sensor_arrays
from sklmeta.model_selection import TaskKFold

MAX_ITER = 400
N_TREES = 50
N_FOLDS = 3
N_DRAWS = 2
N_ARRAYS = 40
N_LABELLED = [1, 2, 3, 4]
SHOTS = 4
rng = np.random.default_rng(0)

# %%
# The users
# ---------
# WISDM has windows of ten seconds of 36 users, with 43 numbers each: means, deviations,
# histograms and times between peaks of an accelerometer. A user is a task, and all
# share the six activities, though only half of them have shown all. (Without the data
# the example takes generated arrays of gas sensors: an array is a user, a gas is an
# activity.)

try:
    X, y, user = fetch_wisdm(return_X_y_task=True, download_if_missing=False)
    what = "activities"
except DatasetNotFoundError:
    X, y, user = make_sensor_arrays(N_ARRAYS, random_state=0)
    what = "gases"
    print("No WISDM data (see `fetch_wisdm`): generated arrays of gas sensors.")
print(f"{len(np.unique(user))} users, {len(y)} windows, {len(np.unique(y))} {what}")

# %%
# What is labelled
# ----------------
# Four windows of each of one to four activities, drawn for each user anew. All other
# windows are to be predicted, those of the same activities and those of the others.


def draw_support(n):
    """Rows that are labelled, and rows of the same activities."""
    labelled, present = np.zeros((2, len(y)), dtype=bool)
    for one in np.unique(user):
        mine = user == one
        for activity in rng.permutation(np.unique(y[mine]))[:n]:
            rows = rng.permutation(np.flatnonzero(mine & (y == activity)))
            labelled[rows[: min(SHOTS, max(len(rows) - 1, 1))]] = present[rows] = True
    return labelled, present


draws = [(n, *draw_support(n)) for n in N_LABELLED for _ in range(N_DRAWS)]

# %%
# The candidates
# --------------
# Meta-training shows a window of each activity that a user has. So the network never
# learns what it means when one is missing, other than that the user does not do it.
# ``support=`` takes an object like scikit-learn's splitters, which can draw supports as
# they will be in use, with activities missing. Both are below.


class SomeActivities:
    def get_n_splits(self, X=None, y=None, groups=None):
        return len(list(self.split(X, y)))

    def split(self, X, y, groups=None):
        own = np.unique(y)
        sizes = range(1, max(len(own), 2))
        draw = np.random.default_rng(0).permutation
        for some in chain.from_iterable(combinations(own, n) for n in sizes):
            few = np.concatenate([draw(np.flatnonzero(y == a))[:SHOTS] for a in some])
            yield few, draw(np.setdiff1d(np.arange(len(y)), few))


network = {"max_iter": MAX_ITER, "random_state": 0}
boosting = HistGradientBoostingClassifier(max_iter=N_TREES, random_state=0)
logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
candidates = {
    "prototypes": ProtoNetClassifier(**network),
    "prototypes, trained for gaps": ProtoNetClassifier(
        **network, support=SomeActivities()
    ),
    "own logistic": PerTask(logistic),
    "pooled boosting": Pooled(boosting),
    "pooled + offset": Pooled(boosting, support="offset"),
}
parts = []
for old, new in TaskKFold(N_FOLDS, shuffle=True, random_state=0).split(X, y, user):
    fill = SimpleImputer().fit(X[old])
    for name, model in candidates.items():
        model.fit(fill.transform(X[old]), y[old], task=user[old])
        for n, labelled, present in draws:
            few, others = new[labelled[new]], new[~labelled[new]]
            model.adapt(fill.transform(X[few]), y[few], task=user[few])
            said = model.predict(fill.transform(X[others]), task=user[others])
            part = pd.DataFrame({"user": user[others], "right": said == y[others]})
            kind = np.where(present[others], "labelled", "not labelled")
            parts.append(part.assign(kind=kind, model=name, n=n))
scored = pd.concat(parts)

# %%
# The scores
# ----------
# Accuracy of each user, averaged over users. A user of whom all activities are labelled
# has no others, and counts for the labelled ones alone.


def accuracy(keys):
    return scored.groupby([*keys, "user"], sort=False)["right"].mean()


by_kind = accuracy(["n", "kind", "model"]).groupby(["n", "kind", "model"], sort=False)
means, halves = by_kind.mean().sort_index(), 1.96 * by_kind.sem().sort_index()
for kind in ["labelled", "not labelled"]:
    print(f"Accuracy on windows of {what} that are {kind}, by how many {what} are:")
    print(means.xs(kind, level="kind").unstack("n").round(3), "\n")
overall = accuracy(["n", "model"]).unstack("model")

# %%
# Which is best, and when
# -----------------------
# Left, both kinds of windows for users of whom two activities are labelled. Right, all
# windows.

at = N_LABELLED[min(1, len(N_LABELLED) - 1)]
looks = {
    "prototypes": ("tab:blue", "o-"),
    "prototypes, trained for gaps": ("tab:blue", "s--"),
    "own logistic": ("tab:green", "v:"),
    "pooled boosting": ("k", "X-"),
    "pooled + offset": ("tab:orange", "^-"),
}
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 4.4), layout="constrained")
for name, (colour, line) in looks.items():
    place = [means[at, kind, name] for kind in ["labelled", "not labelled"]]
    half = [halves[at, kind, name] for kind in ["not labelled", "labelled"]]
    left.errorbar(*place, *half, fmt=line[0], color=colour, ms=8, capsize=3)
    curve = overall[name].groupby("n").mean()
    right.plot(curve.index, curve, line, color=colour, ms=8, label=name)
left.set(xlabel="accuracy, labelled ones", ylabel="accuracy, the others")
left.set_title(f"{at} {what} labelled", fontsize=11)
right.set(xlabel=f"{what} labelled", ylabel="accuracy, all windows", xticks=N_LABELLED)
right.set_title("New users", fontsize=11)
figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=2)
plt.show()

learned, baselines = list(looks)[:2], list(looks)[2:]
for n in N_LABELLED:
    users = overall.loc[n]
    best, leader = (users[names].mean().idxmax() for names in (learned, baselines))
    gain = users[best] - users[leader]
    print(
        f"{n} labelled: {best}, {gain.mean():+.3f} ± {1.96 * gain.sem():.3f} from the "
        f"best baseline, {leader}"
    )
for kind in ["labelled", "not labelled"]:
    print(f"On {what} {kind}, of {at}, the best is {means.loc[at, kind].idxmax()}.")
