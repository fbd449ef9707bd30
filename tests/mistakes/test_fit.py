"""Mistakes in `fit`: rows, targets, tasks, parameters, modules."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from mistakes import Mistake, check, table
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from torch import nn

from sklmeta import (
    AutoMetaRegressor,
    BayesianLinearRegressor,
    EpisodicBoostingRegressor,
    MAMLClassifier,
    MixedModelRegressor,
    PerTask,
    Pooled,
    ProtoNetClassifier,
    TaskCollection,
    adapted,
)
from sklmeta.preparation import TablePreparation

pytestmark = pytest.mark.usefixtures("shop")


def regressor(**params):
    return BayesianLinearRegressor(**{"max_iter": 2, "random_state": 0, **params})


def classifier(**params):
    return ProtoNetClassifier(**{"max_iter": 2, "random_state": 0, **params})


def holed(values, row=3):
    values = np.array(values, dtype=object if np.asarray(values).ndim == 1 else float)
    values[row] = np.nan
    return values


TASKS = {
    "task of one label": Mistake(
        lambda d: regressor().fit(d.X, d.y, task=np.repeat("s", 60)),
        UserWarning,
        "single label|one table|rows of several tasks",
    ),
    "two tasks": Mistake(
        lambda d: regressor().fit(d.X, d.y, task=np.repeat(["a", "b"], 30)),
        UserWarning,
        "2 tasks|next to nothing|compare|PerTask",
    ),
    "two tasks of a mixed model": Mistake(
        lambda d: MixedModelRegressor().fit(d.X, d.y, task=np.repeat([0, 1], 30)),
        UserWarning,
        "MixedModelRegressor was fitted to 2 tasks|Give it more",
    ),
    "two tasks of a blend": Mistake(
        lambda d: AutoMetaRegressor(estimators=[("own", PerTask(Ridge()))]).fit(
            d.X, d.y, task=np.repeat([0, 1], 30)
        ),
        UserWarning,
        "2 tasks|count alike",
    ),
    "task in another order": Mistake(
        lambda d: regressor().fit(
            d.frame, d.y, task=pd.Series(d.task).sample(frac=1, random_state=0)
        ),
        ValueError,
        r"another order|task.loc\[X.index\]|to_numpy",
    ),
    "task too short": Mistake(
        lambda d: regressor().fit(d.X, d.y, task=d.task[:-1]),
        ValueError,
        "one label per row|60 rows and task has 59",
    ),
    "task as a column of a frame": Mistake(
        lambda d: regressor().fit(d.X, d.y, task=pd.DataFrame({"s": d.task})),
        ValueError,
        "one-dimensional",
    ),
    "task as a column's name": Mistake(
        lambda d: regressor().fit(d.frame, d.y, task="price"),
        ValueError,
        r"one-dimensional|df\[name\]",
    ),
    "task with gaps": Mistake(
        lambda d: regressor().fit(d.X, d.y, task=holed(d.task)),
        ValueError,
        r"1 missing label|row\(s\) 3|Drop these rows",
    ),
    "task of mixed types": Mistake(
        lambda d: regressor().fit(d.X, d.y, task=[1] * 30 + ["a"] * 30),
        ValueError,
        r"mixed types|astype\(str\)",
    ),
    "task where every row has its own": Mistake(
        lambda d: regressor().fit(d.X, d.y, task=np.arange(60)),
        ValueError,
        "Only 0 of|tasks can be learned from",
    ),
    "groups for task": Mistake(
        lambda d: regressor().fit(d.X, d.y, groups=d.task), TypeError, "groups|'task'"
    ),
    "groups for task of a mixed model": Mistake(
        lambda d: MixedModelRegressor().fit(d.X, d.y, groups=d.task),
        TypeError,
        "groups|'task'",
    ),
    "groups for task of a baseline": Mistake(
        lambda d: Pooled(Ridge()).fit(d.X, d.y, groups=d.task),
        TypeError,
        "groups|'task'",
    ),
    "sample_weight where episodes are drawn": Mistake(
        lambda d: regressor().fit(d.X, d.y, sample_weight=np.ones(60)),
        TypeError,
        "sample_weight|it takes X, y, task",
    ),
}

ROWS = {
    "gaps": Mistake(
        lambda d: regressor().fit(holed(d.X), d.y, task=d.task),
        ValueError,
        r"NaN|no gaps|make_pipeline\(TablePreparation\(\), Bayes|adapted\(",
    ),
    "gaps of a baseline": Mistake(
        lambda d: Pooled(Ridge()).fit(d.frame.where(d.X < 1), d.y, task=d.task),
        ValueError,
        r"NaN|make_pipeline\(TablePreparation\(\), Pooled",
    ),
    "gaps in an array for a blend": Mistake(
        lambda d: AutoMetaRegressor(estimators=[("own", PerTask(Ridge()))]).fit(
            holed(d.X), d.y, task=d.task
        ),
        ValueError,
        r"NaN|preparation=TablePreparation\(\)",
    ),
    "infinity": Mistake(
        lambda d: regressor().fit(np.where(d.X > 1, np.inf, d.X), d.y, task=d.task),
        ValueError,
        "infinity",
    ),
    "sparse rows": Mistake(
        lambda d: regressor().fit(scipy.sparse.csr_array(d.X), d.y, task=d.task),
        TypeError,
        r"sparse|X.toarray\(\)|TruncatedSVD",
    ),
    "text": Mistake(
        lambda d: regressor().fit(d.frame.assign(city="oslo"), d.y, task=d.task),
        ValueError,
        r"text|oslo|make_pipeline\(TablePreparation\(\), Bayes|linearregressor__task",
    ),
    "text where gaps are taken": Mistake(
        lambda d: EpisodicBoostingRegressor(cv=2, n_rows=50).fit(
            d.frame.assign(city="oslo"), d.y, task=d.task
        ),
        ValueError,
        r"text|make_pipeline\(TablePreparation\(\), EpisodicBoosting",
    ),
    "dates": Mistake(
        lambda d: regressor().fit(
            d.frame.assign(day=pd.Timestamp("2026-01-01")), d.y, task=d.task
        ),
        ValueError,
        r"dates|make_pipeline\(TablePreparation\(\), Bayes",
    ),
    "one dimension": Mistake(
        lambda d: regressor().fit(d.X[:, 0], d.y, task=d.task),
        ValueError,
        r"2D array|reshape\(-1, 1\)",
    ),
    "no row": Mistake(
        lambda d: regressor().fit(d.X[:0], d.y[:0]), ValueError, "0 sample"
    ),
    "names twice": Mistake(
        lambda d: regressor().fit(
            d.frame.set_axis(["a", "a", "b"], axis=1), d.y, task=d.task
        ),
        ValueError,
        "more than one column|'a'|Rename",
    ),
    "dict of frames": Mistake(
        lambda d: regressor().fit({"s0": d.frame, "s1": d.frame}, d.y),
        TypeError,
        "dict|from_frame",
    ),
    "groupby": Mistake(
        lambda d: regressor().fit(d.frame.groupby(d.task), d.y),
        TypeError,
        "grouped|frame as it was|task",
    ),
    "iterator of tasks": Mistake(
        lambda d: regressor().fit(zip([d.X, d.X], [d.y, d.y], strict=True)),
        TypeError,
        r"iterator|list\(X\)",
    ),
    "tasks with other columns": Mistake(
        lambda d: regressor().fit([(d.X, d.y), (d.X[:, :2], d.y)]),
        ValueError,
        r"tasks\[1\]|same columns",
    ),
    "a task without targets": Mistake(
        lambda d: regressor().fit([(d.X, d.y), (d.X, d.y[:-1])]),
        ValueError,
        r"tasks\[1\] is no pair",
    ),
    "collection and targets": Mistake(
        lambda d: regressor().fit(TaskCollection(d.X, d.y, d.task), d.y),
        ValueError,
        "brings its own y|pass it alone",
    ),
    "only X": Mistake(lambda d: regressor().fit(d.X), ValueError, "requires y"),
    "X and y of other lengths": Mistake(
        lambda d: regressor().fit(d.X, d.y[:-1], task=d.task),
        ValueError,
        "inconsistent numbers of samples",
    ),
}

TARGETS = {
    "text for a regressor": Mistake(
        lambda d: regressor().fit(d.X, d.labels, task=d.task),
        ValueError,
        "y is text|a classifier predicts labels",
    ),
    "numbers for a classifier": Mistake(
        lambda d: classifier().fit(d.X, d.y, task=d.task),
        ValueError,
        "continuous|regression target",
    ),
    "gaps in y": Mistake(
        lambda d: regressor().fit(d.X, holed(d.y).astype(float), task=d.task),
        ValueError,
        "Input y contains NaN",
    ),
    "gaps in labels": Mistake(
        lambda d: classifier().fit(d.X, holed(d.labels), task=d.task),
        ValueError,
        "y has 1 missing label|Drop these rows",
    ),
    "two columns": Mistake(
        lambda d: MixedModelRegressor().fit(d.X, d.X[:, :2], task=d.task),
        ValueError,
        "2 columns|MultiOutputRegressor",
    ),
    "own classes taken for shared": Mistake(
        lambda d: classifier().fit(d.X, d.own, task=d.task),
        ValueError,
        "No class appears in two tasks|shared_classes=False",
    ),
    "one class per task, own": Mistake(
        lambda d: classifier(shared_classes=False).fit(d.X, d.task, task=d.task),
        ValueError,
        "single class|shared_classes=True",
    ),
    "too many ways": Mistake(
        lambda d: classifier(n_way=9).fit(d.X, d.own, task=d.task),
        ValueError,
        "n_way=9|Lower n_way",
    ),
    "labels of mixed types": Mistake(
        lambda d: classifier().fit(d.X, ["a"] * 30 + [1] * 30, task=d.task),
        ValueError,
        r"mixed types|astype\(str\)",
    ),
}


def fit(**params):
    return lambda d: regressor(**params).fit(d.X, d.y, task=d.task)


PARAMETERS = {
    "n_epochs": Mistake(fit(n_epochs=5), TypeError, "n_epochs|max_iter|not epochs"),
    "epochs": Mistake(fit(epochs=5), TypeError, "max_iter"),
    "batch_size": Mistake(fit(batch_size=5), TypeError, "meta_batch_size"),
    "learning_rate": Mistake(fit(learning_rate=0.1), TypeError, "'lr'"),
    "shots": Mistake(fit(shots=5), TypeError, "'n_shots'"),
    "seed": Mistake(fit(seed=0), TypeError, "'random_state'"),
    "a misspelling": Mistake(fit(max_itr=5), TypeError, "max_iter"),
    "of the module": Mistake(
        fit(module__width=5),
        TypeError,
        r"module_params=\{'width'|set_params\(module__width=",
    ),
    "of a baseline": Mistake(
        lambda d: PerTask(Ridge(), seed=0), TypeError, "it takes estimator"
    ),
    "of a blend": Mistake(
        lambda d: AutoMetaRegressor(members=[]), TypeError, "members|estimators"
    ),
    "set_params": Mistake(
        lambda d: regressor().set_params(n_epochs=5), ValueError, "Valid parameters"
    ),
    "max_iter=0": Mistake(
        fit(max_iter=0, start=None), UserWarning, "max_iter=0|random"
    ),
    "max_iter=-1": Mistake(fit(max_iter=-1), ValueError, "'max_iter' parameter"),
    "max_iter='100'": Mistake(fit(max_iter="100"), ValueError, "'max_iter' parameter"),
    "lr=0": Mistake(fit(lr=0), ValueError, "'lr' parameter"),
    "n_shots=0": Mistake(fit(n_shots=0), ValueError, "'n_shots' parameter"),
    "n_shots=(5, 2)": Mistake(fit(n_shots=(5, 2)), ValueError, r"range \(low, high\)"),
    "support='last'": Mistake(fit(support="last"), ValueError, "'support' parameter"),
    "activation": Mistake(fit(activation="rleu"), ValueError, "relu"),
    "optimizer": Mistake(fit(optimizer="Adamm"), ValueError, "Adamm|torch.optim"),
    "early_stopping": Mistake(fit(early_stopping="yes"), ValueError, "folds"),
    "hidden_layer_sizes=0": Mistake(fit(hidden_layer_sizes=0), ValueError, "hidden_la"),
    "hidden_layer_sizes=(8.0,)": Mistake(
        fit(hidden_layer_sizes=(8.0,)), ValueError, "positive ints"
    ),
    "device='gpu'": Mistake(fit(device="gpu"), ValueError, "torch knows|cuda"),
    "module of another width": Mistake(
        fit(module=nn.Linear(7, 2)), ValueError, r"rows of shape \(3,\)"
    ),
    "module without its arguments": Mistake(
        fit(module=nn.Linear), ValueError, "module_params"
    ),
    "module_params without a module": Mistake(
        fit(module_params={"bias": False}), ValueError, "needs a module"
    ),
    "a function as module": Mistake(
        fit(module=lambda X: X), ValueError, "'module' parameter"
    ),
    "an estimator for a class": Mistake(
        lambda d: PerTask(Ridge).fit(d.X, d.y, task=d.task), TypeError, "Ridge"
    ),
    "one inner step from identical vectors": Mistake(
        lambda d: MAMLClassifier(
            n_way=2, n_shots=2, n_query=2, head_init="shared", inner_steps=1, max_iter=2
        ).fit(d.X, d.own, task=d.task),
        UserWarning,
        "leaves the encoder as it is|inner_steps >= 2",
    ),
}


@table({**TASKS, **ROWS, **TARGETS, **PARAMETERS})
def test_it_is_said(mistake, shop):
    check(mistake, shop)


def test_a_failed_fit_loses_nothing(shop):
    before = shop.bayes.predict(shop.X)
    for task in (shop.task[:-1], np.arange(60)):
        with pytest.raises(ValueError, match="task"):
            shop.bayes.fit(shop.X, shop.y, task=task)
    np.testing.assert_array_equal(shop.bayes.predict(shop.X), before)


def test_gaps_are_harmless_to_trees(shop):
    model = EpisodicBoostingRegressor(cv=2, n_rows=50, random_state=0)
    model.fit(shop.frame.where(shop.X < 1), shop.y, task=shop.task)
    assert np.isfinite(model.predict(shop.frame)).all()


def test_the_line_in_front_that_is_named_is_enough(shop):
    frame = shop.frame.assign(city="oslo", day=pd.Timestamp("2026-01-01"))
    frame = frame.where(frame.price < 1)
    pipe = make_pipeline(TablePreparation(), regressor())
    pipe.fit(frame, shop.y, bayesianlinearregressor__task=shop.task)
    assert np.isfinite(adapted(pipe, frame, shop.y).predict(frame)).all()


def test_what_is_harmless_is_accepted(shop):
    pairs = {
        name: (shop.X[shop.task == name], shop.y[shop.task == name])
        for name in np.unique(shop.task)
    }
    by_name = regressor(hidden_layer_sizes=8).fit(pairs)
    flat = regressor(hidden_layer_sizes=(8,)).fit(shop.X, shop.y, task=shop.task)
    np.testing.assert_array_equal(by_name.tasks_, flat.tasks_)
    np.testing.assert_allclose(by_name.predict(shop.X), flat.predict(shop.X))
