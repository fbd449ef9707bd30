"""What is blended unless the user says otherwise."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklmeta.baselines import PerTask, Pooled
from sklmeta.closed_form import (
    BayesianLinearRegressor,
    DeepKernelClassifier,
    DeepKernelRegressor,
)
from sklmeta.metric_based import MatchingNetClassifier, ProtoNetClassifier

Members = list[tuple[str, Any]]


def regressors(support: Any, seed: int | None) -> Members:
    common = {"support": support, "random_state": seed}
    return [
        ("bayesian_linear", BayesianLinearRegressor(**common)),
        ("mixed_model", BayesianLinearRegressor(hidden_layer_sizes=(), **common)),
        ("deep_kernel", DeepKernelRegressor(**common)),
        ("own_ridge", PerTask(make_pipeline(StandardScaler(), Ridge()))),
        (
            "pooled",
            Pooled(HistGradientBoostingRegressor(random_state=seed), support="offset"),
        ),
    ]


def classifiers(support: Any, seed: int | None, shared_classes: bool) -> Members:
    common = {
        "support": support,
        "random_state": seed,
        "shared_classes": shared_classes,
    }
    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    members: Members = [
        ("prototypical", ProtoNetClassifier(**common)),
        ("matching", MatchingNetClassifier(**common)),
        ("deep_kernel", DeepKernelClassifier(**common)),
        ("own_logistic", PerTask(logistic, shared_classes=shared_classes)),
    ]
    if shared_classes:
        boosting = HistGradientBoostingClassifier(random_state=seed)
        # Shifted and not: one row tells little of a task's frequencies, many do.
        for name, model in [("boosting", boosting), ("logistic", logistic)]:
            members.append((f"pooled_{name}", Pooled(model)))
            shifted = Pooled(model, support="offset")
            members.append((f"pooled_{name}_shifted", shifted))
    return members
