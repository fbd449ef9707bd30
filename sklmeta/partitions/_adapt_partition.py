"""Adapt to every task of a frame by its labelled rows, predict its other rows."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from sklmeta.evaluation.containers import adapted

Columns = dict[str, Any]


def adapt_partition(
    model: Any,
    frame: pd.DataFrame,
    *,
    task: Hashable,
    target: Hashable,
    features: Sequence[Hashable] | None = None,
    probabilities: bool = False,
    return_std: bool = False,
) -> pd.DataFrame:
    """Adapt to each task's labelled rows and predict its rows without a label.

    A function of a frame that needs nothing else, which is what Dask's
    ``map_partitions`` and Spark's ``applyInPandas`` ask for: no task may lie in two
    partitions. All tasks of a frame are adapted at once, without a loop.

    Parameters
    ----------
    model : estimator
        Fitted and not adapted, alone or in a container that `adapted` knows.
    frame : DataFrame of shape (n_rows, n_columns)
        Rows of many tasks; a row with a missing target is one to predict.
    task : hashable
        Name of the column of tasks.
    target : hashable
        Name of the column of targets.
    features : sequence of hashable, default=None
        Names of the columns that `model` was fitted to; None takes those that it
        remembers, or else all but `task` and `target`.
    probabilities : bool, default=False
        Of a classifier: a column ``probability_<class>`` for each class as well.
    return_std : bool, default=False
        Of a regressor with a predictive distribution: a column ``std`` as well.

    Returns
    -------
    predictions : DataFrame
        A row for each row to predict, in the order and with the index of `frame`, with
        the columns `task`, ``prediction`` and what was asked for beside it. A task
        without a labelled row is predicted as `model` predicts before it is adapted.

    Raises
    ------
    ValueError
        If a column is missing, or a row has no task.
    NotAdaptedError
        If classes are a task's own and a task has no labelled row.

    See Also
    --------
    sklmeta.adapted : The same for arrays, and for one task.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklmeta import MixedModelRegressor
    >>> from sklmeta.datasets import make_linear_tasks
    >>> from sklmeta.partitions import adapt_partition
    >>> X, y, task = make_linear_tasks(n_tasks=20, n_rows=6, random_state=0)
    >>> frame = pd.DataFrame(X, columns=list("abcde")).assign(y=y, shop=task)
    >>> model = MixedModelRegressor().fit(frame[[*"abcde"]], y, task=task)
    >>> frame.loc[frame.index % 6 > 3, "y"] = None  # two rows of each shop to predict
    >>> adapt_partition(model, frame, task="shop", target="y").round(1).head(3)
        shop  prediction
    4      0         1.7
    5      0        -1.1
    10     1        -0.8
    """
    check_is_fitted(model)
    names = _features_of(model, frame, task, target, features)
    if frame[task].isna().any():
        n = int(frame[task].isna().sum())
        raise ValueError(f"{n} row(s) have no task in column {task!r}: leave them out.")
    labelled = frame[target].notna()
    support, query = frame[labelled], frame[~labelled]
    known = query[task].isin(support[task].unique()).to_numpy()
    found = _empty(model, query, probabilities, return_std)
    with sklearn.config_context(enable_metadata_routing=True):
        if known.any():
            # Only tasks that are asked about, so that nothing is adapted in vain.
            support = support[support[task].isin(query[task].unique())]
            one = adapted(model, support[names], support[target], support[task])
            metadata = {"task": query[task][known]}
            asked = query[names][known]
            _fill(found, known, one, asked, metadata)
        if not known.all():
            _fill(found, ~known, model, query[names][~known], {})
    columns: dict[Any, Any] = {task: query[task], **found}
    return pd.DataFrame(columns, index=query.index)


def _features_of(
    model: Any, frame: pd.DataFrame, task: Any, target: Any, features: Any
) -> list[Any]:
    if features is None:
        remembered = getattr(model, "feature_names_in_", None)
        features = frame.columns if remembered is None else remembered
        features = [name for name in features if name not in (task, target)]
    missing = [name for name in [*features, task, target] if name not in frame]
    if missing:
        raise ValueError(
            f"The frame has no column {', '.join(map(repr, missing))}; it has "
            f"{', '.join(map(repr, frame.columns[:8]))}."
        )
    return list(features)


def _empty(
    model: Any, query: pd.DataFrame, probabilities: bool, return_std: bool
) -> Columns:
    """Columns to be filled, of the types that each partition has: none, if empty."""
    n = len(query)
    if not is_classifier(model):
        names = ["prediction", "std"] if return_std else ["prediction"]
        return {name: np.full(n, np.nan) for name in names}
    shared = getattr(model, "classes_", None)
    dtype = object if shared is None else np.asarray(shared).dtype
    found: Columns = {"prediction": np.empty(n, dtype=dtype)}
    if probabilities:
        if shared is None:
            raise ValueError(
                "probabilities=True needs classes that all tasks share; here they are "
                "a task's own."
            )
        found |= {f"probability_{label}": np.full(n, np.nan) for label in shared}
    return found


def _fill(
    found: Columns, where: Any, model: Any, X: pd.DataFrame, metadata: dict[str, Any]
) -> None:
    if "std" in found:
        values = model.predict(X, return_std=True, **metadata)
        found["prediction"][where], found["std"][where] = values
    else:
        found["prediction"][where] = model.predict(X, **metadata)
    columns = [name for name in found if name.startswith("probability_")]
    if columns:
        values = model.predict_proba(X, **metadata)
        for name, column in zip(columns, values.T, strict=True):
            found[name][where] = column
