"""What is blended unless the user says otherwise."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from typing import Any, NamedTuple

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
"""Through all rows, of a classifier's training. With the 800 rows of three hospitals,
1,000 meta-updates would be 600; members were worse after as many."""

MANY_CLASSES: dict[str, Any] = {"meta_batch_size": 4, "n_query": 6}
"""Of tasks with more than five classes of their own. Where they have 15, a meta-update
has 960 rows then, instead of the 7,200 of the defaults."""


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


class Size(NamedTuple):
    """How large a table is."""

    n_rows: int
    n_tasks: int
    n_ways: float  # classes of a typical task


def classifiers(
    support: Any, seed: int | None, shared_classes: bool, size: Size
) -> Members:
    """Members for a table of this size."""
    common: dict[str, Any] = {
        "support": support,
        "random_state": seed,
        "shared_classes": shared_classes,
    }
    if not shared_classes and size.n_ways > 5:
        common.update(MANY_CLASSES)
    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    members: Members = [
        ("prototypical", ProtoNetClassifier(**common)),
        ("matching", MatchingNetClassifier(**common)),
    ]
    if shared_classes:
        # Where tasks have many classes of their own, it is worse than centroids of the
        # raw features (docs/comparisons/clinc150.md).
        members.append(("deep_kernel", DeepKernelClassifier(**common)))
    for _, member in members:
        _bound_passes(member, size, shared_classes)
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


def _bound_passes(member: Any, size: Size, shared_classes: bool) -> None:
    """Take no more meta-updates than go through all rows `MOST_PASSES` times."""
    of_episode = np.mean(member.n_shots) + member.n_query
    if not shared_classes:  # then these are counted per class
        of_episode *= size.n_ways
    rows_of_task = min(of_episode, size.n_rows / size.n_tasks)
    rows_of_update = member.meta_batch_size * rows_of_task
    most = math.ceil(MOST_PASSES * size.n_rows / rows_of_update)
    member.set_params(max_iter=min(member.max_iter, most))
