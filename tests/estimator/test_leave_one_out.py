"""Leave-one-out predictions in closed form are those of adapting anew."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

import sklmeta
from sklmeta import adapted
from sklmeta.datasets import make_classification_tasks, make_linear_tasks

FEW = {"max_iter": 5, "random_state": 0}
REGRESSORS = {
    "bayesian_linear": sklmeta.BayesianLinearRegressor(**FEW),
    "bayesian_linear_raw": sklmeta.BayesianLinearRegressor(
        hidden_layer_sizes=(), **FEW
    ),
    "deep_kernel": sklmeta.DeepKernelRegressor(**FEW),
    "ridge_head": sklmeta.RidgeHeadRegressor(**FEW),
    "mixed_model": sklmeta.MixedModelRegressor(),
    "mixed_model_own_noise": sklmeta.MixedModelRegressor(noise="per_task"),
    "own_ridge": sklmeta.PerTask(Ridge()),
    "pooled": sklmeta.Pooled(Ridge()),
    "pooled_offset": sklmeta.Pooled(Ridge(), support="offset"),
    "pooled_centred": sklmeta.Pooled(LinearRegression(), center=True),
}
SHARED = {
    "prototypical": sklmeta.ProtoNetClassifier(**FEW),
    "prototypical_cosine": sklmeta.ProtoNetClassifier(metric="cosine", **FEW),
    "deep_kernel": sklmeta.DeepKernelClassifier(**FEW),
    "ridge_head": sklmeta.RidgeHeadClassifier(**FEW),
    "pooled": sklmeta.Pooled(LogisticRegression()),
    "pooled_shifted": sklmeta.Pooled(LogisticRegression(), support="offset"),
    "pooled_centred": sklmeta.Pooled(
        HistGradientBoostingClassifier(max_iter=5), center=True
    ),
}
OWN = {
    "prototypical": sklmeta.ProtoNetClassifier(n_way=3, **FEW),
    "prototypical_cosine": sklmeta.ProtoNetClassifier(
        n_way=3, metric="cosine", n_members=1, **FEW
    ),
    "ridge_head": sklmeta.RidgeHeadClassifier(n_way=3, **FEW),
}


def all_at_once(model, X, y, task):
    """What the formula says."""
    new = adapted(model, X, y, task=task)
    table = new._support_table(X, y, task)
    return new, new._leave_one_out(table, new._adaptation.model)


def one_by_one(model, X, y, task, method):
    """Adapt to every task without each of its rows, and predict that row."""
    for i in range(len(y)):
        others = (task == task[i]) & (np.arange(len(y)) != i)
        if others.any():
            new = adapted(model, X[others], y[others])
            yield i, new, getattr(new, method)(X[i : i + 1])[0]


@pytest.mark.parametrize("name", REGRESSORS)
@pytest.mark.parametrize("n_features", [2, 12])
def test_numbers(name, n_features):
    X, y, task = make_linear_tasks(
        40, n_rows=(2, 14), n_features=n_features, random_state=0
    )
    y = 3 * y + 5 + np.random.default_rng(0).normal(size=len(y))
    model = REGRESSORS[name].fit(X, y, task=task)
    some = task < 5
    X, y, task = X[some], y[some], task[some]
    _, found = all_at_once(model, X, y, task)
    for i, _, expected in one_by_one(model, X, y, task, "predict"):
        assert found[i] == pytest.approx(expected, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("name", SHARED)
def test_shared_classes(name):
    X, y, task = make_classification_tasks(
        12, n_rows=(3, 14), n_way=3, shared_labels=True, random_state=0
    )
    model = SHARED[name].fit(X, y, task=task)
    some = task < 5
    X, y, task = X[some], y[some], task[some]
    _, found = all_at_once(model, X, y, task)
    for i, _, expected in one_by_one(model, X, y, task, "predict_proba"):
        np.testing.assert_allclose(found[i], expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", OWN)
def test_classes_of_a_tasks_own(name):
    X, y, task = make_classification_tasks(
        12, n_rows=(4, 20), n_way=(2, 4), random_state=0
    )
    model = OWN[name].fit(X, y, task=task)
    some = task < 5
    X, y, task = X[some], y[some], task[some]
    new, found = all_at_once(model, X, y, task)
    for i, other, expected in one_by_one(model, X, y, task, "predict_proba"):
        columns = np.searchsorted(new.classes_, other.classes_)
        np.testing.assert_allclose(found[i, columns], expected, rtol=1e-8, atol=1e-8)
