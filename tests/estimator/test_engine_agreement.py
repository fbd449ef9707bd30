"""Every engine and chunk size trains the same estimator."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from torch import nn

import sklmeta
from sklmeta.datasets import make_sinusoids

# Adam divides a gradient by its size: what is zero but for rounding, as the bias before
# a softmax, would take steps of full length in a random direction.
SMALL = {
    "hidden_layer_sizes": (8, 8),
    "max_iter": 20,
    "optimizer_params": {"eps": 1e-3},
    "random_state": 0,
}
GRADIENT_BASED = {
    "regression": sklmeta.MAMLRegressor(inner_steps=2, **SMALL),
    "shared": sklmeta.MAMLClassifier(inner_steps=2, **SMALL),
    "own": sklmeta.MAMLClassifier(inner_steps=2, n_way=3, n_shots=3, **SMALL),
    "own_from_one_vector": sklmeta.MAMLClassifier(
        inner_steps=2, n_way=3, n_shots=3, head_init="shared", **SMALL
    ),
    "first_order": sklmeta.MAMLRegressor(inner_steps=2, first_order=True, **SMALL),
}
OTHERS = {
    "protonet": sklmeta.ProtoNetClassifier(n_way=3, n_shots=3, **SMALL),
    "bayesian_linear": sklmeta.BayesianLinearRegressor(**SMALL),
    "transformer": sklmeta.TransformerNeuralProcessRegressor(
        d_model=8, n_layers=1, n_heads=2, **{**SMALL, "max_iter": 5}
    ),
}
EVERY = {**GRADIENT_BASED, **OTHERS}
DATA = {
    "shared": "shared_tasks",
    "own": "own_tasks",
    "own_from_one_vector": "own_tasks",
    "protonet": "own_tasks",
}


@pytest.fixture
def train(request):
    """Fit an instance of the table in float32, where rounding is largest."""
    fitted = {}

    def fit(name, **params):
        key = (name, *params.items())
        if key not in fitted:
            data = request.getfixturevalue(DATA.get(name, "regression_tasks"))
            X, y, task = data
            estimator = clone(EVERY[name]).set_params(**params)
            fitted[key] = estimator.fit(X.astype(np.float32), y, task=task)
        return fitted[key]

    return fit


def assert_same_weights(actual, expected):
    actual, expected = actual._fitted.weights, expected._fitted.weights
    assert actual.keys() == expected.keys()
    for name, value in actual.items():
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore:max_iter=0 asks for no meta-update")
@pytest.mark.parametrize("name", GRADIENT_BASED)
def test_engines_train_the_same_weights(name, train):
    expected = train(name, engine="loop")
    start = train(name, engine="loop", max_iter=0)._fitted.weights
    moved = [np.abs(expected._fitted.weights[k] - v).max() for k, v in start.items()]
    assert max(moved) > 1e-2
    for engine in ("auto", "adjoint", "batched", "vmap"):
        estimator = train(name, engine=engine)
        assert estimator.engine_ == {"auto": "adjoint"}.get(engine, engine)
        assert_same_weights(estimator, expected)


@pytest.mark.parametrize("chunk_size", [1, 3, "auto"])
@pytest.mark.parametrize("name", EVERY)
def test_chunks_train_the_same_weights(name, chunk_size, train):
    whole = train(name, chunk_size=16)
    assert_same_weights(train(name, chunk_size=chunk_size), whole)


@pytest.mark.parametrize("engine", ["adjoint", "batched", "vmap", "loop"])
def test_the_same_fit_twice(engine, regression_tasks):
    X, y, task = regression_tasks
    estimator = clone(GRADIENT_BASED["regression"]).set_params(engine=engine)
    one, two = (clone(estimator).fit(X, y, task=task) for _ in range(2))
    for name, value in one._fitted.weights.items():
        np.testing.assert_array_equal(value, two._fitted.weights[name])
    bulk = [model.adapt(X, y, task=task).predict(X, task=task) for model in (one, two)]
    np.testing.assert_array_equal(*bulk)


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (sklmeta.MAMLRegressor(), "adjoint"),
        (sklmeta.MAMLRegressor(module=nn.Sequential(nn.LayerNorm(1))), "batched"),
        (sklmeta.BayesianLinearRegressor(), "once"),
        (sklmeta.BayesianLinearRegressor(hidden_layer_sizes=()), "once"),
        (
            sklmeta.BayesianLinearRegressor(
                module=nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4))
            ),
            "loop",
        ),
    ],
    ids=["maml", "layer_norm", "bayesian_linear", "no_encoder", "batch_norm"],
)
def test_the_engine_in_use_is_told(estimator, expected):
    X, y, task = make_sinusoids(10, n_rows=8, random_state=0)
    estimator.set_params(max_iter=1, random_state=0).fit(X, y, task=task)
    assert estimator.engine_ == expected
