"""Numbers too large or too alike to compute with: an answer, or an error by name."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
import pandas as pd
import pytest
from instances import META, META_REGRESSORS
from sklearn.base import clone
from sklearn.linear_model import Ridge

from sklmeta import AutoMetaRegressor, PerTask
from sklmeta.data.scaling import Scaling, check_features

COLUMNS = ["age", "income", "height"]
ENOUGH = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def quick(name, **params):
    return clone(META[name]).set_params(max_iter=2, **params)


@pytest.fixture
def tasks(regression_tasks):
    X, y, task = regression_tasks
    few = task < np.sort(np.unique(task))[6]
    return X[few], y[few], task[few]


@pytest.fixture
def classes(tasks):
    X, y, task = tasks
    return X, np.where(y > np.median(y), "high", "low"), task


def rows_for(name, tasks, classes):
    return tasks if name in META_REGRESSORS else classes


@pytest.mark.parametrize("factor", [2e6, 1e8, 4e18])
@pytest.mark.parametrize("name", META)
def test_unscaled_features_past_what_can_be_computed(name, factor, tasks, classes):
    X, y, task = rows_for(name, tasks, classes)
    wild = X * [1, factor / np.abs(X[:, 1]).max(), 1]
    with pytest.raises(ValueError, match=r"'income' of X reaches .* standardize=True"):
        quick(name, standardize=False).fit(pd.DataFrame(wild, columns=COLUMNS), y, task)
    estimator = quick(name, standardize=False).fit(X, y, task=task)
    with pytest.raises(ValueError, match="Column 1 of X reaches"):
        estimator.adapt(wild, y, task=task)
    with pytest.raises(ValueError, match="Column 1 of X reaches"):
        estimator.predict(X * [1, 1e200, 1])


@ENOUGH
@pytest.mark.parametrize(
    ("scale", "shift"), [(1e8, 0), (4e18, 0), (1e300, 0), (1e-200, 0), (1e-3, 1e9)]
)
@pytest.mark.parametrize("name", META)
def test_standardised_features_agree_alone_and_in_bulk(
    name, scale, shift, tasks, classes
):
    X, y, task = rows_for(name, tasks, classes)
    X = X / np.abs(X).max() * [1, scale, 1] + [0, shift, 0]
    estimator = quick(name).fit(X, y, task=task).adapt(X, y, task=task)
    say = getattr(estimator, "predict_proba", estimator.predict)
    together = say(X, task=task)
    mine = task == task[0]
    estimator.adapt(X[mine], y[mine])
    np.testing.assert_allclose(say(X[mine]), together[mine], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", META_REGRESSORS)
def test_targets_past_what_can_be_computed(name, tasks):
    X, y, task = tasks
    single = X.astype(np.float32)
    with pytest.raises(ValueError, match=r"y has a target of .* standardize=True"):
        quick(name, standardize=False).fit(single, y * 1e30, task=task)
    estimator = quick(name).fit(single, y, task=task)
    with pytest.raises(ValueError, match="those of fit vary by"):
        estimator.adapt(single, y * 1e30, task=task)
    finite = estimator.adapt(single, y * 1e12, task=task).predict(single, task=task)
    assert np.isfinite(finite).all()
    estimator.fit(X, y * 1e300, task=task)
    assert np.isfinite(estimator.predict(X)).all()


@pytest.mark.parametrize(("scale", "shift"), [(1e300, 0), (1e-200, 0), (1e-3, 1e9)])
def test_targets_that_single_precision_does_not_hold(scale, shift, tasks):
    X, y, task = tasks
    wild = y / np.abs(y).max() * scale + shift
    estimator = quick("ridge_head_regressor").fit(X, wild, task=task)
    assert np.ptp(estimator.adapt(X, wild, task=task).predict(X, task=task)) > 0
    with pytest.raises(ValueError, match=r"float32 does not hold.*float64"):
        estimator.fit(X.astype(np.float32), wild, task=task)


def test_a_blend_squares_errors(tasks):
    X, y, task = tasks
    blend = AutoMetaRegressor(estimators=[("own", PerTask(Ridge()))], n_draws=1)
    with pytest.raises(ValueError, match="y has a target of"):
        blend.fit(X, y * 1e300, task=task)


def test_images_have_no_columns():
    with pytest.raises(ValueError, match=r"^X reaches 1e\+09.*: scale it\.$"):
        check_features(np.full((3, 2, 2), 1e9), 1e6, Scaling.identity())
