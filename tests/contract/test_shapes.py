"""A learner that breaks the shapes of the contract hears so in a sentence."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pytest
import torch

from sklmeta.estimator import BaseMetaEstimator, MetaClassifierMixin, MetaRegressorMixin
from sklmeta.learners import Learner, TaskSpec, masked_mean
from sklmeta.learners.shapes import checked_shapes


class Mean(Learner):
    """Predicts the mean target of the support, or how often each class is there."""

    def __init__(self, spec, encoder, break_state=None, break_outputs=None):
        super().__init__(spec)
        self.shift = torch.nn.Parameter(torch.zeros(1))
        self.break_state, self.break_outputs = break_state, break_outputs

    def adapt(self, support):
        y = support.y[..., None].to(support.X)
        if support.n_classes:
            y = torch.nn.functional.one_hot(support.y, support.n_classes).to(support.X)
        total = (y * support.mask[..., None]).sum(1)
        state = {"mean": total / support.mask.sum(1, keepdim=True).clamp(min=1)}
        return self.break_state(state) if self.break_state else state

    def predict(self, state, X):
        outputs = (state["mean"] + self.shift)[:, None].expand(-1, X.shape[1], -1)
        return self.break_outputs(outputs) if self.break_outputs else outputs


class OwnLoss(Mean):
    """Has a criterion of its own, which goes by `adapt` and `predict`."""

    def meta_loss(self, episodes):
        support, query = episodes
        outputs = self.predict(self.adapt(support), query.X)
        return masked_mean(outputs.square().sum(-1), query.mask)


class Blind(Mean):
    """Trains without `adapt` and `predict`."""

    def meta_loss(self, episodes):
        return self.shift.square().expand(len(episodes.query.X))


class MeanRegressor(MetaRegressorMixin, BaseMetaEstimator):
    break_state: object = None
    break_outputs: object = None
    learner: type = Mean

    def _make_learner(self, spec, encoder):
        return self.learner(spec, encoder, self.break_state, self.break_outputs)


class MeanClassifier(MetaClassifierMixin, BaseMetaEstimator):
    break_outputs: object = None

    def _make_learner(self, spec, encoder):
        return Mean(spec, encoder, None, self.break_outputs)


WRONG = {
    "predict without the outputs": (
        {"break_outputs": lambda outputs: outputs[..., 0]},
        r"must return .* here \(16, 15, 1\) or .* of shape \(16, 15\)",
    ),
    "predict for each task": (
        {"break_outputs": lambda outputs: outputs[:, 0]},
        r"must return .* of shape \(16, 1\)",
    ),
    "too many outputs": (
        {"break_outputs": lambda outputs: outputs.expand(-1, -1, 3)},
        r"must return .* of shape \(16, 15, 3\)",
    ),
    "a state without tasks": (
        {"break_state": lambda state: {"mean": state["mean"][0]}},
        r"must .* here of size 16; it returned .* shape \(1,\) as 'mean'",
    ),
    "a number": (
        {"break_state": lambda state: {"mean": 0.5}},
        "returned an object of type float as 'mean'",
    ),
    "a tensor": ({"break_state": lambda state: state["mean"]}, "tensor of shape"),
    "nothing": ({"break_state": lambda state: {}}, "returned an empty dict"),
    "None": ({"break_state": lambda state: None}, "returned an object of type None"),
}


@pytest.mark.parametrize("learner", [Mean, OwnLoss])
@pytest.mark.parametrize("wrong", WRONG)
def test_first_meta_update_names_what_is_wrong(wrong, learner):
    params, message = WRONG[wrong]
    X, y, task = np.ones((800, 2)), np.arange(800.0), np.arange(800) // 40
    with pytest.raises(ValueError, match=rf"{learner.__name__}\..*{message}"):
        MeanRegressor(learner=learner, max_iter=2, **params).fit(X, y, task=task)


def test_outputs_are_as_many_as_the_classes(shared_tasks, own_tasks):
    est = MeanClassifier(break_outputs=lambda outputs: outputs[..., :2], max_iter=1)
    for params, (X, y, task) in (({}, shared_tasks), ({"n_way": 3}, own_tasks)):
        with pytest.raises(ValueError, match=r"3\); it returned .* 2\)"):
            est.set_params(n_query=5, **params).fit(X, y, task=task)


@pytest.mark.filterwarnings("ignore:max_iter=0 asks for no meta-update")
@pytest.mark.parametrize("max_iter", [0, 2])
def test_first_adapt_names_what_is_wrong(max_iter, regression_tasks):
    X, y, task = regression_tasks
    for params, _ in WRONG.values():
        est = MeanRegressor(learner=Blind, max_iter=max_iter, **params)
        with pytest.raises(ValueError, match=r"Blind\.(adapt|predict) must return"):
            est.fit(X, y, task=task).adapt(X, y, task=task).predict(X, task=task)


def test_checks_leave_no_trace(regression_tasks):
    X, y, task = regression_tasks
    est = MeanRegressor(max_iter=1).fit(X, y, task=task)
    assert np.isfinite(est.adapt(X[:3], y[:3]).predict(X)).all()
    learner = Mean(TaskSpec("regression", (2,), 2, 0), None)
    before = set(vars(learner))
    with checked_shapes(learner):
        assert set(vars(learner)) == {*before, "adapt", "predict"}
    assert set(vars(learner)) == before
