"""Bad input gets an error that names what is wrong and what to do."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sklmeta import (
    BayesianLinearRegressor,
    MAMLClassifier,
    MAMLRegressor,
    ProtoNetClassifier,
)


def regressor(**params):
    return BayesianLinearRegressor(**{"max_iter": 5, "random_state": 0, **params})


def classifier(**params):
    return ProtoNetClassifier(**{"max_iter": 5, "random_state": 0, **params})


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_input(value, regression_tasks):
    X, y, task = regression_tasks
    bad = X.copy()
    bad[3, 1] = value
    with pytest.raises(ValueError, match="Input X contains"):
        regressor().fit(bad, y, task=task)
    bad = y.copy()
    bad[3] = value
    with pytest.raises(ValueError, match="Input y contains"):
        regressor().fit(X, bad, task=task)
    est = regressor().fit(X, y, task=task)
    with pytest.raises(ValueError, match="Input y contains"):
        est.adapt(X, bad)


@pytest.mark.parametrize("dtype", [object, "category", "string"])
def test_text_columns_point_at_the_remedy(dtype, regression_tasks):
    X, y, task = regression_tasks
    frame = pd.DataFrame(X).assign(city=pd.Series(["oslo"] * len(X), dtype=dtype))
    frame.columns = frame.columns.astype(str)
    with pytest.raises(
        ValueError, match=r"column of text.*make_pipeline\(TablePreparation\(\), Bayes"
    ):
        regressor().fit(frame, y, task=task)


def test_task_of_the_wrong_length_or_shape_or_with_a_hole(regression_tasks):
    X, y, task = regression_tasks
    n = len(X)
    with pytest.raises(ValueError, match=rf"X has {n} rows and task has {n - 1}"):
        regressor().fit(X, y, task=task[:-1])
    with pytest.raises(ValueError, match="one-dimensional"):
        regressor().fit(X, y, task=task[:, None])
    holed = task.astype(object)
    holed[2] = None
    with pytest.raises(ValueError, match=r"1 missing label.*row\(s\) 2"):
        regressor().fit(X, y, task=holed)


def test_one_row_tasks_are_counted_in_one_warning(regression_tasks):
    X, y, task = regression_tasks
    lonely = task.copy()
    lonely[:3] = [100, 101, 102]
    with pytest.warns(UserWarning, match="3 of 33 tasks have one row") as caught:
        regressor().fit(X, y, task=lonely)
    assert len(caught) == 1
    assert caught[0].filename == __file__  # the user's line, however deep we are
    pipe = make_pipeline(StandardScaler(), regressor())
    with pytest.warns(UserWarning, match="3 of 33") as caught:
        pipe.fit(X, y, bayesianlinearregressor__task=lonely)
    assert caught[0].filename == __file__


def test_tasks_that_a_splitter_passes_over_are_counted(regression_tasks):
    class HalfOfLargeTasks:
        def get_n_splits(self):
            return 1

        def split(self, X, y=None):
            half = np.arange(len(X)) < len(X) // 2
            if len(X) > 2:
                yield np.flatnonzero(half), np.flatnonzero(~half)

        def __repr__(self):
            return "HalfOfLargeTasks()"

    X, y, task = regression_tasks
    small = task.copy()
    small[:2] = 100
    with pytest.warns(UserWarning, match=r"1 of 31 .* no split by HalfOfLargeTasks"):
        regressor(support=HalfOfLargeTasks()).fit(X, y, task=small)


def test_too_few_usable_tasks(regression_tasks):
    X, y, _ = regression_tasks
    task = np.arange(len(X))
    task[1] = 0
    with pytest.raises(ValueError, match=r"Only 1 of .* tasks can be learned from"):
        regressor().fit(X, y, task=task)


def test_too_many_ways(own_tasks):
    X, y, task = own_tasks
    with pytest.raises(ValueError, match=r"n_way=9 .*the richest task has 5"):
        classifier(n_way=9).fit(X, y, task=task)
    with pytest.raises(ValueError, match="shared_classes=True excludes"):
        classifier(n_way=3, shared_classes=True).fit(X, y, task=task)


def test_own_classes_taken_for_shared(own_tasks):
    X, y, task = own_tasks
    with pytest.raises(ValueError, match=r"No class appears in two.*shared_classes=Fa"):
        classifier().fit(X, y, task=task)


def test_tasks_of_one_class_each(shared_tasks):
    X, _, task = shared_tasks
    with pytest.raises(ValueError, match="Every task has a single class"):
        classifier(shared_classes=False).fit(X, task % 2, task=task)
    # with shared classes they are valid
    classifier().fit(X, task % 2, task=task)


def test_support_that_does_not_fit(regression_tasks):
    X, y, task = regression_tasks
    est = regressor().fit(X, y, task=task)
    before = est.predict(X)
    with pytest.raises(ValueError, match="The support is empty"):
        est.adapt(X[:0], y[:0])
    with pytest.raises(ValueError, match="X has 2 features"):
        est.adapt(X[:, :2], y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        est.adapt(X, y[:-1])
    np.testing.assert_array_equal(est.predict(X), before)


class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, X):
        return self.layer(X)[:, 0]


def test_module_of_the_wrong_shape(regression_tasks):
    X, y, task = regression_tasks
    with pytest.raises(ValueError, match=r"it returned \(2,\)"):
        regressor(module=Flat).fit(X, y, task=task)
    with pytest.raises(ValueError, match=r"could not encode rows of shape \(3,\)"):
        regressor(module=nn.Linear(7, 2)).fit(X, y, task=task)
    with pytest.raises(ValueError, match="module_params needs a module class"):
        regressor(module=nn.Linear(3, 2), module_params={"bias": False}).fit(
            X, y, task=task
        )
    with pytest.raises(ValueError, match="module_params needs a module:"):
        regressor(module_params={"bias": False}).fit(X, y, task=task)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for what is there")
def test_cuda_where_there_is_none(regression_tasks):
    X, y, task = regression_tasks
    with pytest.raises(ValueError, match="torch finds no CUDA device"):
        regressor(device="cuda").fit(X, y, task=task)


def test_unknown_device(regression_tasks):
    X, y, task = regression_tasks
    with pytest.raises(ValueError, match="not a device that torch knows"):
        regressor(device="abacus").fit(X, y, task=task)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"max_iter": -1}, "'max_iter' parameter"),
        ({"lr": 0}, "'lr' parameter"),
        ({"activation": "rleu"}, "'activation' parameter"),
        ({"support": "last"}, "'support' parameter"),
        ({"n_shots": 0}, "'n_shots' parameter"),
        ({"n_shots": (5, 2)}, r"n_shots must be an int or a range \(low, high\)"),
        ({"optimizer": "Adamm"}, "optimizer='Adamm' is not a class in torch.optim"),
    ],
)
def test_parameters_are_checked(params, message, regression_tasks):
    X, y, task = regression_tasks
    with pytest.raises(ValueError, match=message):
        regressor(**params).fit(X, y, task=task)


def test_one_inner_step_from_identical_classes_warns(own_tasks):
    X, y, task = own_tasks
    est = MAMLClassifier(
        n_way=2, n_shots=2, head_init="shared", inner_steps=1, max_iter=2
    )
    with pytest.warns(UserWarning, match=r"adaptation leaves the encoder as it is"):
        est.fit(X, y, task=task)


def test_divergent_step_size_is_guarded(regression_tasks):
    X, y, task = regression_tasks
    est = MAMLRegressor(max_iter=5, random_state=0).fit(X, y, task=task)
    est.set_params(inner_lr=1e4, adapt_steps=10)
    est.adapt(X, y, task=task)
    assert est.n_guarded_ > 0
    assert np.isfinite(est.predict(X, task=task)).all()


def test_text_target_of_a_regressor(regression_tasks):
    X, _, task = regression_tasks
    with pytest.raises(ValueError, match="a classifier predicts labels"):
        regressor().fit(X, np.repeat("a", len(X)), task=task)


def test_dates_are_not_numbers(regression_tasks):
    X, y, task = regression_tasks
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame["day"] = pd.Timestamp("2026-01-01")
    for dates in (frame, frame[["day"]].astype(object)):
        with pytest.raises(ValueError, match="such as dates"):
            regressor().fit(dates, y, task=task)


def test_arguments_that_the_module_lacks(regression_tasks):
    X, y, task = regression_tasks
    with pytest.raises(ValueError, match="Give its arguments in module_params"):
        regressor(module=nn.Linear).fit(X, y, task=task)
    with pytest.raises(ValueError, match="hidden_layer_sizes must hold positive ints"):
        regressor(hidden_layer_sizes=(6.0,)).fit(X, y, task=task)
