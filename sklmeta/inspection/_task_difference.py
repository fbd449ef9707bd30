"""Two estimators, task by task."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sklmeta.comparing import Comparison, PairedDifference, compare
from sklmeta.inspection._drawing import Display
from sklmeta.inspection._scores import scores_of_predictions

MOST_NAMED = 40
"""With more tasks than these the axis shows ranks, not names."""


class TaskDifferenceDisplay(Display):
    """Paired differences of two estimators, one mark per task, sorted.

    An average hides the tasks on which the better model is the worse one; here they are
    filled in black and on the other side of the line.

    Parameters
    ----------
    pair : PairedDifference
        The differences; see ``Comparison.paired``.

    metric : str, default="score"
        Name of the score.

    greater_is_better : bool, default=True
        False for an error.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What was drawn on.

    figure_ : matplotlib Figure
        Its figure.

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
    ):
        self.pair = pair
        self.metric = metric
        self.greater_is_better = greater_is_better

    @classmethod
    def from_comparison(
        cls, comparison: Comparison, a: str, b: str, *, shots: int, ax: Any = None
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
        return cls.from_comparison(comparison, *names, shots=0, ax=ax)

    def _draw(self, ax: Any) -> None:
        pair = self.pair
        sign = 1 if self.greater_is_better else -1
        differences = pair.differences.sort_values(ascending=sign < 0)
        values = differences.to_numpy()
        x = np.arange(len(values))
        worse = sign * values < 0
        ax.axhspan(pair.low, pair.high, color="0.85", zorder=0, label="95 % interval")
        ax.axhline(pair.mean, color="0.45", ls="--", lw=1, label="mean", zorder=1)
        ax.axhline(0, color="black", lw=0.8, zorder=1)
        ax.vlines(x, 0, values, color="0.6", lw=1, zorder=2)
        for chosen, face, label in (
            (~worse, "white", f"{pair.a} better"),
            (worse, "black", f"{pair.b} better"),
        ):
            ax.scatter(
                x[chosen],
                values[chosen],
                s=24,
                facecolor=face,
                edgecolor="black",
                zorder=3,
                label=f"{label}: {chosen.sum()}",
            )
        if len(x) <= MOST_NAMED:
            names = [str(name) for name in differences.index]
            ax.set_xticks(x, names, rotation=90, fontsize="x-small")
        ax.set_xlabel("Task, sorted")
        ax.set_ylabel(f"{self.metric}: {pair.a} − {pair.b}", fontsize="small")
        ax.legend(frameon=False, fontsize="small")
