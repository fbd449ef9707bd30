"""What estimators show of what they learned, in the user's units."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from sklmeta import (
    BayesianLinearRegressor,
    DeepKernelRegressor,
    MAMLRegressor,
    MetaSGDRegressor,
    ProtoNetClassifier,
)
from sklmeta.datasets import make_classification_tasks, make_linear_tasks

X, Y, TASK = make_linear_tasks(30, n_rows=15, random_state=0)
X = X * [1, 10, 100, 1, 5][: X.shape[1]] + 7  # units that differ
Y = 40 * Y - 300


def test_the_prior_of_the_linear_model_predicts_for_an_unknown_task():
    est = BayesianLinearRegressor(
        hidden_layer_sizes=(), rank=2, max_iter=60, random_state=0
    )
    est.fit(X, Y, task=TASK)
    design = np.column_stack([X, np.ones(len(X))])
    mean, std = est.predict(X, return_std=True)
    np.testing.assert_allclose(design @ est.prior_mean_, mean, rtol=1e-6)
    variance = np.einsum("ij,jk,ik->i", design, est.prior_covariance_, design)
    np.testing.assert_allclose(variance + est.noise_std_**2, std**2, rtol=1e-6)


def test_the_prior_covers_the_features_of_an_encoder():
    est = BayesianLinearRegressor(hidden_layer_sizes=(6,), max_iter=2, random_state=0)
    est.fit(X, Y, task=TASK)
    n_coefficients = 6 + X.shape[1] + 1
    assert est.prior_mean_.shape == (n_coefficients,)
    assert est.prior_covariance_.shape == (n_coefficients, n_coefficients)


def test_the_kernel_gives_the_prior_variance():
    params = {"kernel": "rbf+constant", "max_iter": 20, "random_state": 0}
    est = DeepKernelRegressor(**params, start=None).fit(X, Y, task=TASK)
    assert [term["name"] for term in est.kernel_] == ["rbf", "constant"]
    assert est.kernel_[0]["lengthscale"].ndim == 1
    variance = sum(float(term["variance"]) for term in est.kernel_)
    _, std = est.predict(X, return_std=True)
    np.testing.assert_allclose(std**2, variance + est.noise_std_**2, rtol=1e-6)


def test_learned_step_sizes():
    params = {"hidden_layer_sizes": (4,), "max_iter": 5, "random_state": 0}
    est = MetaSGDRegressor(**params).fit(X, Y, task=TASK)
    assert sorted(value.shape for value in est.inner_lr_.values()) == [
        (1, 1),
        (1, 1, 4),
        (1, 4),
        (1, 4, X.shape[1]),
    ]
    assert all((value != est.inner_lr).any() for value in est.inner_lr_.values())
    maml = MAMLRegressor(learn_inner_lr=True, inner_steps=3, **params)
    maml.fit(X, Y, task=TASK)
    assert {len(value) for value in maml.inner_lr_.values()} == {3}
    with pytest.raises(AttributeError, match="learn_inner_lr=True"):
        _ = MAMLRegressor(**params).fit(X, Y, task=TASK).inner_lr_
    assert not hasattr(MetaSGDRegressor(), "inner_lr_")


def test_prototypes_are_class_means_in_the_embedding():
    X, y, task = make_classification_tasks(12, random_state=0)
    est = ProtoNetClassifier(n_way=3, max_iter=3, random_state=0).fit(X, y, task=task)
    with pytest.raises(AttributeError, match="call adapt"):
        _ = est.prototypes_
    one = task == 4
    est.adapt(X[one], y[one])
    embedded = est.transform(X[one])
    means = [embedded[y[one] == c].mean(axis=0) for c in est.classes_]
    np.testing.assert_allclose(est.prototypes_, means, rtol=1e-6, atol=1e-9)
    alone = est.prototypes_
    est.adapt(X, y, task=task)
    assert list(est.prototypes_) == np.unique(task).tolist()
    np.testing.assert_allclose(est.prototypes_[4], alone, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "read",
    [
        lambda: BayesianLinearRegressor().prior_mean_,
        lambda: DeepKernelRegressor().kernel_,
        lambda: ProtoNetClassifier().prototypes_,
    ],
)
def test_nothing_is_learned_before_fit(read):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        read()
