"""The scores of a comparison, and the questions one asks of them in numbers."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from sklmeta.comparing._paired import Harm, PairedDifference, harm_of, pair
from sklmeta.comparing._statistics import bootstrap_interval, standard_error

SUPPORT_IN_WORDS = {
    "random": "drawn at random",
    "stratified": "drawn at random, of shared classes one of each first",
    "first": "the first in row order",
    "first in time": "the first in time",
}
COLUMNS = ("estimator", "fold", "task", "draw", "shots", "score")


class ComparisonScores:
    """What `Comparison` puts into words; its parameters are described there."""

    support: str | None = None  # which pickles of before do not tell

    def __init__(
        self,
        draws: pd.DataFrame,
        *,
        baselines: Sequence[str] = (),
        metric: str = "score",
        greater_is_better: bool = True,
        random_state: int = 0,
        caveats: Sequence[str] = (),
        support: str | None = None,
    ):
        missing = [name for name in COLUMNS if name not in draws.columns]
        if missing:
            raise ValueError(f"draws lacks the column(s) {', '.join(missing)}.")
        self.draws = draws
        self.names = list(dict.fromkeys(draws.estimator))
        self.baselines = [name for name in self.names if name in baselines]
        self.metric = metric
        self.greater_is_better = greater_is_better
        self.random_state = random_state
        self.caveats = list(caveats)
        self.support = support
        self.by_metric: dict[str, Any] = {metric: self}
        counts = draws.groupby("shots").task.nunique()
        self.shots: list[int] = counts.index[counts > 1].tolist()
        means = draws.groupby(["shots", "task", "estimator"], sort=False).score.mean()
        scores = means.unstack("estimator")[self.names]
        self._scores = {
            k: scores[scores.index.get_level_values(0) == k].droplevel(0)
            for k in self.shots
        }

    @property
    def sign(self) -> int:
        """1 where a greater score is better, else -1."""
        return 1 if self.greater_is_better else -1

    @property
    def tasks(self) -> list[Any]:
        """All tasks that were held out."""
        return list(dict.fromkeys(self.draws.task))

    @property
    def unit_of_shots(self) -> str:
        """Rows, or rows per class, which the sizes of the supports tell."""
        draws = self.draws
        per_class = "n_support" in draws and (draws.n_support > draws.shots).any()
        return "rows per class" if per_class else "rows"

    @property
    def words_for_support(self) -> str:
        """How the labelled rows were chosen, as far as that is known."""
        return SUPPORT_IN_WORDS.get(self.support or "", self.support or "")

    def scores(self, shots: int) -> pd.DataFrame:
        """Score of every task (rows) and estimator (columns), averaged over draws.

        Parameters
        ----------
        shots : int
            Number of support rows.

        Returns
        -------
        DataFrame of shape (n_tasks, n_estimators)

        Raises
        ------
        ValueError
            If these shots were not compared.
        """
        if shots not in self.shots:
            raise ValueError(
                f"shots={shots!r} was not compared; there are {self.shots}."
            )
        return self._scores[shots]

    def per_task(self) -> pd.DataFrame:
        """Return the scores in the long form, averaged over draws.

        Returns
        -------
        DataFrame
            Columns ``estimator``, ``shots``, ``task``, ``score`` and, where known,
            ``n_query``.
        """
        columns = [name for name in ("score", "n_query") if name in self.draws]
        groups = self.draws.groupby(["estimator", "shots", "task"], sort=False)
        return groups[columns].mean().reset_index()

    def table(self, shots: int | Iterable[int] | None = None) -> pd.DataFrame:
        """Mean score of every estimator with its interval, its rank and its cost.

        Parameters
        ----------
        shots : int, iterable of int or None, default=None
            Number of support rows; None means all, under an outer index level.

        Returns
        -------
        DataFrame
            Indexed by the estimator, the best first. Columns: ``mean`` over tasks,
            ``low`` and ``high`` of its 95 % interval from a bootstrap over tasks,
            ``rank``, ``n_tasks``, ``fit_seconds`` (mean over folds) and
            ``adapt_milliseconds`` (per task: adapting and predicting its other rows,
            all of a fold's tasks at once).
        """
        if isinstance(shots, int | np.integer):
            return self._table(int(shots))
        chosen = self.shots if shots is None else list(shots)
        return pd.concat({k: self._table(k) for k in chosen}, names=["shots"])

    def _table(self, shots: int) -> pd.DataFrame:
        scores = self.scores(shots)
        values = scores.to_numpy()
        low, high = bootstrap_interval(values, random_state=self.random_state)
        mean = scores.mean()
        table = pd.DataFrame({"mean": mean, "low": low, "high": high})
        table["rank"] = (-self.sign * mean).rank(method="min").astype("Int64")
        table["n_tasks"] = scores.notna().sum()
        table = table.join(self._costs(shots))
        table.index.name = "estimator"
        return table.sort_values("rank", kind="stable")

    def _costs(self, shots: int) -> pd.DataFrame:
        """Seconds of `fit` and milliseconds per task, as far as they are known."""
        draws = self.draws[self.draws.shots == shots].groupby("estimator")
        found = {}
        if "fit_time" in self.draws:
            found["fit_seconds"] = draws.fit_time.mean()
        if "adapt_time" in self.draws:
            found["adapt_milliseconds"] = 1e3 * draws.adapt_time.mean()
        return pd.DataFrame(found, index=self.names)

    def paired(
        self,
        a: str,
        b: str,
        shots: int,
        *,
        test: Literal["sign-flip", "wilcoxon"] = "sign-flip",
    ) -> PairedDifference:
        """Compare two estimators task by task.

        Parameters
        ----------
        a, b : str
            Names of estimators.

        shots : int
            Number of support rows.

        test : {"sign-flip", "wilcoxon"}, default="sign-flip"
            "sign-flip" asks for the mean difference: exact for up to 13 tasks, else by
            10,000 random patterns of signs. "wilcoxon" is the signed-rank test.

        Returns
        -------
        PairedDifference
        """
        return pair(
            self._differences(a, b, shots),
            (a, b),
            shots,
            greater_is_better=self.greater_is_better,
            test=test,
            random_state=self.random_state,
        )

    def harm(self, a: str, *, against: str, shots: int) -> Harm:
        """On which tasks `a` is worse than a baseline, and by how much.

        An average over tasks hides negative transfer; this is where it shows.

        Parameters
        ----------
        a, against : str
            Names of estimators.

        shots : int
            Number of support rows.

        Returns
        -------
        Harm
        """
        gain = self.sign * self._differences(a, against, shots)
        return harm_of(gain, self.scores(shots)[[a, against]])

    def best(self, shots: int, *, among: Iterable[str] | None = None) -> str:
        """Winner by the rule of one standard error.

        Of the estimators that are behind the one with the best mean by at most one
        standard error of their paired difference to it, the simplest: a baseline
        before a meta-learner, then the one quickest to fit, as far as that is known.

        Parameters
        ----------
        shots : int
            Number of support rows.

        among : iterable of str, default=None
            Estimators to choose from; None means all.

        Returns
        -------
        str
        """
        names = self.names if among is None else list(among)
        leader = self.leader(shots, among=names)
        close = [name for name in names if self._is_close(name, leader, shots)]
        costs = self._costs(shots).get("fit_seconds", pd.Series(dtype=float))
        order = {name: i for i, name in enumerate(self.names)}

        def simplicity(name: str) -> tuple[Any, ...]:
            return name not in self.baselines, costs.get(name, 0.0), order[name]

        return min(close, key=simplicity)

    def leader(self, shots: int, *, among: Iterable[str] | None = None) -> str:
        """Return the estimator with the best mean score.

        Parameters
        ----------
        shots : int
            Number of support rows.

        among : iterable of str, default=None
            Estimators to choose from; None means all.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            If no score is defined at these shots.
        """
        names = self.names if among is None else list(among)
        mean = self.sign * self.scores(shots)[names].mean()
        if mean.isna().all():
            raise ValueError(f"No score is defined with shots={shots}.")
        return str(mean.idxmax())

    def _is_close(self, name: str, leader: str, shots: int) -> bool:
        behind = self.sign * self._differences(leader, name, shots).to_numpy()
        if name == leader:
            return True
        return len(behind) > 1 and behind.mean() <= standard_error(behind)

    def crossover(self, a: str, b: str) -> int | None:
        """Number of shots from which `b` is no longer worse than `a`, on average.

        Parameters
        ----------
        a, b : str
            Names of estimators.

        Returns
        -------
        int or None
            The least of `shots` such that at it and at all larger ones the mean score
            of `b` is at least as good as that of `a`; None if there is none.
        """
        answer = None
        for k in reversed(self.shots):
            if self.sign * self._differences(b, a, k).mean() < 0:
                break
            answer = k
        return answer

    def _differences(self, a: str, b: str, shots: int) -> pd.Series[Any]:
        scores = self.scores(shots)
        for name in (a, b):
            if name not in scores.columns:
                known = ", ".join(repr(known) for known in self.names)
                raise ValueError(f"{name!r} was not compared; there are {known}.")
        return (scores[a] - scores[b]).dropna().rename("difference")
