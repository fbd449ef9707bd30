"""Tests of the generators of synthetic tasks: their laws, against slow references."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from sklmeta.datasets import (
    make_classification_tasks,
    make_linear_tasks,
    make_pharmacokinetics,
    make_sensor_arrays,
    make_sinusoids,
    pharmacokinetic_curve,
)

GENERATORS = [
    make_sinusoids,
    make_linear_tasks,
    make_pharmacokinetics,
    make_sensor_arrays,
    make_classification_tasks,
]


def assert_within(values, low, high):
    assert values.min() >= low
    assert values.max() <= high


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("n_rows", [12, (6, 15)])
def test_shapes_and_sizes(make, n_rows):
    X, y, task, params = make(300, n_rows=n_rows, return_params=True, random_state=0)
    assert X.dtype == np.float64
    assert X.ndim == 2
    assert y.shape == task.shape == (len(X),)
    assert np.isfinite(X).all()
    assert (np.diff(task) >= 0).all()
    labels, sizes = np.unique(task, return_counts=True)
    np.testing.assert_array_equal(labels, np.arange(300))
    expected = {12} if n_rows == 12 else set(range(6, 16))
    assert set(sizes.tolist()) == expected
    assert isinstance(params, dict)


@pytest.mark.parametrize("make", GENERATORS)
def test_random_state(make):
    one, two = make(5, random_state=3), make(5, random_state=3)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one[0], make(5, random_state=4)[0])
    shared = np.random.RandomState(3)
    first, second = make(5, random_state=shared)[0], make(5, random_state=shared)[0]
    np.testing.assert_array_equal(first, one[0])
    assert not np.array_equal(first, second)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    make(5, random_state=0)
    after = np.random.get_state()[1]  # noqa: NPY002
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"n_tasks": 0}, "n_tasks must be at least 1"),
        ({"n_tasks": 2.5}, "n_tasks must be an int"),
        ({"n_tasks": True}, "n_tasks must be an int"),
        ({"n_tasks": 2, "n_rows": 0}, "n_rows must be at least"),
        ({"n_tasks": 2, "n_rows": (9, 7)}, "n_rows must have low <= high"),
        ({"n_tasks": 2, "n_rows": (9, 9, 9)}, "n_rows must be an int or an inclusive"),
        ({"n_tasks": 2, "n_rows": (0, 9)}, r"n_rows\[0\] must be at least"),
    ],
)
def test_bad_sizes(make, kwargs, match):
    with pytest.raises(ValueError, match=match):
        make(**kwargs)


@pytest.mark.parametrize(
    ("make", "kwargs", "match"),
    [
        (make_sinusoids, {"noise": -1}, "noise must be finite and at least 0"),
        (make_sinusoids, {"noise": "a"}, "noise must be a number"),
        (make_sinusoids, {"x_range": (1, 0)}, "x_range must be finite with low"),
        (make_sinusoids, {"x_range": 3}, "x_range must be a pair"),
        (make_linear_tasks, {"coef_mean": [1, 2]}, "coef_mean must be a number or"),
        (make_linear_tasks, {"coef_cov": [[1, 2]]}, "coef_cov must be a variance"),
        (make_linear_tasks, {"coef_cov": -1.0}, "coef_cov must have no negative"),
        (make_pharmacokinetics, {"duration": 0}, "duration must be greater than 0"),
        (make_pharmacokinetics, {"noise": np.nan}, "noise must be finite"),
        (make_sensor_arrays, {"n_gases": 7}, "n_gases must be at most 6"),
        (make_sensor_arrays, {"n_gases": 1}, "n_gases must be at least 2"),
        (make_classification_tasks, {"n_way": 1}, "n_way must be at least 2"),
        (make_classification_tasks, {"n_rows": 4}, "n_rows must be at least 5"),
        (make_classification_tasks, {"n_informative": 99}, "n_informative must be at"),
    ],
)
def test_bad_parameters(make, kwargs, match):
    with pytest.raises(ValueError, match=match):
        make(3, **kwargs)


def test_sinusoids_follow_finn():
    X, y, task, params = make_sinusoids(
        5000, n_rows=(2, 9), return_params=True, random_state=0
    )
    for t in range(50):
        rows = task == t
        curve = params["amplitude"][t] * np.sin(X[rows, 0] - params["phase"][t])
        np.testing.assert_allclose(y[rows], curve, rtol=1e-12)
    for values, low, high in [
        (params["amplitude"], 0.1, 5.0),
        (params["phase"], 0.0, np.pi),
        (X[:, 0], -5.0, 5.0),
    ]:
        assert_within(values, low, high)
        deciles = np.quantile(values, np.arange(1, 10) / 10)
        uniform = low + (high - low) * np.arange(1, 10) / 10
        np.testing.assert_allclose(deciles, uniform, atol=0.03 * (high - low))
    noisy = make_sinusoids(5000, n_rows=(2, 9), noise=0.3, random_state=0)[1]
    assert np.std(noisy - y) == pytest.approx(0.3, rel=0.02)


def test_linear_tasks_are_a_mixed_model():
    mean, cov = np.array([1.0, -2.0]), np.array([[1.0, 0.6], [0.6, 0.5]])
    X, y, task, params = make_linear_tasks(
        20_000,
        n_rows=3,
        n_features=2,
        coef_mean=mean,
        coef_cov=cov,
        intercept_mean=3.0,
        intercept_std=0.7,
        noise=0.2,
        return_params=True,
        random_state=0,
    )
    residual = y - (X * params["coef"][task]).sum(1) - params["intercept"][task]
    assert residual.std() == pytest.approx(0.2, rel=0.02)
    np.testing.assert_allclose(params["coef"].mean(0), mean, atol=0.03)
    np.testing.assert_allclose(np.cov(params["coef"].T), cov, atol=0.03)
    assert params["intercept"].mean() == pytest.approx(3.0, abs=0.02)
    assert params["intercept"].std() == pytest.approx(0.7, rel=0.02)
    np.testing.assert_allclose(np.cov(X.T), np.eye(2), atol=0.03)


def test_linear_tasks_with_singular_covariance():
    cov = np.ones((3, 3))
    *_, params = make_linear_tasks(
        10, n_features=3, coef_cov=cov, return_params=True, random_state=0
    )
    difference = params["coef"] - params["coef"][:, :1]
    np.testing.assert_allclose(difference, 0, atol=1e-7)


def test_pharmacokinetic_curve_solves_its_differential_equation():
    ka, cl, v, dose = 1.2, 0.05, 0.4, 4.0
    t = np.linspace(0.0, 24.0, 20_001)
    c = pharmacokinetic_curve(t, dose, ka, cl, v)
    assert c[0] == 0
    # dC/dt = input rate / volume - elimination rate * C
    derivative = np.gradient(c, t, edge_order=2)
    right = dose * ka * np.exp(-ka * t) / v - cl / v * c
    np.testing.assert_allclose(derivative, right, atol=1e-4)


def test_pharmacokinetic_curve_where_the_rates_meet():
    t = np.array([0.0, 1.0, 10.0])
    limit = 4.0 * 0.3 / 0.5 * t * np.exp(-0.3 * t)
    exact = pharmacokinetic_curve(t, 4.0, 0.3, 0.15, 0.5)
    np.testing.assert_allclose(exact, limit, rtol=1e-12)
    near = pharmacokinetic_curve(t, 4.0, 0.3 * (1 + 1e-9), 0.15, 0.5)
    np.testing.assert_allclose(near, limit, rtol=1e-7)
    # absorption slower than elimination (flip-flop) and far apart: no overflow
    assert np.isfinite(pharmacokinetic_curve(1e4, 4.0, 1e-3, 5.0, 0.1))


def test_pharmacokinetics_follow_their_law():
    X, y, task, params = make_pharmacokinetics(
        4000, n_rows=(3, 12), return_params=True, random_state=0
    )
    for name, median, std in [
        ("absorption", 1.5, 0.6),
        ("clearance", 0.04, 0.3),
        ("volume", 0.45, 0.2),
    ]:
        logs = np.log(params[name] / median)
        assert logs.mean() == pytest.approx(0.0, abs=4 * std / np.sqrt(4000))
        assert logs.std() == pytest.approx(std, rel=0.05)
    np.testing.assert_array_equal(X[:, 1], params["dose"][task])
    assert_within(X[:, 1], 3, 6)
    assert_within(X[:, 0], 1e-9, 24)
    assert (np.diff(X[:, 0])[np.diff(task) == 0] > 0).all()
    kinetics = [params[k][task] for k in ("absorption", "clearance", "volume")]
    noise = np.log(y / pharmacokinetic_curve(X[:, 0], X[:, 1], *kinetics))
    assert noise.mean() == pytest.approx(0.0, abs=0.005)
    assert noise.std() == pytest.approx(0.1, rel=0.03)


def test_pharmacokinetic_schedule():
    X, _, task = make_pharmacokinetics(200, n_rows=(3, 12), random_state=0)
    for t in range(20):
        hours = X[task == t, 0]
        index = np.arange(1, len(hours) + 1)
        jitter = index - len(hours) * np.sqrt(hours / 24)
        assert_within(jitter, -1e-9, 1 / 3)


def test_sensor_arrays_follow_their_law():
    X, y, task, params = make_sensor_arrays(
        500, n_rows=(5, 40), return_params=True, random_state=0
    )
    gas = np.searchsorted(params["gas_names"], y)
    np.testing.assert_array_equal(params["gas_names"][gas], y)
    expected = np.empty_like(X)
    for i in range(2000):
        d, g, c = task[i], gas[i], params["log_concentration"][i]
        response = params["baseline"][g] + params["slope"][g] * c
        expected[i] = response @ params["mixing"][d] + params["offset"][d]
    noise = (X - expected)[:2000]
    assert noise.std() == pytest.approx(0.08, rel=0.03)
    assert noise.mean() == pytest.approx(0.0, abs=0.004)
    cross_talk = (params["mixing"] - np.eye(8)) / 0.35
    assert cross_talk.std() == pytest.approx(1.0, rel=0.02)
    assert params["offset"].std() == pytest.approx(0.3, rel=0.05)
    assert_within(params["slope"], 0.3, 0.9)
    assert_within(params["log_concentration"], -1.5, 1.5)
    counts = np.unique(y, return_counts=True)[1]
    np.testing.assert_allclose(counts / len(y), 1 / 6, atol=0.02)


def nearest_prototype_accuracy(Z, y, task, n_shots):
    """Few-shot accuracy of nearest class means, task by task."""
    hits = []
    for t in np.unique(task):
        rows = np.flatnonzero(task == t)
        classes = np.unique(y[rows])
        support = [rows[y[rows] == c][:n_shots] for c in classes]
        query = np.setdiff1d(rows, np.concatenate(support))
        means = np.stack([Z[s].mean(0) for s in support])
        distance = ((Z[query, None] - means) ** 2).sum(2)
        hits.append((classes[distance.argmin(1)] == y[query]).mean())
    return np.mean(hits)


@pytest.mark.parametrize("shared_labels", [False, True])
def test_classification_tasks_follow_their_law(shared_labels):
    X, y, task, params = make_classification_tasks(
        400,
        n_rows=(23, 50),
        n_way=(2, 5),
        shared_labels=shared_labels,
        return_params=True,
        random_state=0,
    )
    basis = params["basis"]
    np.testing.assert_allclose(basis @ basis.T, np.eye(4), atol=1e-12)
    index = y - params["first_label"][task]
    Z = X @ basis.T
    inner = Z - params["prototypes"][task, index]
    np.testing.assert_allclose(np.cov(inner.T), np.eye(4), atol=0.05)
    nuisance = X - Z @ basis
    assert (nuisance**2).sum(1).mean() == pytest.approx(16 * 9, rel=0.03)
    assert params["prototypes"].std() == pytest.approx(2.0, rel=0.15)
    for t in range(50):
        labels, counts = np.unique(y[task == t], return_counts=True)
        first = params["first_label"][t]
        expected = np.arange(first, first + params["n_classes"][t])
        np.testing.assert_array_equal(labels, expected)
        assert np.ptp(counts) <= 1
    owners = len(np.unique(np.c_[task, y], axis=0))
    assert len(np.unique(y)) == (5 if shared_labels else owners)
    if not shared_labels:
        assert owners == params["n_classes"].sum()


def test_classification_tasks_reward_the_shared_subspace():
    X, y, task, params = make_classification_tasks(
        100, return_params=True, random_state=0
    )
    raw = nearest_prototype_accuracy(X, y, task, n_shots=1)
    known = nearest_prototype_accuracy(X @ params["basis"].T, y, task, n_shots=1)
    assert raw < 0.35
    assert known > raw + 0.3


def test_shared_labels_carry_over_between_tasks():
    _, _, _, params = make_classification_tasks(
        2000, shared_labels=True, return_params=True, random_state=0
    )
    own = params["prototypes"] - params["prototypes"].mean(0)
    assert own.std() == pytest.approx(2 / np.sqrt(2), rel=0.03)


def count_calls(function, *args, **kwargs):
    """Number of Python and C calls that a call makes."""
    calls = 0

    def profile(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        function(*args, **kwargs)
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("n_rows", [8, (6, 12)])
def test_no_loop_over_tasks(make, n_rows):
    few = count_calls(make, 10, n_rows=n_rows, random_state=0)
    many = count_calls(make, 1000, n_rows=n_rows, random_state=0)
    assert abs(many - few) < 20


def load_ceiling():
    path = Path(__file__).parents[2] / "examples" / "_ceiling.py"
    spec = importlib.util.spec_from_file_location("_ceiling", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def split_patients(n_tasks, k, noise=0.1):
    """Rectangles of k random support samples and the rest, of each patient."""
    X, y, _ = make_pharmacokinetics(n_tasks, noise=noise, random_state=0)
    X, y = X.reshape(n_tasks, 12, 2), y.reshape(n_tasks, 12)
    order = np.random.default_rng(0).random(y.shape).argsort(1)
    X = np.take_along_axis(X, order[..., None], axis=1)
    y = np.take_along_axis(y, order, axis=1)
    return X[:, :k], y[:, :k], X[:, k:], y[:, k:]


def test_ceiling_is_the_maximum_a_posteriori():
    from scipy.optimize import minimize

    module = load_ceiling()
    X_support, y_support, X_query, _ = split_patients(8, 3)
    predicted = module.map_pharmacokinetics(X_support, y_support, X_query)

    def negative_log_posterior(z, X, y):
        curve = pharmacokinetic_curve(*X.T, *(np.array([1.5, 0.04, 0.45]) * np.exp(z)))
        misfit = np.log(y / curve) / 0.1
        return (misfit**2).sum() + ((z / [0.6, 0.3, 0.2]) ** 2).sum()

    for t in range(8):
        best = minimize(
            negative_log_posterior,
            np.zeros(3),
            args=(X_support[t], y_support[t]),
            method="Nelder-Mead",
            options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 5000},
        )
        z = np.array([1.5, 0.04, 0.45]) * np.exp(best.x)
        reference = pharmacokinetic_curve(*X_query[t].T, *z)
        np.testing.assert_allclose(predicted[t], reference, rtol=1e-4)


@pytest.mark.parametrize(("k", "expected"), [(2, 0.38), (3, 0.33), (5, 0.28)])
def test_ceiling_level(k, expected):
    module = load_ceiling()
    X_support, y_support, X_query, y_query = split_patients(1000, k)
    error = module.map_pharmacokinetics(X_support, y_support, X_query) - y_query
    y_all = np.concatenate([y_support, y_query], axis=1)
    assert np.sqrt((error**2).mean()) / y_all.std() == pytest.approx(expected, abs=0.03)
