"""Linear discriminants of new classes against normal densities, one row at a time."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from sklmeta import LDABaseline, NearestCentroidBaseline, NotAdaptedError
from sklmeta.datasets import make_classification_tasks
from sklmeta.mixed_models import discriminants


def covariances(X, cells, expected):
    """W and B in the units of X, shrunk towards the diagonal, in loops."""
    labels = sorted(set(cells))
    means = {
        c: np.mean([x for x, own in zip(X, cells, strict=True) if own == c], 0)
        for c in labels
    }
    counts = [cells.count(c) for c in labels]
    residuals = np.array([x - means[c] for x, c in zip(X, cells, strict=True)])
    unit = np.sqrt((residuals**2).mean(axis=0))
    share = ledoit_wolf_shrinkage(residuals / unit, assume_centered=True)
    within = residuals.T @ residuals / (len(X) - len(labels)) / np.outer(unit, unit)
    within = (1 - share) * within + share * np.diag(
        [within.trace() / len(unit)] * len(unit)
    )
    within *= np.outer(unit, unit)
    prior = {
        c: np.mean([means[d] for d in labels if expected(d) == expected(c)], 0)
        for c in labels
    }
    root = np.linalg.cholesky(within)
    white = np.linalg.solve(root, np.array([means[c] - prior[c] for c in labels]).T).T
    n_free = len(labels) - len({expected(c) for c in labels})
    between = white.T @ white / n_free - np.mean(1 / np.array(counts)) * np.eye(
        len(unit)
    )
    share = ledoit_wolf_shrinkage(white, assume_centered=True)
    between *= 1 - share
    between += share / (1 - share) * between.trace() / len(unit) * np.eye(len(unit))
    values, axes = np.linalg.eigh(between)
    between = axes @ np.diag(np.maximum(values, 0)) @ axes.T
    return within, root @ between @ root.T, prior


def density(x, rows, prior, within, between):
    """Log density of a row whose class has these rows, by the textbook's formula."""
    mean, covariance = prior, between
    if len(rows):
        gain = between @ np.linalg.inv(between + within / len(rows))
        mean = prior + gain @ (np.mean(rows, axis=0) - prior)
        covariance = between - gain @ between
    return multivariate_normal(mean, covariance + within).logpdf(x)


def test_own_classes_match_the_normal_densities(own_tasks):
    X, y, task = own_tasks
    X = X * [1, 10, 100, 1e3, 1e4]
    model = LDABaseline(standardize=True, normalize=False, shared_classes=False)
    model.fit(X, y, task=task)
    within, between, prior = covariances(
        list(X), list(zip(task, y, strict=True)), lambda cell: None
    )
    center = next(iter(prior.values()))
    np.testing.assert_allclose(
        model.scalings_.T @ within @ model.scalings_, np.eye(5), atol=1e-6
    )
    new = task == task[0]
    support, query = np.flatnonzero(new)[::2], np.flatnonzero(new)[1::2]
    model.adapt(X[support], y[support])
    logits = [
        [
            density(x, X[support][y[support] == c], center, within, between)
            for c in model.classes_
        ]
        for x in X[query]
    ]
    expected = softmax(np.array(logits) / model.temperature_, axis=1)
    np.testing.assert_allclose(model.predict_proba(X[query]), expected, atol=1e-6)


def test_shared_classes_match_the_normal_densities(shared_tasks):
    X, y, task = shared_tasks
    model = LDABaseline(standardize=True, normalize=False).fit(X, y, task=task)
    within, between, prior = covariances(
        list(X), list(zip(task, y, strict=True)), lambda cell: cell[1]
    )
    means = {c: m for (_, c), m in prior.items()}
    frequency = np.array([np.mean(y == c) for c in model.classes_])
    few = np.flatnonzero(np.isin(y, ["ill", "well"]))[:9]
    for support in (few[:0], few):
        if len(support):
            model.adapt(X[support], y[support])
        logits = [
            [
                density(x, X[support][y[support] == c], means[c], within, between)
                for c in model.classes_
            ]
            for x in X[:20]
        ]
        logits = np.array(logits) / model.temperature_ + np.log(frequency)
        np.testing.assert_allclose(
            model.predict_proba(X[:20]), softmax(logits, axis=1), atol=1e-6
        )


def test_one_table_of_shared_classes_is_linear_discriminant_analysis():
    rng = np.random.default_rng(0)
    y = rng.choice(["a", "b", "c"], 2000, p=[0.6, 0.3, 0.1])
    centers = {"a": [0, 0, 0], "b": [1, 1, 0], "c": [0, 2, 1]}
    X = rng.normal(size=(2000, 3)) @ rng.normal(size=(3, 3))
    X += [centers[c] for c in y]
    expected = LinearDiscriminantAnalysis().fit(X, y).predict_proba(X)
    actual = LDABaseline().fit(X, y).predict_proba(X)
    np.testing.assert_allclose(actual, expected, atol=0.02)


