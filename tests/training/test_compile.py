"""compile=True changes the speed and nothing else."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import functools
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import sklmeta
from sklmeta.datasets import make_sensor_arrays, make_sinusoids
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.engine import EngineWarning
from sklmeta.training.compile import Compiler

STABILISED = {
    "multi_step_loss": 0.5,
    "learn_inner_lr": True,
    "derivative_order_annealing": 0.7,
}
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 6, "random_state": 0}


class Normalised(nn.Module):
    """No stack that a faster path knows."""

    def __init__(self, n_features_in):
        super().__init__()
        self.linear = nn.Linear(n_features_in, 8)

    def forward(self, X):
        hidden = self.linear(X)
        return hidden.tanh() + nn.functional.normalize(hidden, dim=1)


@pytest.fixture
def quick_compiler(monkeypatch):
    """Trace, but do not generate code, which takes half a minute."""
    plain = functools.partial(torch.compile, backend="eager")
    monkeypatch.setattr(torch, "compile", lambda f, mode=None, **kw: plain(f, **kw))
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def fit_both(estimator, data):
    fitted = []
    for compiled in (False, True):
        model = type(estimator)(**{**estimator.get_params(), "compile": compiled})
        fitted.append(model.fit(data[0], data[1], task=data[2]))
    return fitted


def assert_same_weights(models, tolerance=1e-5):
    plain, compiled = (model._fitted.weights for model in models)
    for name, value in plain.items():
        np.testing.assert_allclose(compiled[name], value, rtol=0, atol=tolerance)


SINUSOIDS = make_sinusoids(30, n_rows=20, random_state=0)
SENSORS = make_sensor_arrays(12, n_rows=20, random_state=0)


@pytest.mark.parametrize(
    ("estimator", "data"),
    [
        (sklmeta.MAMLRegressor(inner_steps=2, n_shots=(3, 9), **SMALL), SINUSOIDS),
        (
            sklmeta.MAMLRegressor(first_order=True, activation="tanh", **SMALL),
            SINUSOIDS,
        ),
        (sklmeta.MAMLRegressor(module=Normalised, inner_steps=2, **SMALL), SINUSOIDS),
        (sklmeta.MAMLClassifier(inner_steps=2, **SMALL), SENSORS),
        (sklmeta.MAMLRegressor(inner_steps=2, **STABILISED, **SMALL), SINUSOIDS),
        (
            sklmeta.MAMLRegressor(
                module=Normalised, inner_steps=2, **STABILISED, **SMALL
            ),
            SINUSOIDS,
        ),
        (sklmeta.MetaSGDClassifier(n_way=3, n_shots=2, n_query=3, **SMALL), SENSORS),
        (
            sklmeta.MAMLClassifier(
                inner_steps=2, n_way=3, n_shots=(1, 3), n_query=3, **SMALL
            ),
            SENSORS,
        ),
        (sklmeta.ProtoNetClassifier(n_way=3, n_shots=2, n_query=3, **SMALL), SENSORS),
        (
            sklmeta.TransformerNeuralProcessRegressor(
                d_model=8, n_layers=1, n_heads=2, **SMALL
            ),
            SINUSOIDS,
        ),
    ],
    ids=[
        "ragged",
        "first_order",
        "module",
        "shared",
        "stabilised",
        "stabilised_module",
        "meta_sgd",
        "own",
        "protonet",
        "transformer",
    ],
)
def test_weights_do_not_depend_on_it(estimator, data, quick_compiler):
    models = fit_both(estimator, data)
    assert_same_weights(models)
    assert models[1].compile_time_ > 0
    assert not hasattr(models[0], "compile_time_")


GENERATED = """
import numpy as np
from sklmeta import MAMLRegressor
from sklmeta.datasets import make_sinusoids

X, y, task = make_sinusoids(30, n_rows=20, random_state=0)
models = [
    MAMLRegressor(
        inner_steps=1,
        hidden_layer_sizes=(8,),
        max_iter=6,
        random_state=0,
        compile=compiled,
    ).fit(X, y, task=task)
    for compiled in (False, True)
]
plain, compiled = (model._fitted.weights for model in models)
for name, value in plain.items():
    np.testing.assert_allclose(compiled[name], value, rtol=0, atol=1e-5)
assert models[1].engine_ == "adjoint"
assert models[1].compile_time_ > 0
"""


@pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++", "cl"))), reason="needs a C++ compiler"
)
def test_with_generated_code():
    # In a process of its own: the compiler imports setuptools, which asserts that it
    # comes before distutils, and a test runner's process may have imported that.
    found = subprocess.run(
        [sys.executable, "-c", GENERATED], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(
    "estimator",
    [
        sklmeta.MAMLRegressor(
            module=nn.Sequential(nn.Linear(1, 8), nn.BatchNorm1d(8)), **SMALL
        ),
        sklmeta.MAMLRegressor(engine="loop", **SMALL),
    ],
    ids=["batch_statistics", "loop"],
)
@pytest.mark.filterwarnings("ignore:module Sequential runs task by task")
def test_what_runs_task_by_task_says_that_it_is_not_compiled(estimator):
    estimator.set_params(compile=True)
    with pytest.warns(EngineWarning, match="compile=True has no effect"):
        estimator.fit(SINUSOIDS[0], SINUSOIDS[1], task=SINUSOIDS[2])
    assert estimator.compile_time_ == 0


def test_what_the_compiler_refuses_runs_as_it_is():
    compiler = Compiler()

    def branches_on_the_data(X):
        return X if X.sum() > 0 else -X

    X = torch.ones(3)
    with pytest.warns(EngineWarning, match="no effect.*Data-dependent branching"):
        assert compiler("f", branches_on_the_data, 0, X) is X
    assert compiler("f", branches_on_the_data, 0, X) is X  # and does not warn again


def episodes_of(n_support, n_query):
    def rows(n):
        return Rows(torch.ones(2, n, 3), torch.ones(2, n), torch.ones(2, n))

    return Episodes(rows(n_support), rows(n_query))


def test_sizes_are_padded_to_few():
    compiler = Compiler()
    widths = {
        compiler.pad(episodes_of(n, 15)).support.X.shape[1]
        for n in (17, 5, 20, 9, 12, 14, 18, 6, 7, 8, 10, 11, 13, 15, 16, 19)
    }
    assert len(widths) <= 5
    assert 17 in widths  # the first is exact
    padded = compiler.pad(episodes_of(5, 15))
    assert padded.query.X.shape[1] == 15
    assert padded.support.mask.sum() == 2 * 5
    assert padded.support.X[:, 5:].abs().sum() == 0
