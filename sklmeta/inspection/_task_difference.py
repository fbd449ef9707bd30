"""Two estimators, task by task."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sklmeta.comparing import Comparison, PairedDifference, compare
from sklmeta.inspection._drawing import Display, plain
from sklmeta.inspection._scores import scores_of_predictions

MOST_NAMED = 40
"""With more tasks than these the axis shows ranks, not names."""
MOST_LETTERS = 24
EQUAL = 1e-9
"""Differences within this share of the largest are rounding: a tie."""


class TaskDifferenceDisplay(Display):
    """Paired differences of two estimators, one mark per task, sorted.

    An average hides the tasks on which the better model is the worse one; here they are
    filled in black and on the other side of the line. Ties are grey, and counted as
    ties.

    Parameters
    ----------
    pair : PairedDifference
        The differences; see ``Comparison.paired``.

    metric : str, default="score"
        Name of the score.

    greater_is_better : bool, default=True
        False for an error.

    orient : {"vertical", "horizontal"}, default="vertical"
        Which way the differences run. Horizontal ones leave room for names of tasks.

    title : str, default=None
        None says the estimators and the number of labelled rows.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What was drawn on.

    figure_ : matplotlib Figure
        Its figure.

    tasks_ : dict of str to list
        Tasks of every group of marks ("better", "worse" and "tied", which are the
        artists' ``gid`` as well), in the order of drawing: what a picture may show
        on hover where names would not fit.

    See Also
    --------
    sklmeta.model_selection.Comparison.harm : The same in numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from sklmeta.inspection import TaskDifferenceDisplay
    >>> rng = np.random.default_rng(0)
    >>> task = np.repeat(np.arange(30), 10)
    >>> y = rng.normal(size=300)
    >>> display = TaskDifferenceDisplay.from_predictions(
    ...     y, y + 0.5 * rng.normal(size=300), y + rng.normal(size=300), task
    ... )
    >>> display.pair.better
    'a'
    """

    def __init__(
        self,
        pair: PairedDifference,
        *,
        metric: str = "score",
        greater_is_better: bool = True,
        orient: Literal["vertical", "horizontal"] = "vertical",
        title: str | None = None,
    ):
        if orient not in ("vertical", "horizontal"):
            raise ValueError(
                f'orient must be "vertical" or "horizontal"; got {orient!r}.'
            )
        self.orient = orient
        self.title = title
        self.pair = pair
        self.metric = metric
        self.greater_is_better = greater_is_better

    @classmethod
    def from_comparison(
        cls,
        comparison: Comparison,
        a: str,
        b: str,
        *,
        shots: int,
        orient: Literal["vertical", "horizontal"] = "vertical",
        ax: Any = None,
    ) -> TaskDifferenceDisplay:
        """Draw two of the estimators that were compared.

        Parameters
        ----------
        comparison : Comparison
            The scores.

        a, b : str
            Names of estimators.

        shots : int
            Number of support rows.

        orient : {"vertical", "horizontal"}, default="vertical"
            Which way the differences run.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        TaskDifferenceDisplay
        """
        display = cls(
            comparison.paired(a, b, shots),
            metric=comparison.metric,
            greater_is_better=comparison.greater_is_better,
            orient=orient,
        )
        return display.plot(ax=ax)

    @classmethod
    def from_estimator(
        cls,
        a: Any,
        b: Any,
        X: Any,
        y: ArrayLike | None = None,
        task: ArrayLike | None = None,
        *,
        shots: int = 5,
        ax: Any = None,
        **options: Any,
    ) -> TaskDifferenceDisplay:
        """Cross-validate two estimators by task and draw.

        Parameters
        ----------
        a, b : estimator
            What to compare, both with ``adapt``; clones are fitted.

        X : {array-like, data frame} of shape (n_samples, n_features) or TaskCollection
            Rows of all tasks.

        y : array-like of shape (n_samples,), default=None
            Targets.

        task : array-like of shape (n_samples,), default=None
            Task of every row.

        shots : int, default=5
            Number of support rows.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        **options
            Passed on to `sklmeta.comparing.compare`.

        Returns
        -------
        TaskDifferenceDisplay

        Raises
        ------
        ValueError
            If an estimator is scikit-learn's own: per task, or pooled?
        """
        comparison = compare([a, b], X, y, task, shots=shots, **options)
        if len(comparison.names) > 2:
            raise ValueError(
                "A plain scikit-learn estimator could mean PerTask(estimator) or "
                "Pooled(estimator) here: say which."
            )
        return cls.from_comparison(comparison, *comparison.names, shots=shots, ax=ax)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred_a: ArrayLike,
        y_pred_b: ArrayLike,
        task: ArrayLike,
        *,
        names: tuple[str, str] = ("a", "b"),
        ax: Any = None,
    ) -> TaskDifferenceDisplay:
        """Draw from predictions of query rows that were made already.

        The score is the root mean squared error for floating-point targets, else the
        accuracy.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Targets.

        y_pred_a, y_pred_b : array-like of shape (n_samples,)
            Predictions of the two.

        task : array-like of shape (n_samples,)
            Task of every row.

        names : tuple of two str, default=("a", "b")
            Names of the two.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        TaskDifferenceDisplay
        """
        predictions = dict(zip(names, (y_pred_a, y_pred_b), strict=True))
        shots = np.zeros(np.shape(np.asarray(y_true))[0], dtype=int)
        comparison = scores_of_predictions(y_true, predictions, task, shots)
        display = cls(
            comparison.paired(*names, shots=0),
            metric=comparison.metric,
            greater_is_better=comparison.greater_is_better,
            title=" against ".join(names),
        )
        return display.plot(ax=ax)

    @property
    def _sorted(self) -> pd.Series[Any]:
        """Differences by task, the best for `a` first."""
        return self.pair.differences.sort_values(ascending=not self.greater_is_better)

    def _groups(self) -> list[tuple[str, NDArray[np.bool_], dict[str, str], str]]:
        """Marks: an id, which tasks, how they look, and what the legend says."""
        gain = (1 if self.greater_is_better else -1) * self._sorted.to_numpy()
        tied = np.abs(gain) <= EQUAL * np.abs(gain).max(initial=0)
        better, worse = (gain > 0) & ~tied, (gain < 0) & ~tied
        edge = {"edgecolor": "black"}
        groups = [
            ("tied", tied, edge | {"facecolor": "0.6"}, "as good as each other"),
            ("better", better, edge | {"facecolor": "white"}, f"{self.pair.a} better"),
            ("worse", worse, edge | {"facecolor": "black"}, f"{self.pair.b} better"),
        ]
        return groups if tied.any() else groups[1:]

    def _draw(self, ax: Any) -> None:
        pair, values = self.pair, self._sorted.to_numpy()
        places = np.arange(len(values))
        upright = self.orient == "vertical"
        across, along = (ax.axhline, ax.vlines) if upright else (ax.axvline, ax.hlines)
        span = ax.axhspan if upright else ax.axvspan
        span(pair.low, pair.high, color="0.85", zorder=0, label="95 % interval")
        across(pair.mean, color="0.45", ls="--", lw=1, label="mean", zorder=1)
        across(0, color="black", lw=0.8, zorder=1)
        along(places, 0, values, color="0.6", lw=1, zorder=2)
        self.tasks_ = {}
        for gid, chosen, look, text in self._groups():
            self.tasks_[gid] = self._sorted.index[chosen].tolist()
            points = places[chosen], values[chosen]
            ax.scatter(
                *(points if upright else points[::-1]),
                s=24 if len(values) <= MOST_NAMED else 12,
                gid=gid,
                zorder=3,
                label=f"{plain(text)}: {chosen.sum()}",
                **look,
            )
        self._name_axes(ax, places)
        ax.legend(framealpha=0.8, edgecolor="none", fontsize="small")

    def _name_axes(self, ax: Any, places: NDArray[Any]) -> None:
        pair, upright = self.pair, self.orient == "vertical"
        if len(places) <= MOST_NAMED:
            names = [plain(name, MOST_LETTERS) for name in self._sorted.index]
            if upright:
                ax.set_xticks(places, names, rotation=90, fontsize="small")
            else:
                ax.set_yticks(places, names, fontsize="small")
        a, b = plain(pair.a), plain(pair.b)
        difference = f"{plain(self.metric)}: {a} − {b}"
        if upright:
            ax.set_xlabel("Task, sorted")
            ax.set_ylabel(difference, fontsize="small")
        else:
            ax.set_ylabel("Task, sorted")
            ax.set_xlabel(difference, fontsize="small")
            ax.invert_yaxis()
        rows = "row" if pair.shots == 1 else "rows"
        title = f"{pair.a} against {pair.b}, {pair.shots} labelled {rows}"
        ax.set_title(plain(self.title or title), fontsize="medium", wrap=True)
