"""AutoMeta's members: the default ones, given ones, and how their features are made."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from ridge_members import two_ridges
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklmeta import (
    AutoMetaClassifier,
    AutoMetaRegressor,
    MixedModelClassifier,
    PerTask,
    ProtoNetClassifier,
)
from sklmeta.auto._portfolio import Size, classifiers, regressors
from sklmeta.datasets import make_classification_tasks, make_linear_tasks


@pytest.fixture(scope="module")
def tasks():
    return make_linear_tasks(20, n_rows=(10, 18), n_features=2, random_state=0)


@pytest.mark.parametrize("shared_classes", [True, False])
def test_the_default_classifiers(shared_classes):
    X, y, task = make_classification_tasks(
        10, n_rows=16, n_way=2, shared_labels=shared_classes, random_state=0
    )
    model = AutoMetaClassifier(
        shared_classes=shared_classes,
        shots=[2],
        n_draws=1,
        cv=2,
        member_params={"max_iter": 3},
    ).set_params(random_state=0)
    model.fit(X, y, task=task).adapt(X[:8], y[:8])
    n_members = len(model.weights_.columns) + len(model.left_out_)
    assert n_members == 4 + 4 * shared_classes
    np.testing.assert_allclose(model.predict_proba(X[8:16]).sum(axis=1), 1, rtol=1e-5)


def members_of(shared_classes, *size):
    return dict(classifiers("random", 0, shared_classes, Size(*size)))


def test_training_of_the_default_classifiers_is_bounded_by_the_table():
    # Of 16 tasks of 10 + 20 rows.
    assert members_of(True, 480, 10, 2)["prototypical"].max_iter == 150
    # Of 16 tasks that have 6 rows each.
    assert members_of(True, 480, 80, 2)["prototypical"].max_iter == 750
    large = members_of(True, 10**6, 10, 2)["prototypical"]
    assert large.max_iter == ProtoNetClassifier().max_iter
    few, many = (members_of(False, 10**6, 10, n_ways) for n_ways in (5, 15))
    assert few["ridge_head"].meta_batch_size == 16
    assert many["ridge_head"].meta_batch_size == 4


class Recorder(TransformerMixin, BaseEstimator):
    """Text into numbers; remembers what each copy was fitted to."""

    fitted_to: ClassVar[list] = []

    def fit(self, X, y=None):
        self.fitted_to.append({text.split()[0] for text in X})
        self.is_fitted_ = True
        return self

    def transform(self, X):
        return np.array([text.split()[1:] for text in X], dtype=np.float64)


def test_preparation_never_sees_the_tasks_that_weigh_the_members(tasks):
    X, y, task = tasks
    text = np.array([" ".join(map(str, [t, *x])) for t, x in zip(task, X, strict=True)])
    Recorder.fitted_to.clear()
    model = AutoMetaRegressor(
        estimators=two_ridges(), preparation=Recorder(), shots=[2], cv=4, random_state=0
    )
    model.fit(text, y, task=task)
    every = {str(t) for t in task}
    of_all, *of_folds = Recorder.fitted_to  # once for all members
    assert of_all == every and len(of_folds) == 4
    held_out = [every - seen for seen in of_folds]
    assert set.union(*held_out) == every
    assert sum(map(len, held_out)) == len(every)
    plain = AutoMetaRegressor(estimators=two_ridges(), shots=[2], cv=4, random_state=0)
    plain.fit(X, y, task=task).adapt(X[:3], y[:3])
    model.adapt(text[:3], y[:3])
    np.testing.assert_allclose(model.weights_, plain.weights_)
    np.testing.assert_allclose(model.predict(text[3:9]), plain.predict(X[3:9]))


def test_text_in_an_array_is_named():
    text = np.array(["a b", "c d"] * 6, dtype=object)
    with pytest.raises(ValueError, match="X has a column of text"):
        AutoMetaRegressor(estimators=two_ridges()).fit(text[:, None], np.arange(12.0))


def test_data_frames_reach_members_that_prepare_them(tasks):
    X, y, task = tasks
    frame = pd.DataFrame({"size": X[:, 0], "kind": np.where(X[:, 1] > 0, "a", "b")})
    preparation = make_column_transformer(
        (OneHotEncoder(), ["kind"]), ("passthrough", ["size"])
    )
    model = AutoMetaRegressor(
        estimators=two_ridges(), preparation=preparation, shots=[2], random_state=0
    )
    model.fit(frame, y, task=task).adapt(frame[:3], y[:3])
    assert np.isfinite(model.predict(frame[3:9])).all()
    assert list(model.feature_names_in_) == ["size", "kind"]


def test_the_default_regressors(tasks):
    X, y, task = tasks
    model = AutoMetaRegressor(
        shots=[3], n_draws=1, cv=2, random_state=0, member_params={"max_iter": 3}
    )
    model.fit(X, y, task=task).adapt(X[:6], y[:6])
    names = [name for name, _ in regressors("random", 0)]
    assert sorted([*model.estimators_, *model.left_out_]) == sorted(names)
    assert list(model.estimators_) == [n for n in names if n in model.estimators_]
    assert list(model.weights_.columns) == list(model.estimators_)
    assert np.isfinite(model.predict(X)).all()


def test_members_parameters_are_its_own():
    model = AutoMetaRegressor(estimators=two_ridges())
    assert model.get_params()["own__estimator__alpha"] == 0.1
    model.set_params(own__estimator__alpha=3.0, cv=2)
    assert model.get_params()["own__estimator__alpha"] == 3.0
    assert clone(model).get_params()["own__estimator__alpha"] == 3.0
    model.set_params(own=PerTask(Ridge(alpha=7.0)))
    assert model.estimators[0][1].estimator.alpha == 7.0
    assert "own__estimator__alpha" not in model.get_params(deep=False)


def test_pipelines_that_read_text_as_members(tasks):
    X, y, task = tasks
    text = np.array([f"{t} {x} {z}" for t, (x, z) in zip(task, X, strict=True)])
    named = [(name, make_pipeline(Recorder(), m)) for name, m in two_ridges()]
    model = AutoMetaRegressor(estimators=named, shots=[2], random_state=0)
    model.fit(text, y, task=task).adapt(text[:3], y[:3])
    plain = AutoMetaRegressor(estimators=two_ridges(), shots=[2], random_state=0)
    plain.fit(X, y, task=task).adapt(X[:3], y[:3])
    np.testing.assert_allclose(model.predict(text[3:9]), plain.predict(X[3:9]))


def test_pipelines_as_members(tasks):
    X, y, task = tasks
    inside = make_pipeline(StandardScaler(), PerTask(Ridge(alpha=0.1)))
    model = AutoMetaRegressor(estimators=[("pipe", inside)], random_state=0)
    model.fit(X, y, task=task).adapt(X[:5], y[:5])
    scaler = StandardScaler().fit(X)
    own = Ridge(alpha=0.1).fit(scaler.transform(X[:5]), y[:5])
    np.testing.assert_allclose(
        model.predict(X[5:9]), own.predict(scaler.transform(X[5:9]))
    )


@pytest.mark.parametrize(
    ("estimators", "error", "message"),
    [
        ([], ValueError, "estimators is empty"),
        ([("own", Ridge())], TypeError, "has no `adapt`"),
        ([("own", PerTask(LogisticRegression()))], ValueError, "'own' is no regressor"),
        ([*two_ridges(), *two_ridges()], ValueError, "not unique"),
        ([("a__b", PerTask(Ridge()))], ValueError, "must not contain __"),
    ],
)
def test_bad_members(tasks, estimators, error, message):
    with pytest.raises(error, match=message):
        AutoMetaRegressor(estimators=estimators).fit(*tasks)


def test_an_own_model_of_one_class_has_no_say_where_nothing_is_known():
    X, y, task = make_classification_tasks(
        n_tasks=3, n_rows=12, n_way=2, shared_labels=True, random_state=0
    )
    members = [
        ("own", make_pipeline(StandardScaler(), PerTask(LogisticRegression()))),
        ("mixed", MixedModelClassifier()),
    ]
    model = AutoMetaClassifier(estimators=members, random_state=0)
    with pytest.warns(UserWarning, match="count alike"):
        model.fit(X, y, task=task)
    one, two = X[:1], X[np.r_[:6]]
    assert len(set(y[:6])) == 2
    np.testing.assert_allclose(model.adapt(one, y[:1]).weights_, [[0, 1]])
    np.testing.assert_allclose(model.adapt(two, y[:6]).weights_, [[0.5, 0.5]])
