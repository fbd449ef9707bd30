"""Frames in, frames out: parts of a table give what the whole table gives."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklmeta import MixedModelClassifier, MixedModelRegressor, ProtoNetClassifier
from sklmeta.datasets import make_classification_tasks, make_linear_tasks
from sklmeta.exceptions import NotAdaptedError
from sklmeta.partitions import adapt_partition

FEATURES = [*"abcde"]


@pytest.fixture(scope="module")
def frame():
    X, y, task = make_linear_tasks(n_tasks=24, n_rows=6, random_state=0)
    return pd.DataFrame(X, columns=FEATURES).assign(
        y=y, shop=pd.Series(task).map("s{:02d}".format), note="untouched"
    )


@pytest.fixture(scope="module")
def model(frame):
    return MixedModelRegressor().fit(frame[FEATURES], frame["y"], task=frame["shop"])


@pytest.fixture
def asked(frame):
    """The last two rows of each shop are to be predicted, shuffled among the others."""
    asked = frame.copy()
    asked.loc[asked.index % 6 > 3, "y"] = np.nan
    return asked.sample(frac=1, random_state=0)


def test_each_row_is_predicted_by_its_own_task(model, frame, asked):
    found = adapt_partition(model, asked, task="shop", target="y", return_std=True)
    to_predict = asked["y"].isna()
    pd.testing.assert_index_equal(found.index, asked.index[to_predict])
    for shop, rows in asked.groupby("shop"):
        labelled = rows["y"].notna()
        model.adapt(rows.loc[labelled, FEATURES], rows.loc[labelled, "y"])
        mean, std = model.predict(rows.loc[~labelled, FEATURES], return_std=True)
        own = found[found["shop"] == shop]
        np.testing.assert_allclose(own["prediction"], mean, rtol=1e-6)
        np.testing.assert_allclose(own["std"], std, rtol=1e-6)
    model.reset_adaptation()


def test_parts_give_what_the_whole_gives(model, asked):
    work = partial(adapt_partition, model, task="shop", target="y")
    part = asked["shop"].str[-1].astype(int) % 3
    parts = [work(asked[part == i]) for i in range(3)]
    pd.testing.assert_frame_equal(
        pd.concat(parts).sort_index(), work(asked).sort_index(), rtol=1e-6
    )


def test_without_labelled_rows_it_is_the_unadapted_model(model, frame, asked):
    asked.loc[asked["shop"] == "s03", "y"] = np.nan
    found = adapt_partition(model, asked, task="shop", target="y")
    own = found[found["shop"] == "s03"]
    expected = model.predict(frame.loc[own.index, FEATURES])
    np.testing.assert_array_equal(own["prediction"], expected)
    empty = adapt_partition(model, asked.iloc[:0], task="shop", target="y")
    assert empty.dtypes.equals(found.dtypes) and empty.empty


def test_classes_and_containers():
    X, y, task = make_classification_tasks(
        n_tasks=16, n_rows=12, shared_labels=True, random_state=0
    )
    names = [f"x{i}" for i in range(X.shape[1])]
    frame = pd.DataFrame(X, columns=names).assign(y=np.array([*"abcde"])[y], t=task)
    pipe = make_pipeline(StandardScaler(), MixedModelClassifier())
    pipe.fit(frame[names], frame["y"], mixedmodelclassifier__task=frame["t"])
    frame.loc[frame.index % 12 > 7, "y"] = None
    found = adapt_partition(pipe, frame, task="t", target="y", probabilities=True)
    shares = found.filter(like="probability_")
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    best = shares.idxmax(axis=1).str.removeprefix("probability_")
    assert found["prediction"].eq(best).all()


def test_mistakes(model, asked):
    with pytest.raises(ValueError, match=r"has no column 'a'; it has 'b'"):
        adapt_partition(model, asked.drop(columns="a"), task="shop", target="y")
    gaps = asked.assign(shop=asked["shop"].where(asked["shop"] != "s01"))
    with pytest.raises(ValueError, match=r"6 row\(s\) have no task in column 'shop'"):
        adapt_partition(model, gaps, task="shop", target="y")
    X, y, task = make_classification_tasks(n_tasks=12, random_state=0)
    own = ProtoNetClassifier(shared_classes=False, max_iter=1).fit(X, y, task=task)
    rows = pd.DataFrame(X[:5]).assign(y=np.nan, t=0)
    with pytest.raises(NotAdaptedError):
        adapt_partition(own, rows, task="t", target="y")
    with pytest.raises(ValueError, match="a task's own"):
        adapt_partition(own, rows, task="t", target="y", probabilities=True)
