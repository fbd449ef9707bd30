"""An estimator before its tasks, and how two answers are compared."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone

from sklmeta.data.kinds import TaskKind, kind_of
from sklmeta.datasets import make_classification_tasks, make_linear_tasks

OWN_CLASSES = {"shared_classes": False, "n_way": 2, "n_shots": 2, "n_query": 3}
NAMES = np.array(["ill", "unsure", "well"])


@dataclass
class Case:
    """An estimator, and tasks of the kind that it is to learn from."""

    estimator: BaseEstimator
    kind: TaskKind
    is_as_given: bool = True

    @property
    def label(self) -> str:
        return str(self.kind)

    @property
    def title(self) -> str:
        return f"{type(self.estimator).__name__} ({self.kind})"

    @cached_property
    def data(self) -> tuple[NDArray, NDArray, NDArray]:
        """X, y and names of twelve ragged tasks, one after the other."""
        if self.kind == "regression":
            X, y, task = make_linear_tasks(12, n_rows=(6, 16), random_state=0)
        else:
            X, y, task = make_classification_tasks(
                12,
                n_rows=(12, 20),
                n_way=3 if self.kind == "shared" else (2, 4),
                n_features=3,
                n_informative=3,
                shared_labels=self.kind == "shared",
                random_state=0,
            )
        if self.kind == "shared":
            y = NAMES[np.unique(y, return_inverse=True)[1]]
        return X, y, np.char.add("task ", np.char.zfill(task.astype(str), 2))

    @cached_property
    def halves(self) -> tuple[NDArray, NDArray]:
        """Every other row, and the others."""
        odd = np.arange(len(self.data[2])) % 2 == 1
        return ~odd, odd

    def fresh(self) -> Any:
        return clone(self.estimator)

    @cached_property
    def _fitted(self) -> Any:
        X, y, task = self.data
        return self.fresh().fit(X, y, task=task)

    def fitted(self) -> Any:
        return copy.deepcopy(self._fitted)

    def adapted(self) -> tuple[Any, NDArray]:
        """Return an estimator that is adapted to one task, and rows to predict."""
        X, y, task = self.data
        mine = task == task[0]
        return self.fitted().adapt(X[mine], y[mine]), X

    def in_bulk(self) -> tuple[Any, NDArray, NDArray]:
        """Return an estimator that is adapted to all tasks, and rows with tasks."""
        X, y, task = self.data
        support, query = self.halves
        est = self.fitted().adapt(X[support], y[support], task=task[support])
        return est, X[query], task[query]


def output(est: Any, X: NDArray, task: Any = None) -> NDArray:
    """Probabilities where there are any, else predictions."""
    method = getattr(est, "predict_proba", est.predict)
    return method(X) if task is None else method(X, task=task)


def same(actual: Any, expected: Any, complaint: str, rtol: float = 1e-6) -> None:
    """Raise with the complaint unless the arrays are the same but for rounding."""
    if np.shape(actual) != np.shape(expected):
        raise AssertionError(
            f"{complaint}: the shape is {np.shape(actual)}, not {np.shape(expected)}."
        )
    numbers = np.issubdtype(np.asarray(expected).dtype, np.number)
    if not numbers and not np.array_equal(actual, expected):
        raise AssertionError(f"{complaint}.")
    if numbers and not np.allclose(actual, expected, rtol=rtol, atol=rtol / 10):
        off = np.abs(np.asarray(actual) - expected).max()
        raise AssertionError(f"{complaint}, by up to {off:.2g}.")


def refused(
    call: Callable[[], Any],
    what: str,
    error: type[Exception] = ValueError,
    word: str = "",
) -> None:
    """Raise unless the call does, with that error, and the word in its text."""
    try:
        call()
    except error as caught:
        if word and word not in str(caught):
            raise AssertionError(
                f"For {what} the error does not name {word}: {caught}"
            ) from caught
    else:
        raise AssertionError(f"There is no {error.__name__} for {what}.")


def cases_of(estimator: BaseEstimator) -> list[Case]:
    """The estimator with each kind of tasks that it can learn from."""
    if estimator.get_params().get("random_state", 0) is None:
        estimator = clone(estimator).set_params(random_state=0)
    cases = [Case(estimator, kind_of(estimator))]
    own = {k: v for k, v in OWN_CLASSES.items() if k in estimator.get_params()}
    if cases[0].kind == "shared" and "shared_classes" in own:
        cases.append(Case(clone(estimator).set_params(**own), TaskKind.OWN, False))
    return cases
