"""
A new learner in your own project
=================================

An idea of how to adapt becomes an estimator in forty lines: pipelines, searches, bulk
adaptation and comparisons come with it, and `sklmeta.testing` tells in sentences
whether it keeps the promises on which all that rests. The idea here: a curve that all
tasks share, corrected by the residuals of the task's own rows, where the new row
resembles them. It is a simple one, and the table says what it is worth.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from torch import nn

from sklmeta import BayesianLinearRegressor, MAMLRegressor, PerTask, Pooled
from sklmeta.comparing import compare
from sklmeta.datasets import make_pharmacokinetics
from sklmeta.estimator import BaseMetaEstimator, MetaRegressorMixin
from sklmeta.learners import Learner
from sklmeta.testing import check_learner, check_meta_estimator

N_PATIENTS = 80
N_NEW = 200
MAX_ITER = 1000
SHOTS = [2, 4]
CHECK_ESTIMATOR = True

# %%
# The learner
# -----------
# A torch module that says how a task's labelled rows become a model of the task, for
# many tasks at once: the first dimension is always the task. Tasks of unequal size come
# padded, and ``support.mask`` is zero for what is padding. As it only ever multiplies
# by the mask, a mask of two is a row twice, so ``sample_weight`` is had for nothing.


class CorrectedCurveLearner(Learner):
    takes_weights = True

    def __init__(self, spec, encoder, width=8):
        super().__init__(spec)
        self.encoder = encoder
        self.curve = nn.Linear(spec.n_features_out, 1)
        self.place = nn.Linear(spec.n_features_out, width)
        self.log_doubt = nn.Parameter(torch.tensor(-1.0))

    def adapt(self, support):  # X (n_tasks, n_rows, n_features), y (n_tasks, n_rows)
        features = self.encode(support.X)
        residual = support.y - self.curve(features)[..., 0]
        return {
            "place": self.place(features),
            "residual": residual * (support.mask > 0),
            "weight": support.mask.to(features),
        }

    def predict(self, state, X):
        features = self.encode(X)
        distance = torch.cdist(self.place(features), state["place"])
        weight = torch.exp(-distance.square()) * state["weight"][:, None]
        doubt = self.log_doubt.exp()  # pulls the correction of few rows towards zero
        correction = weight @ state["residual"][..., None]
        return self.curve(features) + correction / (weight.sum(-1)[..., None] + doubt)

    def prior_state(self):  # zero shots: the curve alone
        return self.state_without_rows()


# %%
# The estimator
# -------------
# It gives the learner a name and parameters: an annotated default is one.


class CorrectedCurveRegressor(MetaRegressorMixin, BaseMetaEstimator):
    """A curve of all tasks, corrected by the residuals of similar support rows."""

    width: int = 8
    lr: float = 0.01

    def _make_learner(self, spec, encoder):
        return CorrectedCurveLearner(spec, encoder, self.width)


# %%
# Does it keep its promises?
# --------------------------
# The learner is shown small ragged tasks, the estimator is looked at from outside, with
# scikit-learn's own ``check_estimator`` among the checks. Both say nothing if all is
# well. The commonest mistake is to forget the mask; this is what is said of one who
# does.

check_learner(CorrectedCurveLearner, kinds=["regression"])
if CHECK_ESTIMATOR:
    check_meta_estimator(CorrectedCurveRegressor(max_iter=20))


class CarelessLearner(CorrectedCurveLearner):
    def adapt(self, support):
        state = super().adapt(support)
        return {**state, "weight": torch.ones_like(state["weight"])}


try:
    check_learner(CarelessLearner, kinds=["regression"])
except AssertionError as error:
    print(error)

# %%
# What is it worth?
# -----------------
# Generated patients after one dose of a drug (`make_pharmacokinetics`): two and four
# blood samples of each new one. Beside ours stand two learners of the package, boosting
# of all patients with an offset for the new one, and the patient's own Gaussian
# process.

X, y, patient = make_pharmacokinetics(N_PATIENTS + N_NEW, random_state=0)
old, new = patient < N_PATIENTS, patient >= N_PATIENTS
training = {"n_shots": (1, 8), "max_iter": MAX_ITER, "random_state": 0}
ours = CorrectedCurveRegressor(**training)
kernel = RBF([5.0, 5.0], (0.5, 1e3)) + WhiteKernel(0.1)
boosting = HistGradientBoostingRegressor(random_state=0)
candidates = {
    "ours": ours,
    "MAML": MAMLRegressor(**training),
    "Bayesian linear": BayesianLinearRegressor(**training),
    "pooled boosting + offset": Pooled(boosting, support="offset"),
    "own Gaussian process": PerTask(
        GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)
    ),
}
split = [(np.flatnonzero(old), np.flatnonzero(new))]
result = compare(candidates, X, y, patient, shots=SHOTS, cv=split, n_jobs=1, verbose=0)
print(result)

# %%
# How it adapts
# -------------
# Above, the new patient of whom the curve of all (dashed) tells least; the samples bend
# it where they are. Below, the table as a picture.

ours.fit(X[old], y[old], task=patient[old])
error = np.bincount(patient[new], np.square(ours.predict(X[new]) - y[new]))
rows = np.flatnonzero(patient == error.argmax())
hours = np.linspace(X[rows, 0].min(), 24, 200)
grid = np.column_stack([hours, np.full(200, X[rows[0], 1])])
figure, (above, below) = plt.subplots(2, 1, figsize=(6.5, 7), layout="constrained")
above.plot(hours, ours.predict(grid), "--", color="0.4", label="before: all patients")
known = rows[[4, 8, 2, 10]]
for n, colour in ((1, "tab:cyan"), (2, "tab:blue"), (4, "navy")):
    ours.adapt(X[known[:n]], y[known[:n]])
    label = f"{n} sample{'s' * (n > 1)}"
    above.plot(hours, ours.predict(grid), color=colour, label=label)
above.plot(X[rows, 0], y[rows], "o", mfc="none", color="k", label="measured later")
above.plot(X[known, 0], y[known], "o", color="tab:orange", label="samples")
for i, row in enumerate(known):
    place = {"xytext": (5, 5), "textcoords": "offset points", "fontsize": 10}
    above.annotate(str(i + 1), (X[row, 0], y[row]), **place)
above.set(xlabel="hours after the dose", ylabel="concentration, mg/L")
above.set_title("A new patient, sample by sample", fontsize=11)
above.legend(fontsize=9)

for shots, marker, colour in zip(SHOTS, "os", ("tab:cyan", "navy"), strict=True):
    table = result.table(shots).loc[list(candidates)[::-1]]
    reach = [table["mean"] - table["low"], table["high"] - table["mean"]]
    look = {"fmt": marker, "color": colour, "capsize": 3, "label": f"{shots} samples"}
    below.errorbar(table["mean"], table.index, xerr=reach, **look)
below.set(xlabel="RMSE on new patients, mg/L (95 %)")
below.margins(y=0.15)
below.legend(fontsize=9)
plt.show()

names = list(candidates)
for others, who in ((names[3:], "the best baseline"), (names[1:3], "the best learner")):
    leader = result.leader(SHOTS[-1], among=others)
    gain = result.paired("ours", leader, SHOTS[-1])
    print(
        f"From {SHOTS[-1]} samples ours is {gain.mean:+.2f} mg/L from {who} here, "
        f"{leader} (95 %: {gain.low:+.2f} to {gain.high:+.2f}; less is better)."
    )
