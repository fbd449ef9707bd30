"""Adapting a copy of a model, also through scikit-learn's own containers."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import sklearn
from numpy.typing import ArrayLike, NDArray
from sklearn.compose import TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils import column_or_1d
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import check_is_fitted

from sklmeta.evaluation.several_outputs import (
    SEVERAL,
    MultiOutputOfTasks,
    rows_of_each,
)

_SUPPORTED = (
    "It takes an estimator that has `adapt`, alone, as the last step of a Pipeline, "
    "or inside a search (GridSearchCV and the like), a TransformedTargetRegressor, a "
    "MultiOutputRegressor, a RegressorChain or a FrozenEstimator. Wrap anything else "
    "around the adapted model instead, and a plain scikit-learn estimator in PerTask "
    "or Pooled."
)


class Adaptable(Protocol):
    """What is looked for inside the containers."""

    def adapt(self, X: Any, y: ArrayLike, **metadata: Any) -> Any:
        """Adapt to a support, in place."""

    def reset_adaptation(self) -> Any:
        """Go back to what `fit` left."""


class _Support(NamedTuple):
    X: Any
    y: Any
    task: Any
    sample_weight: Any = None


def adapted(
    model: Any,
    X: Any,
    y: ArrayLike,
    task: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Return a copy of a fitted model that is adapted to a task; leave `model` alone.

    It is to ``adapt`` what ``sorted`` is to ``list.sort``. The copy shares the
    meta-learned parameters with `model`, so it costs little more than the adaptation.

    Parameters
    ----------
    model : estimator
        A fitted estimator that has ``adapt``, or a fitted container with one inside: a
        ``Pipeline`` (its fitted steps transform the support rows), a search (its
        ``best_estimator_``), a ``TransformedTargetRegressor`` (its fitted transformer
        transforms `y`), a ``MultiOutputRegressor`` or a ``RegressorChain`` (each
        estimator is adapted to its column of `y`), a ``FrozenEstimator``, or any of
        these inside each other.

    X : {array-like, data frame} of shape (n_support, n_features)
        Support rows, as `model` takes them: before the steps of a pipeline.

    y : array-like of shape (n_support,)
        Their targets.

    task : array-like of shape (n_support,), default=None
        Task of every support row, to adapt to many tasks at once; then predict with
        ``predict(X, task=...)``. Inside a container that needs
        ``sklearn.config_context(enable_metadata_routing=True)``. None means that all
        rows belong to one task.

    sample_weight : array-like of shape (n_support,), default=None
        How often each support row counts, passed to ``adapt``. Steps of a pipeline that
        transform the rows do not look at it.

    Returns
    -------
    estimator
        The adapted copy; of a search, the adapted ``best_estimator_``.

    Raises
    ------
    TypeError
        If there is no estimator with ``adapt`` inside.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklmeta import PerTask, adapted
    >>> X = np.arange(8.0)[:, None]
    >>> y, task = X[:, 0] * [1, 1, 1, 1, 2, 2, 2, 2], list("aaaabbbb")
    >>> pipe = make_pipeline(StandardScaler(), PerTask(Ridge(alpha=1e-6)))
    >>> _ = pipe.fit(X, y, pertask__task=task)
    >>> new = adapted(pipe, [[1.0], [2.0]], [3.0, 6.0])
    >>> new.predict([[4.0]]).round(3)
    array([12.])
    """

    def adapt(estimator: Adaptable, support: Any) -> Any:
        given = {"task": support.task, "sample_weight": support.sample_weight}
        metadata = {name: value for name, value in given.items() if value is not None}
        estimator.adapt(support.X, support.y, **metadata)
        return estimator

    return _rebuild(model, adapt, _Support(X, y, task, sample_weight), "adapted()")


def rebuilt(
    model: Any,
    change: Callable[[Any, Any], Any],
    X: Any,
    y: Any,
    task: Any,
    caller: str,
) -> Any:
    """Return a copy of a fitted model with what `change` makes of the estimator inside.

    `change` gets a copy of the estimator and the rows as they reach it.
    """
    return _rebuild(model, change, _Support(X, y, task), caller)


def inner_rows(
    model: Any, X: Any, task: Any = None
) -> tuple[Any, Any, Callable[[NDArray[Any]], NDArray[Any]]]:
    """Return the estimator inside, the rows as they reach it, and the way back of y."""
    undo: Callable[[NDArray[Any]], NDArray[Any]] = np.asarray
    while True:
        if isinstance(model, FrozenEstimator):
            model = model.estimator
        elif isinstance(model, Pipeline):
            X = _transform_rows(model, X, task)
            model = model.steps[-1][1]
        elif _is_search(model):
            model = _best_estimator(model)
        elif isinstance(model, TransformedTargetRegressor):
            check_is_fitted(model)
            undo = _then(_inverse_transform(model), undo)
            model = model.regressor_
        else:
            return inner_estimator(model), X, undo


