"""Adapted copies, through scikit-learn's containers."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

from sklmeta.baselines import PerTask, Pooled
from sklmeta.evaluation.containers import adapted, inner_estimator, zero_shot

RNG = np.random.default_rng(0)
TASK = np.repeat(np.arange(6), 10)
X = RNG.normal(size=(60, 2)) * [1.0, 100.0] + [0.0, 500.0]
Y = X @ [3.0, 0.01] + RNG.normal(size=6)[TASK]
X_NEW, Y_NEW = X[:8] + 1.0, 5.0 - X[:8, 0]


class MetaRidge(RegressorMixin, BaseEstimator):
    """Ridge towards the mean of the training tasks' coefficients."""

    __metadata_request__fit = {"task": True}
    __metadata_request__predict = {"task": True}

    def fit(self, X, y, task=None):
        labels = np.unique(task)
        solve = [
            np.linalg.lstsq(X[task == t], y[task == t], rcond=None)[0] for t in labels
        ]
        self.prior_ = np.mean(solve, axis=0)
        self.coef_ = {None: self.prior_}
        return self

    def adapt(self, X, y, task=None):
        task = np.full(len(y), None) if task is None else task
        self.coef_ = {}
        for t in set(task.tolist()):
            rows = task == t
            gram = X[rows].T @ X[rows] + np.eye(X.shape[1])
            residual = y[rows] - X[rows] @ self.prior_
            self.coef_[t] = self.prior_ + np.linalg.solve(gram, X[rows].T @ residual)
        self.X_seen_ = X
        return self

    def predict(self, X, task=None):
        task = np.full(len(X), None) if task is None else task
        return np.array([x @ self.coef_[t] for x, t in zip(X, task, strict=True)])


def pooled(**params):
    return Pooled(Ridge(), support="offset", **params)


def test_copy_adapts_as_adapt_does_and_leaves_the_model_alone():
    model = PerTask(Ridge()).fit(X, Y, task=TASK)
    before = model.predict(X)
    new = adapted(model, X_NEW, Y_NEW)
    np.testing.assert_array_equal(
        new.predict(X), clone(model).fit(X, Y, task=TASK).adapt(X_NEW, Y_NEW).predict(X)
    )
    np.testing.assert_array_equal(model.predict(X), before)
    assert type(new) is PerTask


def test_copy_shares_what_was_meta_learned():
    model = MetaRidge().fit(X, Y, task=TASK)
    new = adapted(model, X_NEW, Y_NEW)
    assert new.prior_ is model.prior_
    assert model.coef_ is not new.coef_


def test_copy_does_not_go_through_getstate():
    class Heavy(MetaRidge):
        def __getstate__(self):
            raise AssertionError("the state was copied")

    adapted(Heavy().fit(X, Y, task=TASK), X_NEW, Y_NEW)


def test_pipeline_transforms_the_support():
    pipe = make_pipeline(StandardScaler(), MetaRidge())
    pipe.fit(X, Y, metaridge__task=TASK)
    scaled = pipe[:-1].transform(X_NEW)
    assert not np.allclose(scaled, X_NEW)
    new = adapted(pipe, X_NEW, Y_NEW)
    np.testing.assert_array_equal(new[-1].X_seen_, scaled)
    expected = adapted(pipe[-1], scaled, Y_NEW).predict(scaled)
    np.testing.assert_array_equal(new.predict(X_NEW), expected)


def test_pipeline_shares_the_steps_and_stays_as_it_was():
    pipe = make_pipeline(StandardScaler(), MetaRidge())
    pipe.fit(X, Y, metaridge__task=TASK)
    steps = list(pipe.steps)
    new = adapted(pipe, X_NEW, Y_NEW)
    assert new[0] is pipe[0]
    assert new[-1] is not pipe[-1]
    assert pipe.steps == steps


@pytest.mark.parametrize("nothing", ["passthrough", None])
def test_passthrough_steps_and_nested_pipelines(nothing):
    inner = Pipeline([("scale", MinMaxScaler()), ("meta", MetaRidge())])
    outer = Pipeline(
        [("first", StandardScaler()), ("skip", nothing), ("pipe", inner)]
    ).fit(X, Y, pipe__meta__task=TASK)
    new = adapted(outer, X_NEW, Y_NEW)
    seen = inner[0].transform(outer[0].transform(X_NEW))
    np.testing.assert_allclose(new[-1][-1].X_seen_, seen)
    assert inner_estimator(outer) is outer[-1][-1]


def test_transformers_that_request_task_receive_it_with_the_support():
    class CentreByTask(TransformerMixin, BaseEstimator):
        __metadata_request__fit_transform = {"task": True}
        __metadata_request__transform = {"task": True}

        def fit(self, X, y=None):
            return self

        def fit_transform(self, X, y=None, task=None):
            return self.transform(X, task=task)

        def transform(self, X, task=None):
            for t in np.unique(task):
                X = np.where((task == t)[:, None], X - X[task == t].mean(0), X)
            return X

    support_task = TASK[:20]
    with sklearn.config_context(enable_metadata_routing=True):
        pipe = make_pipeline(CentreByTask(), MetaRidge()).fit(X, Y, task=TASK)
    new = adapted(pipe, X[:20], Y[:20], task=support_task)
    np.testing.assert_allclose(
        [new[-1].X_seen_[support_task == t].mean() for t in (0, 1)], 0, atol=1e-12
    )


