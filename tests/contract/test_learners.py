"""Every learner of the table of instances keeps the contract of learners."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import pytest
import torch
from instances import META, META_REGRESSORS
from sklearn.base import clone

from sklmeta.learners import MLP, Episodes, TaskSpec
from sklmeta.testing import check_learner, learner_checks, random_episodes

# Beside the settings of the table.
SETTINGS = {
    "maml": [
        {"head_init": "shared", "inner_steps": 2},
        {"engine": "batched"},
        {"engine": "vmap"},
        {"engine": "loop"},
    ],
    "maml_stabilised": [{"engine": "batched", "head_init": "shared"}],
    "meta_sgd": [{"head_init": "shared", "inner_steps": 2}],
    "meta_sgd_regressor": [{"engine": "vmap"}],
    "anil": [{"head_init": "shared"}],
    "reptile": [
        {"inner_optimizer": "sgd", "head_init": "prototypes"},
        {"engine": "vmap", "adapt_steps": 7},
    ],
    "reptile_regressor": [{"engine": "loop", "adapt_steps": 7}],
    "meta_lstm": [{"head_init": "shared"}, {"engine": "loop"}],
    "matching": [{"hidden_layer_sizes": (4,), "n_members": 1}],
    "siamese": [{"predict_by": "mean"}, {"predict_by": "k_nearest"}],
    "relation": [{"pool": "sum"}, {"loss": "mse"}],
    "fine_tune": [{"tune": "all"}],
    "fine_tune_regressor": [{"tune": "all", "alpha": 0.0}],
    "deep_kernel": [{"objective": "predictive", "mean": "linear"}],
    "deep_kernel_regressor": [{"objective": "marginal", "kernel": "cosine+constant"}],
    "bayesian_linear": [{"rank": 0}],
}


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


# Where steps may run away from far rows, meta-training leaves the update out.
WITHOUT_STEPS = (
    "bayesian_linear",
    "deep_kernel",
    "logistic_head",
    "matching",
    "neural_process",
    "protonet",
    "relation",
    "ridge_head",
    "siamese",
    "transformer",
)


def kinds_of(name):
    return ["regression"] if name in META_REGRESSORS else ["shared", "own"]


def factory_of(name, kind, params):
    """Learners as the estimator makes them, for the encoder of the contract."""
    estimator = clone(META[name])
    if len(estimator.hidden_layer_sizes):
        estimator.set_params(hidden_layer_sizes=(6, 4))
    estimator.set_params(**params)

    def make(spec, encoder):
        learner = estimator._make_learner(spec, encoder)
        if kind == "own" and name.startswith("fine_tune"):
            learner._new_head(5)  # as many classes as all training tasks have together
        return learner

    return make


def cases():
    for name in META:
        skip = {"meta_gradient"} if name in OTHER_UPDATES else set()
        if name.startswith("reptile"):
            skip.add("chunks")  # which share second moments, one after the other
        for params in [{}, *SETTINGS.get(name, [])]:
            for kind in kinds_of(name):
                make = factory_of(name, kind, params)
                words = "-".join([name, *map(str, params.values())])
                for label, check in learner_checks(make, kinds=[kind], skip=skip):
                    yield pytest.param(check, id=f"{words}-{label}")


@pytest.mark.parametrize("check", list(cases()))
def test_contract(check):
    check()


@pytest.mark.parametrize(
    "name",
    ["anil", "ridge_head", "neural_process", "bayesian_linear", "maml_regressor"],
)
def test_contract_with_rows_that_are_images(name):
    for kind in kinds_of(name):
        skip = ["meta_gradient"] if name in OTHER_UPDATES else []
        make = factory_of(name, kind, {})
        check_learner(make, kinds=[kind], input_shape=(1, 2, 3), skip=skip)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", [n for n in META if n.startswith(WITHOUT_STEPS)])
def test_far_rows_leave_the_meta_gradient_finite(name, dtype):
    for kind in kinds_of(name):
        torch.manual_seed(0)
        spec = TaskSpec(kind, (3,), 4, 3 if kind == "shared" else 0)
        learner = factory_of(name, kind, {})(spec, MLP(3, (6, 4))).to(dtype)
        support, query = (rows.to("cpu", dtype) for rows in random_episodes(kind))
        for X in (1e4 * support.X, torch.full_like(support.X, 1e4)):
            learner.zero_grad()
            learner.accumulate(Episodes(support._replace(X=X), query), 1.0)
            gradients = [p.grad for p in learner.parameters() if p.grad is not None]
            assert all(gradient.isfinite().all() for gradient in gradients)
