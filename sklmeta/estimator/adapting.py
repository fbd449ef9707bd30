"""The parts of `adapt`."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from sklmeta.data.codes import IntArray
from sklmeta.data.table import Table
from sklmeta.data.validation import check_support_table
from sklmeta.estimator.state import Adaptation


class AdaptingMixin:
    """Validates supports, and adapts to them, all or without one row each."""

    def _support_table(self: Any, X: Any, y: Any, task: Any) -> Table:
        """Validate supports."""
        table = check_support_table(
            self,
            X,
            y,
            task,
            kind=self._task_kind,
            classes=self._initial_adaptation.classes,
            options=self._options,
            remedy=self._own_classes_remedy,
        )
        self._check_shape(table.X)
        return table

    def _adapt_to(self: Any, table: Table, labels: NDArray[Any] | None) -> None:
        """Adapt to validated supports; without labels to a single one."""
        model = self._specialise(table)
        self._adaptation = Adaptation(model, labels, table.shots, table.classes)
        if table.classes is not None:
            self.classes_ = table.classes

    def _arrange(self, X: Any, codes: IntArray, model: Any) -> Any:
        """Make of validated rows what `_predict` and `_probabilities` take."""
        return X

    def _leave_one_out(self, table: Table, model: Any) -> NDArray[Any] | None:
        """Predict every support row from the other rows of its task.

        `model` is what `_specialise` made of the table; the answer is what `predict`
        or `predict_proba` would return, NaN where a task has no other row, or None
        where it would cost as much as adapting anew.
        """
        return None