def test_search_gives_its_adapted_best_estimator():
    search = GridSearchCV(make_pipeline(StandardScaler(), pooled()), {}, cv=3)
    search.fit(X, Y, pooled__task=TASK)
    new = adapted(search, X_NEW, Y_NEW)
    assert isinstance(new, Pipeline)
    expected = adapted(search.best_estimator_, X_NEW, Y_NEW).predict(X)
    np.testing.assert_array_equal(new.predict(X), expected)
    assert inner_estimator(search) is search.best_estimator_[-1]


def test_search_that_cannot_be_adapted_says_why():
    search = GridSearchCV(pooled(), {}, cv=3, refit=False)
    with pytest.raises(NotFittedError):
        adapted(search, X_NEW, Y_NEW)
    with pytest.raises(TypeError, match="refit=True"):
        adapted(search.fit(X, Y), X_NEW, Y_NEW)


def test_transformed_target_is_transformed_before_adapting():
    model = TransformedTargetRegressor(MetaRidge(), transformer=StandardScaler())
    model.fit(X, Y, task=TASK)
    new = adapted(model, X_NEW, Y_NEW)
    z = model.transformer_.transform(Y_NEW[:, None])[:, 0]
    expected = adapted(model.regressor_, X_NEW, z).predict(X)
    expected = model.transformer_.inverse_transform(expected[:, None])[:, 0]
    np.testing.assert_allclose(new.predict(X), expected)
    assert model.regressor_ is not new.regressor_
    with pytest.raises(NotFittedError):
        adapted(clone(model), X_NEW, Y_NEW)


def test_transformed_target_with_functions():
    model = TransformedTargetRegressor(
        pooled(), func=np.arcsinh, inverse_func=np.sinh
    ).fit(X, Y, task=TASK)
    expected = np.sinh(adapted(model.regressor_, X_NEW, np.arcsinh(Y_NEW)).predict(X))
    np.testing.assert_allclose(adapted(model, X_NEW, Y_NEW).predict(X), expected)


def test_frozen_estimator_stays_frozen_and_can_be_calibrated():
    labels = np.where(Y > np.median(Y), "high", "low")
    model = FrozenEstimator(PerTask(LogisticRegression()).fit(X, labels, task=TASK))
    new = adapted(model, X[:20], labels[:20])
    assert isinstance(new, FrozenEstimator)
    assert new.estimator is not model.estimator
    expected = adapted(model.estimator, X[:20], labels[:20]).predict_proba(X)
    np.testing.assert_array_equal(new.predict_proba(X), expected)
    calibrated = CalibratedClassifierCV(new).fit(X[20:], labels[20:])
    assert calibrated.predict_proba(X).shape == (60, 2)


def test_containers_inside_each_other():
    inner = make_pipeline(FunctionTransformer(), StandardScaler(), MetaRidge())
    model = TransformedTargetRegressor(inner, transformer=MinMaxScaler())
    model.fit(X, Y, metaridge__task=TASK)
    for wrapped in (FrozenEstimator(model), make_pipeline(FrozenEstimator(model))):
        new = adapted(wrapped, X_NEW, Y_NEW)
        np.testing.assert_array_equal(
            new.predict(X), adapted(model, X_NEW, Y_NEW).predict(X)
        )
        assert type(inner_estimator(wrapped)) is MetaRidge


def test_many_tasks_at_once_through_a_pipeline():
    pipe = make_pipeline(StandardScaler(), MetaRidge())
    pipe.fit(X, Y, metaridge__task=TASK)
    new = adapted(pipe, X, Y, task=TASK)
    with sklearn.config_context(enable_metadata_routing=True):
        predictions = new.predict(X, task=TASK)
    for t in range(6):
        rows = TASK == t
        one = adapted(pipe, X[rows], Y[rows]).predict(X[rows])
        np.testing.assert_allclose(predictions[rows], one)


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (Ridge(), "found Ridge,"),
        (make_pipeline(StandardScaler(), Ridge()), "found Ridge inside Pipeline,"),
        (Pipeline([("a", StandardScaler()), ("b", "passthrough")]), "'passthrough'"),
        (FrozenEstimator(Ridge().fit(X, Y)), "found Ridge inside FrozenEstimator,"),
        (CalibratedClassifierCV(PerTask(Ridge())), "found CalibratedClassifierCV,"),
    ],
)
def test_anything_else_is_named(model, found):
    if isinstance(model, Pipeline):
        model.fit(X, Y)
    with pytest.raises(TypeError, match=found) as error:
        adapted(model, X_NEW, Y_NEW)
    assert "PerTask" in str(error.value)
    with pytest.raises(TypeError, match="has no `adapt`"):
        inner_estimator(model)


def test_unfitted_models_say_so():
    for model in (PerTask(Ridge()), make_pipeline(StandardScaler(), PerTask(Ridge()))):
        with pytest.raises(NotFittedError):
            adapted(model, X_NEW, Y_NEW)


def test_zero_shot_is_the_state_after_fit():
    pipe = make_pipeline(StandardScaler(), pooled())
    pipe.fit(X, Y, pooled__task=TASK)
    before = pipe.predict(X)
    new = adapted(pipe, X, Y, task=TASK)
    np.testing.assert_array_equal(zero_shot(new).predict(X), before)


def test_adapted_pipeline_pickles():
    pipe = make_pipeline(StandardScaler(), pooled())
    pipe.fit(X, Y, pooled__task=TASK)
    new = adapted(pipe, X_NEW, Y_NEW)
    loaded = pickle.loads(pickle.dumps(new))
    np.testing.assert_array_equal(loaded.predict(X), new.predict(X))
