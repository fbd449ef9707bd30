"""Two estimators task by task: their difference, and where one does harm."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from scipy.stats import wilcoxon

from sklmeta.comparing._pair_html import html_of_harm, html_of_pair
from sklmeta.comparing._statistics import bootstrap_interval, sign_flip_p_value


@dataclass(frozen=True, eq=False)
class PairedDifference:
    """Differences of two estimators, task by task.

    Parameters
    ----------
    a, b : str
        The two estimators.

    shots : int
        Number of support rows.

    mean, low, high : float
        Mean over tasks of the score of `a` less that of `b`, with its 95 % interval
        from a bootstrap over tasks.

    p_value : float
        Of a mean (or median, for the Wilcoxon test) difference of zero, two-sided.

    better : str or None
        The estimator that the interval favours; None where it contains zero.

    differences : Series of shape (n_tasks,)
        Score of `a` less that of `b`, by task.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklmeta import MixedModelRegressor
    >>> from sklmeta.comparing import compare
    >>> from sklmeta.datasets import make_linear_tasks
    >>> X, y, task = make_linear_tasks(20, n_rows=10, random_state=0)
    >>> result = compare([MixedModelRegressor(), Ridge()], X, y, task, shots=2)
    >>> paired = result.paired("MixedModelRegressor", "Ridge, per task", shots=2)
    >>> paired.better, len(paired.differences)
    ('MixedModelRegressor', 20)
    """

    a: str
    b: str
    shots: int
    mean: float
    low: float
    high: float
    p_value: float
    better: str | None
    differences: pd.Series[Any]

    @property
    def n_tasks(self) -> int:
        """Number of tasks on which both were judged."""
        return len(self.differences)

    def _repr_html_(self) -> str:
        return html_of_pair(self)


@dataclass(frozen=True, eq=False)
class Harm:
    """The tasks on which one estimator does worse than another.

    Parameters
    ----------
    n_worse, n_tasks : int
        Tasks on which it is worse, of all.

    mean_loss : float
        By how much, averaged over the tasks on which it is worse; zero without any.

    share_lost : float
        Sum of these losses, as a share of the sum of the gains on the other tasks;
        infinite without gains.

    tasks : DataFrame of shape (n_worse, 3)
        By task, the worst first: both scores, and the ``loss``, which is positive.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklmeta import MixedModelRegressor
    >>> from sklmeta.comparing import compare
    >>> from sklmeta.datasets import make_linear_tasks
    >>> X, y, task = make_linear_tasks(20, n_rows=10, random_state=0)
    >>> result = compare([MixedModelRegressor(), Ridge()], X, y, task, shots=2)
    >>> harm = result.harm("MixedModelRegressor", against="Ridge, per task", shots=2)
    >>> harm.n_tasks, len(harm.tasks) == harm.n_worse
    (20, True)
    """

    n_worse: int
    n_tasks: int
    mean_loss: float
    share_lost: float
    tasks: pd.DataFrame

    def _repr_html_(self) -> str:
        return html_of_harm(self)


def pair(
    differences: pd.Series[Any],
    names: tuple[str, str],
    shots: int,
    *,
    greater_is_better: bool,
    test: str,
    random_state: int,
) -> PairedDifference:
    """Describe the differences of scores of `names`, in this order."""
    values = differences.to_numpy()
    low, high = bootstrap_interval(values[:, None], random_state=random_state)
    if test == "sign-flip":
        p_value = sign_flip_p_value(values, random_state=random_state)
    elif test == "wilcoxon":
        p_value = float(wilcoxon(values).pvalue) if values.any() else 1.0
    else:
        raise ValueError(f'test must be "sign-flip" or "wilcoxon"; got {test!r}.')
    better = None
    if low[0] > 0 or high[0] < 0:
        better = names[0] if (low[0] > 0) == greater_is_better else names[1]
    mean = float(values.mean()) if len(values) else float("nan")
    return PairedDifference(
        *names, shots, mean, float(low[0]), float(high[0]), p_value, better, differences
    )


def harm_of(gain: pd.Series[Any], scores: pd.DataFrame) -> Harm:
    """Describe the tasks with a negative gain."""
    worse = gain[gain < 0].sort_values()
    total, gained = float(-worse.sum()), float(gain[gain > 0].sum())
    lost = total / gained if gained > 0 else float("inf")
    return Harm(
        n_worse=len(worse),
        n_tasks=len(gain),
        mean_loss=total / len(worse) if len(worse) else 0.0,
        share_lost=lost if len(worse) else 0.0,
        tasks=scores.loc[worse.index].assign(loss=-worse),
    )
