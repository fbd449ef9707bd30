"""`adapt` and `adapt_more`, and what they leave to be read."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from html import escape
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import estimator_html_repr
from sklearn.utils.validation import check_is_fitted

from sklmeta._compat import print_as_estimator
from sklmeta._version import DOCUMENTATION
from sklmeta.data.codes import IntArray
from sklmeta.data.table import Table
from sklmeta.data.validation import check_support_table, unpack_collection
from sklmeta.data.weights import weigh_rows
from sklmeta.estimator.assumptions import asked_by_user, warn_of_one_table
from sklmeta.estimator.naming import says_what_it_takes
from sklmeta.estimator.state import Adaptation, KeptRows
from sklmeta.exceptions import NotAdaptedError
from sklmeta.learners.torch_state import as_if_alone


class AdaptingMixin:
    """Validates supports, and adapts to them, all or without one row each."""

    _adaptation: Adaptation
    _initial_adaptation: Adaptation

    @says_what_it_takes
    @as_if_alone()
    def adapt(
        self,
        X: Any,
        y: ArrayLike | None = None,
        task: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Adapt to one task, or to many at once, in place.

        It always starts from what `fit` learned, never from an earlier task. For an
        adapted copy see `sklmeta.adapted`.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features) or collection
            The support: labelled rows of the task; or a collection of supports, alone.

        y : array-like of shape (n_samples,), default=None
            Their classes, or targets.

        task : array-like of shape (n_samples,), default=None
            Label of every row's task: the rows are supports of many tasks then, and
            ``predict(X, task=...)`` takes each row's own model.

        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts: a weight of two is the row twice, one of zero its
            absence. Estimators in which weights have no such meaning refuse them.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the support is empty or does not fit what `fit` saw; an earlier
            adaptation is kept.
        """
        check_is_fitted(self)
        X, y, task, _ = unpack_collection(X, y, task)
        table = self._support_table(X, y, task, sample_weight)
        if task is None:
            self._adapt_to_one(table)
        else:
            self._adapt_to(table, table.labels)
        return self

    @as_if_alone()
    def adapt_more(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Take in more labelled rows of the task that is adapted to, in place.

        It is the same as ``adapt`` to all rows at once, those of before and these, and
        takes as long. For that an estimator that is adapted to one task keeps the
        task's rows, also in a file, until `reset_adaptation` or the next `adapt`.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            More rows of the task.

        y : array-like of shape (n_samples,)
            Their classes, or targets.

        sample_weight : array-like of shape (n_samples,), default=None
            How often each of them counts, as in `adapt`.

        Returns
        -------
        self

        Raises
        ------
        NotAdaptedError
            If `adapt` has not been called.
        ValueError
            If the rows do not fit what `fit` saw, or if the estimator is adapted to
            many tasks; the adaptation is kept.
        """
        check_is_fitted(self)
        known = self._adaptation.support
        if known is None:
            raise self._has_no_rows()
        more = self._support_table(X, y, None, sample_weight)
        self._adapt_to_one(known.followed_by(more))
        return self

    def _has_no_rows(self) -> Exception:
        name, labels = type(self).__name__, self._adaptation.labels
        if labels is None:  # files of early versions, and frames of few libraries, too
            return NotAdaptedError(
                f"This {name} keeps no rows of a task that adapt_more could add to. "
                "Call adapt(X, y) first, with all rows there are."
            )
        return ValueError(
            f"This {name} is adapted to {len(labels)} tasks, and keeps no rows of so "
            "many: call adapt(X, y, task=task) with all rows, those of before and the "
            "new ones."
        )

    def reset_adaptation(self) -> Self:
        """Go back to the state that `fit` left: zero shots, or the one table.

        Returns
        -------
        self
        """
        check_is_fitted(self)
        self._adaptation = self._initial_adaptation
        if self._adaptation.classes is not None:
            self.classes_ = self._adaptation.classes
        return self

    # What is adapted to -------------------------------------------------------

    @property
    def n_support_(self) -> Any:
        """Rows that it is adapted to; of many tasks an array, by ascending label."""
        check_is_fitted(self)
        sizes, labels = self._adaptation.sizes, self._adaptation.labels
        if sizes is None:
            raise AttributeError("There is no support yet: call adapt(X, y) first.")
        return int(sizes[0]) if labels is None else sizes

    def _adapted_to(self) -> str:
        """What a picture of the estimator says beneath it."""
        if not hasattr(self, "_adaptation") or not hasattr(self, "n_support_"):
            return ""
        n_rows, n_tasks = int(np.sum(self.n_support_)), np.size(self.n_support_)
        tasks = "one task" if n_tasks == 1 else f"{n_tasks} tasks"
        return f"adapted to {n_rows} row{'s' * (n_rows != 1)} of {tasks}"

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        said = self._adapted_to()
        text: str = super().__repr__(N_CHAR_MAX)  # type: ignore[call-arg]
        return f"{text}, {said}" if said else text

    _doc_link_module = "sklmeta"
    _doc_link_template = DOCUMENTATION and f"{DOCUMENTATION}/{{page}}.html"

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        """Fill in the template: a public class has the page of its name."""
        return {"page": f"api/sklmeta.{type(self).__name__}"}

    def _html_repr(self) -> str:
        said = self._adapted_to()
        html: str = estimator_html_repr(self)
        return f"<div>{html}<small>{escape(said)}</small></div>" if said else html

    # The parts of `adapt` -----------------------------------------------------

    def _support_table(
        self: Any, X: Any, y: Any, task: Any, sample_weight: Any = None
    ) -> Table:
        """Validate supports."""
        X, y, task, weight = weigh_rows(X, y, task, sample_weight)
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
        if weight is None:
            return table
        reason = self._why_no_weights(weight)
        if reason:
            raise ValueError(
                f"{type(self).__name__} takes no sample_weight in adapt: {reason}. "
                "Where weights are whole numbers, repeat the rows."
            )
        return table._replace(weight=weight)

    def _why_no_weights(self, weight: NDArray[np.float64]) -> str:
        """Why weights of support rows are refused; nothing if they are not."""
        return "its author does not say what a weight is to it"

    def _adapt_to_one(self, table: Table) -> None:
        """Adapt to a single task, and keep its rows."""
        self._adapt_to(table, None)
        self._adaptation = self._adaptation._replace(support=KeptRows.of(table))

    def _adapt_to(self: Any, table: Table, labels: NDArray[Any] | None) -> None:
        """Adapt to validated supports; without labels to a single one."""
        with asked_by_user() as is_asked:
            if is_asked:
                warn_of_one_table(self, table)
            model = self._specialise(table)
        record = Adaptation(model, labels, table.shots, table.classes, table.sizes)
        self._adaptation = record
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


print_as_estimator(AdaptingMixin)
