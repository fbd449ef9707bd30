"""Columns, sparse rows and tasks in the wrong place: served, or refused by name."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklmeta import (
    AutoMetaClassifier,
    BayesianLinearRegressor,
    PerTask,
    Pooled,
    ProtoNetClassifier,
    TaskCollection,
    split_tasks,
    stack_tasks,
)
from sklmeta.comparing import compare
from sklmeta.model_selection import FewShotScorer, few_shot_cross_validate

RNG = np.random.default_rng(0)
TASK = np.repeat(np.arange(8), 14)
Y = np.tile(np.arange(14) % 2, 8)
X = np.maximum(RNG.normal(size=(112, 4)) + Y[:, None], 0)
FRAME = pd.DataFrame(X, columns=list("abcd"))
NUMBERS = X @ [1.0, 2, 3, 4]


def meta(**params):
    return BayesianLinearRegressor(
        hidden_layer_sizes=(), max_iter=3, random_state=0, **params
    )


def protonet():
    return ProtoNetClassifier(max_iter=3, random_state=0)


@pytest.mark.parametrize("model", [meta(), PerTask(Ridge()), Pooled(Ridge())])
def test_columns_of_one_name_are_refused(model):
    twice = FRAME.set_axis(["a", "b", "a", "d"], axis=1)
    fitted = model.fit(FRAME, NUMBERS, task=TASK)
    for call in (
        lambda: model.fit(twice, NUMBERS, task=TASK),
        lambda: fitted.adapt(twice, NUMBERS),
        lambda: fitted.predict(twice),
        lambda: fitted.score(twice, NUMBERS, task=TASK),
        lambda: model.fit(TaskCollection(twice, NUMBERS, TASK)),
        lambda: model.fit(list(TaskCollection(twice, NUMBERS, TASK))),
    ):
        with pytest.raises(ValueError, match=r"one column of each .*: \['a'\]"):
            call()


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ("aacdyt", {}, r"these names: \['a'\]"),
        ("abcyyt", {}, r"these names: \['y'\]"),
        ("abctyt", {"features": ["a"]}, r"these names: \['t'\]"),
        ("abcdyt", {"features": ["a", "a"]}, r"\['a', 'a'\] name one twice"),
        ("abcdyt", {"features": ["a", "y"]}, "target='y'.* name one twice"),
        ("abcdyt", {"task": "y"}, "task='y'.* name one twice"),
    ],
)
def test_every_column_of_a_collection_has_one_use(names, options, message, tmp_path):
    frame = FRAME.assign(y=Y, t=TASK)
    arguments = {"target": "y", "task": "t", **options}
    with pytest.raises(ValueError, match=message):
        TaskCollection.from_frame(frame.set_axis(list(names), axis=1), **arguments)
    pa = pytest.importorskip("pyarrow")
    feather = pytest.importorskip("pyarrow.feather")
    columns = [pa.array(frame.iloc[:, i]) for i in range(6)]
    feather.write_feather(
        pa.Table.from_arrays(columns, list(names)), str(tmp_path / "x.arrow")
    )
    with pytest.raises(ValueError, match=rf"{message}|x.arrow .*duplicate field names"):
        TaskCollection.from_file(tmp_path / "x.arrow", **arguments)


def pairs():
    return split_tasks(FRAME, NUMBERS, TASK)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X.rename(columns={"c": "C"}), y), r"\['c'\] are missing.*\['C'"),
        (lambda X, y: (X.assign(e=1), y), r"other columns than.*\['e'\] are new"),
        (lambda X, y: (X.to_numpy()[:, :3], y), r"rows of shape \(3,\), and tasks\[0"),
        (lambda X, y: (X, y[:3]), r"inconsistent numbers of samples"),
        (lambda X, y: (X, None), "no pair"),
        (lambda X, y: (X,), "no pair"),
        (lambda X, y: X, "no pair"),
        (lambda X, y: (X, np.c_[y, y]), "2 dimensions"),
    ],
)
@pytest.mark.parametrize("use", [stack_tasks, meta().fit, PerTask(Ridge()).fit])
def test_the_task_that_is_unlike_the_others_is_named(use, change, message):
    tasks = pairs()
    tasks[5] = change(*tasks[5])
    with pytest.raises(ValueError, match=rf"tasks\[5\].*{message}"):
        use(tasks)


def test_columns_of_stacked_tasks_go_by_name():
    tasks = pairs()
    tasks[5] = (tasks[5][0][list("dcba")], tasks[5][1])
    pd.testing.assert_frame_equal(stack_tasks(tasks)[0], FRAME)


@pytest.mark.parametrize("model", [meta(), PerTask(Ridge())])
def test_a_collection_in_the_place_of_rows(model):
    tasks = TaskCollection(FRAME, NUMBERS, TASK)
    fitted = model.fit(tasks)
    expected = fitted.score(FRAME, NUMBERS, task=TASK)
    assert fitted.score(tasks) == fitted.score(list(tasks)) == expected
    folds = cross_val_score(model, tasks, cv=4)
    np.testing.assert_array_equal(folds, cross_val_score(model, list(tasks), cv=4))
    assert (folds > -1).all()
    with pytest.raises(TypeError, match=r"X, y, task = tasks.to_arrays\(\)"):
        fitted.predict(tasks)
    with pytest.raises(TypeError, match=r"X, y, task = stack_tasks\(tasks\)"):
        fitted.predict(list(tasks))
    with pytest.raises(TypeError, match=r"X, y, task = tasks.to_arrays\(\)"):
        make_pipeline(StandardScaler(), model).fit(tasks)


FORMATS = [sp.csr_matrix, sp.coo_array, sp.csc_array, sp.csr_array]
SERVED = [
    PerTask(LogisticRegression()),
    Pooled(LogisticRegression()),
    Pooled(LogisticRegression(), support="append"),
    AutoMetaClassifier(
        estimators=[
            ("own", PerTask(LogisticRegression())),
            ("all", Pooled(LogisticRegression())),
        ],
        preparation=VarianceThreshold(),  # which rounds nothing
        cv=2,
        shots=[2],
        n_draws=1,
        random_state=0,
    ),
]


@pytest.mark.parametrize(("model", "form"), [*zip(SERVED, FORMATS, strict=True)])
def test_sparse_rows_are_served_everywhere_alike(model, form):
    def results(X):
        est = model.fit(X, Y, task=TASK)
        yield est.predict(X)
        yield est.score(X, Y, task=TASK)
        yield FewShotScorer(scoring="roc_auc", shots=4)(est, X, Y, task=TASK % 2)
        yield est.adapt(X, Y, task=TASK).predict_proba(X, task=TASK)
        tasks = TaskCollection(X, Y, TASK)[1:]
        yield est.fit(list(tasks)).predict(X)
        est.fit(tasks).calibrate(X, Y, TASK + 100, shots=4, n_draws=1)
        yield est.predict_proba(X)

    for dense, sparse in zip(results(X), results(form(X)), strict=True):
        np.testing.assert_allclose(sparse, dense, rtol=1e-5, atol=1e-6)


def test_sparse_rows_are_judged_like_dense_ones():
    scores = [
        few_shot_cross_validate(SERVED[0], rows, Y, TASK, shots=4).score
        for rows in (X, sp.coo_array(X))
    ]
    np.testing.assert_allclose(*scores)
    svd = make_pipeline(TruncatedSVD(2, random_state=0), protonet())
    result = compare([svd, SERVED[0]], sp.coo_array(X), Y, TASK, shots=4, n_draws=1)
    assert len(result.tasks) == 8


def test_sparse_rows_are_refused_everywhere_alike():
    S = sp.coo_array(X)
    fitted = protonet().fit(X, Y, task=TASK)
    centred = Pooled(Ridge(), center=True)
    for call in (
        lambda: protonet().fit(S, Y, task=TASK),
        lambda: protonet().fit(TaskCollection(S, Y, TASK)),
        lambda: protonet().fit(list(TaskCollection(S, Y, TASK))),
        lambda: fitted.adapt(S, Y),
        lambda: fitted.predict(S),
        lambda: fitted.score(S, Y),
        lambda: fitted.score(S, Y, task=TASK),
        lambda: fitted.transform(S),
        lambda: centred.fit(S, NUMBERS, task=TASK),
        lambda: AutoMetaClassifier().fit(S, Y, task=TASK),
        lambda: compare([SERVED[0], protonet()], S, Y, TASK, shots=4),
    ):
        with pytest.raises(TypeError, match=r"toarray\(\), or put a TruncatedSVD"):
            call()


def decimals(frame):
    return frame.map(lambda value: Decimal(repr(float(value))))


@pytest.mark.parametrize("model", [meta(), PerTask(Ridge())])
@pytest.mark.parametrize(
    "kind",
    [
        "Float64",
        "double[pyarrow]",
        "object",
        decimals,
        lambda f: decimals(f).to_numpy(),
    ],
)
def test_numbers_in_other_columns_are_these_numbers(kind, model):
    def results(X, y):
        est = model.fit(X, y, task=TASK)
        yield est.score(X, y, task=TASK)
        yield est.adapt(X, y, task=TASK).predict(X, task=TASK)

    y = pd.DataFrame({"y": NUMBERS})
    make = kind if callable(kind) else lambda frame: frame.astype(kind)
    X_kind, y_kind = make(FRAME), make(y)
    y_kind = y_kind["y"] if hasattr(y_kind, "columns") else y_kind[:, 0]
    expected = list(results(FRAME if hasattr(X_kind, "columns") else X, NUMBERS))
    for mine, right in zip(results(X_kind, y_kind), expected, strict=True):
        np.testing.assert_allclose(mine, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["bool", "boolean", "bool[pyarrow]"])
def test_a_column_of_bools_is_noughts_and_ones(dtype):
    frame = FRAME.assign(a=(FRAME.a > 0).astype(dtype))
    other = frame.assign(a=frame.a.astype(float))
    one, two = (meta().fit(f, NUMBERS, task=TASK).predict(f) for f in (frame, other))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("kind", ["Float64", object])
@pytest.mark.parametrize("model", [meta(), PerTask(Ridge())])
def test_missing_values_of_pandas_are_named(kind, model):
    frame, y = FRAME.astype(kind), pd.Series(NUMBERS).astype(kind)
    frame.iloc[3, 1] = y[4] = pd.NA
    for bad in ((frame, NUMBERS), (FRAME, y)):
        with pytest.raises(ValueError, match=r"missing values|contains NaN"):
            model.fit(*bad)
