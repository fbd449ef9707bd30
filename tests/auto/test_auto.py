"""AutoMeta: members blended by what worked on tasks they had not seen."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from ridge_members import two_ridges
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LogisticRegression, Ridge

from sklmeta import (
    AutoMetaClassifier,
    AutoMetaRegressor,
    BayesianLinearRegressor,
    NearestCentroidBaseline,
    PerTask,
    Pooled,
    adapted,
)
from sklmeta.auto._stacking import (
    WeightModel,
)
from sklmeta.auto._support_losses import adapt_and_judge, leave_out, look_ahead
from sklmeta.data.kinds import TaskKind
from sklmeta.data.table import Table
from sklmeta.datasets import make_classification_tasks, make_linear_tasks
from sklmeta.training import progress


@pytest.fixture(scope="module")
def tasks():
    return make_linear_tasks(20, n_rows=(10, 18), n_features=2, random_state=0)


@pytest.fixture(scope="module")
def auto(tasks):
    model = AutoMetaRegressor(
        estimators=two_ridges(), shots=[0, 1, 2, 6], random_state=0
    )
    return model.fit(*tasks)


# Leaving rows out --------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[1], [2, 1, 5], [7, 12, 3]])
def test_each_row_is_left_out_once_and_never_with_itself(sizes):
    rng = np.random.default_rng(0)
    codes = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    left = leave_out(codes, len(sizes))
    assert sorted(left.query) == [i for i in range(len(codes)) if sizes[codes[i]] > 1]
    np.testing.assert_array_equal(left.query_code, codes[left.query])
    for virtual in np.unique(left.query_task):
        held = left.query[left.query_task == virtual]
        kept = left.support[left.support_task == virtual]
        (task,) = np.unique(codes[held])
        assert not np.intersect1d(held, kept).size
        np.testing.assert_array_equal(
            np.sort(np.r_[held, kept]), np.flatnonzero(codes == task)
        )
        assert len(kept)
    n_folds = [min(n, 5) if n > 1 else 0 for n in sizes]
    assert len(np.unique(left.query_task)) == sum(n_folds)


@pytest.mark.parametrize("judged_by", ["rows", "fifths", "later"])
def test_support_losses_against_a_loop(tasks, judged_by):
    X, y, task = tasks
    members = [model.fit(X, y, task=task) for _, model in two_ridges()]
    rows = np.flatnonzero((task < 3) & (np.arange(len(y)) % 3 == 0))
    if judged_by == "fifths":  # dealt by what is in a row, not by where it is
        content = pd.DataFrame(X[rows]).assign(**{"": y[rows]})
        rows = rows[np.argsort(pd.util.hash_pandas_object(content, index=False))]
    codes = task[rows]
    table = Table(X, y, task, np.arange(20), TaskKind.REGRESSION)
    part = table.part(rows)._replace(labels=np.arange(3))
    for member in members:
        _, found = adapt_and_judge(member, part, judged_by)
        for t in range(3):
            own = rows[codes == t]
            errors = []
            for kept, out in splits(len(own), judged_by):
                new = adapted(member, X[own[kept]], y[own[kept]])
                errors += list((new.predict(X[own[out]]) - y[own[out]]) ** 2)
            assert found[t] == pytest.approx(np.mean(errors))
        _, one_row = adapt_and_judge(
            member, table.part(np.array([0])).as_one_task(), judged_by
        )
        assert np.isnan(one_row).all()


def splits(n_rows, judged_by):
    """Rows to adapt to, and rows to predict from them."""
    rows = np.arange(n_rows)
    if judged_by == "later":
        cuts = {max(1, int(share * n_rows)) for share in (0.5, 0.75)}
        return [(rows[:cut], rows[cut:]) for cut in cuts]
    n_folds = n_rows if judged_by == "rows" else min(n_rows, 5)
    return [
        (rows[rows % n_folds != i], rows[rows % n_folds == i]) for i in range(n_folds)
    ]


def test_folds_do_not_depend_on_the_order_of_rows(tasks):
    X, y, task = tasks
    member = two_ridges()[0][1].fit(X, y, task=task)
    one = Table(X[:9], y[:9], np.zeros(9, int), np.arange(1), TaskKind.REGRESSION)
    back = one._replace(X=X[:9][::-1], y=y[:9][::-1])
    losses = [adapt_and_judge(member, table, "fifths")[1] for table in (one, back)]
    np.testing.assert_allclose(*losses)


def test_later_rows_are_predicted_from_first_ones():
    codes = np.array([0, 1, 1, 1, 1, 2, 2])
    ahead = look_ahead(codes, 3)
    found = {
        (
            tuple(ahead.support[ahead.support_task == v]),
            tuple(ahead.query[ahead.query_task == v]),
        )
        for v in np.unique(ahead.query_task)
    }
    assert found == {((1, 2), (3, 4)), ((1, 2, 3), (4,)), ((5,), (6,))}
    np.testing.assert_array_equal(ahead.query_code, codes[ahead.query])


# The estimators ----------------------------------------------------------------------


def test_predictions_are_the_weighted_mean_of_the_members(tasks, auto):
    X, y, task = tasks
    some = task < 4
    support = some & (np.arange(len(y)) % 3 > 0)
    query = some & ~support
    new = adapted(auto, X[support], y[support], task=task[support])
    weights = new.weights_
    assert weights.index.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    expected = 0
    for name, member in auto.estimators_.items():
        own = adapted(member, X[support], y[support], task=task[support])
        values = own.predict(X[query], task=task[query])
        expected = expected + weights[name].loc[task[query]].to_numpy() * values
    np.testing.assert_allclose(new.predict(X[query], task=task[query]), expected)
    # One by one gives the same as all at once.
    one = adapted(auto, X[support & (task == 2)], y[support & (task == 2)])
    mine = task[query] == 2
    np.testing.assert_allclose(one.predict(X[query][mine]), expected[mine])


def test_zero_shots_have_weights_of_their_own(tasks, auto):
    X, _, _ = tasks
    zero = auto.weights_
    assert zero.shape == (1, 2)
    members = auto.estimators_
    expected = sum(zero[n].item() * m.predict(X) for n, m in members.items())
    np.testing.assert_allclose(auto.predict(X), expected)


def test_it_is_about_as_good_as_its_best_member():
    X, y, task = make_linear_tasks(60, n_rows=20, random_state=0)
    old = task < 40
    mixed = BayesianLinearRegressor(hidden_layer_sizes=(), max_iter=60, random_state=0)
    members = [*two_ridges(), ("mixed", mixed)]
    model = AutoMetaRegressor(estimators=members, shots=[1, 4, 10], random_state=0)
    model.fit(X[old], y[old], task=task[old])
    for shots in (1, 4, 10):
        scores = {
            name: member.score(X[~old], y[~old], task=task[~old], shots=shots)
            for name, member in [*model.estimators_.items(), ("auto", model)]
        }
        assert scores.pop("auto") > max(scores.values()) - 0.02


class Spy(RegressorMixin, BaseEstimator):
    """Predicts a constant, and remembers which tasks it was fitted and adapted to."""

    fits = []

    def fit(self, X, y, task=None):
        self.tasks_ = set(X[:, 0])
        return self

    def adapt(self, X, y, task=None):
        self.adapted_ = set(X[:, 0])
        Spy.fits.append((self.tasks_, self.adapted_))
        return self

    def predict(self, X, task=None):
        return np.zeros(len(X))

    __metadata_request__fit = {"task": True}
    __metadata_request__predict = {"task": True}


def test_members_are_judged_on_tasks_they_have_not_seen():
    task = np.repeat(np.arange(9), 6)
    X, y = task[:, None].astype(float), np.arange(54.0)
    Spy.fits.clear()
    model = AutoMetaRegressor(estimators=[("spy", Spy())], cv=3, random_state=0)
    model.fit(X, y, task=task)
    assert len(Spy.fits) == 6  # to supports, and to these without some rows
    for seen, new in Spy.fits:
        assert not seen & new
        assert len(seen) == 6


def test_shared_classes_of_which_some_tasks_have_one():
    X, y, task = make_classification_tasks(
        16, n_rows=24, n_way=3, n_features=6, shared_labels=True, random_state=0
    )
    keep = (y != 2) | (task == 5)  # a class that a single task has
    X, y, task = X[keep], np.array(["a", "b", "c"])[y[keep]], task[keep]
    members = [
        ("own", PerTask(LogisticRegression())),
        ("near", NearestCentroidBaseline()),
    ]
    model = AutoMetaClassifier(estimators=members, shots=[0, 3, 8], random_state=0)
    model.fit(X, y, task=task).adapt(X[:8], y[:8])
    p = model.predict_proba(X[8:20])
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal(model.predict(X[8:20]), model.classes_[p.argmax(1)])


def test_classes_of_a_tasks_own():
    X, y, task = make_classification_tasks(16, n_rows=30, n_way=(2, 4), random_state=0)
    members = [
        ("own", PerTask(LogisticRegression(), shared_classes=False)),
        ("near", NearestCentroidBaseline(shared_classes=False)),
    ]
    model = AutoMetaClassifier(
        estimators=members, shared_classes=False, shots=[0, 1, 3], random_state=0
    )
    old = task < 12
    model.fit(X[old], y[old], task=task[old])
    with pytest.raises(AttributeError, match="call adapt"):
        _ = model.weights_
    new = {"task": task[~old], "shots": 3}
    best = max(m.score(X[~old], y[~old], **new) for m in model.estimators_.values())
    assert model.score(X[~old], y[~old], **new) > best - 0.03 > 0.4
    model.adapt(X[~old], y[~old], task=task[~old])
    p = model.predict_proba(X[~old], task=task[~old])
    for name in np.unique(task[~old]):
        has = np.isin(model.classes_, y[task == name])
        assert (p[task[~old] == name][:, ~has] == 0).all()


def test_first_rows_as_support():
    # The first rows of a task are useless, the others tell all: with "first" the
    # member that reads them is not believed.
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(20), 12)
    X = rng.normal(size=(240, 1))
    slope = rng.normal(size=20)[task]
    y = slope * X[:, 0]
    late = np.arange(240) % 12 >= 4
    y[~late] = 10 * rng.normal(size=np.sum(~late))
    members = [("own", PerTask(Ridge())), ("nothing", Pooled(Ridge()))]
    weights = {}
    for support in ("random", "first"):
        model = AutoMetaRegressor(
            estimators=members, shots=[4], support=support, random_state=0
        )
        model.fit(X, y, task=task).adapt(X[:4], y[:4])
        weights[support] = model._initial_adaptation.model.weights[0, 0]
    assert weights["first"] < 0.2


def test_bad_shots_are_told_before_any_training(tasks):
    Spy.fits.clear()
    model = AutoMetaRegressor(estimators=[("spy", Spy())], shots=[-1])
    with pytest.raises(ValueError, match="shots must be an int of at least 0"):
        model.fit(*tasks)
    assert not Spy.fits


class Interrupted(Spy):
    def fit(self, X, y, task=None):
        raise KeyboardInterrupt


def test_an_interrupted_fit_leaves_what_was_there(tasks):
    X, y, task = tasks
    fresh = AutoMetaRegressor(estimators=[("spy", Interrupted())])
    with pytest.raises(KeyboardInterrupt):
        fresh.fit(X, y, task=task)
    assert not hasattr(fresh, "tasks_")
    model = AutoMetaRegressor(estimators=two_ridges(), shots=[3], random_state=0)
    model.fit(X, y, task=task)
    expected = model.predict(X)
    model.set_params(estimators=[("spy", Interrupted())])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X[:40], y[:40], task=task[:40])
    np.testing.assert_array_equal(model.predict(X), expected)


def test_progress_on_request(tasks, capsys, monkeypatch):
    monkeypatch.setattr(progress, "PLAIN_EVERY", -1.0)
    model = AutoMetaRegressor(
        estimators=two_ridges(), shots=[3], verbose=1, random_state=0
    )
    model.fit(*tasks)
    assert "fitting members" in capsys.readouterr().err


def test_same_seed_same_result(tasks):
    X, y, task = tasks
    found = [
        AutoMetaRegressor(estimators=two_ridges(), shots=[2], random_state=3)
        .fit(X, y, task=task)
        ._weight_model
        for _ in range(2)
    ]
    one, two = (WeightModel(**f) for f in found)
    np.testing.assert_array_equal(one.coefficients, two.coefficients)
