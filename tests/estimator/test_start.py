"""What starts from the mixed model predicts as it does, and lets training go on."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pytest

from sklmeta import (
    BayesianLinearRegressor,
    DeepKernelRegressor,
    MixedModelRegressor,
    NeuralProcessRegressor,
    RidgeHeadRegressor,
    TransformerNeuralProcessRegressor,
    adapted,
)
from sklmeta.datasets import make_linear_tasks
from sklmeta.mixed_models.start import mixed_start

EXACTLY = (TransformerNeuralProcessRegressor, NeuralProcessRegressor)
NEARLY = (BayesianLinearRegressor, DeepKernelRegressor, RidgeHeadRegressor)
STARTED = (*EXACTLY, *NEARLY)

by_name = {"ids": lambda kind: kind.__name__}


@pytest.fixture(scope="module")
def data():
    """Tasks that differ in level and slopes, far from standard units."""
    X, y, task = make_linear_tasks(40, n_rows=15, n_features=3, random_state=0)
    return 5 * X + 20, 10 * y + 100, task


def untrained(kind, **params):
    return kind(**{"max_iter": 0, "random_state": 0, **params})


@pytest.mark.parametrize("kind", STARTED, **by_name)
def test_before_the_first_update_it_is_the_mixed_model(kind, data):
    X, y, task = data
    old, unit = task < 30, np.std(y)
    mixed = MixedModelRegressor(tol=1e-8).fit(X[old], y[old], task=task[old])
    est = untrained(kind).fit(X[old], y[old], task=task[old])
    # What the encoder's features may explain is little. A ridge has one penalty for
    # each feature, and so no correlations of the slopes.
    worst = 1e-5 if kind in EXACTLY else 0.1
    for n_rows in (0, 2, 6):
        for label in (30, 35):
            own = np.flatnonzero(task == label)
            few, new = own[:n_rows], own[n_rows:]
            models = [mixed, est]
            if n_rows:
                models = [adapted(model, X[few], y[few]) for model in models]
            expected, found = (model.predict(X[new]) for model in models)
            assert np.abs(found - expected).max() < worst * unit
            if kind is RidgeHeadRegressor:
                continue
            expected, found = (m.predict(X[new], return_std=True)[1] for m in models)
            # The mixed model also counts that its fixed effects are estimates; a deep
            # kernel has a part of its own beside it.
            rtol = 0.3 if kind is DeepKernelRegressor else 0.1
            np.testing.assert_allclose(found, expected, rtol=rtol)


@pytest.mark.parametrize("kind", STARTED, **by_name)
def test_one_update_of_no_size_changes_nothing(kind, data):
    X, y, task = data
    before = untrained(kind).fit(X, y, task=task)
    after = untrained(kind, max_iter=1, lr=1e-12, early_stopping=False)
    after.fit(X, y, task=task)
    np.testing.assert_allclose(after.predict(X), before.predict(X), rtol=1e-5)


@pytest.mark.parametrize("kind", STARTED, **by_name)
def test_training_goes_on_from_there(kind, data):
    X, y, task = data
    before = untrained(kind).fit(X, y, task=task)
    params = {"max_iter": 3, "lr": 1e-3, "early_stopping": False, "warm_start": True}
    after = untrained(kind, **params).fit(X, y, task=task)
    assert np.abs(after.predict(X) - before.predict(X)).max() > 1e-6
    again = after.fit(X, y, task=task)  # which starts from these weights instead
    assert again.n_iter_ == 6


# Without it ---------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:max_iter=0 asks for no meta-update")
@pytest.mark.parametrize("kind", STARTED, **by_name)
def test_none_asks_for_no_mixed_model(kind, data, monkeypatch):
    X, y, task = data

    def never(*args):
        raise AssertionError("a mixed model was fitted")

    monkeypatch.setattr("sklmeta.estimator.fitting.mixed_start", never)
    est = untrained(kind, start=None).fit(X, y, task=task)
    weights = est._fitted.weights
    assert not any(name.startswith(("skip.", "mixed.")) for name in weights)
    for name in ("prior_mean", "prior_head"):
        assert not np.any(weights.get(name, 0.0))


@pytest.mark.filterwarnings("ignore:.* was fitted to . tasks")
@pytest.mark.filterwarnings("ignore:task has a single label")
@pytest.mark.parametrize("kind", STARTED, **by_name)
@pytest.mark.parametrize("n_tasks", [1, 2])
def test_too_few_tasks_start_nothing(kind, n_tasks, data):
    X, y, task = (part[data[2] < n_tasks] for part in data)
    weights = untrained(kind).fit(X, y, task=task)._fitted.weights
    for name in ("prior_mean", "prior_head", "mixed.coef", "skip.mean"):
        assert not np.any(weights.get(name, 0.0))


@pytest.mark.filterwarnings("ignore:max_iter=0 asks for no meta-update")
@pytest.mark.parametrize("kind", STARTED, **by_name)
def test_files_from_before_there_was_a_start_are_read(kind, data):
    X, y, task = data
    est = untrained(kind, start=None).fit(X, y, task=task)
    state = est.__getstate__()
    del state["start"]
    old = kind.__new__(kind)
    old.__setstate__(state)
    assert old.start is None
    np.testing.assert_array_equal(old.predict(X), est.predict(X))


# Leaks and decay ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", STARTED, **by_name)
def test_tasks_held_out_for_early_stopping_do_not_reach_it(kind, data, monkeypatch):
    X, y, task = make_linear_tasks(30, n_rows=8, n_features=3, random_state=0)
    seen = []

    def watched(X, y, codes, *others):
        seen.append(np.unique(codes))
        return mixed_start(X, y, codes, *others)

    monkeypatch.setattr("sklmeta.estimator.fitting.mixed_start", watched)

    def fit(y):
        # Not standardised: scales are those of all rows.
        params = {"early_stopping": True, "standardize": False, "max_iter": 1}
        return untrained(kind, lr=1e-12, **params).fit(X, y, task=task)

    honest = fit(y)
    held = ~np.isin(task, seen[0])
    assert len(np.unique(task[held])) == 3
    spoiled = fit(np.where(held, 1000 - 50 * y, y))
    for name, value in honest._fitted.weights.items():
        np.testing.assert_array_equal(spoiled._fitted.weights[name], value)


@pytest.mark.parametrize("kind", STARTED, **by_name)
def test_weight_decay_acts_on_the_networks_weights_alone(kind, data):
    X, y, task = data
    before = untrained(kind).fit(X, y, task=task)
    # AdamW: weights shrink by lr * weight_decay, and steps are of the size of lr.
    params = {"lr": 1e-9, "weight_decay": 1e8, "lr_schedule": "constant"}
    after = untrained(kind, max_iter=1, early_stopping=False, **params)
    after.fit(X, y, task=task)
    network = "encoder." if kind in NEARLY else ""
    others = ("skip.", "level", "log_level_strength")
    for name, value in before._fitted.weights.items():
        decays = name.startswith(network) and not name.startswith(others)
        expected = value * (0.9 if decays else 1.0)
        np.testing.assert_allclose(
            after._fitted.weights[name], expected, rtol=1e-5, atol=1e-7, err_msg=name
        )
