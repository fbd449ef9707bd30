"""What bounds a blend: targets that were seen, time, and how much tasks can tell."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import time

import numpy as np
import pytest
from ridge_members import two_ridges
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge

from sklmeta import AutoMetaClassifier, AutoMetaRegressor, PerTask, Pooled
from sklmeta.auto import _schedule
from sklmeta.auto._bounds import TargetRange
from sklmeta.auto._sharing import fit_alike, groups_of
from sklmeta.auto._stacking import Evidence, fit_weights
from sklmeta.data.kinds import TaskKind
from sklmeta.data.table import Table
from sklmeta.datasets import make_classification_tasks, make_linear_tasks


@pytest.fixture(scope="module")
def tasks():
    return make_linear_tasks(20, n_rows=(10, 18), n_features=2, random_state=0)


def test_no_prediction_goes_far_beyond_the_targets(tasks):
    X, y, task = tasks
    members = [("own", PerTask(Ridge(alpha=1e-6)))]
    model = AutoMetaRegressor(estimators=members, shots=[2], random_state=0)
    model.fit(X, y, task=task).adapt(X[:2], y[:2])
    far = 1e6 * np.concatenate([X[:5], -X[:5]])
    spans = [np.ptp(y[task == t]) for t in range(20)]
    margin = max(np.median(spans), np.ptp(y[:2]))
    assert np.ptp(PerTask(Ridge(alpha=1e-6)).fit(X[:2], y[:2]).predict(far)) > 1e4
    np.testing.assert_allclose(model.predict(far).max(), y.max() + margin)
    np.testing.assert_allclose(model.predict(far).min(), y.min() - margin)


def test_a_task_widens_what_it_may_be_predicted():
    codes = np.array([0, 0, 1, 1, 1])
    y = np.array([0.0, 4.0, 1.0, 2.0, 3.0])
    table = Table(y[:, None], y, codes, np.arange(2), TaskKind.REGRESSION)
    span = TargetRange.of(table)
    assert span == (0.0, 4.0, 3.0)
    support = table._replace(y=np.array([10.0, 20.0, 2.0, 2.0, 2.0]))
    np.testing.assert_array_equal(span.of_tasks(support), [[-10, 30], [-3, 7]])
    np.testing.assert_array_equal(span.without_rows(), [[-3, 7]])


def test_what_predicts_the_support_is_never_distrusted():
    rng = np.random.default_rng(0)
    n_cases = 200
    case = np.repeat(np.arange(n_cases), 4)
    y = rng.normal(size=len(case))
    scale = 10.0 ** rng.uniform(-1, 1, (n_cases, 2))
    predictions = y[:, None] + scale[case] * rng.normal(size=(len(case), 2))
    misleading = Evidence(predictions, y, case, np.full(n_cases, 5), 1 / scale)
    model = fit_weights(misleading, False, n_cases)
    np.testing.assert_array_equal(model.trust, 0.0)


def test_few_tasks_leave_the_weights_nearer_to_equal(tasks):
    rng = np.random.default_rng(0)
    case = np.repeat(np.arange(60), 4)
    y = rng.normal(size=len(case))
    predictions = y[:, None] + rng.normal(size=(len(case), 2)) * [0.5, 1.0]
    unknown = np.full((60, 2), np.nan)
    given = Evidence(predictions, y, case, np.full(60, 5), unknown)
    # As many cases, of many tasks or of few.
    many, few = (
        fit_weights(given, False, n_tasks).weights(np.array([5]), unknown[:1])
        for n_tasks in (60, 4)
    )
    assert many[0, 0] > few[0, 0] > 0.5


@pytest.mark.parametrize("n_tasks", [1, 3])
@pytest.mark.filterwarnings("ignore:This AutoMetaRegressor was fitted to one table")
def test_too_little_to_weigh_by_is_said(tasks, n_tasks):
    X, y, task = (values[tasks[2] < n_tasks] for values in tasks)
    model = AutoMetaRegressor(estimators=two_ridges(), random_state=0)
    with pytest.warns(UserWarning, match="they count alike"):
        model.fit(X, y, task=task)
    assert (model.adapt(X[:3], y[:3]).weights_ == 0.5).all(axis=None)
    expected = "one table" if n_tasks == 1 else "3 tasks"
    assert model.weights_.attrs["equal_because_of"] == expected


def test_one_table_of_own_classes_says_so():
    X, y, _ = make_classification_tasks(1, n_rows=30, n_way=3, random_state=0)
    members = [("own", PerTask(LogisticRegression(), shared_classes=False))]
    model = AutoMetaClassifier(estimators=members, shared_classes=False)
    with pytest.warns(UserWarning, match="fitted to one table"):
        model.fit(X, y)
    assert model.predict(X).shape == y.shape


class Slow(Ridge):
    """Takes its time."""

    def fit(self, X, y):
        time.sleep(0.2)
        return super().fit(X, y)


def test_the_dearest_are_left_out_where_time_is_short(tasks):
    X, y, task = tasks
    members = [("slow", Pooled(Slow())), *two_ridges()]
    model = AutoMetaRegressor(
        estimators=members, shots=[3], cv=5, max_time=1.0, random_state=0
    )
    began = time.perf_counter()
    with pytest.warns(UserWarning, match="slow left out of the blend"):
        model.fit(X, y, task=task)
    assert time.perf_counter() - began < 3  # the machine may be busy
    assert list(model.estimators_) == ["own", "pooled"]
    assert model.left_out_ == ["slow"]
    assert np.isfinite(model.adapt(X[:4], y[:4]).predict(X)).all()
    model.set_params(max_time=600.0).fit(X, y, task=task)
    assert list(model.estimators_) == ["slow", "own", "pooled"]


def test_pooled_models_of_one_kind_are_fitted_once(tasks, monkeypatch):
    X, y, task = tasks
    few, more = (HistGradientBoostingRegressor(max_iter=n) for n in (3, 4))
    members = [
        Pooled(few),
        Pooled(few, support="offset"),
        Pooled(few, center=True),
        Pooled(more),
        PerTask(few),
    ]
    assert groups_of(members) == [[0, 1], [2], [3], [4]]
    table = Table(X, y, task, np.arange(20), TaskKind.REGRESSION)
    fitted = fit_alike(members[:2], table)
    for member, new in zip(members, fitted, strict=False):
        member.fit(X, y, task=task).adapt(X[:5], y[:5])
        new.adapt(X[:5], y[:5])
        np.testing.assert_array_equal(member.predict(X), new.predict(X))


def test_cheap_members_get_more_folds_where_tasks_are_few(tasks, monkeypatch):
    X, y, task = tasks
    found = []
    cross_fit = _schedule.cross_fit

    def counted(members, *given):
        found.append(type(members[0]).__name__)
        return cross_fit(members, *given)

    monkeypatch.setattr(_schedule, "cross_fit", counted)
    model = AutoMetaRegressor(estimators=two_ridges(), shots=[3], random_state=0)
    model.fit(X, y, task=task)
    assert found.count("PerTask") == found.count("Pooled") == 10
