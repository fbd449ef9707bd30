"""Trees over episodes: what describes a row, and what must not reach it."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LinearRegression

from sklmeta import (
    EpisodicBoostingClassifier,
    EpisodicBoostingRegressor,
    MixedModelRegressor,
)
from sklmeta.data.kinds import TaskKind
from sklmeta.data.table import Table
from sklmeta.datasets import make_linear_tasks, make_sinusoids
from sklmeta.model_based import _fold_episodes
from sklmeta.model_based._fold_episodes import Drawn, Sizes, described_episodes
from sklmeta.model_based._numeric_columns import NumericColumns
from sklmeta.model_based._support_statistics import (
    BANDWIDTHS,
    Support,
    neighbours,
    task_means,
)

QUICK = {"n_rows": 2000, "cv": 3, "random_state": 0}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# What describes a row ------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 7, 2**18])
def test_neighbours_against_a_loop(rng, monkeypatch, block):
    monkeypatch.setattr("sklmeta.model_based._support_statistics.BLOCK_PAIRS", block)
    codes, asked = rng.integers(1, 5, 30), rng.integers(0, 5, 20)
    X, X_query = rng.normal(size=(30, 3)), rng.normal(size=(20, 3))
    values, weights = rng.normal(size=(30, 2)), np.array([0.2, 0.3, 0.5])
    support = Support.of(X, values, codes, 5)
    found = neighbours(X_query, asked, support, weights)
    for i, task in enumerate(asked):
        mine = codes == task
        if not mine.any():
            assert np.isnan(found.distance[i]) and np.isnan(found.weighted[i]).all()
            continue
        squares = ((X_query[i] - X[mine]) ** 2) @ weights
        np.testing.assert_allclose(found.distance[i], np.sqrt(squares.min()))
        np.testing.assert_allclose(found.nearest[i], values[mine][squares.argmin()])
        for h, width in enumerate(BANDWIDTHS):
            kernel = np.exp(-(squares - squares.min()) / (2 * width**2))
            expected = np.average(values[mine], axis=0, weights=kernel)
            np.testing.assert_allclose(found.weighted[i, h], expected)


def test_distances_to_the_nearest_of_each_class(rng):
    codes, y = np.zeros(9, np.intp), np.arange(9) % 2
    X, X_query = rng.normal(size=(9, 2)), rng.normal(size=(4, 2))
    support = Support.of(X, np.eye(3)[y], codes, 1)
    half = np.full(2, 0.5)
    found = neighbours(X_query, codes[:4], support, half, of_classes=True)
    apart = np.sqrt(((X_query[:, None] - X) ** 2) @ half)
    expected = [apart[:, y == c].min(axis=1) for c in range(2)]
    np.testing.assert_allclose(found.distances[:, :2].T, expected)
    assert np.isnan(found.distances[:, 2]).all()  # of a class that the support lacks


def test_means_and_deviations_of_tasks(rng):
    values, codes = rng.normal(size=(12, 2)), np.repeat([0, 2, 3], [5, 1, 6])
    mean, deviation = task_means(values, codes, 4)
    np.testing.assert_allclose(mean[0], values[:5].mean(axis=0))
    np.testing.assert_allclose(deviation[3], values[6:].std(axis=0, ddof=1))
    assert np.isnan(mean[1]).all() and np.isnan(deviation[[1, 2]]).all()


def test_of_a_long_support_some_rows_are_looked_at(rng):
    X = rng.normal(size=(2500, 1))
    support = Support.of(X, X, np.zeros(2500, np.intp), 1)
    assert 500 < len(support.X) <= 1000 and support.offsets[-1] == len(support.X)


def test_columns_of_any_kind_become_numbers():
    frame = pd.DataFrame(
        {
            "age": [1.0, np.nan, 3.0, 8.0],
            "visits": pd.array([1, 2, None, 4], dtype="Int64"),
            "ward": pd.Categorical(["a", "b", "a", None]),
            "empty": [np.nan] * 4,
        }
    )
    columns = NumericColumns.of(frame)
    X = columns.transform(frame)
    assert X.shape == (4, 5) and np.isfinite(X).all()
    np.testing.assert_allclose(X[1, 0], 0, atol=1e-12)  # a gap is the mean
    assert X[0, 2] == X[2, 2] != X[1, 2]
    new = frame.iloc[:1].assign(ward=pd.Categorical(["a ward never seen"]))
    assert np.isfinite(columns.transform(new)).all()


# Nothing of a task reaches its own rows -------------------------------------------


def levels(rng, n_tasks=60, n_rows=8):
    """Tasks of unpredictable levels, which an in-fold model reads from a number."""
    task = np.repeat(np.arange(n_tasks), n_rows)
    X = np.column_stack([task, rng.normal(size=len(task))]).astype(np.float64)
    rng.shuffle(X[:, 1])
    return X, rng.normal(size=n_tasks)[task] + 0.1 * rng.normal(size=len(task)), task


def table_of(X, y, task):
    return Table(X, y, task, np.unique(task), TaskKind.REGRESSION)


def peek(estimator, table, outside, drawn, seed):
    return HONEST(estimator, table, np.arange(len(table.y)), drawn, seed)


HONEST = _fold_episodes._described


@pytest.mark.parametrize("leaks", [False, True])
def test_the_pooled_model_has_not_seen_the_task(rng, monkeypatch, leaks):
    X, y, task = levels(rng)
    if leaks:
        monkeypatch.setattr(_fold_episodes, "_described", peek)
    pooled = HistGradientBoostingRegressor(max_iter=300, min_samples_leaf=2)
    sizes = Sizes((1, 4), 4, 2000, "random", 3)
    found = described_episodes(pooled, table_of(X, y, task), sizes, 0)
    alone = found.statistics[:, 0] == 0  # no support: only a leak could know the level
    guess = found.statistics[alone, 3]
    explained = np.corrcoef(guess, y[found.rows[alone]])[0, 1]
    assert explained > 0.9 if leaks else abs(explained) < 0.4


def test_a_leak_would_be_trusted_and_is_not_there(rng, monkeypatch):
    X, y, task = levels(rng)
    new_X, new_y, _ = levels(rng)
    inner = HistGradientBoostingRegressor(max_iter=60, min_samples_leaf=4)
    errors = []
    for leaks in (False, True):
        if leaks:
            monkeypatch.setattr(_fold_episodes, "_described", peek)
        est = EpisodicBoostingRegressor(estimator=inner, **QUICK).fit(X, y, task=task)
        errors.append(np.mean((est.predict(new_X) - new_y) ** 2))
    assert errors[0] < 1.2 * new_y.var() < errors[1]


def test_what_describes_a_query_comes_from_its_support_alone(rng):
    X, y, task = levels(rng)
    table = table_of(X, y, task)
    outside, support, query = (
        np.flatnonzero(task > 0),
        np.arange(3),
        np.arange(3, 8),
    )
    drawn = Drawn(support, 0 * support, query, 0 * query, 1)
    pooled = HistGradientBoostingRegressor(random_state=0)
    _, base, found = HONEST(pooled, table, outside, drawn, 0)
    y = y.copy()
    y[query] = 1e3
    _, again, changed = HONEST(pooled, table._replace(y=y), outside, drawn, 0)
    np.testing.assert_array_equal(again, base)
    np.testing.assert_array_equal(changed, found)


# The estimators ---------------------------------------------------------------------


def test_it_corrects_the_mixed_model_where_there_is_more():
    X, y, task = make_sinusoids(80, random_state=0)
    old = task < 60
    est = EpisodicBoostingRegressor(**QUICK).fit(X[old], y[old], task=task[old])
    new = X[~old], y[~old]
    mixed = MixedModelRegressor().fit(X[old], y[old], task=task[old])
    assert est.trust_ > 0.8
    gain = [m.score(*new, task=task[~old], shots=10) for m in (est, mixed)]
    assert gain[0] > gain[1] + 0.4


def test_it_is_the_mixed_model_where_there_is_no_more():
    X, y, task = make_linear_tasks(80, noise=1.0, random_state=0)
    old = task < 60
    est = EpisodicBoostingRegressor(**QUICK).fit(X[old], y[old], task=task[old])
    new = X[~old], y[~old]
    mixed = MixedModelRegressor().fit(X[old], y[old], task=task[old])
    assert est.trust_ < 0.5
    gain = [m.score(*new, task=task[~old], shots=5) for m in (est, mixed)]
    assert abs(gain[0] - gain[1]) < 0.05


def patients(rng, n_tasks=40, n_rows=20):
    """A category and a gap tell the target; a model of numbers alone cannot."""
    task = np.repeat(np.arange(n_tasks), n_rows)
    ward = rng.integers(0, 4, len(task))
    score = rng.normal(size=len(task))
    score[rng.random(len(task)) < 0.3] = np.nan
    y = 3 * (ward % 2) + 2 * np.isnan(score) + rng.normal(size=n_tasks)[task]
    names = pd.Categorical.from_codes(ward, ["east", "west", "north", "south"])
    return pd.DataFrame({"ward": names, "score": score}), y, task


def test_gaps_and_categories_reach_the_trees(rng):
    X, y, task = patients(rng)
    old = task < 30
    est = EpisodicBoostingRegressor(**QUICK).fit(X[old], y[old], task=task[old])
    assert est.score(X[~old], y[~old], task=task[~old], shots=3) > 0.9
    labels = np.where(y > np.median(y), "high", "low")
    classify = EpisodicBoostingClassifier(**QUICK)
    classify.fit(X[old], labels[old], task=task[old])
    assert classify.score(X[~old], labels[~old], task=task[~old], shots=5) > 0.8


def test_an_estimator_that_takes_no_gaps(rng):
    X, y, task = make_linear_tasks(20, random_state=0)
    est = EpisodicBoostingRegressor(estimator=LinearRegression(), **QUICK).fit(
        X, y, task=task
    )
    assert np.isfinite(est.predict(X)).all()
    with pytest.raises(ValueError, match="NaN"):
        est.adapt(np.where(X > 0, X, np.nan)[:3], y[:3])


def test_classes_of_a_single_task_or_fold(rng):
    X, task = rng.normal(size=(90, 2)), np.repeat(np.arange(9), 10)
    y = np.where(task == 0, "rare", np.where(X[:, 0] > 0, "a", "b"))
    inner = HistGradientBoostingClassifier(max_iter=5)
    est = EpisodicBoostingClassifier(estimator=inner, **QUICK).fit(X, y, task=task)
    proba = est.adapt(X[:4], y[:4]).predict_proba(X)
    assert proba.shape == (90, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1)


def test_supports_of_one_row_have_no_deviation():
    X, y, task = make_linear_tasks(20, random_state=0)
    est = EpisodicBoostingRegressor(n_shots=1, **QUICK).fit(X, y, task=task)
    assert np.isfinite(est.adapt(X[:9], y[:9]).predict(X)).all()


def test_own_classes_are_refused_by_name(rng):
    X, task = rng.normal(size=(40, 2)), np.repeat(np.arange(4), 10)
    with pytest.raises(ValueError, match="ProtoNetClassifier"):
        EpisodicBoostingClassifier(**QUICK).fit(X, task * 2 + (X[:, 0] > 0), task=task)


def test_a_range_upside_down_is_refused(rng):
    X, y, task = make_linear_tasks(4, random_state=0)
    with pytest.raises(ValueError, match="n_shots"):
        EpisodicBoostingRegressor(n_shots=(5, 2)).fit(X, y, task=task)


def test_tasks_of_one_row_give_no_episodes(rng):
    X, y = rng.normal(size=(12, 2)), rng.normal(size=12)
    est = EpisodicBoostingRegressor(**QUICK).fit(X, y, task=np.arange(12))
    assert est.trust_ == 0
    assert np.isfinite(est.predict(X)).all()
