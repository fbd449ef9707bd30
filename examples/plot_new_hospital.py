"""
Diagnosis at a new hospital
===========================

Heart disease in four hospitals: columns with gaps, categories written as numbers, and
shares of ill patients between a third and nearly all. Each hospital is held out once,
as if it were new, and a model of the other three has a few of its patients to adapt to.
With one of them a pooled regression is ahead, with forty the hospital's own regression,
and a mixed model is within a few points of both. Four hospitals bear no more than that,
so each has a picture of its own.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklmeta import MAMLClassifier, MixedModelClassifier, PerTask, Pooled
from sklmeta.comparing import compare
from sklmeta.datasets import (
    DatasetNotFoundError,
    fetch_heart_disease,
    load_patient_outcomes,
)
from sklmeta.model_selection import TaskKFold

SHOTS = [1, 5, 10, 20, 40]
N_DRAWS = 5
MAX_ITER = 300

# %%
# The hospitals
# -------------
# A hospital is a task, a patient is a row, and all hospitals speak of the same two
# classes. Cholesterol of zero is no cholesterol but one not measured, and says so from
# here on. (Without the data the example takes visits of generated patients, where a
# patient is a task, and the question is whether there was a flare.)

try:
    data = fetch_heart_disease(as_frame=True, download_if_missing=False)
    categories = ["sex", "cp", "fbs", "restecg", "exang", "slope", "thal"]
    numbers = ["age", "trestbps", "chol", "thalach", "oldpeak", "ca"]
    X, ill, one = data.data, "disease", "hospital"
    X[["chol", "trestbps"]] = X[["chol", "trestbps"]].replace(0, np.nan)
except DatasetNotFoundError:
    data = load_patient_outcomes(target="flare")
    categories, numbers = ["sex", "drug"], ["age", "dose_mg", "crp"]
    X, ill, one = data.data, "yes", "patient"
    SHOTS = [k for k in SHOTS if k <= 5]
    print("No heart disease data (see `fetch_heart_disease`): generated patients.")
y, task = data.target.to_numpy(), data.task.to_numpy()

overview = X[numbers + categories].isna().groupby(task).mean().mean(axis=1)
overview = overview.to_frame("missing").assign(
    rows=X.groupby(task).size(), ill=(data.target == ill).groupby(task).mean()
)
print(overview.sort_values("rows", ascending=False).head(4).round(2))

# %%
# From the table to numbers
# -------------------------
# This is scikit-learn's own: gaps in numbers are filled and have a column that says
# where they were, and a missing category is a category. Whatever is learned in these
# steps is learned from the hospitals of the training folds; `adapt` and ``predict``
# then see a new hospital's patients through them, with unknown categories as none.
# A table whose categories are words needs none of it, see `TablePreparation`.


def prepared(estimator):
    numeric = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True), StandardScaler()
    )
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = [("numbers", numeric, numbers), ("categories", words, categories)]
    return make_pipeline(ColumnTransformer(columns), estimator)


# %%
# The candidates
# --------------
# Two that learn how hospitals differ; and what one would do without, from the share of
# ill patients among those few to a model of all others, as it is or with an offset
# for the new hospital.

boosting = HistGradientBoostingClassifier(random_state=0)
logistic = LogisticRegression(max_iter=1000)
candidates = {
    "mixed model": MixedModelClassifier(),
    "MAML": MAMLClassifier(max_iter=MAX_ITER, early_stopping=False, random_state=0),
    "own logistic": PerTask(logistic),
    "own majority": PerTask(DummyClassifier()),
    "pooled logistic": Pooled(logistic),
    "pooled boosting": Pooled(boosting),
    "pooled + offset": Pooled(boosting, support="offset"),
}
result = compare(
    {name: prepared(model) for name, model in candidates.items()},
    X,
    y,
    task,
    shots=SHOTS,
    cv=TaskKFold(4),  # four hospitals: leave one out
    n_draws=N_DRAWS,
    scoring=["accuracy", "log_loss"],
    n_jobs=1,
    verbose=0,
)
print(result)
print(result.by_metric["log_loss"])

# %%
# Hospital by hospital
# --------------------
# The dotted line is the share of the more frequent class, for which no column is
# needed; where three in four are ill, or more, none of these does better than to say
# so. Bands are a standard deviation over the draws of the labelled rows.

looks = {
    "mixed model": ("tab:blue", "o-"),
    "own logistic": ("tab:orange", "^--"),
    "pooled logistic": ("0.4", "s:"),
}
shown = overview.sort_values("rows").index[-4:][::-1]
figure, axes = plt.subplots(
    2, 2, figsize=(7, 5.5), layout="constrained", sharex=True, sharey=True
)
for ax, name in zip(axes.flat, shown, strict=True):
    rows = result.draws[result.draws.task == name]
    for label, (colour, line) in looks.items():
        score = rows[rows.estimator == label].groupby("shots").score
        mean, half = score.mean(), score.std()
        ax.plot(mean, line, color=colour, label=label)
        ax.fill_between(mean.index, mean - half, mean + half, color=colour, alpha=0.15)
    share = overview.ill[name]
    ax.axhline(max(share, 1 - share), color="k", ls=(0, (1, 2)), label="majority")
    ax.set_xscale("log")
    ax.set_xticks(result.shots, labels=result.shots)
    ax.minorticks_off()
    ax.set_ylim(0.25, 1.02)
    gaps = overview.missing[name]
    ax.set_title(f"{name}: {share:.0%} {ill}, {gaps:.0%} missing", fontsize=10)
figure.supxlabel(f"labelled rows of the new {one}", fontsize=10)
figure.supylabel("accuracy", fontsize=10)
figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=4)
plt.show()

# %%
# Four hospitals bear no interval worth the name. What can be said is what happened:
# how far each candidate was behind the best of all, hospital by hospital and number of
# rows by number of rows.

scores = [result.scores(k)[list(candidates)] for k in result.shots]
behind = pd.concat([at.max(axis=1).to_frame().values - at for at in scores])
behind = behind.agg(["mean", "max"]).T.sort_values("mean")
print(behind.round(3))

learned, baselines = list(candidates)[:2], list(candidates)[2:]
for shots in sorted({result.shots[0], result.shots[-1]}):
    leader = result.leader(shots, among=baselines)
    best = result.leader(shots, among=learned)
    gain = result.paired(best, leader, shots)
    wins = int((gain.differences > 0).sum())
    print(
        f"From {shots} labelled: {best} is {gain.mean:+.3f} from the best baseline, "
        f"{leader}, and ahead of it in {wins} of {len(gain.differences)}."
    )
