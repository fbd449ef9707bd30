"""What is blended unless the user says otherwise."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklmeta.baselines import FineTuneClassifier, LDABaseline, PerTask, Pooled
from sklmeta.closed_form import (
    BayesianLinearRegressor,
    DeepKernelClassifier,
    DeepKernelRegressor,
    MixedModelClassifier,
    MixedModelRegressor,
    RidgeHeadClassifier,
)
from sklmeta.metric_based import MatchingNetClassifier, ProtoNetClassifier
from sklmeta.model_based import (
    EpisodicBoostingClassifier,
    EpisodicBoostingRegressor,
    TransformerNeuralProcessRegressor,
)

Members = list[tuple[str, Any]]

MOST_PASSES = 150
"""Through all rows, of a classifier's training. With the 800 rows of three hospitals,
1,000 meta-updates would be 600; members were worse after as many."""

BOOSTING: dict[str, Any] = {
    "max_iter": 60,
    "max_leaf_nodes": 15,
    "early_stopping": False,
}
"""Small trees and few of them: predicting a task's few rows costs by the tree."""

TRANSFORMER: dict[str, Any] = {"max_iter": 300, "early_stopping": False}
"""Fewer updates than alone, and no folds to ask how many: its weight says it."""

DEEP_KERNEL: dict[str, Any] = {"max_iter": 300, "early_stopping": False}
"""Likewise."""

EPISODES: dict[str, Any] = {"max_features": 0.5, "min_samples_leaf": 30}
"""Of the trees that learn from episodes, of which many are of the same task."""

N_ROWS = 6000
"""Of these episodes."""

MANY_CLASSES: dict[str, Any] = {"meta_batch_size": 4, "n_query": 6}
"""Of tasks with more than five classes of their own. Where they have 15, a meta-update
has 960 rows then, instead of the 7,200 of the defaults."""


def regressors(support: Any, seed: int | None) -> Members:
    common: dict[str, Any] = {"support": support, "random_state": seed}
    boosting = HistGradientBoostingRegressor(**BOOSTING, random_state=seed)
    episodic = clone(boosting).set_params(**EPISODES)
    episodes: dict[str, Any] = {"n_rows": N_ROWS, **common}
    return [
        ("mixed_model", MixedModelRegressor()),
        ("bayesian_linear", BayesianLinearRegressor(**common)),
        ("transformer", TransformerNeuralProcessRegressor(**TRANSFORMER, **common)),
        ("deep_kernel", DeepKernelRegressor(**DEEP_KERNEL, **common)),
        # Scaled by the training rows: the support's scale may be far from the query's.
        ("own_ridge", make_pipeline(StandardScaler(), PerTask(Ridge()))),
        ("pooled", Pooled(boosting, support="offset")),
        ("pooled_centred", Pooled(boosting, center=True)),
        (
            "episodic_boosting",
            EpisodicBoostingRegressor(estimator=episodic, **episodes),
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
    members: Members = [("prototypical", ProtoNetClassifier(**common))]
    if shared_classes:
        members.append(("matching", MatchingNetClassifier(**common)))
        members.append(("deep_kernel", DeepKernelClassifier(**common)))
    else:
        members.append(("ridge_head", RidgeHeadClassifier(**common)))
    for _, member in members:
        _bound_passes(member, size, shared_classes)
    if not shared_classes:
        tuned = FineTuneClassifier(random_state=seed, shared_classes=False)
        discriminants = LDABaseline(shared_classes=False)
        return [*members, ("discriminants", discriminants), ("fine_tuned", tuned)]
    logistic = PerTask(LogisticRegression(max_iter=1000))
    boosting = HistGradientBoostingClassifier(**BOOSTING, random_state=seed)
    episodic = clone(boosting).set_params(**EPISODES)
    episodes = {"n_rows": N_ROWS, "support": support, "random_state": seed}
    return [
        ("mixed_model", MixedModelClassifier()),
        *members,
        # Scaled by the training rows: the support's scale may be far from the query's.
        ("own_logistic", make_pipeline(StandardScaler(), logistic)),
        # Shifted and not: one row tells little of a task's frequencies, many do.
        ("pooled", Pooled(boosting)),
        ("pooled_shifted", Pooled(boosting, support="offset")),
        (
            "episodic_boosting",
            EpisodicBoostingClassifier(estimator=episodic, **episodes),
        ),
    ]


def _bound_passes(member: Any, size: Size, shared_classes: bool) -> None:
    """Take no more meta-updates than go through all rows `MOST_PASSES` times."""
    of_episode = np.mean(member.n_shots) + member.n_query
    if not shared_classes:  # then these are counted per class
        of_episode *= size.n_ways
    rows_of_task = min(of_episode, size.n_rows / size.n_tasks)
    rows_of_update = member.meta_batch_size * rows_of_task
    most = math.ceil(MOST_PASSES * size.n_rows / rows_of_update)
    member.set_params(max_iter=min(member.max_iter, most))
