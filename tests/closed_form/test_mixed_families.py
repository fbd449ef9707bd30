"""Mixed models of classes, counts and amounts, as their users see them."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from sklmeta import MixedModelClassifier, MixedModelRegressor, adapted
from sklmeta.mixed_models.generalised import PRIOR_SCALE

FAMILIES = ("poisson", "negative_binomial", "gamma")


def draw(family, n_tasks=60, n_rows=12, seed=0):
    """Tasks whose intercepts and slopes differ."""
    rng = np.random.default_rng(seed)
    task = np.repeat(np.arange(n_tasks), n_rows)
    X = rng.normal([5, 100], [1, 20], size=(len(task), 2))
    Z = np.c_[np.ones(len(task)), (X - [5, 100]) / [1, 20]]
    coef = [0.5, 0.4, -0.3] + rng.normal(size=(n_tasks, 3)) * [0.6, 0.3, 0.1]
    mean = np.exp((Z * coef[task]).sum(axis=1))
    if family == "classes":
        return (
            X,
            np.where(rng.random(len(task)) < mean / (1 + mean), "ill", "well"),
            task,
        )
    if family == "gamma":
        return X, rng.gamma(3, mean / 3), task
    spread = rng.gamma(3, 1 / 3, len(task)) if family == "negative_binomial" else 1
    return X, rng.poisson(mean * spread), task


@pytest.fixture(scope="module", params=FAMILIES)
def of_numbers(request):
    X, y, task = draw(request.param, n_tasks=120)
    old = task < 60
    model = MixedModelRegressor(family=request.param)
    return model.fit(X[old], y[old], task=task[old]), (X, y, task)


def real(name):
    folder = os.environ.get("SKLMETA_DATA")
    path = Path(folder or "", "mixed_models", f"{name}.csv")
    if not folder or not path.exists():
        pytest.skip(f"SKLMETA_DATA has no mixed_models/{name}.csv")
    return pd.read_csv(path)


# Numbers ------------------------------------------------------------------------------


def test_adapting_helps(of_numbers):
    model, (X, y, task) = of_numbers
    new = task >= 60
    query = new & (np.arange(len(task)) % 12 >= 6)
    support = new & ~query
    before = np.abs(model.predict(X[query]) - y[query]).mean()
    other = adapted(model, X[support], y[support], task=task[support])
    mean, std = other.predict(X[query], task=task[query], return_std=True)
    assert np.abs(mean - y[query]).mean() < 0.97 * before
    assert 0.9 < (np.abs(mean - y[query]) < 2 * std).mean() < 0.99
    _, unsure = model.predict(X[query], return_std=True)
    assert std.mean() < unsure.mean()


def test_what_is_read_is_in_the_units_of_the_user(of_numbers):
    model, (X, y, task) = of_numbers
    old = task < 60
    scale, shift = np.array([1e3, 1e-3]), np.array([7.0, -2.0])
    again = MixedModelRegressor(family=model.family)
    again.fit(X[old] * scale + shift, y[old], task=task[old])
    assert_allclose(again.coef_ * scale, model.coef_, rtol=1e-3)
    assert_allclose(again.coef_std_errors_ * scale, model.coef_std_errors_, rtol=1e-3)
    assert_allclose(again.log_likelihood_, model.log_likelihood_, rtol=1e-6)
    # A task's own line is that of the fixed and the random effects.
    mine = task == 0
    line = model.intercept_ + X[mine] @ model.coef_
    effects = model.random_effects_.to_numpy()[0]
    line = line + effects[0] + X[mine] @ effects[1:]
    mean, std = adapted(model, X[mine], y[mine]).predict(X[mine], return_std=True)
    above = np.log(mean) - line  # half a variance, as the mean is log-normal
    assert (above > 0).all() and (above < 0.4).all()
    assert (std > 0).all()


def test_leave_one_out_is_near_adapting_anew(of_numbers):
    model, (X, y, task) = of_numbers
    X, y, task = X[:48], y[:48], task[:48]
    check_leave_one_out(model, X, y, task, "predict", 0.06)


def check_leave_one_out(model, X, y, task, method, rtol):
    new = adapted(model, X, y, task=task)
    table = new._support_table(X, y, task)
    found = new._leave_one_out(table, new._adaptation.model)
    for i in range(len(y)):
        others = (task == task[i]) & (np.arange(len(y)) != i)
        anew = adapted(model, X[others], y[others])
        assert_allclose(found[i], getattr(anew, method)(X[i : i + 1])[0], rtol=rtol)


def test_dispersion_is_recovered(of_numbers):
    model, _ = of_numbers
    if model.family == "poisson":
        assert not hasattr(model, "dispersion_")
    else:
        assert 2 < model.dispersion_ < 4.5
        assert model.summary().loc[("noise", "dispersion"), "estimate"] > 0
    assert not hasattr(model, "noise_variance_")


def test_it_pickles_with_its_family(of_numbers):
    model, (X, y, task) = of_numbers
    model = adapted(model, X, y, task=task)
    loaded = pickle.loads(pickle.dumps(model))
    expected = model.predict(X, task=task, return_std=True)
    assert_allclose(loaded.predict(X, task=task, return_std=True), expected, rtol=0)
    assert_allclose(loaded.coef_, model.coef_, rtol=0)


@pytest.mark.parametrize(
    ("family", "bad"),
    [("poisson", -1.0), ("negative_binomial", 0.5), ("gamma", 0.0), ("gamma", -2.0)],
)
def test_targets_that_a_family_lacks_are_refused(family, bad):
    X, y, task = draw(family, n_tasks=5)
    wrong = np.r_[bad, y[1:]]
    with pytest.raises(ValueError, match=f"family='{family}'"):
        MixedModelRegressor(family=family).fit(X, wrong, task=task)
    model = MixedModelRegressor(family=family).fit(X, y, task=task)
    with pytest.raises(ValueError, match=f"family='{family}'"):
        model.adapt(X[:5], wrong[:5])


def test_own_noise_is_for_normal_targets():
    X, y, task = draw("poisson", n_tasks=5)
    with pytest.raises(ValueError, match="noise='per_task'"):
        MixedModelRegressor(family="poisson", noise="per_task").fit(X, y, task=task)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_table_is_a_regression(family):
    X, y, _ = draw(family, n_tasks=1, n_rows=200)
    model = MixedModelRegressor(family=family).fit(X, y)
    assert_allclose(model.coef_, [0.4, -0.015], atol=0.6)
    assert np.corrcoef(model.predict(X), y)[0, 1] > 0.3
    expected = model.predict(X)
    assert_allclose(model.adapt(X, y).predict(X), expected, rtol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_wild_numbers_give_finite_predictions(family):
    X, y, task = draw(family, n_tasks=6)
    y = y.astype(float)
    X[0], y[0] = [1e300, -1e300], 1e15 if family != "gamma" else 1e80
    model = MixedModelRegressor(family=family).fit(X, y, task=task)
    model.adapt([[1e300, 1e300], [-1e300, 0.0]], [1e15, 1])
    for values in model.predict([[1e308, 1e308], [0, 0]], return_std=True):
        assert np.isfinite(values).all()


def test_epilepsy_is_that_of_the_books():
    # Venables and Ripley, "Modern Applied Statistics with S", 10.4.
    df = real("epilepsy")
    treated = (df.treatment != "placebo").astype(float)
    base = np.log(df.base / 4)
    X = np.c_[base, treated, np.log(df.age), df.period == 4, base * treated]
    model = MixedModelRegressor(family="poisson", random_slopes="none")
    model.fit(X, df["seizure.rate"], task=df.subject)
    expected = [0.884, -0.932, 0.484, -0.161, 0.338]
    assert_allclose(model.coef_, expected, atol=0.003)
    assert_allclose(model.random_effects_covariance_, [[0.2515]], atol=0.002)
    assert_allclose(model.log_likelihood_, -665.36, atol=0.02)


# Classes ------------------------------------------------------------------------------


def test_one_table_is_a_weakly_regularised_logistic_regression(shared_tasks):
    X, y, _ = shared_tasks
    for classes in (["ill", "well"], ["ill", "unsure", "well"]):
        rows = np.isin(y, classes)
        Z = np.c_[StandardScaler().fit_transform(X[rows]), np.ones(rows.sum())]
        # The prior of a difference of two of several logits is that of the one of two.
        n = len(classes)
        penalty = 1 / PRIOR_SCALE**2 * (1 if n == 2 else 2)
        logistic = LogisticRegression(C=1 / penalty, fit_intercept=False, tol=1e-8)
        logistic.fit(Z, y[rows])
        model = MixedModelClassifier().fit(X[rows], y[rows])
        coef = model.coef_ * X[rows].std(axis=0)
        assert_allclose(coef, logistic.coef_[:, :-1], atol=2e-3)
        assert (model.predict(X[rows]) == logistic.predict(Z)).mean() > 0.99
        assert (model.coef_std_errors_ > 0).all()


def test_fewer_rows_make_it_less_sure():
    X, y, task = draw("classes")
    old = task < 50
    model = MixedModelClassifier().fit(X[old], y[old], task=task[old])
    new = np.flatnonzero(task == 55)
    few = adapted(model, np.repeat(X[new], 3, axis=0), np.repeat(y[new], 3))
    many = adapted(model, np.repeat(X[new], 30, axis=0), np.repeat(y[new], 30))
    entropies = [
        -(p * np.log(p)).sum(axis=1).mean()
        for p in (m.predict_proba(X[new]) for m in (model, few, many))
    ]
    assert entropies[0] > entropies[1] > entropies[2]


def test_adapting_to_a_single_class_moves_towards_it():
    X, y, task = draw("classes")
    model = MixedModelClassifier().fit(X, y, task=task)
    before = model.predict_proba(X[:20])[:, 0]
    model.adapt(X[:8], np.repeat("ill", 8))
    after = model.predict_proba(X[:20])[:, 0]
    assert (after > before).mean() > 0.9
    assert (after < 1).all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_separable_and_absent_classes_stay_finite(n_classes):
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(10), 10)
    X = rng.normal(size=(100, 2))
    y = np.digitize(X[:, 0], [0.0, 0.7][: n_classes - 1])
    y[task < 3] = 0  # and a task of one class
    model = MixedModelClassifier().fit(X, y, task=task)
    assert model.converged_
    assert (np.abs(model.coef_) < 50).all()
    X_new, y_new = 1e4 * X[:5], np.zeros(5, dtype=int)
    proba = model.adapt(X_new, y_new).predict_proba(1e300 * X)
    assert np.isfinite(proba).all()
    y[:] = task % 2  # tasks of a single class each
    model.fit(X, y, task=task)
    assert np.isfinite(model.random_effects_.to_numpy()).all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_leave_one_out_of_classes_is_near_adapting_anew(shared_tasks, n_classes):
    X, y, task = shared_tasks
    rows = np.isin(y, ["ill", "unsure", "well"][:n_classes])
    X, y, task = X[rows], y[rows], task[rows]
    model = MixedModelClassifier().fit(X, y, task=task)
    some = np.isin(task, np.unique(task)[:3])
    check_leave_one_out(model, X[some], y[some], task[some], "predict_proba", 0.15)


def test_several_classes_are_read_class_by_class(shared_tasks):
    X, y, task = shared_tasks
    model = MixedModelClassifier(random_slopes=[1]).fit(X, y, task=task)
    n_tasks, n_features = len(np.unique(task)), X.shape[1]
    assert model.coef_.shape == model.coef_std_errors_.shape == (3, n_features)
    assert_allclose(model.coef_.sum(axis=0), 0, atol=1e-12)
    assert model.random_effects_.shape == (3 * n_tasks, 2)
    assert model.random_effects_covariance_.shape == (2, 2)
    assert model.random_slopes_ == [1]
    assert_allclose(model.random_effects_.groupby("task").sum(), 0, atol=1e-9)
    terms = model.summary().loc["fixed"].index
    assert "ill: intercept" in terms and len(terms) == 3 * (n_features + 1)


def test_own_classes_are_told_who_takes_them(own_tasks):
    X, y, task = own_tasks
    y = [f"{t}: {label}" for t, label in zip(task, y, strict=True)]
    with pytest.raises(ValueError, match="ProtoNetClassifier"):
        MixedModelClassifier().fit(X, y, task=task)


def test_too_many_coefficients_are_refused():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(700, 20)), np.arange(700) % 60
    with pytest.raises(ValueError, match="60 classes with 21 columns"):
        MixedModelClassifier().fit(X, y, task=np.arange(700) // 350)


def test_contraception_is_that_of_lme4():
    # glmer(use ~ age + I(age^2) + urban + livch + (1 | district), binomial).
    df = real("contraception")
    children = [df.livch == label for label in ("1", "2", "3+")]
    X = np.column_stack([df.age, df.age**2, df.urban == "Y", *children]).astype(float)
    model = MixedModelClassifier(random_slopes="none")
    model.fit(X, df.use, task=df.district)
    expected = [0.00353, -0.00456, 0.6973, 0.815, 0.9165, 0.915]
    assert_allclose(model.coef_[0], expected, atol=3e-3)
    assert_allclose(model.random_effects_covariance_, [[0.2259]], atol=2e-3)
    assert_allclose(model.log_likelihood_, -1186.4, atol=0.1)