def _inverse_transform(
    model: TransformedTargetRegressor,
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    def inverse(y: NDArray[Any]) -> NDArray[Any]:
        return np.ravel(model.transformer_.inverse_transform(y.reshape(-1, 1)))

    return inverse


def _then(
    first: Callable[[NDArray[Any]], NDArray[Any]],
    second: Callable[[NDArray[Any]], NDArray[Any]],
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    return lambda y: second(first(y))


def zero_shot(model: Any) -> Any:
    """Return a copy of a fitted model as ``fit`` left it, whatever it is adapted to."""

    def reset(estimator: Adaptable, support: Any) -> Any:
        if hasattr(estimator, "reset_adaptation"):
            estimator.reset_adaptation()
        return estimator

    return _rebuild(model, reset, None, "zero_shot()")


def inner_estimator(model: Any) -> Any:
    """Return the estimator that has ``adapt``, fitted where its container is.

    Raises
    ------
    TypeError
        If there is none inside.
    """
    path: list[str] = []
    while True:
        path.append(type(model).__name__)
        if isinstance(model, FrozenEstimator):
            model = model.estimator
        elif isinstance(model, Pipeline):
            model = model.steps[-1][1]
        elif _is_search(model):
            model = getattr(model, "best_estimator_", model.estimator)
        elif isinstance(model, TransformedTargetRegressor):
            model = getattr(model, "regressor_", model.regressor)
        elif isinstance(model, SEVERAL):
            model = getattr(model, "estimators_", [model.estimator])[0]
        elif hasattr(model, "adapt"):
            return model
        else:
            raise _not_adaptable("A few-shot evaluation", path, model)


def _rebuild(
    model: Any,
    change: Callable[[Any, Any], Any],
    support: _Support | None,
    caller: str,
    path: tuple[str, ...] = (),
) -> Any:
    """Copy the containers and let `change` act on a copy of the estimator inside."""
    path = (*path, type(model).__name__)
    # A FrozenEstimator shows every attribute of what it holds, so it is asked first.
    if isinstance(model, FrozenEstimator):
        new = shallow_copy(model)
        new.estimator = _rebuild(model.estimator, change, support, caller, path)
        return new
    if isinstance(model, Pipeline):
        new = shallow_copy(model)
        name, last = model.steps[-1]
        support = _transform_support(model, support)
        last = _rebuild(last, change, support, caller, path)
        new.steps = [*model.steps[:-1], (name, last)]
        return new
    if _is_search(model):
        return _rebuild(_best_estimator(model), change, support, caller, path)
    if isinstance(model, TransformedTargetRegressor):
        check_is_fitted(model)
        new = shallow_copy(model)
        support = _transform_target(model, support)
        new.regressor_ = _rebuild(model.regressor_, change, support, caller, path)
        return new
    if isinstance(model, SEVERAL):
        return _rebuild_several(model, change, support, caller, path)
    if not hasattr(model, "adapt"):
        raise _not_adaptable(caller, path, model)
    return change(shallow_copy(model), support)


def _rebuild_several(
    model: Any,
    change: Callable[[Any, Any], Any],
    support: _Support | None,
    caller: str,
    path: tuple[str, ...],
) -> Any:
    new = shallow_copy(model)
    given: list[_Support | None] = [None] * len(model.estimators_)
    if support is not None:
        tasks = support.task is not None
        each = rows_of_each(model, support.X, support.y, tasks=tasks)
        given = [support._replace(X=X, y=y) for X, y in each]
        if tasks:
            new = object.__new__(MultiOutputOfTasks)
            new.__dict__.update(model.__dict__)
    new.estimators_ = [
        _rebuild(inner, change, own, caller, path)
        for inner, own in zip(model.estimators_, given, strict=True)
    ]
    return new


def shallow_copy(model: Any) -> Any:
    """Return a copy of an estimator that shares all it has learned."""
    # copy.copy would go through __getstate__, which is for files.
    new: Any = object.__new__(type(model))
    new.__dict__.update(model.__dict__)
    return new


def _transform_support(pipe: Pipeline, support: _Support | None) -> _Support | None:
    if support is None:
        return None
    X = _transform_rows(pipe, support.X, support.task)
    return support._replace(X=X)


def _transform_rows(pipe: Pipeline, X: Any, task: Any) -> Any:
    with sklearn.config_context(enable_metadata_routing=True):
        for _, step in pipe.steps[:-1]:
            if step is None or step == "passthrough":
                continue
            metadata = {}
            routing = get_routing_for_object(step)
            if task is not None and routing.consumes("transform", ["task"]):
                metadata["task"] = task
            X = step.transform(X, **metadata)
    return X


def _transform_target(
    model: TransformedTargetRegressor, support: _Support | None
) -> _Support | None:
    if support is None:
        return None
    y = column_or_1d(support.y, dtype="numeric")
    y = model.transformer_.transform(y.reshape(-1, 1))
    return support._replace(y=y.reshape(len(y)))


def _is_search(model: Any) -> bool:
    # The halving searches are experimental, so they are known by what they learn.
    return isinstance(model, GridSearchCV | RandomizedSearchCV) or (
        hasattr(model, "best_estimator_") and hasattr(model, "estimator")
    )


def _best_estimator(search: Any) -> Any:
    check_is_fitted(search)
    if not hasattr(search, "best_estimator_"):
        raise TypeError(
            f"{type(search).__name__} has no best_estimator_ to adapt: fit it with "
            "refit=True."
        )
    return search.best_estimator_


def _not_adaptable(caller: str, path: Any, model: Any) -> TypeError:
    found = repr(model) if isinstance(model, str) else path[-1]
    within = f" inside {' > '.join(path[:-1])}" if len(path) > 1 else ""
    return TypeError(
        f"{caller} found {found}{within}, which has no `adapt`. {_SUPPORTED}"
    )
