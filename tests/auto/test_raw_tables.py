"""AutoMeta on tables as people have them: text, categories, gaps, dates."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from ridge_members import two_ridges
from sklearn.compose import make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import sklmeta
from sklmeta import AutoMetaRegressor, PerTask
from sklmeta.auto import _evidence
from sklmeta.datasets import load_store_sales
from sklmeta.preparation import TablePreparation


@pytest.fixture(scope="module")
def stores():
    return load_store_sales(return_X_y_task=True)


def blend(**params):
    return AutoMetaRegressor(
        estimators=two_ridges(), shots=[0, 3], n_draws=1, random_state=0, **params
    )


@pytest.fixture(scope="module")
def fitted(stores):
    X, y, task = stores
    return blend().fit(X, y, task=task)


def test_a_raw_table_goes_through_fit_adapt_and_predict(stores, fitted, tmp_path):
    X, y, task = stores
    assert list(fitted.feature_names_in_) == list(X.columns)
    assert fitted.n_features_in_ == X.shape[1]
    one = np.flatnonzero(task == task[0])
    model = sklmeta.adapted(fitted, X.iloc[one[:4]], y.iloc[one[:4]])
    new = X.iloc[one[4:]].assign(promotion="unseen")[X.columns]
    values = model.predict(new)
    assert np.isfinite(values).all()
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(model)).predict(new), values
    )
    sklmeta.save(model, tmp_path / "model.skops")
    same = sklmeta.load(tmp_path / "model.skops")
    np.testing.assert_array_equal(same.predict(new), values)
    more = model.adapt_more(X.iloc[one[4:6]], y.iloc[one[4:6]]).predict(new)
    at_once = sklmeta.adapted(fitted, X.iloc[one[:6]], y.iloc[one[:6]]).predict(new)
    np.testing.assert_allclose(more, at_once)


def test_numbers_alone_are_left_as_they_are(stores):
    _, y, task = stores
    X = np.random.default_rng(0).normal(size=(len(y), 3))
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    auto, none = (blend(preparation=p) for p in ("auto", None))
    assert auto.fit(frame, y, task=task).preparation_ is None
    none.fit(frame, y, task=task)
    np.testing.assert_array_equal(auto.predict(frame), none.predict(frame))
    auto.fit(frame.where(frame < 2), y, task=task)  # another kind of table now
    assert isinstance(auto.preparation_, TablePreparation)
    with pytest.raises(ValueError, match="TablePreparation"):
        none.fit(frame.where(frame < 2), y, task=task)


def test_what_held_out_tasks_alone_show_does_not_matter(stores, monkeypatch):
    X, y, task = stores
    odd = task == task[0]
    fits = []

    def record(members, table, *rest):
        fits.append((table.X, rest[1]))
        return cross_fit(members, table, *rest)

    cross_fit = _evidence.cross_fit
    monkeypatch.setattr("sklmeta.auto._schedule.cross_fit", record)
    planted = X.assign(
        promotion=X.promotion.where(~odd, "planted"), price=X.price + 1e6 * odd
    )
    for rows in (X, planted):
        blend(cv=3).fit(rows, y, task=task)
    n = len(fits) // 2
    ours, planted_too = fits[:n], fits[n:]
    n_unaware = 0
    for (Z, (train, test)), (Z_planted, _) in zip(ours, planted_too, strict=True):
        if odd[test].any():
            n_unaware += 1
            np.testing.assert_array_equal(Z[train], Z_planted[train])
        else:
            assert Z.shape[1] < Z_planted.shape[1]
    assert n_unaware == n // 3
    assert len({id(Z) for Z, _ in ours}) == 3  # prepared once for all members


def test_members_that_prepare_for_themselves(stores):
    X, y, task = stores
    by_name = make_column_transformer((OneHotEncoder(), ["promotion"]))
    X = X.assign(promotion=X.promotion.fillna("none"))
    own = [("own", make_pipeline(by_name, PerTask(Ridge())))]
    model = AutoMetaRegressor(estimators=own, shots=[2], cv=2, random_state=0)
    assert model.fit(X, y, task=task).preparation_ is None
    scaled = [("own", make_pipeline(StandardScaler(), PerTask(Ridge())))]
    model.set_params(estimators=scaled).fit(X, y, task=task)
    assert isinstance(model.preparation_, TablePreparation)
