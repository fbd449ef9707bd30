"""Task collections and the validation of `task`."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold

from sklmeta.baselines import PerTask
from sklmeta.data.codes import check_task
from sklmeta.data.collection import TaskCollection, split_tasks, stack_tasks


@pytest.mark.parametrize(
    "task",
    [
        ["b", "a", "b"],
        np.array(["b", "a", "b"]),
        np.array(["b", "a", "b"], dtype=object),
        pd.Series(["b", "a", "b"], index=[7, 7, 3]),
        pd.Series(["b", "a", "b"], dtype="category"),
        pd.Categorical(["b", "a", "b"]),
        pl.Series(["b", "a", "b"]),
        pl.Series(["b", "a", "b"], dtype=pl.Categorical),
    ],
)
def test_every_kind_of_label_is_taken(task):
    codes, labels = check_task(task, 3)
    assert codes.tolist() == [1, 0, 1]
    assert list(labels) == ["a", "b"]


def test_integer_labels_are_sorted():
    codes, labels = check_task([10, 2, 10], 3)
    assert labels.tolist() == [2, 10]
    assert codes.tolist() == [1, 0, 1]


def test_labels_that_cannot_be_compared_keep_their_order():
    codes, labels = check_task(np.array([2j, 1j, 2j], dtype=object), 3)
    assert list(labels) == [2j, 1j]
    assert codes.tolist() == [0, 1, 0]


def test_wrong_length_and_shape_are_errors():
    with pytest.raises(ValueError, match="X has 4 rows and task has 3"):
        check_task([1, 2, 3], 4)
    with pytest.raises(ValueError, match=r"one-dimensional.*\(2, 2\)"):
        check_task([[1, 2], [3, 4]], 2)


def ragged():
    X = np.arange(12.0).reshape(6, 2)
    y = np.arange(6)
    return X, y, np.array(["b", "a", "b", "c", "b", "a"])


def test_collection_is_a_sequence_of_tasks():
    X, y, task = ragged()
    tasks = TaskCollection(X, y, task)
    assert len(tasks) == 3
    assert tasks.sizes.tolist() == [2, 3, 1]
    assert [list(ys) for _, ys in tasks] == [[1, 5], [0, 2, 4], [3]]
    assert list(tasks[-1][1]) == [3]
    with pytest.raises(IndexError, match="task 3 of a collection of 3"):
        tasks[3]
    back = tasks.to_arrays()
    for given, returned in zip((X, y, task), back, strict=True):
        np.testing.assert_array_equal(given, returned)


def test_collection_indexed_by_many_is_a_collection():
    tasks = TaskCollection(*ragged())
    some = tasks[[2, 0]]
    assert isinstance(some, TaskCollection)
    assert some.labels.tolist() == ["a", "c"]
    assert tasks[1:].labels.tolist() == ["b", "c"]
    assert tasks[np.array([True, False, False])].labels.tolist() == ["a"]


def test_kfold_can_split_a_collection():
    tasks = TaskCollection(*ragged())
    for train, test in KFold(3).split(tasks):
        assert len(tasks[train]) == 2
        assert len(tasks[test]) == 1


def test_repr_tells_the_sizes():
    text = repr(TaskCollection(*ragged()))
    assert text == (
        "TaskCollection: 3 tasks, 6 rows, 2 features; rows per task 1 to 3, median 2"
    )


@pytest.mark.parametrize("library", [pd, pl])
def test_from_frame_takes_the_other_columns_as_features(library):
    frame = library.DataFrame(
        {"u": [1.0, 2.0], "store": ["s", "t"], "sales": [3.0, 4.0], "v": [5.0, 6.0]}
    )
    tasks = TaskCollection.from_frame(frame, target="sales", task="store")
    assert list(tasks.X.columns) == ["u", "v"]
    assert len(tasks) == 2
    X, y = tasks[0]
    assert np.asarray(X).tolist() == [[1.0, 5.0]]
    assert np.asarray(y).tolist() == [3.0]
    with pytest.raises(ValueError, match="No column 'sale' in the frame"):
        TaskCollection.from_frame(frame, target="sale", task="store")


def test_from_splits_remembers_each_tasks_support():
    X = np.ones((2, 1))
    tasks = TaskCollection.from_splits(
        [(X, [0, 1], 2 * X, [2, 3]), (3 * X, [4, 5], X[:1], [6])], labels=["p", "q"]
    )
    assert tasks.labels.tolist() == ["p", "q"]
    assert tasks.is_support.tolist() == [True, True, False, False, True, True, False]
    assert tasks[1:].is_support.tolist() == [True, True, False]


def test_is_support_must_be_one_bool_per_row():
    X, y, task = ragged()
    with pytest.raises(ValueError, match="is_support must hold one bool per row"):
        TaskCollection(X, y, task, is_support=np.ones(6))


def polars_rows(rows):
    return pl.DataFrame(rows, orient="row")


@pytest.mark.parametrize("kind", ["numpy", "pandas", "polars"])
def test_stack_and_split_are_inverse(kind):
    make = {"numpy": np.array, "pandas": pd.DataFrame, "polars": polars_rows}[kind]
    pairs = [(make([[1.0, 2.0]]), [0]), (make([[3.0, 4.0], [5.0, 6.0]]), [1, 2])]
    X, y, task = stack_tasks(pairs, labels=["one", "two"])
    assert type(X) is type(pairs[0][0])
    assert list(task) == ["one", "two", "two"]
    for (X0, y0), (X1, y1) in zip(pairs, split_tasks(X, y, task), strict=True):
        np.testing.assert_array_equal(np.asarray(X0), np.asarray(X1))
        np.testing.assert_array_equal(y0, y1)


def test_stack_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="no task"):
        stack_tasks([])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        stack_tasks([([[1.0]], [1, 2])])
    with pytest.raises(ValueError, match="1 tasks but 2 labels"):
        stack_tasks([([[1.0]], [1])], labels=["a", "b"])


RNG = np.random.default_rng(0)
CODE = np.repeat(np.arange(8), 15)
TASK = np.array([f"t{code}" for code in CODE])
X = RNG.normal(size=(120, 2))
Y = (X * RNG.normal(size=(8, 2))[CODE]).sum(1)


@pytest.mark.parametrize(
    "task", [TASK.tolist(), CODE, pd.Series(TASK), pd.Series(TASK, dtype="category")]
)
def test_estimators_take_every_kind_of_label(task):
    codes, _ = check_task(task)
    np.testing.assert_array_equal(codes, CODE)
    model = PerTask(Ridge()).fit(X, Y, task=task)
    expected = PerTask(Ridge()).fit(X, Y, task=TASK).score(X, Y, task=TASK)
    assert model.score(X, Y, task=task) == expected


# In a notebook -----------------------------------------------------------------------


def test_a_collection_is_sketched():
    task = np.repeat([f"<b>{i}" for i in range(8)], range(2, 10))
    y = np.arange(len(task), dtype=float)
    page = TaskCollection(np.zeros((len(task), 1)), y, task)._repr_html_()
    assert "<b>" not in page and "&lt;b&gt;0" in page
    assert page.count("<svg") == page.count("</svg>") == 2
    assert page.count("<rect") == 8 + 2 * 8  # sizes; ranges and means
    assert "0.5 (0 to 1)" in page  # the first task's mean and range
    assert "and 3 more" in page


@pytest.mark.parametrize("classes", [["<i>", "b"], [0, 1], [True, False]])
def test_classes_of_a_collection_are_sketched(classes):
    y = np.array(classes)[[0, 1, 0, 0]]
    page = TaskCollection(np.zeros((4, 1)), y, [0, 0, 1, 1])._repr_html_()
    assert "<i>" not in page
    assert "50%" in page and "100%" in page
    assert page.count("<rect") == 2 + 3  # sizes; shares that are not zero


def test_sketches_of_little_and_of_much():
    assert "<svg" not in TaskCollection(np.zeros((0, 1)), [], [])[:0]._repr_html_()
    X, task = np.zeros((300, 1)), np.arange(300)
    page = TaskCollection(X, np.full((300, 2), np.nan), task)._repr_html_()
    assert page.count("<rect") == 60  # some of the sizes, and no range of no number
