"""PerTask and Pooled."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklmeta.baselines import PerTask, Pooled
from sklmeta.evaluation.containers import adapted
from sklmeta.exceptions import NotAdaptedError

SUPPORTS = ("ignore", "append", "offset")
RNG = np.random.default_rng(0)
TASK = np.repeat(["a", "b", "c", "d"], 15)
X = RNG.normal(size=(60, 3)) + RNG.normal(size=(4, 3))[np.arange(60) // 15]
Y = X @ [1.0, -2.0, 0.5] + np.array([0.0, 10.0, -5.0, 3.0])[np.arange(60) // 15]
LABELS = np.array(["low", "mid", "high"])[np.digitize(X[:, 0], [-0.5, 0.5])]
X_NEW = RNG.normal(size=(12, 3))
Y_NEW = X_NEW @ [1.0, -2.0, 0.5] + 20.0
NEW_TASK = np.repeat([7, 3], 6)


@parametrize_with_checks(
    [
        PerTask(Ridge()),
        PerTask(LogisticRegression()),
        Pooled(Ridge()),
        Pooled(LogisticRegression()),
        Pooled(Ridge(), support="append", center=True),
        Pooled(LogisticRegression(), support="offset", center=True),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("wrap", [PerTask, Pooled])
def test_one_table_is_the_plain_estimator(wrap):
    plain = Ridge().fit(X, Y)
    for task in (None, np.full(60, "only")):
        model = wrap(Ridge()).fit(X, Y, task=task)
        np.testing.assert_array_equal(model.predict(X_NEW), plain.predict(X_NEW))
        assert model.score(X, Y) == plain.score(X, Y)
    plain = LogisticRegression().fit(X, LABELS)
    model = wrap(LogisticRegression()).fit(X, LABELS)
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    np.testing.assert_array_equal(
        model.predict_log_proba(X), plain.predict_log_proba(X)
    )
    assert model.score(X, LABELS, sample_weight=np.ones(60)) == plain.score(X, LABELS)


def test_per_task_without_support_is_a_prior():
    model = PerTask(Ridge()).fit(X, Y, task=TASK)
    np.testing.assert_allclose(model.predict(X_NEW), Y.mean())
    model = PerTask(LogisticRegression()).fit(X, LABELS, task=TASK)
    frequencies = [(LABELS == c).mean() for c in model.classes_]
    np.testing.assert_allclose(model.predict_proba(X_NEW)[0], frequencies)


def test_per_task_fits_each_task_alone():
    model = PerTask(Ridge()).fit(X, Y, task=TASK)
    alone = Ridge().fit(X_NEW, Y_NEW).predict(X)
    np.testing.assert_allclose(model.adapt(X_NEW, Y_NEW).predict(X), alone)
    model.adapt(X_NEW, Y_NEW, task=NEW_TASK)
    asked = RNG.permutation(np.repeat([3, 7], 30))
    predictions = model.predict(X, task=asked)
    for t in (3, 7):
        own = Ridge().fit(X_NEW[NEW_TASK == t], Y_NEW[NEW_TASK == t])
        np.testing.assert_allclose(
            predictions[asked == t], own.predict(X[asked == t]), rtol=1e-12
        )


def test_per_task_support_of_one_class():
    model = PerTask(LogisticRegression()).fit(X, LABELS, task=TASK)
    model.adapt(X_NEW, np.full(12, "mid"))
    assert (model.predict(X) == "mid").all()
    np.testing.assert_array_equal(model.classes_, ["high", "low", "mid"])
    np.testing.assert_array_equal(model.predict_proba(X), [[0.0, 0.0, 1.0]] * 60)
    np.testing.assert_array_equal(model.predict_log_proba(X)[0], [-np.inf, -np.inf, 0])


def test_per_task_absent_class_has_probability_zero():
    model = PerTask(LogisticRegression()).fit(X, LABELS, task=TASK)
    y = np.tile(["high", "mid"], 6)
    model.adapt(X_NEW, y, task=NEW_TASK)
    probabilities = model.predict_proba(X_NEW, task=NEW_TASK)
    assert probabilities.shape == (12, 3)
    np.testing.assert_array_equal(probabilities[:, 1], 0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_per_task_with_classes_of_their_own():
    own = np.char.add(np.char.add(TASK, "-"), np.where(X[:, 0] > 0, "1", "0"))
    with pytest.raises(ValueError, match="shared_classes=False"):
        PerTask(LogisticRegression()).fit(X, own, task=TASK)
    model = PerTask(LogisticRegression(), shared_classes=False).fit(X, own, task=TASK)
    assert model.shared_classes_ is False
    with pytest.raises(NotAdaptedError, match="Call adapt"):
        model.predict(X)
    y = np.where(NEW_TASK == 7, np.tile(["u", "v"], 6), np.tile(["v", "w"], 6))
    model.adapt(X_NEW, y, task=NEW_TASK)
    np.testing.assert_array_equal(model.classes_, ["u", "v", "w"])
    probabilities = model.predict_proba(X_NEW, task=NEW_TASK)
    assert (probabilities[NEW_TASK == 7, 2] == 0).all()
    assert (probabilities[NEW_TASK == 3, 0] == 0).all()
    assert model.score(X, own, task=TASK, shots=5) > 0.7


def test_pooled_ignores_the_support():
    model = Pooled(Ridge()).fit(X, Y, task=TASK)
    plain = Ridge().fit(X, Y).predict(X_NEW)
    np.testing.assert_array_equal(model.predict(X_NEW), plain)
    np.testing.assert_array_equal(model.adapt(X_NEW, Y_NEW).predict(X_NEW), plain)


def test_pooled_appends_the_support():
    model = Pooled(Ridge(), support="append").fit(X, Y, task=TASK)
    model.adapt(X_NEW, Y_NEW, task=NEW_TASK)
    rows = NEW_TASK == 3
    refit = Ridge().fit(np.vstack([X, X_NEW[rows]]), np.r_[Y, Y_NEW[rows]])
    np.testing.assert_allclose(
        model.predict(X, task=np.full(60, 3)), refit.predict(X), rtol=1e-10
    )


def test_pooled_offset_is_the_mean_residual():
    model = Pooled(LinearRegression(), support="offset").fit(X, Y, task=TASK)
    residual = (Y_NEW - model.predict(X_NEW)).mean()
    shifted = model.predict(X) + residual
    np.testing.assert_allclose(model.adapt(X_NEW, Y_NEW).predict(X), shifted)
    assert model.score(X, Y, task=TASK) > Pooled(LinearRegression()).fit(
        X, Y, task=TASK
    ).score(X, Y, task=TASK)


def test_pooled_offset_moves_class_probabilities_to_the_support():
    model = Pooled(LogisticRegression(), support="offset").fit(X, LABELS, task=TASK)
    zero_shot = model.predict_proba(X_NEW)
    y = np.full(12, "mid")
    counts = np.array([0, 0, 12])
    expected = zero_shot.mean(axis=0)
    shifted = zero_shot * (counts + expected) / (13 * expected)
    shifted /= shifted.sum(axis=1, keepdims=True)
    model.adapt(X_NEW, y)
    np.testing.assert_allclose(model.predict_proba(X_NEW), shifted)
    np.testing.assert_array_equal(
        model.predict(X_NEW), model.classes_[shifted.argmax(axis=1)]
    )
    assert (model.predict_proba(X_NEW)[:, 2] > zero_shot[:, 2]).all()


def test_pooled_offset_needs_probabilities_of_a_classifier():
    with pytest.raises(ValueError, match='support="append"'):
        Pooled(LinearSVC(), support="offset").fit(X, LABELS, task=TASK)
    assert not hasattr(PerTask(LinearSVC()), "predict_proba")
    assert PerTask(LinearSVC()).fit(X, LABELS).score(X, LABELS) > 0.7


@pytest.mark.parametrize("support", SUPPORTS)
def test_pooled_centred_removes_the_tasks_level(support):
    model = Pooled(LinearRegression(), support=support, center=True)
    model.fit(X, Y, task=TASK)
    prediction = model.adapt(X_NEW, Y_NEW).predict(X[:5])
    np.testing.assert_allclose(prediction, X[:5] @ [1.0, -2.0, 0.5] + 20.0)
    assert model.score(X, Y, task=TASK, shots=1) == pytest.approx(1.0)


def test_pooled_centred_without_support_uses_the_average_task():
    model = Pooled(LinearRegression(), center=True).fit(X[:50], Y[:50], task=TASK[:50])
    parts = [TASK[:50] == t for t in "abcd"]
    x_mean = np.mean([X[:50][rows].mean(axis=0) for rows in parts], axis=0)
    y_mean = np.mean([Y[:50][rows].mean() for rows in parts])
    expected = (X_NEW - x_mean) @ [1.0, -2.0, 0.5] + y_mean
    np.testing.assert_allclose(model.predict(X_NEW), expected)


def test_pooled_centred_classifier_centres_x_only():
    model = Pooled(LogisticRegression(), center=True).fit(X, LABELS, task=TASK)
    centred = np.vstack([X[TASK == t] - X[TASK == t].mean(axis=0) for t in "abcd"])
    plain = LogisticRegression().fit(centred, LABELS)
    model.adapt(X_NEW, LABELS[:12])
    expected = plain.predict_proba(X - X_NEW.mean(axis=0))
    np.testing.assert_allclose(model.predict_proba(X), expected)


@pytest.mark.parametrize("wrap", [PerTask, Pooled])
def test_bad_support(wrap):
    model = wrap(LogisticRegression()).fit(X, LABELS, task=TASK)
    with pytest.raises(ValueError, match="support is empty"):
        model.adapt(X[:0], LABELS[:0])
    with pytest.raises(ValueError, match=r"\['new'\].*PerTask.*shared_classes=False"):
        model.adapt(X_NEW[:2], ["low", "new"])
    with pytest.raises(ValueError, match="2 features"):
        model.adapt(X_NEW[:, :2], LABELS[:12])
    with pytest.raises(ValueError, match="task must have one label per row"):
        model.adapt(X_NEW, LABELS[:12], task=[1, 2])
    with pytest.raises(ValueError, match="inconsistent"):
        model.adapt(X_NEW, LABELS[:11])


def test_frames_text_and_missing_values_reach_the_estimator_inside():
    frame = pd.DataFrame(X, columns=list("xyz")).assign(kind=TASK)
    frame.loc[3, "x"] = np.nan
    inner = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["kind"]), remainder="passthrough"),
        HistGradientBoostingRegressor(max_iter=5),
    )
    model = PerTask(inner).fit(frame, Y, task=TASK)
    new = adapted(model, frame, Y, task=frame["kind"].astype("category"))
    assert new.predict(frame, task=frame["kind"]).shape == (60,)
    assert model.feature_names_in_.tolist() == ["x", "y", "z", "kind"]
    with pytest.raises(ValueError, match="feature names"):
        model.adapt(frame.rename(columns={"x": "w"}), Y)


@pytest.mark.parametrize("support", ["ignore", "append", "offset"])
def test_sparse_rows(support):
    sparse = scipy.sparse.csr_matrix(X)
    dense = Pooled(Ridge(), support=support).fit(X, Y, task=TASK)
    model = Pooled(Ridge(solver="lsqr", tol=1e-12), support=support)
    model.fit(sparse, Y, task=TASK).adapt(sparse[:9], Y[:9])
    np.testing.assert_allclose(
        model.predict(sparse), dense.adapt(X[:9], Y[:9]).predict(X), rtol=1e-6
    )


def test_per_task_takes_text_behind_a_vectoriser():
    words = np.array([["red", "green", "blue"][i % 3] for i in range(60)])
    rows = TfidfVectorizer().fit_transform(words)
    model = PerTask(LogisticRegression(), shared_classes=False)
    model.fit(rows, words, task=TASK)
    assert model.score(rows, words, task=TASK, shots=2) == 1.0


def test_parameters():
    model = PerTask(Ridge(alpha=2.0))
    assert model.get_params()["estimator__alpha"] == 2.0
    assert clone(model).set_params(estimator__alpha=3.0).estimator.alpha == 3.0
    assert is_regressor(Pooled(Ridge()))
    assert is_classifier(PerTask(make_pipeline(StandardScaler(), LinearSVC())))
    with pytest.raises(ValueError, match="'support' parameter"):
        Pooled(Ridge(), support="add").fit(X, Y)
    with pytest.raises(ValueError, match="'estimator' parameter"):
        PerTask("ridge").fit(X, Y)
