"""The column of a table that a picture is drawn against, by position or by name."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import difflib
import numbers
from typing import Any

import numpy as np
from numpy.typing import NDArray

DRAWN = "biufmM"
"""Kinds of arrays that have a place on an axis: numbers, dates and durations."""


def chosen_column(X: Any, feature: int | str, model: Any) -> tuple[int, str]:
    """Return the position and the name of a column.

    Names are those of the frame, else those that the model was fitted to.

    Raises
    ------
    ValueError
        If there is no such column, or no names to look it up in.
    """
    columns = getattr(X, "columns", getattr(model, "feature_names_in_", None))
    n_columns = np.shape(X)[1]
    names = None if columns is None else [str(name) for name in columns]
    if isinstance(feature, numbers.Integral):
        place = int(feature)
        if not -n_columns <= place < n_columns:
            raise ValueError(f"feature={place}, but X has {n_columns} column(s).")
        return place, names[place] if names else f"feature {place}"
    if names is None:
        raise ValueError(
            f"feature={feature!r} names a column, but X has no names: give its "
            "position, or a data frame."
        )
    if feature not in names:
        close = difflib.get_close_matches(str(feature), names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"X has no column {feature!r}.{hint} There are: {', '.join(names)}."
        )
    return names.index(feature), feature


def column_values(X: Any, place: int, name: str) -> NDArray[Any]:
    """Return one column as an array.

    Raises
    ------
    ValueError
        If it holds text.
    """
    if hasattr(X, "columns"):
        values = np.asarray(X[list(X.columns)[place]])
    else:
        values = np.asarray(X, dtype=None)[:, place]
    if values.dtype.kind == "O":  # numbers, perhaps, beside columns of text
        try:
            values = values.astype(float)
        except (TypeError, ValueError):
            pass
    if values.dtype.kind not in DRAWN:
        raise ValueError(
            f"Column {name!r} holds text, which has no place on an axis: let feature= "
            "name a column of numbers or dates."
        )
    return values
