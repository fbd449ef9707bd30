"""Pooled, refitted with weights and with the task's label as a category."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklmeta.baselines import Pooled
from sklmeta.testing import meta_estimator_checks

RNG = np.random.default_rng(0)
N_TASKS, N_ROWS = 12, 30
TASK = np.repeat(np.arange(N_TASKS), N_ROWS)
LEVEL = 5 * RNG.normal(size=N_TASKS + 4)
X = RNG.normal(size=(len(TASK), 3))
Y = X[:, 0] + LEVEL[TASK] + 0.1 * RNG.normal(size=len(TASK))
LABELS = np.array(["low", "mid", "high"])[np.digitize(Y, [-3.0, 3.0])]
NEW = N_TASKS + np.repeat(np.arange(4), 20)
X_NEW = RNG.normal(size=(len(NEW), 3))
Y_NEW = X_NEW[:, 0] + LEVEL[NEW]
LABELS_NEW = np.array(["low", "mid", "high"])[np.digitize(Y_NEW, [-3.0, 3.0])]
FIRST = np.tile(np.arange(20) < 5, 4)


def boosting(**params):
    return HistGradientBoostingRegressor(max_iter=30, random_state=0, **params)


def with_category(estimator, **params):
    return Pooled(estimator, support="append", task_category=True, **params)


@parametrize_with_checks(
    [
        with_category(HistGradientBoostingRegressor(max_iter=20)),
        with_category(LogisticRegression()),
        Pooled(Ridge(), support="append", support_weight=2.5),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def adapted_error(model, X_new=X_NEW, X_old=X):
    model.fit(X_old, Y, task=TASK)
    support = np.flatnonzero(FIRST)
    rows = X_new.iloc if hasattr(X_new, "iloc") else X_new
    model.adapt(rows[support], Y_NEW[support], task=NEW[support])
    predictions = model.predict(X_new, task=NEW)
    return np.sqrt(np.mean((predictions - Y_NEW)[~FIRST] ** 2))


# Weights -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [Ridge(), make_pipeline(StandardScaler(), make_pipeline("passthrough", Ridge()))],
)
def test_a_weight_is_as_many_rows(estimator):
    model = Pooled(estimator, support="append", support_weight=3).fit(X, Y, task=TASK)
    model.adapt(X_NEW, Y_NEW, task=NEW)
    for t in np.unique(NEW):
        one = NEW == t
        scaled, three = clone(estimator), np.repeat(np.flatnonzero(one), 3)
        if hasattr(estimator, "steps"):  # preparations count every row once
            scale = StandardScaler().fit(np.vstack([X, X_NEW[one]]))
        else:
            scale = StandardScaler(with_mean=False, with_std=False).fit(X)
        scaled = Ridge().fit(
            scale.transform(np.vstack([X, X_NEW[three]])), np.r_[Y, Y_NEW[three]]
        )
        expected = scaled.predict(scale.transform(X))
        np.testing.assert_allclose(model.predict(X, task=np.full(len(X), t)), expected)


def test_fractions_are_sample_weights():
    estimator = make_pipeline(StandardScaler(), Ridge())
    model = Pooled(estimator, support="append", support_weight=2.5)
    model.fit(X, Y, task=TASK).adapt(X_NEW, Y_NEW)
    rows, y = np.vstack([X, X_NEW]), np.r_[Y, Y_NEW]
    weight = np.r_[np.ones(len(X)), np.full(len(NEW), 2.5)]
    expected = clone(estimator).fit(rows, y, ridge__sample_weight=weight).predict(X)
    np.testing.assert_allclose(model.predict(X), expected)
    with pytest.raises(ValueError, match="KNeighborsRegressor does not take"):
        model.set_params(estimator=KNeighborsRegressor()).fit(X, Y, task=TASK)


def test_rows_are_repeated_where_no_weights_are_taken():
    estimator = KNeighborsRegressor(5)
    model = Pooled(estimator, support="append", support_weight=5).fit(X, Y, task=TASK)
    model.adapt(X_NEW[:20], Y_NEW[:20])
    np.testing.assert_allclose(model.predict(X_NEW[:20]), Y_NEW[:20])


def test_without_new_parameters_nothing_has_changed():
    plain = Pooled(Ridge(), support="append").fit(X, Y, task=TASK)
    one = Pooled(Ridge(), support="append", support_weight=1).fit(X, Y, task=TASK)
    refitted = Ridge().fit(np.vstack([X, X_NEW]), np.r_[Y, Y_NEW]).predict(X)
    for model in (plain, one):
        predictions = model.adapt(X_NEW, Y_NEW).predict(X)
        np.testing.assert_allclose(predictions, refitted)


@pytest.mark.parametrize("weight", [0, -1.0, "heavy", None])
def test_weights_that_cannot_be(weight):
    with pytest.raises(ValueError, match="'support_weight' parameter"):
        Pooled(Ridge(), support="append", support_weight=weight).fit(X, Y)


def test_a_category_wants_a_refit():
    with pytest.raises(ValueError, match='set support="append"'):
        Pooled(Ridge(), task_category=True).fit(X, Y, task=TASK)


# The task as a category ----------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [
        boosting(),
        boosting(max_bins=14),  # fewer than there are tasks: numbers stand for them
        make_pipeline(StandardScaler(), boosting()),
        LinearRegression(),
        make_pipeline(StandardScaler(), LinearRegression()),
    ],
)
def test_boosting_learns_the_level_of_a_new_task(estimator):
    frame, new = (pd.DataFrame(x, columns=["a", "task", "c"]) for x in (X, X_NEW))
    error = adapted_error(with_category(estimator))
    assert error < min(2.0, 0.5 * adapted_error(Pooled(estimator)))
    assert adapted_error(with_category(estimator, center=True)) < 2
    for old, unseen in ((frame, new), (pd.DataFrame(X), pd.DataFrame(X_NEW))):
        framed = adapted_error(with_category(estimator), unseen, old)
        assert framed == pytest.approx(error)


def test_the_category_is_scikit_learns():
    model = with_category(boosting(), support_weight=7).fit(X, Y, task=TASK)
    model.adapt(X_NEW[FIRST], Y_NEW[FIRST], task=NEW[FIRST])
    rows = pd.DataFrame(np.vstack([X, X_NEW[FIRST]]), columns=list("abc"))
    rows["task"] = pd.Categorical(np.r_[TASK, NEW[FIRST]])
    rows = pd.concat([rows[: len(X)], *[rows[len(X) :]] * 7])
    y = np.r_[Y, np.tile(Y_NEW[FIRST], 7)]
    by_hand = boosting().fit(rows, y)
    query = pd.DataFrame(X_NEW, columns=list("abc")).assign(task=pd.Categorical(NEW))
    expected = by_hand.predict(query)
    np.testing.assert_allclose(model.predict(X_NEW, task=NEW), expected)


def encoded_slowly(task, y):
    values, of_task = np.empty(len(y)), {}
    for t in np.unique(task):
        rows = np.flatnonzero(task == t)
        for i, row in enumerate(rows):
            others = [r for j, r in enumerate(rows) if j % 5 != i % 5]
            values[row] = (y[others].sum() + y.mean()) / (len(others) + 1)
        of_task[t] = (y[rows].sum() + y.mean()) / (len(rows) + 1)
    return values, of_task


def test_other_estimators_get_the_encoded_task():
    model = with_category(Ridge(), support_weight=7).fit(X, Y, task=TASK)
    model.adapt(X_NEW[FIRST], Y_NEW[FIRST], task=NEW[FIRST])
    task, y = np.r_[TASK, NEW[FIRST]], np.r_[Y, Y_NEW[FIRST]]
    values, of_task = encoded_slowly(task, y)
    rows = np.c_[np.vstack([X, X_NEW[FIRST]]), values]
    weight = np.r_[np.ones(len(X)), np.full(FIRST.sum(), 7.0)]
    by_hand = Ridge().fit(rows, y, sample_weight=weight)
    expected = by_hand.predict(np.c_[X_NEW, [of_task[t] for t in NEW]])
    np.testing.assert_allclose(model.predict(X_NEW, task=NEW), expected)


@pytest.mark.parametrize("told", [None, [1], [False, True, False], ["b"]])
def test_categories_that_scikit_learn_is_told_of_stay(told):
    rows = np.column_stack([X[:, 0], TASK % 3, X[:, 2]])
    new = np.column_stack([X_NEW[:, 0], NEW % 3, X_NEW[:, 2]])
    if told == ["b"]:
        rows, new = (pd.DataFrame(x, columns=list("abc")) for x in (rows, new))
    model = with_category(boosting(categorical_features=told))
    assert adapted_error(model, new, rows) < 1.5
    (last,) = model._adaptation.model.models
    assert last.is_categorical_.tolist() == [False, told is not None, False, True]


def test_classes():
    for estimator in (
        HistGradientBoostingClassifier(max_iter=20, random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    ):
        model = with_category(estimator).fit(X, LABELS, task=TASK)
        before = (model.predict(X_NEW) == LABELS_NEW).mean()
        support = X_NEW[FIRST], LABELS_NEW[FIRST]
        model.adapt(*support, task=NEW[FIRST])
        after = model.predict(X_NEW, task=NEW) == LABELS_NEW
        assert after[~FIRST].mean() > max(0.75, before + 0.1)
        probabilities = model.predict_proba(X_NEW, task=NEW)
        assert probabilities.shape == (len(NEW), 3)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_a_task_of_which_nothing_is_known_has_the_model_without_the_column():
    model = with_category(boosting()).fit(X, Y, task=TASK)
    plain = boosting().fit(X, Y).predict(X_NEW)
    np.testing.assert_array_equal(model.predict(X_NEW), plain)
    model.adapt(X_NEW[:5], Y_NEW[:5])
    assert np.abs(model.predict(X_NEW) - plain).max() > 0
    np.testing.assert_array_equal(model.reset_adaptation().predict(X_NEW), plain)


def test_many_tasks_are_one_refit():
    model = with_category(boosting()).fit(X, Y, task=TASK)
    model.adapt(X_NEW, Y_NEW, task=NEW)
    assert len(model._adaptation.model.models) == 1


@pytest.mark.parametrize("estimator", [boosting(), Ridge()])
def test_sparse_and_polars_rows(estimator):
    polars = pytest.importorskip("polars")
    model = with_category(make_pipeline(StandardScaler(with_mean=False), Ridge()))
    sparse = [scipy.sparse.csr_array(x) for x in (X, X_NEW)]
    dense = adapted_error(model)
    assert adapted_error(model, sparse[1], sparse[0]) == pytest.approx(dense, rel=1e-4)
    frames = [polars.DataFrame(x, schema=["a", "b", "c"]) for x in (X, X_NEW)]
    assert adapted_error(with_category(estimator), frames[1], frames[0]) < 1.5


def test_routing_pickles_and_repeats():
    for estimator in (boosting(), make_pipeline(StandardScaler(), Ridge())):
        model = with_category(estimator)
        error = adapted_error(model)
        with config_context(enable_metadata_routing=True):
            assert adapted_error(clone(model)) == pytest.approx(error)
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(
            again.predict(X_NEW, task=NEW), model.predict(X_NEW, task=NEW)
        )


# scikit-learn's are above; one refit for all tasks at once is not many refits.
SKIPPED = ["scikit_learn", "dtypes", "one_table", "bulk"]


@pytest.mark.parametrize(
    ("label", "check"),
    [
        (label, check)
        for label, check in meta_estimator_checks(
            with_category(boosting()), skip=SKIPPED
        )
    ],
)
def test_contract(label, check):
    check()
