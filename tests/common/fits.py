"""Fitted estimators, each fitted once: most checks begin with the same fit."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import copy

from sklearn.base import clone

_FITTED = {}


def fitted(estimator, data, **params):
    """Return a copy of `estimator` with `params`, fitted to ``X, y, task``."""
    X, y, task = data
    fresh = clone(estimator).set_params(**params)
    settings = sorted(fresh.get_params(deep=False).items())
    key = (type(fresh), str(settings), *map(id, data))
    if key not in _FITTED:
        # The data stay with it: their ids must not come to mean other arrays.
        _FITTED[key] = data, fresh.fit(X, y, task=task)
    return copy.deepcopy(_FITTED[key][1])