def make_directions(n_classes, rng):
    """Classes that differ in direction, rows in length as well."""
    y = np.repeat(np.arange(n_classes), 12)
    X = rng.normal(size=(n_classes, 30))[y] + 0.7 * rng.normal(size=(len(y), 30))
    return X * np.exp(2 * rng.normal(size=(len(y), 1))), y


def test_auto_brings_rows_to_equal_length_where_length_says_nothing():
    rng = np.random.default_rng(0)
    X, y = make_directions(80, rng)
    old = y < 60
    chosen = LDABaseline(shared_classes=False).fit(X[old], y[old])
    fixed = LDABaseline(shared_classes=False, normalize=False).fit(X[old], y[old])
    assert chosen.normalize_
    assert not fixed.normalize_
    support = ~old & (np.arange(len(y)) % 12 < 2)
    scores = []
    for model in (chosen, fixed):
        model.adapt(X[support], y[support])
        scores.append(model.score(X[~old & ~support], y[~old & ~support]))
    assert scores[0] > scores[1] + 0.1
    # Twice a row is the same row; and classes whose rows disagree are no further away.
    center = X[old].reshape(60, 12, 30).mean(axis=1).mean(axis=0)
    twice = center + 2 * (X[~old] - center)
    np.testing.assert_allclose(
        chosen.predict_proba(twice), chosen.predict_proba(X[~old])
    )


def test_auto_follows_the_units_or_does_without_them():
    X, y, task = make_classification_tasks(40, random_state=0)
    uneven = X * np.exp(3 * np.random.default_rng(0).normal(size=X.shape[1]))
    models = [
        LDABaseline(shared_classes=False).fit(Z, y, task=task) for Z in (X, uneven)
    ]
    assert models[1].standardize_
    scores = [
        model.score(Z, y, task=task, shots=1)
        for model, Z in zip(models, (X, uneven), strict=True)
    ]
    np.testing.assert_allclose(*scores, atol=0.02)
    near = NearestCentroidBaseline(shared_classes=False).fit(X, y, task=task)
    assert scores[0] > near.score(X, y, task=task, shots=1) + 0.3


@pytest.mark.parametrize("normalize", [True, False])
def test_many_tasks_at_once_are_each_alone(normalize, own_tasks):
    X, y, task = own_tasks
    model = LDABaseline(normalize=normalize, shared_classes=False)
    model.fit(X, y, task=task)
    with pytest.raises(NotAdaptedError, match="Call adapt"):
        model.predict(X)
    together = model.adapt(X, y, task=task).predict_proba(X, task=task)
    np.testing.assert_allclose(together.sum(axis=1), 1)
    for label in np.unique(task)[:5]:
        rows = task == label
        alone = model.adapt(X[rows], y[rows]).predict_proba(X[rows])
        mine = np.isin(np.unique(y), y[rows])
        np.testing.assert_allclose(together[rows][:, mine], alone, rtol=1e-9)
        assert (together[rows][:, ~mine] == 0).all()


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("normalize", [True, False])
def test_wild_values_and_lone_rows_stay_finite(standardize, normalize, shared_tasks):
    X, y, task = shared_tasks
    X = X.copy()
    X[0, 1], X[1, 1], X[:, 2] = 1e300, -1e300, 3.0
    for shared in (True, False):
        kinds = {"standardize": standardize, "normalize": normalize}
        model = LDABaseline(**kinds, shared_classes=shared).fit(X, y, task=task)
        model.adapt(X[:2], y[:2])
        assert np.isfinite(model.predict_proba(X)).all()
        lone = LDABaseline(**kinds, shared_classes=shared).fit(X[:2], ["a", "b"])
        assert np.isfinite(lone.predict_proba(X)).all()


def test_images_are_rows_of_pixels_and_many_are_their_components(monkeypatch):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(40), 10)
    centers = np.zeros((40, 1, 6, 6))
    centers[:, 0, :2, :2] = 3 * rng.normal(size=(40, 2, 2))
    X = rng.normal(size=(400, 1, 6, 6)) + centers[y]
    scores = []
    for limit in (1000, 8):
        monkeypatch.setattr(discriminants, "MAX_FEATURES", limit)
        model = LDABaseline(shared_classes=False).fit(X[:300], y[:300])
        assert model.scalings_.shape == (36, min(limit, 36))
        support = np.arange(400) >= 300
        support &= np.arange(400) % 10 < 2
        model.adapt(X[support], y[support])
        scores.append(model.score(X[300:], y[300:]))
    assert min(scores) > 0.8
