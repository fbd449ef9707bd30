"""What is blended unless the user says otherwise."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklmeta.baselines import FineTuneClassifier, PerTask, Pooled
from sklmeta.closed_form import (
    BayesianLinearRegressor,
    DeepKernelClassifier,
    DeepKernelRegressor,
)
from sklmeta.metric_based import MatchingNetClassifier, ProtoNetClassifier

Members = list[tuple[str, Any]]

MOST_PASSES = 150
"""Through all rows, of a classifier's training. With the few hundred rows that three
hospitals have, 1,000 meta-updates are 700 passes: members became worse than after 150
(prototypical from 20 rows .69 instead of .72, deep kernel .66 instead of .71)."""

MANY_CLASSES: dict[str, Any] = {"meta_batch_size": 4, "n_query": 6}
"""Of tasks with more than five classes of their own. With the default's 16 tasks and 20
query rows of 15 intents each, a prototypical network takes five times as long for a
point of accuracy (CLINC150)."""


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


def classifiers(
    support: Any, seed: int | None, shared_classes: bool, n_rows: int, n_ways: float
) -> Members:
    """Members for a table of `n_rows`, with `n_ways` classes to a task."""
    common: dict[str, Any] = {
        "support": support,
        "random_state": seed,
        "shared_classes": shared_classes,
    }
    if not shared_classes and n_ways > 5:
        common.update(MANY_CLASSES)
    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    members: Members = [
        ("prototypical", ProtoNetClassifier(**common)),
        ("matching", MatchingNetClassifier(**common)),
    ]
    if shared_classes:
        # With classes of their own it learned those of `fit` by heart (CLINC150).
        members.append(("deep_kernel", DeepKernelClassifier(**common)))
    for _, member in members:
        _bound_passes(member, n_rows, 1.0 if shared_classes else n_ways)
    members.append(("own_logistic", PerTask(logistic, shared_classes=shared_classes)))
    if shared_classes:
        boosting = HistGradientBoostingClassifier(random_state=seed)
        # Shifted and not: one row tells little of a task's frequencies, many do.
        for name, model in [("boosting", boosting), ("logistic", logistic)]:
            members.append((f"pooled_{name}", Pooled(model)))
            shifted = Pooled(model, support="offset")
            members.append((f"pooled_{name}_shifted", shifted))
    else:
        pooled = FineTuneClassifier(random_state=seed, shared_classes=False)
        members.append(("fine_tuned", pooled))
    return members


def _bound_passes(member: Any, n_rows: int, n_ways: float) -> None:
    """Take no more meta-updates than go through all rows `MOST_PASSES` times."""
    per_class = np.mean(member.n_shots) + member.n_query
    rows = member.meta_batch_size * n_ways * per_class
    most = math.ceil(MOST_PASSES * n_rows / rows)
    member.set_params(max_iter=min(member.max_iter, most))
