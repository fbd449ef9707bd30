"""All rows of a table as numbers, by what some of them show."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from sklmeta._compat import _safe_indexing
from sklmeta.data.stacking import stacked_rows


def prepared_by(
    preparation: Any, X: Any, y: NDArray[Any], train: NDArray[np.intp]
) -> Any:
    """Prepare all rows by a copy that is fitted to the training rows alone.

    Parameters
    ----------
    preparation : transformer
    X : {data frame, array-like} of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,)
    train : ndarray of shape (n_train,)
        Rows to fit to.

    Returns
    -------
    Z : {ndarray, sparse} of shape (n_samples, n_features_out)
        In the order of X.
    """
    own = clone(preparation)
    rest = np.setdiff1d(np.arange(len(y)), train)
    # What fits and transforms at once may do other than transform.
    parts = [own.fit_transform(_safe_indexing(X, train), y[train])]
    if len(rest):
        parts.append(own.transform(_safe_indexing(X, rest)))
    order = np.argsort(np.concatenate([train, rest]))
    return _safe_indexing(stacked_rows(parts), order)
