"""Each check of a contract finds the fault that it is there for, and says so."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import nn
from torch.nn import functional as F

from sklmeta import PerTask
from sklmeta.learners.learner import Learner
from sklmeta.learners.losses import row_loss
from sklmeta.testing import (
    check_learner,
    check_meta_estimator,
    learner_checks,
    meta_estimator_checks,
)


class Smoother(Learner):
    """Means of the targets of near rows, and of one that is learned."""

    def __init__(self, spec, encoder):
        super().__init__(spec)
        self.encoder = encoder
        self.register_buffer("n_seen", torch.zeros(()))
        self.prior_target = nn.Parameter(torch.zeros(max(1, spec.n_classes)))

    def targets(self, rows):
        if rows.n_classes:
            return F.one_hot(rows.y, rows.n_classes).to(rows.X)
        return rows.y[..., None]

    def adapt(self, support):
        state = {"Z": self.encode(support.X), "mask": support.mask}
        return {**state, "targets": self.targets(support)}

    def weights(self, state, X):
        nearness = -torch.cdist(self.encode(X), state["Z"])
        return nearness.exp() * state["mask"][:, None]

    def predict(self, state, X):
        weights = self.weights(state, X)
        total = weights @ state["targets"] + self.prior_target
        return total / (1 + weights.sum(-1, keepdim=True))

    def prior_state(self):
        if self.spec.kind == "own":
            return None
        none = self.prior_target.new_zeros(1, 0, len(self.prior_target))
        Z = none.new_zeros(1, 0, self.spec.n_features_out)
        return {"Z": Z, "mask": none[..., 0], "targets": none}


class NoLastDimension(Smoother):
    def predict(self, state, X):
        return super().predict(state, X)[..., 0]


class Double(Smoother):
    def predict(self, state, X):
        return super().predict(state, X).double()


class Unmasked(Smoother):
    def adapt(self, support):
        return {**super().adapt(support), "mask": torch.ones_like(support.mask)}


class UnmaskedLoss(Smoother):
    def meta_loss(self, episodes):
        query = episodes.query._replace(mask=torch.ones_like(episodes.query.mask))
        return row_loss(self.predict(self.adapt(episodes.support), query.X), query)


class CentredOverTasks(Smoother):
    def adapt(self, support):
        state = super().adapt(support)
        return {**state, "Z": state["Z"] - state["Z"].mean((0, 1))}


class CentredOverQuery(Smoother):
    def predict(self, state, X):
        outputs = super().predict(state, X)
        return outputs - outputs.mean(1, keepdim=True)


class FirstCountsMost(Smoother):
    def adapt(self, support):
        state = super().adapt(support)
        rank = support.mask.cumsum(1).clamp(min=1)
        return {**state, "mask": support.mask / rank}


class OtherPrior(Smoother):
    def prior_state(self):
        if self.spec.kind == "own":
            return None
        Z = self.prior_target.new_zeros(1, 1, self.spec.n_features_out)
        return {"Z": Z, "mask": Z[..., 0] + 1, "targets": Z[..., :1] + 1}


class Unbiased(Smoother):
    def predict(self, state, X):
        n_rows = state["mask"].sum(1)[:, None, None]
        return super().predict(state, X) * n_rows / (n_rows - 1)


class Overflowing(Smoother):
    def weights(self, state, X):
        return X.square().sum(-1, keepdim=True).exp() * state["mask"][:, None]


class Counting(Smoother):
    def adapt(self, support):
        self.n_seen += len(support.X)
        return super().adapt(support)


class ThreeClasses(Smoother):
    def targets(self, rows):
        targets = super().targets(rows)
        return targets if self.spec.kind == "regression" else targets[..., :3]


class FirstClassFirst(Smoother):
    def predict(self, state, X):
        outputs = super().predict(state, X)
        return outputs + 0.1 * torch.arange(outputs.shape[-1]).to(outputs)


class Detached(Smoother):
    def weights(self, state, X):
        return super().weights(state, X).detach()


class MeanOverTasks(Smoother):
    def meta_loss(self, episodes):
        losses = super().meta_loss(episodes)
        return losses / len(losses)


FAULTS = {
    "shapes": NoLastDimension,
    "dtype": Double,
    "padding": Unmasked,
    "padding ": UnmaskedLoss,
    "tasks": CentredOverTasks,
    "query_rows": CentredOverQuery,
    "support_order": FirstCountsMost,
    "prior": OtherPrior,
    "single_row": Unbiased,
    "extreme_rows": Overflowing,
    "evaluation": Counting,
    "any_number_of_classes": ThreeClasses,
    "class_order": FirstClassFirst,
    "meta_gradient": Detached,
    "chunks": MeanOverTasks,
}


def found(checks):
    """Names of the checks that fail, without the kind, and what they say."""
    failures = {}
    for name, check in checks:
        try:
            check()
        except AssertionError as error:
            failures[name.partition("-")[0]] = str(error)
    return failures


def test_a_sound_learner_passes():
    check_learner(Smoother)
    check_learner(Smoother, input_shape=(2, 2))


@pytest.mark.parametrize("name", FAULTS)
def test_fault_of_a_learner(name):
    failures = found(learner_checks(FAULTS[name]))
    sentence = failures[name.strip()]
    assert f"{FAULTS[name].__name__} (" in sentence
    assert f"breaks a promise, {name.strip()!r}" in sentence


class Remembering(PerTask):
    def adapt(self, X, y, task=None):
        if hasattr(self, "last_") and task is None:
            X, y = np.vstack([X, self.last_[0]]), np.append(y, self.last_[1])
        self.last_ = X, y
        return super().adapt(X, y, task=task)


class Drawing(PerTask):
    def fit(self, X, y=None, task=None):
        torch.rand(1)
        return super().fit(X, y, task=task)


class Forgetting(PerTask):
    def fit(self, X, y=None, task=None):
        for name in [name for name in vars(self) if name.startswith("_")]:
            delattr(self, name)
        return super().fit(X, y, task=task)


class Unpicklable(PerTask):
    def __getstate__(self):
        state = super().__getstate__()
        return {key: value for key, value in state.items() if key != "estimator"}


class InDegrees(PerTask):
    def score(self, X, y, *, task=None, **options):
        return 100 * super().score(X, y, task=task, **options)


class NamesOnly(PerTask):
    def fit(self, X, y=None, task=None):
        return super().fit(X, y, task=None if task is None else np.char.upper(task))


class Peeking(PerTask):
    def predict(self, X, task=None):
        return super().predict(X, task=task) + np.mean(X)


ESTIMATOR_FAULTS = {
    "replaced": Remembering,
    "randomness": Drawing,
    "failed_fit": Forgetting,
    "pickles": Unpicklable,
    "score": InDegrees,
    "task_labels": NamesOnly,
    "order_of_rows": Peeking,
}
SKIP = ("scikit_learn", "dtypes")


@pytest.mark.parametrize("estimator", [Ridge(), LogisticRegression()])
def test_a_sound_estimator_passes(estimator):
    check_meta_estimator(PerTask(estimator), skip=SKIP)


@pytest.mark.parametrize("name", ESTIMATOR_FAULTS)
def test_fault_of_an_estimator(name):
    estimator = ESTIMATOR_FAULTS[name](Ridge())
    sentence = found(meta_estimator_checks(estimator, skip=SKIP))[name]
    assert f"{type(estimator).__name__} (regression) breaks a promise" in sentence


def test_unknown_checks_cannot_be_skipped():
    with pytest.raises(ValueError, match="skip has 'paddings'; the checks are shapes"):
        learner_checks(Smoother, skip=["paddings", "tasks"])
