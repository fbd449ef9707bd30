"""Rows as numbers, by what the tasks that are learned from show, and no others."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

from sklearn.base import clone

from sklmeta.data.codes import IntArray
from sklmeta.data.table import Table
from sklmeta.preparation.folds import prepared_by


class Prepared:
    """A table whose rows are prepared anew for each fold.

    Parameters
    ----------
    table : Table
    preparation : transformer or None
        None leaves the rows as they are.

    Attributes
    ----------
    fitted : transformer or None
        To all rows.

    whole : Table
        Prepared by it.
    """

    def __init__(self, table: Table, preparation: Any):
        self._table = table
        self._folds: dict[bytes, Table] = {}
        self.fitted, self.whole = None, table
        if preparation is not None:
            self.fitted = clone(preparation)
            X = self.fitted.fit_transform(table.X, table.y)
            self.whole = table._replace(X=X)

    def for_fold(self, train: IntArray) -> Table:
        """All rows, by what the training rows show; once for each fold."""
        if self.fitted is None:
            return self.whole
        key = train.tobytes()
        if key not in self._folds:
            Z = prepared_by(self.fitted, self._table.X, self._table.y, train)
            self._folds[key] = self._table._replace(X=Z)
        return self._folds[key]
