"""Estimators of one target each, side by side in scikit-learn's containers."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.utils import check_array
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.validation import check_is_fitted

SEVERAL = (MultiOutputRegressor, RegressorChain)


class MultiOutputOfTasks(MultiOutputRegressor):
    """A MultiOutputRegressor whose estimators are adapted to many tasks.

    Its `predict` takes `task`, which scikit-learn's own does not hand on.
    """

    def predict(self, X: Any, task: ArrayLike | None = None) -> NDArray[Any]:
        metadata = {} if task is None else {"task": task}
        columns = [each.predict(X, **metadata) for each in self.estimators_]
        return np.column_stack(columns)

    def get_metadata_routing(self) -> MetadataRouter:
        mapping = MethodMapping().add(caller="fit", callee="fit")
        mapping = mapping.add(caller="predict", callee="predict")
        router = MetadataRouter(owner=self)
        return router.add(estimator=self.estimator, method_mapping=mapping)


def rows_of_each(model: Any, X: Any, y: Any, *, tasks: bool) -> list[tuple[Any, Any]]:
    """Rows and targets as they reach each of the estimators inside.

    Raises
    ------
    ValueError
        If `y` has not a column for each of them, or `model` is a chain that cannot
        predict for many tasks.
    """
    check_is_fitted(model)
    y, n_targets = check_array(y, ensure_2d=False), len(model.estimators_)
    if y.ndim != 2 or y.shape[1] != n_targets:
        raise ValueError(
            f"y has shape {y.shape}, and {type(model).__name__} was fitted with "
            f"{n_targets} targets: give it a column for each."
        )
    if isinstance(model, MultiOutputRegressor):
        return [(X, column) for column in y.T]
    if tasks:
        raise ValueError(
            "A RegressorChain predicts for one task at a time: adapt to each of them "
            "without task, or use a MultiOutputRegressor."
        )
    ordered, X = y[:, model.order_], check_array(X)
    return [
        (np.hstack([X, ordered[:, :k]]), column) for k, column in enumerate(ordered.T)
    ]
