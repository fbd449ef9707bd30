"""Several targets side by side: shapes, agreement with one by one, and refusals."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from descent_reference import assert_same, gradients_of, meta_loss_of
from descent_tasks import encoder_of, episodes_of
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_val_score
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklmeta import (
    BayesianLinearRegressor,
    MAMLRegressor,
    MixedModelRegressor,
    NeuralProcessRegressor,
    PerTask,
    Pooled,
    RidgeHeadRegressor,
    TransformerNeuralProcessRegressor,
    adapted,
)
from sklmeta.closed_form.bayesian_linear_learner import BayesianLinearLearner
from sklmeta.closed_form.ridge_head_learner import RidgeHeadLearner
from sklmeta.gradient_based.maml import MAMLLearner
from sklmeta.learners.learner import TaskSpec
from sklmeta.model_selection import (
    FewShotScorer,
    TaskKFold,
    few_shot_cross_validate,
)
from sklmeta.testing import random_rows

INNER_LR = 0.05
SMALL = {"d_model": 8, "n_layers": 1, "n_heads": 2, "max_iter": 4, "random_state": 0}
MODELS = [
    MAMLRegressor(max_iter=5, random_state=0),
    RidgeHeadRegressor(max_iter=5, random_state=0),
    BayesianLinearRegressor(max_iter=5, random_state=0),
    BayesianLinearRegressor(max_iter=5, start=None, random_state=0),
    NeuralProcessRegressor(**SMALL),
    NeuralProcessRegressor(**SMALL, start=None),
    TransformerNeuralProcessRegressor(**SMALL),
    PerTask(Ridge()),
    Pooled(Ridge(), support="offset", center=True),
]
WITH_STD = [
    model
    for model in MODELS
    if "return_std" in inspect.signature(model.predict).parameters
]


@pytest.fixture(scope="module")
def tables():
    """Ten linear tasks with two targets, which differ in level and spread."""
    rng = np.random.default_rng(0)
    task = np.repeat(np.arange(10), 12)
    X, slopes = rng.normal(size=(120, 2)), rng.normal(size=(10, 2, 2))
    Y = np.einsum("ij,ijk->ik", X, slopes[task]) + rng.normal(size=(120, 2)) / 9
    return X, Y * [1.0, 20.0] + [0.0, 300.0], task


@pytest.mark.parametrize("engine", ["adjoint", "batched", "loop"])
@pytest.mark.parametrize("first_order", [False, True])
def test_maml_value_and_meta_gradient(engine, first_order):
    torch.manual_seed(1)
    spec = TaskSpec("regression", (3,), 6, 0, n_targets=2)
    how = {"inner_lr": INNER_LR, "inner_steps": 3, "first_order": first_order}
    learner = MAMLLearner(spec, encoder_of("mlp"), **how, engine=engine).double()
    episodes = episodes_of("regression", n_targets=2)
    loss = learner.meta_loss(episodes)
    how = {"first_order": first_order}
    expected = meta_loss_of(learner, episodes, lambda name, k: INNER_LR, **how)
    assert_same([loss], [expected])
    assert_same(gradients_of(learner, loss), gradients_of(learner, expected))


@pytest.mark.parametrize("kind", [RidgeHeadLearner, BayesianLinearLearner])
@pytest.mark.parametrize("sizes", [(2, 3), (9, 6)])
def test_fixed_features_are_solved_as_one_by_one(kind, sizes):
    torch.manual_seed(0)
    spec = TaskSpec("regression", (3,), 0, 0)
    several = kind(spec._replace(n_targets=2), None).double()
    for parameter in several.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    support, query = (
        random_rows("regression", sizes, n_targets=2, random_state=i) for i in (0, 1)
    )
    together = several.predict(several.adapt(support), query.X)
    without = several.leave_one_out(several.adapt(support), support)
    for k in range(2):
        alone = kind(spec, None).double()
        own = dict(alone.named_parameters())
        for name, value in several.named_parameters():
            axis = 1 if name == "prior_head" else 0
            if value.shape != own[name].shape:
                value = value.select(axis, k).reshape(own[name].shape)
            own[name].data.copy_(value)
        mine = support._replace(y=support.y[..., k])
        state = alone.adapt(mine)
        torch.testing.assert_close(together[..., k::2], alone.predict(state, query.X))
        expected = alone.leave_one_out(state, mine)
        real = support.mask > 0
        torch.testing.assert_close(without[..., k::2][real], expected[real])


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_shapes_scores_and_files(model, tables):
    X, Y, task = tables
    model = clone(model).fit(X, pd.DataFrame(Y, columns=["a", "b"]), task=task)
    assert model.__sklearn_tags__().target_tags.multi_output
    assert model.predict(X).shape == Y.shape
    alone = model.adapt(X[:9], Y[:9]).predict(X[:12])
    assert model.score(X[:12], Y[:12]) == r2_score(Y[:12], alone)
    together = model.adapt(X, Y, task=task).predict(X, task=task)
    assert together.shape == Y.shape
    again = pickle.loads(pickle.dumps(model)).predict(X, task=task)
    np.testing.assert_array_equal(again, together)
    model.adapt(X[:12], Y[:12])
    np.testing.assert_allclose(model.predict(X[:12]), together[:12], rtol=1e-6)
    assert np.isfinite(model.score(X, Y, task=task, shots=5))
    with pytest.raises(ValueError, match="was fitted with 2"):
        model.adapt(X, Y[:, 0])


@pytest.mark.parametrize("model", WITH_STD, ids=repr)
def test_each_target_has_a_standard_deviation(model, tables):
    X, Y, task = tables
    model = clone(model).fit(X, Y, task=task).adapt(X[:6], Y[:6])
    mean, std = model.predict(X, return_std=True)
    assert mean.shape == std.shape == Y.shape
    assert (std > 0).all()
    assert (std[:, 1] > 5 * std[:, 0]).all()  # in the units of each


def test_permuting_targets_permutes_predictions(tables):
    X, Y, task = tables
    model = RidgeHeadRegressor(max_iter=20, random_state=0)
    expected = model.fit(X, Y, task=task).adapt(X[:6], Y[:6]).predict(X)
    swapped = clone(model).fit(X, Y[:, ::-1], task=task).adapt(X[:6], Y[:6, ::-1])
    np.testing.assert_allclose(swapped.predict(X)[:, ::-1], expected, rtol=1e-4)


def test_priors_are_in_the_units_of_each_target(tables):
    X, Y, task = tables
    model = BayesianLinearRegressor(hidden_layer_sizes=(), max_iter=1, random_state=0)
    model.fit(X, Y, task=task)
    assert model.prior_mean_.shape == (2, 3)
    assert model.prior_covariance_.shape == (2, 3, 3)
    np.testing.assert_allclose(model.noise_std_, [1 / 9, 20 / 9], rtol=0.3)
    assert abs(model.prior_mean_[1, -1] - 300) < 10


def test_a_column_stays_a_column(tables):
    X, Y, task = tables
    model = MAMLRegressor(max_iter=2, random_state=0)
    flat = clone(model).fit(X, Y[:, 0], task=task)
    column = clone(model).fit(X, Y[:, :1], task=task)
    np.testing.assert_array_equal(column.predict(X)[:, 0], flat.predict(X))
    assert column.score(X, Y[:, :1], task=task) == flat.score(X, Y[:, 0], task=task)
    with pytest.warns(DataConversionWarning):
        flat.adapt(X[:5], Y[:5, :1])
    with pytest.warns(DataConversionWarning):
        MixedModelRegressor().fit(X, Y[:, :1], task=task)


def test_single_outputs_go_through_containers(tables):
    X, Y, task = tables
    with pytest.raises(ValueError, match="several targets: wrap in MultiOutput"):
        MixedModelRegressor().fit(X, Y, task=task)
    model = MixedModelRegressor()
    own = [clone(model).fit(X, y, task=task).adapt(X[:6], y[:6]) for y in Y.T]
    expected = np.column_stack([each.predict(X) for each in own])
    outer = MultiOutputRegressor(model).fit(X, Y, task=task)
    found = adapted(outer, X[:6], Y[:6])
    np.testing.assert_array_equal(found.predict(X), expected)
    chain = RegressorChain(model).fit(X, Y, task=task)
    assert adapted(chain, X[:6], Y[:6]).predict(X).shape == Y.shape
    with pytest.raises(ValueError, match="one task at a time"):
        adapted(chain, X, Y, task=task)
    with pytest.raises(ValueError, match="a column for each"):
        adapted(outer, X[:6], Y[:6, 0])


def test_containers_of_several_outputs_are_judged(tables):
    X, Y, task = tables
    pipe = make_pipeline(StandardScaler(), MultiOutputRegressor(MixedModelRegressor()))
    given = {"params": {"task": task}, "cv": TaskKFold(2), "error_score": "raise"}
    with sklearn.config_context(enable_metadata_routing=True):
        for model in (pipe, PerTask(Ridge(alpha=0.01))):
            scores = cross_val_score(model, X, Y, scoring=FewShotScorer(), **given)
            assert (scores > 0.8).all()
    table = few_shot_cross_validate(PerTask(Ridge(alpha=0.01)), X, Y, task, shots=[6])
    assert {"score", "sse0", "sst1"} <= set(table.columns)
    with pytest.raises(ValueError, match="one target at a time"):
        MAMLRegressor(max_iter=1).fit(X, Y, task=task).calibrate(X, Y, task + 10)
