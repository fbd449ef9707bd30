"""What a module holds outside its state dict is as in training, or is named."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from sklmeta import ANILRegressor, FineTuneRegressor, MAMLRegressor


class Projected(nn.Module):
    """Random features in a plain attribute, as few should write it and some do."""

    trained: list = []  # of the copies, which nothing else can reach

    def __init__(self, n_features_in):
        super().__init__()
        self.projection = self.draw(n_features_in)
        self.output = nn.Linear(8, 4)

    def draw(self, n_features_in):
        return torch.randn(n_features_in, 8)

    def forward(self, X):
        if self.training:
            self.trained.append(self.projection)
        return self.output(torch.tanh(X @ self.projection.to(X)))


class Buffered(Projected):
    def draw(self, n_features_in):
        self.register_buffer("noise", torch.randn(8), persistent=False)
        return torch.randn(n_features_in, 8) + self.noise


class FromNumPy(Projected):
    def draw(self, n_features_in):
        return torch.as_tensor(np.random.default_rng().normal(size=(n_features_in, 8)))


class Changing(Projected):
    def forward(self, X):
        if self.training:
            self.projection = self.projection * 0.9
        return super().forward(X)


@pytest.mark.parametrize("module", [Projected, Buffered])
@pytest.mark.parametrize("estimator", [ANILRegressor, FineTuneRegressor, MAMLRegressor])
def test_a_rebuilt_module_draws_what_the_trained_one_drew(
    estimator, module, regression_tasks
):
    X, y, task = regression_tasks
    module.trained.clear()
    model = estimator(module=module, max_iter=2, random_state=5).fit(X, y, task=task)
    model.set_params(warm_start=True, random_state=6).fit(X, y, task=task)
    first = module.trained[0]
    assert all(torch.equal(seen, first) for seen in module.trained)
    for one in (model, pickle.loads(pickle.dumps(model))):
        with one._lent_learner() as learner:
            torch.testing.assert_close(learner.encoder.projection.float(), first)


@pytest.mark.parametrize("module", [FromNumPy, Changing])
def test_what_cannot_be_rebuilt_is_named(module, regression_tasks):
    X, y, task = regression_tasks
    with pytest.warns(UserWarning, match=r"encoder\.projection of the module changed"):
        ANILRegressor(module=module, max_iter=2, random_state=5).fit(X, y, task=task)
