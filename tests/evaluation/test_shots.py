"""Every public place that takes `shots` reads it alike."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from sklmeta import AutoMetaRegressor, PerTask
from sklmeta.calibration import calibrated, cross_calibrated, few_shot_intervals
from sklmeta.comparing import compare
from sklmeta.datasets import make_linear_tasks
from sklmeta.evaluation.shots import read_shots
from sklmeta.model_selection import FewShotScorer, few_shot_cross_validate

TABLE = make_linear_tasks(12, n_rows=8, random_state=0)


@pytest.fixture(scope="module")
def model():
    X, y, task = make_linear_tasks(12, n_rows=8, random_state=1)
    return PerTask(Ridge()).fit(X, y, task=np.char.add("old ", task.astype(str)))


def sizes_of(model):
    return list(model._calibration)


SEVERAL = {
    "calibrate": lambda model, k: sizes_of(
        PerTask(Ridge()).fit(*TABLE[:2]).calibrate(*TABLE, shots=k)
    ),
    "calibrated": lambda model, k: sizes_of(calibrated(model, *TABLE, shots=k)),
    "cross_calibrated": lambda model, k: sizes_of(
        cross_calibrated(model, *TABLE, shots=k, cv=2)
    ),
    "few_shot_intervals": lambda model, k: few_shot_intervals(
        calibrated(model, *TABLE), *TABLE, shots=k
    ).shots.unique(),
    "compare": lambda model, k: compare(model, *TABLE, shots=k, cv=2).shots,
    "few_shot_cross_validate": lambda model, k: few_shot_cross_validate(
        model, *TABLE, shots=k, cv=2
    ).shots.unique(),
}
ONE = {
    "FewShotScorer": lambda model, k: FewShotScorer(shots=k)(
        model, *TABLE[:2], task=TABLE[2]
    ),
    "score": lambda model, k: model.score(*TABLE[:2], task=TABLE[2], shots=k),
}
BLEND = {
    "AutoMetaRegressor": lambda model, k: AutoMetaRegressor(
        estimators=[("own", model)], shots=[k], cv=2
    ).fit(*TABLE[:2], task=TABLE[2])
}


@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.parametrize(
    ("shots", "expected"),
    [(3, [3]), (np.int64(3), [3]), (np.array([2, 4]), [2, 4]), ({2, 4}, [2, 4])],
)
def test_one_number_or_several_of_any_kind(name, shots, expected, model):
    np.testing.assert_array_equal(SEVERAL[name](model, shots), expected)


@pytest.mark.parametrize("name", ONE)
def test_a_numpy_integer_is_an_int(name, model):
    assert ONE[name](model, np.int64(3)) == ONE[name](model, 3)


@pytest.mark.parametrize("name", [*SEVERAL, *ONE, *BLEND])
@pytest.mark.parametrize("shots", [True, -1, np.int64(-1), 2.5, np.True_])
def test_what_is_no_number_of_rows_is_refused_in_the_same_words(name, shots, model):
    call = {**SEVERAL, **ONE, **BLEND}[name]
    with pytest.raises(ValueError, match="shots must be an int of at least 0; got"):
        call(model, shots)


def test_order_and_arrays_without_dimensions():
    assert read_shots(np.array(5)) == [5]
    assert read_shots(range(2, 0, -1)) == [2, 1]
    assert read_shots(k for k in (0, 7)) == [0, 7]
    assert all(type(k) is int for k in read_shots(pd.Series([1, 2])))


@pytest.mark.parametrize("shots", [[], np.array([])])
def test_none_at_all(shots):
    with pytest.raises(ValueError, match="must hold a number of support rows"):
        read_shots(shots)
