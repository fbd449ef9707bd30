"""One task: what a model thinks before and after a few labelled rows."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import sklearn
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier

from sklmeta.evaluation.containers import adapted, inner_estimator, zero_shot
from sklmeta.exceptions import NotAdaptedError
from sklmeta.inspection._columns import chosen_column, column_values
from sklmeta.inspection._drawing import Display, plain

N_POINTS = 200


class AdaptationDisplay(Display):
    """A task's support, the prediction before and after adapting to it, and the truth.

    With one feature the prediction is drawn as a curve, else at the query rows, against
    one of the features. Of a classifier it is the probability of one class. The band is
    two predictive standard deviations either side, where the model has them.

    Parameters
    ----------
    x : ndarray of shape (n_points,)
        Where predictions are drawn.

    after : ndarray of shape (n_points,)
        Predictions of the adapted model.

    support : tuple of two ndarray of shape (n_support,)
        Feature and target of the support rows.

    before : ndarray of shape (n_points,), default=None
        Predictions of the model as ``fit`` left it.

    std : ndarray of shape (n_points,), default=None
        Standard deviations of `after`.

    query : tuple of two ndarray of shape (n_query,), default=None
        Feature and target of other rows of the task.

    is_curve : bool, default=True
        Whether to connect the predictions.

    x_name, y_name : str
        Names of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What was drawn on.

    figure_ : matplotlib Figure
        Its figure.

    Examples
    --------
    >>> from sklmeta import BayesianLinearRegressor
    >>> from sklmeta.datasets import make_sinusoids
    >>> from sklmeta.inspection import AdaptationDisplay
    >>> X, y, task = make_sinusoids(60, random_state=0)
    >>> est = BayesianLinearRegressor(max_iter=100, random_state=0)
    >>> est = est.fit(X[task > 0], y[task > 0], task=task[task > 0])
    >>> X, y = X[task == 0], y[task == 0]
    >>> display = AdaptationDisplay.from_estimator(est, X[:5], y[:5], X[5:], y[5:])
    >>> display.x.shape
    (200,)
    """

    def __init__(
        self,
        x: NDArray[Any],
        after: NDArray[Any],
        *,
        support: tuple[NDArray[Any], NDArray[Any]],
        before: NDArray[Any] | None = None,
        std: NDArray[Any] | None = None,
        query: tuple[NDArray[Any], NDArray[Any]] | None = None,
        is_curve: bool = True,
        x_name: str = "x",
        y_name: str = "y",
    ):
        self.x = x
        self.after = after
        self.before = before
        self.std = std
        self.support = support
        self.query = query
        self.is_curve = is_curve
        self.x_name = x_name
        self.y_name = y_name

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        X_support: Any,
        y_support: ArrayLike,
        X_query: Any = None,
        y_query: ArrayLike | None = None,
        *,
        feature: int | str = 0,
        pos_label: Any = None,
        ax: Any = None,
    ) -> AdaptationDisplay:
        """Adapt a copy of a fitted model and draw what changes.

        Parameters
        ----------
        model : estimator
            A fitted model that `sklmeta.adapted` takes; it is left alone.

        X_support : {array-like, data frame} of shape (n_support, n_features)
            Labelled rows of one task.

        y_support : array-like of shape (n_support,)
            Their targets.

        X_query : {array-like, data frame} of shape (n_query, n_features), default=None
            Other rows of the task: needed with more than one feature.

        y_query : array-like of shape (n_query,), default=None
            Their targets, if known.

        feature : int or str, default=0
            Position, or name, of the column to draw against: one of numbers or dates.
            Rows without names of their columns take those that `model` was fitted to.

        pos_label : label, default=None
            Class whose probability is drawn; None means the last one.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        AdaptationDisplay

        Raises
        ------
        ValueError
            If there is more than one feature, and no `X_query`.
        """
        place, x_name = chosen_column(X_support, feature, model)
        x_support = column_values(X_support, place, x_name)
        x_query = None if X_query is None else column_values(X_query, place, x_name)
        single = np.asarray(X_support).shape[1] == 1
        if single:
            rows = _grid(X_support, x_support, x_query)
        elif X_query is not None:
            rows = X_query
        else:
            raise ValueError(
                "With more than one feature predictions are drawn at the task's other "
                "rows: pass X_query."
            )
        new = adapted(model, X_support, y_support)
        label = None
        if is_classifier(model):
            label = new.classes_[-1] if pos_label is None else pos_label
            after, before, std = _probabilities(model, new, rows, label)
        else:
            after, before, std = _predictions(model, new, rows)
        query = None
        if x_query is not None and y_query is not None:
            query = x_query, _response(y_query, label)
        display = cls(
            column_values(rows, place, x_name),
            after,
            before=before,
            std=std,
            support=(x_support, _response(y_support, label)),
            query=query,
            is_curve=single,
            x_name=x_name,
            y_name=_target_name(y_support, label),
        )
        return display.plot(ax=ax)

    @classmethod
    def from_predictions(
        cls,
        x: ArrayLike,
        y_pred: ArrayLike,
        x_support: ArrayLike,
        y_support: ArrayLike,
        *,
        y_true: ArrayLike | None = None,
        y_before: ArrayLike | None = None,
        y_std: ArrayLike | None = None,
        is_curve: bool = False,
        ax: Any = None,
    ) -> AdaptationDisplay:
        """Draw predictions that were made already.

        Parameters
        ----------
        x : array-like of shape (n_query,)
            One feature of the query rows.

        y_pred : array-like of shape (n_query,)
            Predictions after adapting.

        x_support, y_support : array-like of shape (n_support,)
            The feature and the targets of the support rows.

        y_true : array-like of shape (n_query,), default=None
            Targets of the query rows.

        y_before : array-like of shape (n_query,), default=None
            Predictions before adapting.

        y_std : array-like of shape (n_query,), default=None
            Standard deviations of `y_pred`.

        is_curve : bool, default=False
            Whether to connect the predictions.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        AdaptationDisplay
        """
        points = np.asarray(x)
        display = cls(
            points,
            np.asarray(y_pred),
            before=None if y_before is None else np.asarray(y_before),
            std=None if y_std is None else np.asarray(y_std),
            support=(np.asarray(x_support), np.asarray(y_support)),
            query=None if y_true is None else (points, np.asarray(y_true)),
            is_curve=is_curve,
        )
        return display.plot(ax=ax)

    def _draw(self, ax: Any) -> None:
        order = np.argsort(self.x, kind="stable")
        x, after = self.x[order], self.after[order]
        line = {"lw": 2} if self.is_curve else {"ls": "", "marker": "_", "ms": 9}
        if self.std is not None:
            self._draw_spread(ax, x, after, 2 * self.std[order])
        if self.query is not None:
            ax.plot(
                *self.query,
                ls="",
                marker="o",
                mfc="white",
                mec="0.55",
                ms=4,
                label="truth",
            )
        if self.before is not None:
            self._draw_before(ax, x, self.before[order], after)
        ax.plot(x, after, color="#0072B2", label="after adapting", **line)
        ax.plot(
            *self.support,
            ls="",
            marker="o",
            color="black",
            ms=6,
            label="support",
            zorder=4,
        )
        n_rows = len(self.support[0])
        rows = "row" if n_rows == 1 else "rows"
        ax.set_title(f"A task before and after {n_rows} labelled {rows}")
        ax.set_xlabel(plain(self.x_name))
        ax.set_ylabel(plain(self.y_name))
        ax.legend(frameon=False, fontsize="small")

    def _draw_before(
        self, ax: Any, x: NDArray[Any], before: NDArray[Any], after: NDArray[Any]
    ) -> None:
        if self.is_curve:
            ax.plot(x, before, color="0.5", ls="--", label="before")
            return
        # A line from each row's prediction before to that after; marks alone would
        # vanish among those of other rows.
        ax.vlines(x, before, after, color="0.5", lw=0.8, ls=":", zorder=2)
        look = {"ls": "", "marker": "D", "ms": 5, "mfc": "none", "zorder": 3}
        ax.plot(x, before, color="0.35", label="before", **look)

    def _draw_spread(
        self, ax: Any, x: NDArray[Any], mean: NDArray[Any], half: NDArray[Any]
    ) -> None:
        ends, label = (mean - half, mean + half), "± 2 standard deviations"
        if self.is_curve:
            ax.fill_between(x, *ends, color="#0072B2", alpha=0.2, lw=0, label=label)
        else:
            ax.vlines(x, *ends, color="#0072B2", alpha=0.3, label=label)


def _grid(X: Any, *points: NDArray[Any] | None) -> Any:
    """Return rows along a single feature, in the container of `X`."""
    known = np.concatenate([p for p in points if p is not None])
    margin = 0.05 * (np.ptp(known) or 1.0)
    x = np.linspace(known.min() - margin, known.max() + margin, N_POINTS)
    rows = x.astype(getattr(np.asarray(X), "dtype", float))[:, None]
    return type(X)(rows, columns=X.columns) if hasattr(X, "columns") else rows


def _before(model: Any, method: str, rows: Any) -> NDArray[Any] | None:
    try:
        return np.asarray(getattr(zero_shot(model), method)(rows))
    except NotAdaptedError:
        return None


def _response(y: ArrayLike, label: Any) -> NDArray[Any]:
    values = np.asarray(y)
    return values if label is None else (values == label).astype(float)


def _target_name(y: Any, label: Any) -> str:
    name = getattr(y, "name", None)
    if label is not None:
        return (
            f"probability of {label}"
            if name is None
            else f"probability: {name} = {label}"
        )
    return "prediction" if name is None else f"{name}"


Answer = tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]
"""Predictions after adapting, before it, and the standard deviations of the first."""


def _predictions(model: Any, new: Any, rows: Any) -> Answer:
    before = _before(model, "predict", rows)
    predict = inspect.signature(inner_estimator(new).predict)
    if "return_std" not in predict.parameters:
        return np.asarray(new.predict(rows)), before, None
    with sklearn.config_context(enable_metadata_routing=True):
        mean, std = new.predict(rows, return_std=True)
    return np.asarray(mean), before, np.asarray(std)


def _probabilities(model: Any, new: Any, rows: Any, label: Any) -> Answer:
    column = np.flatnonzero(np.asarray(new.classes_) == label)
    if not len(column):
        raise ValueError(
            f"pos_label={label!r} is none of the classes {new.classes_.tolist()}."
        )
    before = _before(model, "predict_proba", rows)
    if before is not None:
        before = before[:, column[0]]
    return np.asarray(new.predict_proba(rows))[:, column[0]], before, None
