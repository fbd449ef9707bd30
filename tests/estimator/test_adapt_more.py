"""`adapt_more`, and what an adapted estimator says of itself."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklmeta
from sklmeta.data.frames import plain_rows, rows_of_plain
from sklmeta.datasets import make_linear_tasks

skops_io = pytest.importorskip("skops.io")


@pytest.fixture(scope="module")
def tasks():
    return make_linear_tasks(8, n_rows=12, random_state=0)


@pytest.fixture
def est(tasks):
    X, y, task = tasks
    return sklmeta.MixedModelRegressor().fit(X, y, task=task)


def test_rows_survive_a_file_of_skops(est, tasks):
    X, y, _ = tasks
    expected = est.adapt(X[:6], y[:6], sample_weight=np.arange(1, 7)).predict(X)
    est.adapt(X[:4], y[:4], sample_weight=np.arange(1, 5))
    held = skops_io.dumps(est)
    loaded = skops_io.loads(held, trusted=skops_io.get_untrusted_types(data=held))
    loaded.adapt_more(X[4:6], y[4:6], sample_weight=[5, 6])
    assert_allclose(loaded.predict(X), expected, rtol=1e-12)
    assert loaded.n_support_ == 6


FRAME = pd.DataFrame(
    {
        "dose": [0.5, np.nan, 2.0],
        "city": pd.Categorical(["Rome", None, "Oslo"], ["Oslo", "Rome"], ordered=True),
        "word": ["a", None, "b"],
        "day": pd.to_datetime(["2024-01-01", None, "2024-03-01"]),
        "count": pd.array([1, None, 3], dtype="Int64"),
        "right": [True, False, True],
    }
)


def test_frames_become_plain_and_come_back():
    plain = plain_rows(FRAME)
    assert_frame_equal(rows_of_plain(plain), FRAME)
    pickle.dumps(plain)
    held = skops_io.dumps(plain)
    assert not skops_io.get_untrusted_types(data=held)
    assert_frame_equal(rows_of_plain(skops_io.loads(held)), FRAME)


def test_what_cannot_be_plain_is_left_out():
    away = FRAME.assign(day=FRAME.day.dt.tz_localize("UTC"))
    assert plain_rows(away) is None


def test_rows_of_a_frame_survive_too():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=40), "b": pd.Categorical(["u", "v"] * 20)})
    y, task = rng.normal(size=40), np.repeat([0, 1], 20)
    trees = HistGradientBoostingRegressor(max_iter=2, categorical_features="from_dtype")
    est = sklmeta.PerTask(trees).fit(X, y, task=task)
    expected = est.adapt(X[:30], y[:30]).predict(X)
    loaded = pickle.loads(pickle.dumps(est.adapt(X[:20], y[:20])))
    assert_array_equal(loaded.adapt_more(X[20:30], y[20:30]).predict(X), expected)


def test_rows_that_are_kept_are_a_copy(est, tasks):
    X, y, _ = (values.copy() for values in tasks)
    expected = est.adapt(X[:6], y[:6]).predict(X)
    support, targets = X[:4].copy(), y[:4].copy()
    est.adapt(support, targets)
    support[:], targets[:] = 0, 0
    assert_allclose(est.adapt_more(X[4:6], y[4:6]).predict(X), expected)


def test_classes_of_a_task_of_its_own_may_be_new():
    rng = np.random.default_rng(0)
    X, y, task = rng.normal(size=(60, 2)), rng.integers(0, 3, 60), np.arange(60) // 20
    est = sklmeta.ProtoNetClassifier(n_way=2, max_iter=1, random_state=0)
    est.fit(X, y, task=task)
    names = np.array(["x", "y", "x", "z"])
    expected = est.adapt(X[:4], names).predict_proba(X)
    est.adapt(X[:2], names[:2]).adapt_more(X[2:4], names[2:4])
    assert est.classes_.tolist() == ["x", "y", "z"]
    assert_allclose(est.predict_proba(X), expected)


def test_a_row_that_does_not_fit_leaves_the_adaptation(est, tasks):
    X, y, _ = tasks
    before = est.adapt(X[:4], y[:4]).predict(X)
    with pytest.raises(ValueError, match="2 features"):
        est.adapt_more(X[:2, :2], y[:2])
    assert_array_equal(est.predict(X), before)


def test_it_says_what_it_is_adapted_to(est, tasks):
    X, y, task = tasks
    plain, html = repr(est), est._repr_html_()
    assert "adapted" not in plain + html
    est.adapt(X[:1], y[:1])
    assert repr(est) == "MixedModelRegressor(), adapted to 1 row of one task"
    assert "adapted to 1 row of one task" in est._repr_html_()
    est.adapt(X, y, task=task)
    assert repr(est) == "MixedModelRegressor(), adapted to 96 rows of 8 tasks"
    assert_array_equal(est.n_support_, np.full(8, 12))
    est.reset_adaptation()
    assert (repr(est), est._repr_html_()[:4]) == (plain, html[:4])
    assert not hasattr(est, "n_support_")


def test_long_parameters_are_still_broken_into_lines():
    est = sklmeta.BayesianLinearRegressor(
        hidden_layer_sizes=(64, 64), n_shots=(1, 30), max_iter=123, random_state=0
    )
    for model in (est, make_pipeline(StandardScaler(), est)):
        assert max(map(len, repr(model).splitlines())) <= 80


def test_one_table_is_not_a_support(tasks):
    X, y, _ = tasks
    est = sklmeta.PerTask(Ridge()).fit(X, y)
    assert not hasattr(est, "n_support_")
    with pytest.raises(sklmeta.NotAdaptedError, match="Call adapt"):
        est.adapt_more(X, y)
