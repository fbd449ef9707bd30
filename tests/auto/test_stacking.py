"""The weights of a blend: their gradient, and what they follow."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad

from sklmeta.auto._stacking import (
    Evidence,
    _blend_loss,
    equal_weights,
    fit_weights,
    relative,
)


def evidence(n_cases=40, n_rows=8, is_log_loss=False, seed=0):
    rng = np.random.default_rng(seed)
    case = np.repeat(np.arange(n_cases), n_rows)
    shots = rng.choice([0, 1, 3, 10], n_cases)
    if is_log_loss:
        predictions = rng.uniform(0.05, 0.95, (len(case), 3))
        y = np.ones(len(case))
    else:
        y = rng.normal(size=len(case))
        predictions = y[:, None] + rng.normal(size=(len(case), 3)) * [0.1, 1.0, 2.0]
    losses = rng.exponential(size=(n_cases, 3))
    losses[shots < 2] = np.nan
    return Evidence(predictions, y, case, shots, losses)


@pytest.mark.parametrize("is_log_loss", [False, True])
def test_gradient_of_the_blend(is_log_loss):
    given = evidence(n_cases=6, is_log_loss=is_log_loss)
    share = np.full(6, 1 / 6)
    weights = np.random.default_rng(1).dirichlet(np.ones(3), 6)

    def loss(flat):
        return _blend_loss(given, flat.reshape(6, 3), share, is_log_loss)

    error = check_grad(
        lambda w: loss(w)[0], lambda w: loss(w)[1].ravel(), weights.ravel()
    )
    assert error < 1e-5


def test_the_better_member_gets_the_weight():
    given = evidence(n_cases=300)
    model = fit_weights(given, False, 100)
    unknown = np.full((4, 3), np.nan)
    weights = model.weights(np.array([0, 1, 3, 10]), unknown)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert (weights[:, 0] > 0.8).all()


def test_weights_follow_the_number_of_rows():
    given = evidence(n_cases=400)
    many = given.shots[given.case] >= 3
    # The first is good with few rows, the second with many.
    noise = np.random.default_rng(2).normal(size=given.predictions.shape)
    scale = np.where(many[:, None], [2.0, 0.1, 2.0], [0.1, 2.0, 2.0])
    model = fit_weights(
        given._replace(predictions=given.y[:, None] + scale * noise), False, 100
    )
    weights = model.weights(np.array([0, 1, 3, 10]), np.full((4, 3), np.nan))
    assert (weights.argmax(axis=1) == [0, 0, 1, 1]).all()


def test_weights_follow_the_losses_on_the_support():
    rng = np.random.default_rng(0)
    n_cases = 400
    case = np.repeat(np.arange(n_cases), 5)
    y = rng.normal(size=len(case))
    scale = 10.0 ** rng.uniform(-1, 1, (n_cases, 2))  # of each member, by task
    predictions = y[:, None] + scale[case] * rng.normal(size=(len(case), 2))
    given = Evidence(predictions, y, case, np.full(n_cases, 5), scale**2)
    model = fit_weights(given, False, 100)
    weights = model.weights(np.array([5, 5]), np.array([[1.0, 0.01], [0.01, 1.0]]))
    assert weights[0, 1] > 0.9
    assert weights[1, 0] > 0.9


def test_advantages_are_relative_and_bounded():
    losses = np.array([[1.0, 1.0], [1.0, np.e**2], [np.nan, np.nan], [0.0, 1.0]])
    expected = [[0.0, 0.0], [1.0, -1.0], [0.0, 0.0], [3.0, -3.0]]
    np.testing.assert_allclose(relative(losses, False), expected, atol=1e-12)
    np.testing.assert_allclose(relative(losses, True)[3], [0.5, -0.5])


def test_equal_weights_are_equal():
    weights = equal_weights(4, False).weights(np.array([3]), np.full((1, 4), np.nan))
    np.testing.assert_allclose(weights, 0.25)
