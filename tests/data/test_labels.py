"""Labels of tasks and classes come out as they went in, or are refused."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

import sklmeta
from sklmeta import TaskCollection, stack_tasks
from sklmeta.calibration import cross_calibrated
from sklmeta.comparing import compare
from sklmeta.data.labels import as_labels
from sklmeta.model_selection import FewShotScorer, TaskKFold, few_shot_cross_validate

RNG = np.random.default_rng(0)
TASK = np.repeat(np.arange(9), 14)
Y = np.tile(np.arange(14) % 2, 9)
X = RNG.normal(size=(126, 2)) + Y[:, None]
BIG = 2**60  # its neighbours are one float64


def model():
    return sklmeta.PerTask(LogisticRegression())


def fitted():
    return model().fit(X, Y, task=TASK)


def scored(y, task):
    return FewShotScorer(shots=4)(model().fit(X, y, task=task), X, y, task=task)


PLACES = {
    "fit": lambda y, task: model().fit(X, y, task=task),
    "adapt": lambda y, task: fitted().adapt(X, y, task=task),
    "predict": lambda y, task: fitted().adapt(X, Y, task=TASK).predict(X, task=task),
    "score": lambda y, task: fitted().score(X, y, task=task),
    "plain score": lambda y, task: fitted().score(X, y),
    "scorer": lambda y, task: FewShotScorer()(fitted(), X, y, task=task),
    "collection": lambda y, task: model().fit(TaskCollection(X, y, task)),
    "frame": lambda y, task: model().fit(
        TaskCollection.from_frame(
            pd.DataFrame(X).assign(y=pd.Series(y), t=pd.Series(task)),
            target="y",
            task="t",
        )
    ),
    "compare": lambda y, task: compare([model()], X, y, task, shots=2),
    "cross": lambda y, task: few_shot_cross_validate(model(), X, y, task, shots=2),
    "calibrate": lambda y, task: model().fit(X, Y).calibrate(X, y, task),
    "conformal": lambda y, task: cross_calibrated(model(), X, y, task),
    "folds": lambda y, task: list(TaskKFold(3).split(X, groups=task)),
}
Y_ONLY = {"plain score"}
TASK_ONLY = {"predict", "folds"}


def put(labels, value, make):
    changed = list(labels)
    changed[5] = value
    return make(changed)


def objects(values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


BAD = {
    "NaN in text": (str, np.nan, list, r"1 missing.*row\(s\) 5\."),
    "None": (str, None, list, r"1 missing.*row\(s\) 5\."),
    "NA": (str, pd.NA, objects, r"1 missing.*row\(s\) 5\."),
    "NaT": (str, pd.NaT, tuple, r"1 missing.*row\(s\) 5\."),
    "nullable": (int, None, lambda v: pd.Series(v, dtype="Int64"), "1 missing"),
    "polars": (str, None, pl.Series, "1 missing"),
    "numbers and text": (int, "1", list, r"mixed types, such as 0 and '1'.*astype"),
    "the same as objects": (int, "1", objects, "mixed types, such as 0 and '1'"),
    "bytes and text": (str, b"1", list, r"mixed types, such as '0' and b'1'"),
    "bool and number": (int, True, list, "mixed types, such as 0 and True"),
    "null character": (str, "1\0", list, r"label '1\\x00'"),
    "floats": (float, 2.0**53, np.array, "as large as 9007199254740992 .*dtype='Int"),
    "single": (float, 2.0**24, lambda v: np.array(v, np.float32), "16777216 .*Int64"),
    "part float": (lambda v: int(v) + BIG, 0.5, list, "as large as 1152921504606846"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("bad", BAD)
def test_what_may_have_been_merged_is_refused_everywhere(bad, place):
    kind, value, make, message = BAD[bad]
    for name, labels in {"y": Y, "task": TASK}.items():
        if place in (TASK_ONLY if name == "y" else Y_ONLY):
            continue
        if place == "frame" and bad in ("polars", "NaN in text"):
            continue
        changed = put(map(kind, labels.tolist()), value, make)
        y, task = (changed, TASK) if name == "y" else (Y, changed)
        with pytest.raises(ValueError, match=message):
            PLACES[place](y, task)


NUMBERS = {
    "Int64": lambda v: pd.Series(v, dtype="Int64"),
    "Arrow": lambda v: pd.Series(v, dtype="int64[pyarrow]"),
    "objects": objects,
    "list": np.ndarray.tolist,
    "category": lambda v: pd.Series(v, dtype="category"),
    "polars": pl.Series,
}


@pytest.mark.parametrize("make", NUMBERS.values(), ids=NUMBERS)
def test_nineteen_digits_are_kept(make):
    y, task = BIG + Y, BIG + TASK
    expected, reference = scored(y, task), model().fit(X, y, task=task)
    est = model().fit(X, make(y), task=make(task))
    assert est.classes_.tolist() == [BIG, BIG + 1]
    assert est.classes_.dtype == np.int64
    assert est.tasks_.tolist() == list(range(BIG, BIG + 9))
    assert scored(make(y), make(task)) == expected < 1
    est.adapt(X, make(y), task=make(task))
    reference.adapt(X, y, task=task)
    predicted = est.predict(X, task=make(task))
    np.testing.assert_array_equal(predicted, reference.predict(X, task=task))
    assert est.reset_adaptation().adapt(X, make(y)).score(X, make(y)) < 1
    frame = pd.DataFrame(X).assign(y=np.asarray(make(y)), t=np.asarray(make(task)))
    tasks = TaskCollection.from_frame(frame, target="y", task="t")
    assert tasks.labels.tolist() == est.tasks_.tolist()
    result = compare([model()], X, make(y), make(task), shots=2, n_draws=1)
    assert set(result.tasks) == set(est.tasks_)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (pd.Series([True, False], dtype="boolean"), bool),
        (objects([2, 1]), np.int64),
        ([2**63, 1], np.uint64),
        (objects([1.0, 2]), np.float64),
        (["b", "a"], np.dtype("<U1")),
        (pd.Series(["b", "a"]), object),
        (objects(["b", "a"]), object),
        ([datetime.date(2026, 1, 2), datetime.date(2026, 1, 1)], object),
    ],
)
def test_labels_are_of_a_sensible_type(values, dtype):
    assert as_labels(values, "y").dtype == dtype
    assert as_labels(values, "y").tolist() == list(values)


def test_numbers_are_not_the_text_of_them():
    y = np.arange(126) % 20  # many classes: NumPy then compares them as text
    est = model().fit(X, y, task=TASK)
    with pytest.raises(ValueError, match=r"has not seen: \['0', '1'"):
        est.adapt(X, y.astype(str))
    with pytest.raises(ValueError, match=r"none of the classes.*\['0'\] is not among"):
        FewShotScorer(shots=0)(est, X, y.astype(str), task=TASK)
    with pytest.raises(ValueError, match=r"mixed types, such as 0 and '0'"):
        est.fit([(X[:20], y[:20]), (X[:20], y[:20].astype(str))])
    est.fit(X, Y, task=TASK).adapt(X, Y == 1)  # True is 1
    assert est.classes_.tolist() == [0, 1]


def test_labels_of_stacked_tasks():
    pairs = [(X[:2], Y[:2]), (X[:3], Y[:3])]
    assert stack_tasks(pairs, [BIG + 1, BIG])[2].tolist() == [BIG + 1] * 2 + [BIG] * 3
    for labels in ([1, "1"], ["a", np.nan]):
        with pytest.raises(ValueError, match="labels has"):
            stack_tasks(pairs, labels)
        with pytest.raises(ValueError, match="labels has"):
            TaskCollection.from_splits([(*p, *p) for p in pairs], labels)
