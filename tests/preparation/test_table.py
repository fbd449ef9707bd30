"""Raw tables become numbers, and later ones the same numbers."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
import pandas as pd
import pytest

import sklmeta
from sklmeta.preparation import TablePreparation, needs_preparation, rows_in_time

N = 120


@pytest.fixture(scope="module")
def shops():
    i = np.arange(N)
    days = pd.Series(pd.date_range("2024-01-29", periods=N))
    return pd.DataFrame(
        {
            "day": days.dt.strftime("%Y-%m-%d"),
            "opened": days.dt.tz_localize("Europe/Paris").where(i % 5 > 0),
            "price": np.where(i % 4 == 0, np.nan, 1e9 + i),
            "promotion": np.array(["none", "leaflet", "display"])[i % 3],
            "code": pd.Categorical(i % 3),
            "note": [f"shop {k} says {k * 7 % 13} words" for k in i],
            "flag": pd.array([True, None, False] * (N // 3), dtype="boolean"),
            "mixed": [1, "a", None] * (N // 3),
            "constant": "x",
            "empty": None,
        }
    )


@pytest.fixture(scope="module")
def fitted(shops):
    return TablePreparation().fit(shops)


def test_every_kind_of_column_becomes_finite_numbers_with_names(shops, fitted):
    Z = fitted.transform(shops)
    names = fitted.get_feature_names_out().tolist()
    assert Z.shape == (N, len(names)) and np.isfinite(Z).all()
    assert {"day_month", "day_weekday", "day_days", "opened_is_missing"} <= {*names}
    assert "promotion_none" in names  # a word, and no gap
    assert sum(name.startswith("note_") for name in names) == 10
    assert not any(name.startswith("constant") for name in names)
    assert fitted.left_out_ == ["empty"]
    price = Z[:, names.index("price")]
    assert len(np.unique(price)) > N / 2  # float32 would make one of all of them


def test_later_frames_are_read_as_in_fit(shops, fitted):
    later = shops.assign(
        code=shops.code.astype(float),
        price=shops.price.astype(str),
        day=pd.to_datetime(shops.day),
        new="ignored",
    )[[*shops.columns[::-1], "new"]]
    np.testing.assert_array_equal(fitted.transform(later), fitted.transform(shops))
    strange = shops.assign(promotion="unseen", note=3, opened=None, code=7)
    assert np.isfinite(fitted.transform(strange)).all()


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("price", "abc", "'price' of X held numbers in fit, and now 'abc'"),
        ("price", np.inf, "'price' of X holds infinity"),
        ("day", 3, "'day' of X held dates in fit"),
    ],
)
def test_what_is_another_kind_is_named(shops, fitted, column, value, told):
    with pytest.raises(ValueError, match=told):
        fitted.transform(shops.assign(**{column: value}))


def test_a_missing_column_is_named(shops, fitted):
    with pytest.raises(ValueError, match=r"lacks 1 column.*'price'"):
        fitted.transform(shops.drop(columns="price"))


def test_a_file_holds_it(shops, tmp_path):  # "opened" has a zone of time
    fitted = TablePreparation().fit(shops)
    sklmeta.save(fitted, tmp_path / "preparation.skops")
    same = sklmeta.load(tmp_path / "preparation.skops")
    np.testing.assert_array_equal(same.transform(shops), fitted.transform(shops))


def test_which_tables_need_it(shops):
    numbers = pd.DataFrame({"a": [1.0, 2.0], "b": [True, False]})
    assert not needs_preparation(numbers)
    assert not needs_preparation(shops.to_numpy())
    assert needs_preparation(shops)
    gaps = numbers.assign(a=[np.nan, 1.0])
    assert needs_preparation(gaps) and not needs_preparation(gaps, takes_gaps=True)


def test_order_in_time(shops):
    np.testing.assert_array_equal(rows_in_time("day", shops[::-1]), np.arange(N)[::-1])
    with pytest.raises(ValueError, match="missing in 24 row"):
        rows_in_time("opened", shops)
    with pytest.raises(ValueError, match="several ways"):
        rows_in_time(["01.03.2024", "02.03.2024"])
    with pytest.raises(ValueError, match="no column of X"):
        rows_in_time("week", shops)
