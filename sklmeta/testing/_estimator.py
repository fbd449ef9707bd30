"""The contract of an estimator, from outside: `fit`, `adapt`, `predict` and `score`."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import copy
import pickle
from inspect import signature

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import check_estimator

from sklmeta.data.collection import TaskCollection, split_tasks
from sklmeta.evaluation.containers import adapted
from sklmeta.exceptions import NotAdaptedError
from sklmeta.model_selection import TaskKFold
from sklmeta.testing._checks import Promises
from sklmeta.testing._estimator_case import NAMES, Case, output, refused, same

ESTIMATOR = Promises()


def _has_own_classes(case: Case) -> bool:
    return case.kind == "own"


@ESTIMATOR.add("tasks may come in a flat table, as a collection, or as pairs")
def forms(case: Case) -> None:
    X, y, task = case.data
    expected = output(case.fitted().adapt(X[:6], y[:6]), X)
    for tasks in (TaskCollection(X, y, task), split_tasks(X, y, task)):
        est = case.fresh().fit(tasks).adapt(X[:6], y[:6])
        complaint = f"From a {type(tasks).__name__} something else is learned"
        same(output(est, X), expected, complaint)


@ESTIMATOR.add("the label of a task may be of any kind, and its rows scattered")
def task_labels(case: Case) -> None:
    X, y, task = case.data
    codes = pd.Series(np.unique(task, return_inverse=True)[1] - 3, dtype="category")
    est = case.fresh().fit(X, y, task=codes).adapt(X, y, task=codes)
    expected = output(case.fitted().adapt(X, y, task=task), X, task)
    same(output(est, X, codes), expected, "With numbers as labels the outputs change")
    order = codes.groupby(codes, observed=True).cumcount().argsort(kind="stable")
    est.adapt(X[order], y[order], task=list(codes[order]))
    same(output(est, X, codes), expected, "With scattered rows the outputs change")


@ESTIMATOR.add(
    "before `adapt` it predicts for a task of which nothing is known",
    lambda case: not _has_own_classes(case),
)
def zero_shots(case: Case) -> None:
    X, _y, task = case.data
    est = case.fitted()
    outputs = output(est, X)
    if est.predict(X).shape != (len(X),) or not np.isfinite(outputs).all():
        raise AssertionError("The predictions are not one finite value per row.")
    refused(lambda: est.predict(X, task=task), "tasks that it is not adapted to")


@ESTIMATOR.add(
    "where classes are a task's own, there is no prediction before `adapt`",
    _has_own_classes,
)
def not_adapted(case: Case) -> None:
    est = case.fitted()
    refused(lambda: est.predict(case.data[0]), "predict", NotAdaptedError)


@ESTIMATOR.add("adapting to many tasks at once is adapting to each alone")
def bulk(case: Case) -> None:
    X, y, task = case.data
    support, _ = case.halves
    est, X_query, asked = case.in_bulk()
    together = output(est, X_query, asked)
    classes = getattr(est, "classes_", np.empty(0))
    for label in np.unique(task)[:4]:
        mine, rows = support & (task == label), asked == label
        if est.adapt(X[mine], y[mine]) is not est:
            raise AssertionError("`adapt` does not return the estimator itself.")
        expected = together[rows]
        if together.ndim == 2:
            present = np.isin(classes, est.classes_)
            if expected[:, ~present].any():
                raise AssertionError("A class that a task lacks has a probability.")
            expected = expected[:, present]
        same(output(est, X_query[rows]), expected, f"{label!r} is predicted otherwise")


@ESTIMATOR.add("each row is predicted by its own task's model, whatever is beside it")
def order_of_rows(case: Case) -> None:
    est, X, task = case.in_bulk()
    expected = output(est, X, task)
    some = np.random.default_rng(1).permutation(len(X))[: len(X) // 2]
    same(output(est, X[some], task[some]), expected[some], "Some rows change")


@ESTIMATOR.add("`adapt` starts from what `fit` learned, never from an earlier task")
def replaced(case: Case) -> None:
    X, y, task = case.data
    est, _ = case.adapted()
    first = output(est, X)
    other = task == task[task != task[0]][0]
    est.adapt(X[other], y[other]).adapt(X, y, task=task)
    mine = task == task[0]
    again = output(est.adapt(X[mine], y[mine]), X)
    same(again, first, "Adapted again after other tasks, it predicts otherwise", 0)


@ESTIMATOR.add("`sklmeta.adapted` returns a copy and leaves the model alone")
def adapted_copy(case: Case) -> None:
    X, y, task = case.data
    expected, _ = case.adapted()
    est, X_query, asked = case.in_bulk()
    before = output(est, X_query, asked)
    mine = task == task[0]
    model = adapted(est, X[mine], y[mine])
    same(output(model, X), output(expected, X), "The copy is adapted otherwise")
    same(output(est, X_query, asked), before, "The model has changed")


def _first_rows(case: Case) -> NDArray:  # of six in three tasks, one after the other
    task = case.data[2]
    return np.concatenate([np.flatnonzero(task == t)[:6] for t in np.unique(task)[:3]])


@ESTIMATOR.add(
    "in `adapt` a weight of two is the row twice and one of zero its absence, or other "
    "weights are refused",
    lambda case: "sample_weight" in signature(case.estimator.adapt).parameters,
)
def weights(case: Case) -> None:
    X, y, task = (values[_first_rows(case)] for values in case.data)
    est, one, rows = case.fitted(), np.arange(6), case.data[0]
    absent = np.array([1, 1, 0, 1, 1, 1])
    found = output(est.adapt(X[one], y[one], sample_weight=absent), rows)
    expected = output(est.adapt(X[one[absent > 0]], y[one[absent > 0]]), rows)
    same(found, expected, "A row that weighs nothing counts")
    weight = np.tile([1, 2, 1, 0, 2, 1], 3) * (task != task[-1])
    try:
        found = output(est.adapt(X[one], y[one], sample_weight=weight[one]), rows)
    except ValueError as error:
        if "sample_weight" not in str(error):
            raise AssertionError(f"The error does not say why: {error}") from error
        return
    copied = np.repeat(one, weight[one])
    expected = output(est.adapt(X[copied], y[copied]), rows)
    same(found, expected, "Not so for one task")
    est.adapt(X, y, task=task, sample_weight=weight)
    asked = task != task[-1]
    found = output(est, X[asked], task[asked])
    copied = np.repeat(np.arange(len(y)), weight)
    est.adapt(X[copied], y[copied], task=task[copied])
    same(found, output(est, X[asked], task[asked]), "Not so for many tasks")
    refused(
        lambda: est.adapt(X, y, task=task, sample_weight=0 * weight), "no weight at all"
    )


@ESTIMATOR.add("`adapt_more` is `adapt` to all rows at once, also after pickling")
def more_rows(case: Case) -> None:
    X, y, task = (values[_first_rows(case)] for values in case.data)
    est, rows = case.fitted(), case.data[0]
    refused(lambda: est.adapt_more(X, y), "rows before `adapt`", NotAdaptedError)
    expected = output(est.adapt(X[:6], y[:6]), rows)
    est = pickle.loads(pickle.dumps(est.adapt(X[:3], y[:3]))).adapt_more(X[3:5], y[3:5])
    est.adapt_more(X[5:6], y[5:6])
    same(output(est, rows), expected, "It predicts otherwise")
    if est.n_support_ != 6 or "adapted to 6 rows of one task" not in repr(est):
        raise AssertionError("It does not say that it is adapted to six rows.")
    est.adapt(X, y, task=task)
    same(est.n_support_, [6, 6, 6], "Rows of each task are not counted")
    refused(lambda: est.adapt_more(X, y), "rows after a bulk `adapt`")
    if "adapted" in repr(est.reset_adaptation()):
        raise AssertionError("After `reset_adaptation` it says that it is adapted.")


@ESTIMATOR.add("a `fit` that fails leaves the earlier one as it was")
def failed_fit(case: Case) -> None:
    X, y, task = case.data
    est, _ = case.adapted()
    before = output(est, X)
    refused(lambda: est.fit(X[:, :2], y, task=task[:-1]), "tasks for too few rows")
    same(output(est, X), before, "The predictions have changed")


@ESTIMATOR.add("a support that cannot be used is refused, and the last one stays")
def failed_adapt(case: Case) -> None:
    X, y, task = case.data
    est, _ = case.adapted()
    before = output(est, X)
    refused(lambda: est.adapt(X[:0], y[:0]), "an empty support")
    refused(lambda: est.adapt(X[:, :2], y), "too few features", word="2 features")
    refused(lambda: est.adapt(X, y[:-1]), "too few targets")
    refused(lambda: est.adapt(X, y, task=task[:-1]), "tasks for too few rows")
    if case.kind == "shared":
        unseen = ["ill", "a class of no task"]
        refused(lambda: est.adapt(X[:2], unseen), "a new class", word=unseen[1])
    same(output(est, X), before, "The predictions have changed")


@ESTIMATOR.add("`predict` wants `task` after a bulk `adapt`, and only then")
def task_or_none(case: Case) -> None:
    est, X, task = case.in_bulk()
    refused(lambda: est.predict(X), "rows without tasks", word="task")
    names = np.append(task[1:], "a stranger")
    refused(lambda: est.predict(X, task=names), "unknown tasks", word="a stranger")
    est, X = case.adapted()
    names = np.repeat(case.data[2][0], len(X))
    refused(lambda: est.predict(X, task=names), "tasks after a single one")


@ESTIMATOR.add("it pickles, and predicts as before")
def pickles(case: Case) -> None:
    est, X, task = case.in_bulk()
    loaded = pickle.loads(pickle.dumps(est))
    same(output(loaded, X, task), output(est, X, task), "Not so after a bulk adapt", 0)
    est, X = case.adapted()
    loaded = pickle.loads(pickle.dumps(est))
    same(output(loaded, X), output(est, X), "Not so after a single one", 0)


@ESTIMATOR.add("a clone is not fitted, and learns the same")
def clones(case: Case) -> None:
    X, y, task = case.data
    est, _ = case.adapted()
    other = clone(est)
    refused(lambda: other.predict(X), "an unfitted `predict`", NotFittedError)
    refused(lambda: other.adapt(X, y), "an unfitted `adapt`", NotFittedError)
    mine = task == task[0]
    other.fit(X, y, task=task).adapt(X[mine], y[mine])
    same(output(other, X), output(est, X), "It learns something else", 0)


@ESTIMATOR.add("the global random generators of NumPy and torch stay untouched")
def randomness(case: Case) -> None:
    X, y, task = case.data
    before = _global_states()
    est = case.fresh().fit(X, y, task=task)
    output(est.adapt(X, y, task=task), X, task)
    for name, state in _global_states().items():
        if state != before[name]:
            raise AssertionError(f"That of {name} was drawn from.")


def _global_states() -> dict[str, bytes]:
    legacy = pickle.dumps(np.random.get_state())  # noqa: NPY002 that is what is checked
    return {"NumPy": legacy, "torch": torch.get_rng_state().numpy().tobytes()}


@ESTIMATOR.add("`score` is scikit-learn's, and with `task` the few-shot score")
def score(case: Case) -> None:
    X, y, task = case.data
    est, _ = case.adapted()
    metric = accuracy_score if is_classifier(est) else r2_score
    rows = task == task[0]
    expected = metric(y[rows], est.predict(X[rows]))
    same(est.score(X[rows], y[rows]), expected, "Without tasks it differs")
    before = output(est, X)
    found = est.score(X, y, task=task, shots=3)
    if not np.isfinite(found):
        raise AssertionError("With tasks it is not finite.")
    same(output(est, X), before, "Scoring has changed the adaptation")
    bulk, _, _ = case.in_bulk()
    again = bulk.score(X, y, task=task, shots=3)
    same(again, found, "It depends on what the estimator is adapted to")


@ESTIMATOR.add("cross-validation by task takes `task` through metadata routing")
def routing(case: Case) -> None:
    X, y, task = case.data
    options = {"params": {"task": task}, "cv": TaskKFold(2), "error_score": "raise"}
    with config_context(enable_metadata_routing=True):
        cross_val_score(case.fresh(), X, y, **options)


@ESTIMATOR.add("outputs have the precision of the rows that `fit` was given")
def dtypes(case: Case) -> None:
    X, y, task = case.data
    single = X.astype(np.float32)
    for est, dtype in (
        (case.fresh().fit(single, y, task=task), "float32"),
        (case.fitted(), "float64"),
    ):
        est.adapt(X[:9], y[:9])
        for rows in (X, single):
            if (found := output(est, rows).dtype) != dtype:
                raise AssertionError(f"Fitted to {dtype} it returns {found}.")


@ESTIMATOR.add(
    "labels are the user's own, and probabilities add up to one",
    lambda case: is_classifier(case.estimator),
)
def labels(case: Case) -> None:
    bulk, _, _ = case.in_bulk()
    seen = np.unique(case.data[1][case.halves[0]])
    same(bulk.classes_, seen, "`classes_` are not those of all tasks")
    est, X = case.adapted()
    if not set(est.predict(X)) <= set(est.classes_) <= set(case.data[1]):
        raise AssertionError("Labels are predicted that are not in y.")
    if case.kind == "shared":
        only = case.data[1] != NAMES[2]
        est.adapt(X[only][:6], case.data[1][only][:6])
        same(est.classes_, NAMES, "`classes_` is not what all tasks speak of")
    if not hasattr(est, "predict_proba"):
        return
    proba = est.predict_proba(X)
    same(proba.sum(axis=1), np.ones(len(X)), "Probabilities do not add up to one")
    same(np.exp(est.predict_log_proba(X)), proba, "Their logarithms are not theirs")
    best = est.classes_[proba.argmax(axis=1)]
    same(est.predict(X), best, "The label predicted is not the most probable")


@ESTIMATOR.add(
    "with `return_std` each mean comes with a positive standard deviation",
    lambda case: "return_std" in signature(case.estimator.predict).parameters,
)
def standard_deviations(case: Case) -> None:
    est, X = case.adapted()
    mean, std = est.predict(X, return_std=True)
    same(mean, est.predict(X), "The means are not the predictions")
    if std.shape != (len(X),) or not (np.isfinite(std) & (std > 0)).all():
        raise AssertionError("The deviations are not one positive number per row.")


@ESTIMATOR.add("one labelled row is enough, and so are rows of one class")
def small_supports(case: Case) -> None:
    X, y, _task = case.data
    est = case.fitted()
    for rows in (np.arange(1), np.flatnonzero(y == y[0])):
        if not np.isfinite(output(est.adapt(X[rows], y[rows]), X)).all():
            raise AssertionError(f"From {len(rows)} row(s) not all outputs are finite.")


@ESTIMATOR.add("`fit(X, y)` learns from one table and ends adapted to it")
def one_table(case: Case) -> None:
    X, y, _task = case.data
    est = case.fresh().fit(X, y)
    expected = output(copy.deepcopy(est).adapt(X, y), X)
    same(output(est, X), expected, "It is not adapted to the table", 1e-5)


@ESTIMATOR.add("it passes the checks of scikit-learn", lambda case: case.is_as_given)
def scikit_learn(case: Case) -> None:
    results = check_estimator(case.fresh(), on_skip=None, on_fail=None)
    failed = [
        f"{result['check_name']} ({result['exception']!r})"
        for result in results
        if result["status"] == "failed"
    ]
    if failed:
        raise AssertionError(f"It fails {'; '.join(failed)}.")
