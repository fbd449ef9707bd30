"""Siamese networks: verification, calibrated thresholds, pairs of tasks."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import accuracy_score

from sklmeta import SiameseClassifier, TaskCollection
from sklmeta.metric_based._verification import best_threshold
from sklmeta.metric_based.siamese import LOSSES


@pytest.fixture(scope="module", params=LOSSES)
def verifier(request, own_tasks):
    X, y, task = own_tasks
    est = SiameseClassifier(n_way=2, n_shots=3, n_query=5, max_iter=60, random_state=0)
    return est.set_params(loss=request.param).fit(X, y, task=task)


def pairs_of(own_tasks, n=400, seed=0):
    """Half of the pairs of one class, all of them of one task."""
    X, y, task = own_tasks
    rng = np.random.default_rng(seed)
    first = rng.integers(len(X), size=n)
    second = []
    for i in first:
        alike = (y == y[i]) if rng.random() < 0.5 else (task == task[i]) & (y != y[i])
        second.append(rng.choice(np.flatnonzero(alike)))
    return X[first], X[second], y[first] == y[second]


def test_distance_and_score_of_pairs(verifier, own_tasks):
    X1, X2, same = pairs_of(own_tasks)
    distance, score = verifier.pair_distance(X1, X2), verifier.pair_score(X1, X2)
    np.testing.assert_allclose(distance, verifier.pair_distance(X2, X1))
    assert (verifier.pair_distance(X1, X1) == 0).all()
    order = 1 if verifier.loss == "cross_entropy" else 2
    embedded = verifier.transform(X1) - verifier.transform(X2)
    expected = np.linalg.norm(embedded, ord=order, axis=1)
    np.testing.assert_allclose(distance, expected, atol=1e-12)
    # the closer, the likelier; and equally likely at the threshold
    by_distance = np.argsort(distance)
    assert (np.diff(score[by_distance]) <= 0).all()
    predicted = verifier.predict_pairs(X1, X2)
    np.testing.assert_array_equal(predicted, score >= 0.5)
    assert accuracy_score(same, predicted) > 0.7
    assert abs(score.mean() - same.mean()) < 0.1  # calibrated, on average


def test_threshold_is_calibrated(verifier, own_tasks):
    X1, X2, same = pairs_of(own_tasks)
    distance = verifier.pair_distance(X1, X2)
    merits = {
        "accuracy": lambda p: (p == same).mean(),
        "f_beta": lambda p: 5 * (p & same).sum() / (4 * same.sum() + p.sum()),
        "max_tpr": lambda p: p[same].mean() if (~p[~same]).mean() >= 0.9 else -1,
        "max_tnr": lambda p: (~p[~same]).mean() if p[same].mean() >= 0.9 else -1,
    }
    for strategy, merit in merits.items():
        est = clone(verifier)
        est.__dict__.update(vars(verifier))
        est.calibrate_threshold(X1, X2, same, strategy=strategy, beta=2.0, min_rate=0.9)
        best = max(merit(distance <= value) for value in [-1, *distance])
        assert merit(est.predict_pairs(X1, X2)) == pytest.approx(best)
    assert est.threshold_ != verifier.threshold_


def test_threshold_lies_between_distances_and_at_the_ends():
    same = np.array([True, True, False, False])
    assert best_threshold(np.array([1.0, 2.0, 4.0, 5.0]), same, "accuracy") == 3.0
    assert best_threshold(np.array([1.0, 2.0, 1.0, 2.0]), same, "f_beta") == 2.0
    backwards = best_threshold(np.array([4.0, 5.0, 1.0, 0.0]), same, "accuracy")
    assert backwards < 0


def test_errors_of_calibration(verifier, own_tasks):
    X1, X2, same = pairs_of(own_tasks, 20)
    with pytest.raises(ValueError, match="all 20 are the same"):
        verifier.calibrate_threshold(X1, X2, np.ones(20, bool))
    with pytest.raises(ValueError, match="strategy must be one of"):
        verifier.calibrate_threshold(X1, X2, same, strategy="best")
    with pytest.raises(ValueError, match="needs min_rate between 0 and 1, got None"):
        verifier.calibrate_threshold(X1, X2, same, strategy="max_tpr")
    with pytest.raises(ValueError, match="same must be True or False"):
        verifier.calibrate_threshold(X1, X2, np.arange(20))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        verifier.pair_distance(X1, X2[:5])


def test_one_table_of_classes_trains_a_distance():
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=300)
    X = rng.normal(size=(300, 4)) + 3 * np.eye(3, 4)[y]
    est = SiameseClassifier(max_iter=50, random_state=0).fit(X[:200], y[:200])
    assert est.score(X[200:], y[200:]) > 0.85
    same = y[200:250] == y[250:]
    assert accuracy_score(same, est.predict_pairs(X[200:250], X[250:])) > 0.85


# Pairs of tasks ---------------------------------------------------------------


@pytest.fixture(scope="module")
def stores():
    """Twenty tasks of 25 rows each, in different places."""
    rng = np.random.default_rng(0)
    task = np.repeat([f"store {i:02}" for i in range(20)], 25)
    centre = np.repeat(2 * rng.normal(size=(20, 3)), 25, axis=0)
    X = centre + 0.2 * rng.normal(size=(500, 3))
    return X, rng.normal(size=500), task


def test_pairs_of_tasks_tell_where_rows_come_from(stores):
    X, y, task = stores
    old = np.isin(task, np.unique(task)[:15])
    est = SiameseClassifier(
        pairs="task", n_shots=3, n_query=4, max_iter=50, random_state=0
    )
    params = est.get_params()
    est.fit(X[old], y[old], task=task[old])
    assert est.get_params() == params
    np.testing.assert_array_equal(est.classes_, np.unique(task[old]))
    np.testing.assert_array_equal(est.tasks_, np.unique(task[old]))
    # stores that it has never seen, by some rows of each
    X, task = X[~old], task[~old]
    known = np.arange(len(X)) % 25 < 5
    est.adapt(X[known], task[known])
    assert est.score(X[~known], task[~known]) > 0.85
    assert est.score(X, np.zeros(len(X)), task=task, shots=3) > 0.8
    i, j = np.arange(len(X)), np.random.default_rng(1).permutation(len(X))
    assert accuracy_score(task[i] == task[j], est.predict_pairs(X[i], X[j])) > 0.85


def test_pairs_of_tasks_ignore_y(stores):
    X, y, task = stores
    est = SiameseClassifier(pairs="task", n_query=3, max_iter=3, random_state=0)
    distances = [
        clone(est).fit(*data).pair_distance(X[:20], X[20:40])
        for data in ((X, None, task), (X, y, task), (TaskCollection(X, y, task),))
    ]
    np.testing.assert_array_equal(distances[0], distances[1])
    np.testing.assert_array_equal(distances[0], distances[2])


def test_pairs_of_tasks_need_tasks(stores):
    X, y, task = stores
    est = SiameseClassifier(pairs="task", max_iter=5)
    with pytest.raises(ValueError, match="which task=None excludes"):
        est.fit(X, y)
    with pytest.raises(ValueError, match="which shared_classes=True excludes"):
        est.set_params(shared_classes=True).fit(X, y, task=task)
    assert not hasattr(est, "classes_")
