"""The nearest class mean against scikit-learn's and against plain loops."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler

from sklmeta import NearestCentroidBaseline, NotAdaptedError, PerTask


def of_each_task(model, X_old, X, y, task, X_new, new_task):
    """Predict with scikit-learn's estimator, one task after the other."""
    scaler = StandardScaler().fit(X_old)
    predictions = np.empty(len(X_new), dtype=y.dtype)
    for label in np.unique(new_task):
        mine, rows = task == label, new_task == label
        if len(np.unique(y[mine])) == 1:
            predictions[rows] = y[mine][0]
            continue
        reference = NearestCentroid().fit(scaler.transform(X[mine]), y[mine])
        predictions[rows] = reference.predict(scaler.transform(X_new[rows]))
    return predictions


def test_own_classes_match_scikit_learn_task_by_task(own_tasks):
    X, y, task = own_tasks
    X = X * [1, 10, 100, 1e3, 1e4]
    rng = np.random.default_rng(0)
    support = rng.random(len(y)) < 0.4
    model = NearestCentroidBaseline(shared_classes=False).fit(X, y, task=task)
    model.adapt(X[support], y[support], task=task[support])
    query = ~support & np.isin(task, task[support])
    actual = model.predict(X[query], task=task[query])
    expected = of_each_task(
        model, X, X[support], y[support], task[support], X[query], task[query]
    )
    np.testing.assert_array_equal(actual, expected)


def test_without_standardising_it_is_per_task_nearest_centroid(own_tasks):
    X, y, task = own_tasks
    model = NearestCentroidBaseline(standardize=False, shared_classes=False)
    wrapped = PerTask(NearestCentroid(), shared_classes=False)
    predictions = [
        m.fit(X, y, task=task).adapt(X, y, task=task).predict(X, task=task)
        for m in (model, wrapped)
    ]
    np.testing.assert_array_equal(*predictions)


def test_zero_shots_and_one_table_are_the_pooled_centroids(shared_tasks):
    X, y, task = shared_tasks
    Z = StandardScaler().fit_transform(X)
    expected = NearestCentroid().fit(Z, y).predict(Z)
    model = NearestCentroidBaseline().fit(X, y, task=task)
    np.testing.assert_array_equal(model.predict(X), expected)
    table = NearestCentroidBaseline(shared_classes=False).fit(X, y)
    np.testing.assert_array_equal(table.predict(X), expected)


def test_shared_class_that_a_support_lacks_keeps_its_training_mean(shared_tasks):
    X, y, task = shared_tasks
    model = NearestCentroidBaseline(standardize=False).fit(X, y, task=task)
    means = {c: X[y == c].mean(axis=0) for c in np.unique(y)}
    absent = means["unsure"]
    few = np.flatnonzero(np.isin(y, ["ill", "well"]))[:9]
    assert set(y[few]) == {"ill", "well"}
    means |= {c: X[few][y[few] == c].mean(axis=0) for c in ("ill", "well")}
    model.adapt(X[few], y[few])
    assert model.predict(absent[None]) == ["unsure"]
    distances = np.array(
        [[((x - means[c]) ** 2).sum() for c in model.classes_] for x in X]
    )
    expected = softmax(-distances / (2 * X.shape[1] * model.variance_), axis=1)
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-10)
    np.testing.assert_array_equal(
        model.predict(X), model.classes_[distances.argmin(axis=1)]
    )


def test_variance_is_that_about_each_tasks_class_means(own_tasks):
    X, y, task = own_tasks
    model = NearestCentroidBaseline(shared_classes=False).fit(X, y, task=task)
    Z, squares, n_cells = StandardScaler().fit_transform(X), 0.0, 0
    for t in np.unique(task):
        for c in np.unique(y[task == t]):
            rows = Z[(task == t) & (y == c)]
            squares += ((rows - rows.mean(axis=0)) ** 2).sum()
            n_cells += 1
    expected = squares / (len(Z) - n_cells) / Z.shape[1]
    np.testing.assert_allclose(model.variance_, expected)


def test_probabilities_of_ragged_tasks_are_zero_where_a_class_lacks(own_tasks):
    X, y, task = own_tasks
    model = NearestCentroidBaseline(shared_classes=False).fit(X, y, task=task)
    with pytest.raises(NotAdaptedError, match="Call adapt"):
        model.predict(X)
    model.adapt(X, y, task=task)
    np.testing.assert_array_equal(model.classes_, np.unique(y))
    together = model.predict_proba(X, task=task)
    np.testing.assert_allclose(together.sum(axis=1), 1)
    for label in np.unique(task)[:5]:
        rows = task == label
        alone = model.adapt(X[rows], y[rows]).predict_proba(X[rows])
        mine = np.isin(np.unique(y), y[rows])
        np.testing.assert_array_equal(together[rows][:, mine], alone)
        assert (together[rows][:, ~mine] == 0).all()


def test_blocks_do_not_change_the_distances(own_tasks, monkeypatch):
    X, y, task = own_tasks
    model = NearestCentroidBaseline(shared_classes=False).fit(X, y, task=task)
    expected = model.adapt(X, y, task=task).predict_proba(X, task=task)
    monkeypatch.setattr("sklmeta.baselines.nearest_centroid.BLOCK_NUMBERS", 40)
    np.testing.assert_array_equal(model.predict_proba(X, task=task), expected)


@pytest.mark.parametrize("standardize", [True, False])
def test_wild_values_and_lone_rows_stay_finite(standardize, shared_tasks):
    X, y, task = shared_tasks
    X = X.copy()
    X[0, 1], X[1, 1], X[:, 2] = 1e300, -1e300, 3.0
    model = NearestCentroidBaseline(standardize=standardize).fit(X, y, task=task)
    assert np.isfinite(model.predict_proba(X)).all()
    model.adapt(X[:1], y[:1])
    assert np.isfinite(model.predict_proba(X)).all()
    lone = NearestCentroidBaseline(standardize=standardize).fit(X[:2], ["a", "b"])
    assert np.isfinite(lone.predict_proba(X)).all()


def test_images_are_rows_of_pixels():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 20)
    X = rng.normal(size=(40, 1, 4, 4)) + 3 * y[:, None, None, None]
    model = NearestCentroidBaseline().fit(X[::2], y[::2])
    assert (model.predict(X[1::2]) == y[1::2]).mean() > 0.9


def test_own_classes_taken_for_shared(own_tasks):
    X, y, task = own_tasks
    with pytest.raises(ValueError, match="set shared_classes=False"):
        NearestCentroidBaseline().fit(X, y, task=task)
