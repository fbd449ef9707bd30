"""
New patients from few visits, with intervals
============================================

A patient comes to the clinic, and after three visits one would like to know the score
of the other weeks, and how sure one may be. Earlier patients tell what courses look
like. Intervals that they calibrate keep their promise where a patient's visits
are drawn as those in the calibration were, and the example shows what happens to it
where they are not: where the first visits are to say what comes.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklmeta import (
    BayesianLinearRegressor,
    MixedModelRegressor,
    PerTask,
    Pooled,
    adapted,
)
from sklmeta.calibration import cross_calibrated, few_shot_intervals, predict_interval
from sklmeta.comparing import compare
from sklmeta.datasets import (
    DatasetNotFoundError,
    fetch_parkinsons,
    make_pharmacokinetics,
)
from sklmeta.model_selection import TaskKFold

MAX_ITER = 300
N_TREES = 100
SHOTS = [3, 6]
N_FOLDS = 3
N_DRAWS = 3
N_COPIES = 4
N_STAND_IN = 42

# %%
# The patients
# ------------
# Of 42 patients with Parkinson's disease a telephone recorded the voice every week for
# half a year: six times, which become one row here. To be predicted is the clinician's
# score (UPDRS, worse is higher). It was assessed at three visits and interpolated in
# between, so that the rows after a patient's first three are much harder to predict
# than those between three of any time. (Without the data the example takes generated
# patients after a dose of a drug: a visit is a blood sample, hours stand for days.)

try:
    data = fetch_parkinsons(as_frame=True, download_if_missing=False).frame
    pause = data.groupby("subject#")["test_time"].diff().fillna(7) > 1.5
    visit = pause.groupby(data["subject#"]).cumsum().rename("visit")
    data = data.groupby(["subject#", visit]).mean().reset_index()
    patient, y = data.pop("subject#").to_numpy(), data.pop("total_UPDRS").to_numpy()
    X, known, unit = data.drop(columns="visit"), ["test_time"], "points"
    axes_of = {"xlabel": "days since recruitment", "ylabel": "total UPDRS, points"}
except DatasetNotFoundError:
    X, y, patient = make_pharmacokinetics(N_STAND_IN, random_state=0)
    X, known = pd.DataFrame(X, columns=["hours", "dose"]), ["hours", "dose"]
    unit = "mg/L"
    axes_of = {"xlabel": "hours since the dose", "ylabel": "concentration, mg/L"}
    print("No Parkinson's data (see `fetch_parkinsons`): generated drug curves.")
print(f"{len(np.unique(patient))} patients, {len(y)} visits, {X.shape[1]} columns")

# %%
# The candidates
# --------------
# A mixed model knows how levels and slopes differ between patients. A Bayesian linear
# regression on learned features also learns the shapes that courses have, from time
# alone or from all columns: with so few patients, what a voice tells of a score is more
# easily imagined than learned. The clinic's own ways are a line through the patient's
# visits, and the nearest visit; or a model of all patients, with an offset.


def of_time(estimator):
    time = make_column_transformer(("passthrough", known))
    return make_pipeline(time, StandardScaler(), estimator)


def candidates(support):
    network = BayesianLinearRegressor(
        n_shots=(2, 10),
        support=support,
        max_iter=MAX_ITER,
        early_stopping=False,
        random_state=0,
    )
    boosting = HistGradientBoostingRegressor(max_iter=N_TREES, random_state=0)
    return {
        "learned shapes": of_time(network),
        "learned, all columns": make_pipeline(StandardScaler(), network),
        "mixed model": of_time(MixedModelRegressor()),
        "own line": of_time(PerTask(LinearRegression())),
        "own nearest visit": of_time(PerTask(KNeighborsRegressor(1))),
        "pooled + offset": Pooled(boosting, support="offset"),
    }


results = {
    support: compare(
        candidates(support),
        X,
        y,
        patient,
        shots=SHOTS,
        cv=TaskKFold(N_FOLDS, shuffle=True, random_state=0),
        n_draws=N_DRAWS if support == "random" else 1,
        support=support,
        n_jobs=1,
        verbose=0,
    )
    for support in ["random", "first"]
}
for support, result in results.items():
    columns = [result.table(k)["mean"].rename(f"{k} visits") for k in SHOTS]
    print(f"RMSE in {unit} on new patients; visits known: {support}")
    print(pd.concat(columns, axis=1).round(2), "\n")

# %%
# The intervals
# -------------
# `cross_calibrated` fits to all old patients and learns from all of them how wrong it
# is about a new one: each is predicted by a copy that was fitted without it. A patient
# is one case, however many visits it has. Supports are drawn at random there. What is
# promised is 90 %, on average over patients of whom as many visits are known, drawn
# likewise. Winkler's score takes width and misses together; less is better.

shots = SHOTS[0]
chosen = ["learned shapes", "mixed model", "own line", "own nearest visit"]
parts, fitted = [], {}
folds = TaskKFold(N_FOLDS, shuffle=True, random_state=0).split(X, y, patient)
for old, new in folds:
    for name in chosen:
        fitted[name] = cross_calibrated(
            *(candidates("random")[name], X.iloc[old], y[old], patient[old]),
            cv=N_COPIES,
            shots=shots,
        )
        for support in results:
            judged = few_shot_intervals(
                *(fitted[name], X.iloc[new], y[new], patient[new]),
                shots=shots,
                n_draws=N_DRAWS if support == "random" else 1,
                support=support,
            )
            parts.append(judged.assign(model=name, known=support))
each = pd.concat(parts).groupby(["known", "model", "task"], sort=False)
each = each[["covered", "width", "winkler"]].mean()
by_model = each.groupby(["known", "model"], sort=False)
intervals = by_model.mean()
intervals.insert(1, "± (95 %)", 1.96 * by_model["covered"].sem())
print(f"90 % intervals from {shots} visits, width in {unit}:")
print(intervals.round(2))

# %%
# One new patient, and all
# ------------------------
# Left, from visits at random, the new patient of the last fold whose course is least of
# a line. What was learned is sure near the visits. Of Parkinson's scores it expects a
# bend after three months, where they were assessed the second time: a habit of this
# study, learned with the rest. Right, all patients: how wide intervals are, and how
# much they cover. An arrow goes from visits drawn at random, as they were calibrated,
# to the first ones, of which nothing was promised; for those there is
# ``cross_calibrated(support="first")``.

looks = {
    "learned shapes": ("tab:blue", "o"),
    "mixed model": ("k", "X"),
    "own line": ("tab:orange", "s"),
    "own nearest visit": ("tab:green", "^"),
}
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 4.3), layout="constrained")
time = X[known[0]].to_numpy()


def bend(rows):
    return np.polyfit(time[rows], y[rows], 1, full=True)[1][0]


rows = max((new[patient[new] == i] for i in np.unique(patient[new])), key=bend)
few = np.random.default_rng(0).choice(rows, shots, replace=False)
for name in ["own line", "learned shapes"]:
    model = adapted(fitted[name], X.iloc[few], y[few])
    low, high = predict_interval(model, X.iloc[rows]).T
    left.fill_between(time[rows], low, high, color=looks[name][0], alpha=0.3)
    left.plot(time[rows], model.predict(X.iloc[rows]), color=looks[name][0])
left.plot(time[rows], y[rows], "k:", label="truth")
left.plot(time[few], y[few], "ko", ms=7, label=f"{shots} visits")
left.set(**axes_of)
left.set_title("A new patient, 90 %", fontsize=11)
left.legend(fontsize=9)
for name, (colour, marker) in looks.items():
    ends = [intervals.loc[(s, name), ["width", "covered"]] for s in results]
    right.annotate("", ends[1], ends[0], arrowprops={"arrowstyle": "->"})
    right.plot(*ends[0], marker, color=colour, ms=9, label=name)
    right.plot(*ends[1], marker, color=colour, ms=9, mfc="white")
right.axhline(0.9, color="0.5", ls="--", lw=1)
right.set(xlim=(0, None), xlabel=f"mean width, {unit}", ylabel="covered")
right.set_title("Visits at random → the first", fontsize=11)
figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=2)
plt.show()

learned, baselines = list(looks)[:2], list(candidates("random"))[3:]
for support, result in results.items():
    leader = result.leader(shots, among=baselines)
    best = result.leader(shots, among=learned)
    gain = result.paired(best, leader, shots)
    print(
        f"Visits known: {support}. {best} is {gain.mean:+.2f} {unit} from the best "
        f"baseline, {leader} (95 %: {gain.low:+.2f} to {gain.high:+.2f})."
    )
covered = intervals.loc[[(s, learned[0]) for s in results], "covered"]
print(f"Intervals of {learned[0]} cover {covered.iloc[0]:.0%} as they were calibrated,")
print(f"and {covered.iloc[1]:.0%} where the first visits are to say what comes.")
