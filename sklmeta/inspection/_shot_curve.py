"""Score against the number of labelled rows."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from sklmeta.comparing import Comparison, compare
from sklmeta.inspection._drawing import Display, plain, style, upper_first
from sklmeta.inspection._scores import scores_of_predictions

MOST_NAMES_INSIDE = 6
MOST_IN_COLOUR = 3
"""Of more lines than these the leaders alone are in colour: bands would cover bands."""
GREY = "0.72"


class ShotCurveDisplay(Display):
    """Mean score over tasks against the number of support rows, with bands.

    Parameters
    ----------
    comparison : Comparison
        The scores.

    names : sequence of str, default=None
        Estimators to draw; None means all.

    highlight : sequence of str, default=None
        Those to draw in colour and with a band; the others are thin and grey. None
        means all of up to three estimators, and of more those that lead among
        meta-learners or among baselines at most numbers of rows, up to three.

    bands : bool, default=True
        Whether to shade the 95 % intervals over tasks.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What was drawn on.

    figure_ : matplotlib Figure
        Its figure.

    lines_ : dict of str to Line2D
        The line of each estimator.

    See Also
    --------
    sklmeta.comparing.compare : Makes a comparison.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklmeta.datasets import make_linear_tasks
    >>> from sklmeta.inspection import ShotCurveDisplay
    >>> X, y, task = make_linear_tasks(20, n_rows=20, random_state=0)
    >>> display = ShotCurveDisplay.from_estimator(
    ...     Ridge(), X, y, task, shots=[1, 5, 10], n_draws=1
    ... )
    >>> display.ax_.get_xlabel()
    'Labelled rows of a task'
    """

    def __init__(
        self,
        comparison: Comparison,
        *,
        names: Sequence[str] | None = None,
        highlight: Sequence[str] | None = None,
        bands: bool = True,
    ):
        self.comparison = comparison
        self.names = names
        self.highlight = highlight
        self.bands = bands

    @classmethod
    def from_comparison(
        cls,
        comparison: Comparison,
        *,
        names: Sequence[str] | None = None,
        highlight: Sequence[str] | None = None,
        bands: bool = True,
        ax: Any = None,
    ) -> ShotCurveDisplay:
        """Draw what `compare` found.

        Parameters
        ----------
        comparison : Comparison
            The scores.

        names : sequence of str, default=None
            Estimators to draw; None means all.

        highlight : sequence of str, default=None
            Those in colour and with a band; None means up to three that lead.

        bands : bool, default=True
            Whether to shade the 95 % intervals over tasks.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        ShotCurveDisplay
        """
        display = cls(comparison, names=names, highlight=highlight, bands=bands)
        return display.plot(ax=ax)

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: Any,
        y: ArrayLike | None = None,
        task: ArrayLike | None = None,
        *,
        bands: bool = True,
        ax: Any = None,
        **options: Any,
    ) -> ShotCurveDisplay:
        """Cross-validate by task and draw.

        Parameters
        ----------
        estimator : estimator, sequence of estimators or dict of str to estimator
            What to compare; clones are fitted.

        X : {array-like, data frame} of shape (n_samples, n_features) or TaskCollection
            Rows of all tasks.

        y : array-like of shape (n_samples,), default=None
            Targets.

        task : array-like of shape (n_samples,), default=None
            Task of every row.

        bands : bool, default=True
            Whether to shade the 95 % intervals over tasks.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        **options
            Passed on to `sklmeta.comparing.compare`: ``shots``, ``cv``,
            ``n_draws``, ``scoring``, ``n_jobs`` and the like.

        Returns
        -------
        ShotCurveDisplay
        """
        many = isinstance(estimator, Mapping | Sequence)
        comparison = compare(estimator if many else [estimator], X, y, task, **options)
        return cls.from_comparison(comparison, bands=bands, ax=ax)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        task: ArrayLike,
        shots: ArrayLike,
        *,
        name: str = "model",
        bands: bool = True,
        ax: Any = None,
    ) -> ShotCurveDisplay:
        """Draw from predictions of query rows that were made already.

        The score is the root mean squared error for floating-point targets, else the
        accuracy.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Targets.

        y_pred : array-like of shape (n_samples,)
            Predictions.

        task : array-like of shape (n_samples,)
            Task of every row.

        shots : array-like of int of shape (n_samples,)
            Number of support rows that each prediction was made with.

        name : str, default="model"
            Name in the legend.

        bands : bool, default=True
            Whether to shade the 95 % intervals over tasks.

        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        ShotCurveDisplay
        """
        comparison = scores_of_predictions(y_true, {name: y_pred}, task, shots)
        return cls.from_comparison(comparison, bands=bands, ax=ax)

    def _draw(self, ax: Any) -> None:
        comparison = self.comparison
        table = comparison.table()
        # Shots are spaced evenly: 0 has no logarithm, and 1, 2, 5, 10 would crowd.
        position = {k: i for i, k in enumerate(comparison.shots)}
        self.lines_ = {}
        in_colour = self._in_colour()
        for i, name in enumerate(self.names or comparison.names):
            own = table.xs(name, level="estimator").sort_index()
            x = [position[k] for k in own.index]
            look = style(i)._asdict()
            if name in in_colour:
                look |= {"linewidth": 2, "markersize": 5, "zorder": 3}
            else:
                look |= {"color": GREY, "linewidth": 1, "markersize": 4}
            (line,) = ax.plot(x, own["mean"], label=plain(name), **look)
            self.lines_[name] = line
            if self.bands and name in in_colour:
                ax.fill_between(
                    x, own.low, own.high, color=look["color"], alpha=0.13, linewidth=0
                )
        ax.set_xticks(range(len(position)), [str(k) for k in position])
        ax.set_xlabel(f"Labelled {comparison.unit_of_shots} of a task")
        metric = upper_first(plain(comparison.metric))
        ax.set_ylabel(metric)
        ax.set_title(f"{metric} over {len(comparison.tasks):,} tasks")
        ax.grid(axis="y", alpha=0.3)
        # Many names would cover the curves.
        place: dict[str, Any] = {}
        if len(self.lines_) > MOST_NAMES_INSIDE:
            place = {"loc": "upper left", "bbox_to_anchor": (1, 1)}
        ax.legend(frameon=False, fontsize="small", **place)

    def _in_colour(self) -> list[str]:
        if self.highlight is not None:
            return list(self.highlight)
        comparison, drawn = self.comparison, list(self.names or self.comparison.names)
        if len(drawn) <= MOST_IN_COLOUR:
            return drawn
        baselines = [name for name in drawn if name in comparison.baselines]
        others = [name for name in drawn if name not in comparison.baselines]
        leads = Counter(
            comparison.leader(k, among=some)
            for k in comparison.shots
            for some in (others, baselines)
            if some
        )
        return [name for name, _ in leads.most_common(MOST_IN_COLOUR)]
