"""The sets and the models of `field.py`."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import sklmeta
from sklmeta import PerTask, Pooled
from sklmeta.datasets import fetch_heart_disease, fetch_parkinsons, fetch_wisdm

CATEGORICAL = ["sex", "cp", "fbs", "restecg", "exang", "slope", "thal"]
BASELINES = {"NearestCentroidBaseline", "FineTuneClassifier", "FineTuneRegressor"}


class Set(NamedTuple):
    """A collection, its preprocessing and what is measured on it."""

    load: Callable[[], tuple[Any, ...]]
    prepare: Callable[[], list[Any]]
    kind: str
    title: str
    measure: str


def load_parkinsons() -> tuple[Any, ...]:
    return fetch_parkinsons(return_X_y_task=True)


def load_wisdm() -> tuple[Any, ...]:
    return fetch_wisdm(return_X_y_task=True)


def load_heart() -> tuple[Any, ...]:
    bunch = fetch_heart_disease(as_frame=True)
    return bunch.data, bunch.target.to_numpy(), bunch.task.to_numpy()


def prepare_heart() -> list[Any]:
    numeric = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    categories = make_pipeline(
        SimpleImputer(strategy="most_frequent", add_indicator=True),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    return [
        make_column_transformer((categories, CATEGORICAL), remainder=numeric),
    ]


SETS = {
    "parkinsons": Set(
        load_parkinsons,
        lambda: [StandardScaler()],
        "regressor",
        "Parkinson's telemonitoring, 42 patients, random labelled rows",
        "RMSE in units of the standard deviation of y over all rows",
    ),
    "wisdm": Set(
        load_wisdm,
        lambda: [SimpleImputer(), StandardScaler()],
        "classifier",
        "WISDM, 36 users, six activities",
        "Accuracy",
    ),
    "heart": Set(
        load_heart,
        prepare_heart,
        "classifier",
        "Heart disease, 4 hospitals, missing values",
        "Accuracy",
    ),
}


def meta_learners(kind: str) -> dict[str, BaseEstimator]:
    """Every estimator of the suite of this kind, with its default parameters."""
    suffix = kind.capitalize()
    names = [name for name in sklmeta.__all__ if name.endswith(suffix)]
    if kind == "classifier":
        names.append("NearestCentroidBaseline")
    built = {name: getattr(sklmeta, name)() for name in names}
    for estimator in built.values():
        if "random_state" in estimator.get_params():
            estimator.set_params(random_state=0)
    return built


def variants(kind: str) -> dict[str, BaseEstimator]:
    """Other settings that are methods of their own."""
    suffix = kind.capitalize()
    maml = getattr(sklmeta, f"MAML{suffix}")
    return {f"MAML{suffix}, first order": maml(first_order=True, random_state=0)}


def classic(kind: str) -> dict[str, BaseEstimator]:
    """What one would do with scikit-learn alone."""
    if kind == "regressor":
        boosting = HistGradientBoostingRegressor(random_state=0)
        few_trees = HistGradientBoostingRegressor(random_state=0)
        own = {
            "support mean": PerTask(DummyRegressor()),
            "own ridge": PerTask(Ridge()),
        }
    else:
        boosting = HistGradientBoostingClassifier(random_state=0)
        few_trees = HistGradientBoostingClassifier(max_iter=30, random_state=0)
        own = {
            "own logistic": PerTask(LogisticRegression(max_iter=1000)),
            "own nearest neighbour": PerTask(KNeighborsClassifier(n_neighbors=1)),
        }
    return {
        **own,
        "pooled boosting": Pooled(boosting),
        "pooled boosting + offset": Pooled(boosting, support="offset"),
        "centred pooled boosting": Pooled(boosting, center=True),
        "pooled boosting + support rows": Pooled(
            few_trees, support="append", task_category=True
        ),
    }


def models(chosen: Set, max_iter: int | None) -> dict[str, Any]:
    """Build every model behind the set's preprocessing."""
    kind = chosen.kind
    built = {**meta_learners(kind), **variants(kind)}
    last = {name: built.pop(name) for name in list(built) if name in BASELINES}
    built = dict(sorted(built.items())) | last | classic(kind)
    if max_iter is not None:
        for estimator in built.values():
            if "max_iter" in estimator.get_params(deep=False):
                estimator.set_params(max_iter=max_iter)
    return {
        name: make_pipeline(*chosen.prepare(), estimator)
        for name, estimator in built.items()
    }
