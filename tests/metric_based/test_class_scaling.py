"""Rows scaled by what training classes teach: where, how, and by which rows."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import pickle

import numpy as np
import pytest
from torch import nn

from sklmeta import LDABaseline, MatchingNetClassifier, ProtoNetClassifier
from sklmeta.data.scaling import Scaling
from sklmeta.datasets import make_classification_tasks
from sklmeta.estimator import fitting
from sklmeta.mixed_models import class_scaling as wing
from sklmeta.mixed_models.held_out_classes import choose


@pytest.fixture(scope="module")
def many_tasks():
    X, y, task = make_classification_tasks(60, random_state=1)
    units = np.exp(2 * np.random.default_rng(0).normal(size=X.shape[1]))
    return X * units, y, task


def scaled(scaling, X):
    Z = np.empty(X.shape)
    scaling.apply(X, out=Z)
    return Z


def test_it_is_what_linear_discriminants_find(many_tasks):
    X, y, task = many_tasks
    model = LDABaseline(shared_classes=False).fit(X, y, task=task)
    Z = scaled(wing.class_scaling(X, y, task), X)
    weight = np.sqrt(model.between_ / (1 + model.between_))
    cells = [(task == t) & (y == c) for t in np.unique(task) for c in np.unique(y)]
    center = np.mean([X[cell].mean(axis=0) for cell in cells if cell.any()], axis=0)
    np.testing.assert_allclose(
        Z, (X - center) @ model.scalings_ * weight, rtol=1e-6, atol=1e-8
    )


def test_rows_of_one_direction_are_one_where_length_says_nothing():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(60), 12)
    X = rng.normal(size=(60, 30))[y] + 0.7 * rng.normal(size=(len(y), 30))
    X *= np.exp(2 * rng.normal(size=(len(y), 1)))
    scaling = wing.class_scaling(X, y, np.zeros_like(y))
    Z = scaled(scaling, X)
    np.testing.assert_allclose(np.square(Z).sum(axis=1), 30)
    np.testing.assert_allclose(
        scaled(scaling, 2 * X - scaling.mean), Z, rtol=1e-6, atol=1e-9
    )
    assert np.isfinite(scaled(scaling, scaling.mean[None])).all()


def test_few_classes_and_many_features_are_standardised(many_tasks, monkeypatch):
    X, y, task = many_tasks
    few = task == task[0]
    found = wing.class_scaling(X[few], y[few], task[few])
    np.testing.assert_array_equal(found.scale, Scaling.of(X[few]).scale)
    assert found.directions is None
    monkeypatch.setattr(wing, "MAX_FEATURES", 10)
    assert wing.class_scaling(X, y, task).directions is None


def test_large_collections_are_judged_by_some_of_their_classes(many_tasks, monkeypatch):
    X, y, task = many_tasks
    monkeypatch.setattr(wing, "MAX_ROWS", len(X) // 2)
    rows = []
    monkeypatch.setattr(
        wing, "choose", lambda X, *rest: rows.append(len(X)) or choose(X, *rest)
    )
    assert wing.class_scaling(X, y, task).directions is not None
    assert len(X) // 3 < rows[0] <= len(X) // 2


@pytest.mark.parametrize("estimator", [ProtoNetClassifier, MatchingNetClassifier])
def test_new_classes_are_told_apart_better(estimator, many_tasks):
    X, y, task = many_tasks
    old = task < 45
    scores = []
    for standardize in ("auto", True):
        model = estimator(
            n_way=5, max_iter=100, n_members=1, random_state=0, standardize=standardize
        )
        model.fit(X[old], y[old], task=task[old])
        scores.append(model.score(X[~old], y[~old], task=task[~old], shots=1))
        again = pickle.loads(pickle.dumps(model.adapt(X[~old][:25], y[~old][:25])))
        np.testing.assert_array_equal(
            again.predict_proba(X[~old]), model.predict_proba(X[~old])
        )
    assert scores[0] > scores[1] + 0.01


@pytest.mark.parametrize(
    "params", [{}, {"n_way": 3, "module": nn.Identity, "metric": "cosine"}]
)
def test_shared_classes_and_own_modules_are_standardised(params, shared_tasks):
    X, y, task = shared_tasks
    models = [
        ProtoNetClassifier(standardize=s, max_iter=5, random_state=0, **params)
        for s in ("auto", True)
    ]
    embeddings = [m.fit(X, y, task=task).transform(X) for m in models]
    np.testing.assert_array_equal(*embeddings)


@pytest.mark.parametrize("n_tasks", [60, 1])
def test_classes_of_the_early_stopping_teach_no_scaling(
    n_tasks, many_tasks, monkeypatch
):
    X, y, task = many_tasks
    if n_tasks == 1:
        y, task = y + 100 * task, None
    seen = []

    def spy(X, y, codes):
        seen.append(X)
        return wing.class_scaling(X, y, codes)

    monkeypatch.setattr(fitting, "class_scaling", spy)
    model = ProtoNetClassifier(
        n_way=3, max_iter=5, n_members=1, early_stopping=True, random_state=0
    )
    model.fit(X, y, task=task)
    assert 0.8 * len(X) < len(seen[0]) < 0.95 * len(X)
    model.set_params(early_stopping=False).fit(X, y, task=task)
    assert len(seen[1]) == len(X)
