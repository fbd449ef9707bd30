"""Comparisons on tables as people have them, and in the order of time."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from sklmeta import PerTask, Pooled
from sklmeta.comparing import compare
from sklmeta.comparing._rows import tables_of
from sklmeta.datasets import load_store_sales
from sklmeta.model_selection import TaskKFold
from sklmeta.preparation import TablePreparation

FAST = {"shots": [0, 3], "n_draws": 1, "cv": 2, "verbose": 0}
RIDGES = {"own": PerTask(Ridge()), "all": Pooled(Ridge())}


@pytest.fixture(scope="module")
def stores():
    return load_store_sales(return_X_y_task=True)


def scores_of(result):
    return result.draws.drop(columns=["fit_time", "adapt_time"])


class Counted(TransformerMixin, BaseEstimator):
    """The price and the rows that each copy was fitted to."""

    fitted_to: list = []

    def fit(self, X, y=None):
        self.fitted_to.append(set(X.index))
        self.is_fitted_ = True
        return self

    def transform(self, X):
        return X[["price"]].fillna(0).to_numpy()


def test_rows_are_prepared_once_in_a_fold_by_its_training_tasks(stores):
    X, y, task = stores
    Counted.fitted_to.clear()
    compare(RIDGES, X, y, task, preparation=Counted(), **FAST)
    folds = TaskKFold(2).split(X, y, task)
    assert Counted.fitted_to == [set(train) for train, _ in folds]


def test_what_held_out_tasks_alone_show_does_not_matter(stores):
    X, y, task = stores
    (train, test), *_ = folds = list(TaskKFold(5).split(X, y, task))
    planted = X.copy()
    planted.loc[test, ["promotion", "price"]] = ["planted", 1e6]
    prepared = [
        tables_of(RIDGES, (rows, y.to_numpy()), folds, "auto")["own"][0][0]
        for rows in (X, planted)
    ]
    np.testing.assert_array_equal(*(Z[train] for Z in prepared))
    n_known = TablePreparation().fit(X.iloc[train]).transform(X).shape[1]
    assert prepared[1].shape == (len(X), n_known)


def test_numbers_and_what_prepares_itself_are_left_alone(stores):
    X, y, task = stores
    numbers = X[["price", "temperature"]].fillna(0.0)
    auto, none = (
        compare(RIDGES, numbers, y, task, preparation=p, **FAST) for p in ("auto", None)
    )
    pd.testing.assert_frame_equal(scores_of(auto), scores_of(none))
    by_name = make_column_transformer((OneHotEncoder(), ["promotion"]))
    X = X.assign(promotion=X.promotion.fillna("none"))
    own = {"own": make_pipeline(by_name, PerTask(Ridge())), "all": Pooled(Ridge())}
    both = compare(own, X, y, task, **FAST)
    alone = compare({"own": own["own"]}, X, y, task, preparation=None, **FAST)
    shown = scores_of(both)
    pd.testing.assert_frame_equal(shown[shown.estimator == "own"], scores_of(alone))
    with pytest.raises(ValueError, match="TablePreparation"):
        compare({"all": Pooled(Ridge())}, X, y, task, preparation=None, **FAST)


def test_supports_are_first_in_time(stores):
    X, y, task = stores
    rows = np.random.default_rng(0).permutation(len(X))
    mixed = X.iloc[rows], y.iloc[rows], task.iloc[rows]
    sorted_by_hand = compare(RIDGES, X, y, task, support="first", **FAST)
    by_name = compare(RIDGES, *mixed, time="week", **FAST)
    by_values = compare(RIDGES, *mixed, time=X.week.iloc[rows].to_numpy(), **FAST)
    assert by_name.words_for_support == "the first in time"
    for result in (by_name, by_values):
        means = result.table()["mean"]
        np.testing.assert_allclose(means, sorted_by_hand.table()["mean"], rtol=1e-6)
    with pytest.raises(ValueError, match="drop one of the two"):
        compare(RIDGES, *mixed, time="week", support="random", **FAST)
    with pytest.raises(ValueError, match="no column of X"):
        compare(RIDGES, *mixed, time="day", **FAST)
