"""From a table of many small tasks to predictions for a new one.

Two hundred patients took a drug and gave a few blood samples each. A new patient has
given three: what is the concentration at any other time?
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import sklearn
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from sklmeta import BayesianLinearRegressor, adapted
from sklmeta.datasets import make_pharmacokinetics
from sklmeta.model_selection import FewShotScorer, TaskKFold

# One row per blood sample: time (h) and dose (mg/kg); y in mg/L; whose sample it is.
X, y, patient = make_pharmacokinetics(n_tasks=201, random_state=0)
new, old = patient == 200, patient < 200
X_new, y_new, X, y, patient = X[new], y[new], X[old], y[old], patient[old]
labelled = [1, 4, 9]  # the new patient's samples of which we know the concentration

# 1. Learn how patients are learnt, then adapt to three samples of the new one.
#    (Few updates, taken in large steps, keep this page quick.)
model = BayesianLinearRegressor(n_shots=(1, 8), max_iter=300, lr=0.02, random_state=0)
model.fit(X, y, task=patient)
model.adapt(X_new[labelled], y_new[labelled])
mean, std = model.predict(X_new, return_std=True)
print("   time  measured  predicted")
for i, (time, _) in enumerate(X_new):
    note = "<- labelled" if i in labelled else ""
    print(f"{time:5.1f} h {y_new[i]:9.2f} {mean[i]:6.2f} ± {std[i]:.2f} {note}")

# 2. It is an ordinary estimator: put it into a pipeline, cross-validate it, search.
#    `task` travels by scikit-learn's metadata routing; no patient is on both sides.
pipe = make_pipeline(PolynomialFeatures(2, include_bias=False), model)
with sklearn.config_context(enable_metadata_routing=True):
    r2 = cross_val_score(pipe, X, y, params={"task": patient}, cv=TaskKFold(2))
    search = GridSearchCV(
        pipe,
        {"bayesianlinearregressor__activation": ["relu", "tanh"]},
        cv=TaskKFold(2),
        scoring=FewShotScorer(shots=3),
    ).fit(X, y, task=patient)
print(f"few-shot R² from 5 samples, patients held out: {np.mean(r2):.3f}")
print(f"best {search.best_params_}: R² from 3 samples {search.best_score_:.3f}")

# 3. `adapted` leaves the model alone and returns an adapted copy, here of a pipeline.
one = adapted(search, X_new[[1]], y_new[[1]])
three = adapted(search, X_new[labelled], y_new[labelled])
print("at the last sample:", one.predict(X_new[-1:]), three.predict(X_new[-1:]), "mg/L")
