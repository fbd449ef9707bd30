"""Every learner of the table of instances keeps the contract of learners."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import pytest
from instances import META, META_CLASSIFIERS, META_REGRESSORS
from sklearn.base import clone

from sklmeta.testing import learner_checks

CASES = [(name, "regression") for name in META_REGRESSORS] + [
    (name, kind) for name in META_CLASSIFIERS for kind in ("shared", "own")
]


# The update of these is not the gradient of their loss, or takes some of it as given.
OTHER_UPDATES = {
    "reptile",
    "reptile_regressor",
    "maml_first_order",
    "maml_stabilised",
    "deep_kernel",
    "siamese",
    "siamese_contrastive",
    "meta_lstm",
    "meta_lstm_regressor",
    "transformer_regressor",
    "neural_process_regressor",
}


def factory_of(name, kind):
    estimator = clone(META[name]).set_params(hidden_layer_sizes=(6, 4))
    if kind == "own":
        estimator.set_params(n_way=3)

    def make(spec, encoder):
        learner = estimator._make_learner(spec, encoder)
        if kind == "own" and name.startswith("fine_tune"):
            learner._new_head(5)  # as many classes as all training tasks have together
        return learner

    return make


def cases():
    for name, kind in CASES:
        skip = {"meta_gradient"} if name in OTHER_UPDATES else set()
        if name.startswith("reptile"):
            skip.add("chunks")  # which share second moments, one after the other
        checks = learner_checks(factory_of(name, kind), kinds=(kind,), skip=skip)
        yield from (
            pytest.param(check, id=f"{name}-{label}") for label, check in checks
        )


@pytest.mark.parametrize("check", list(cases()))
def test_contract(check):
    check()
