"""What a comparison found: its scores in numbers, in tables to read and in words."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

from sklmeta.comparing._scores import ComparisonScores
from sklmeta.comparing._text import html_of, markdown_of, text_of
from sklmeta.comparing._verdict import verdict_of


class Comparison(ComparisonScores):
    """Scores of several estimators on the same tasks and supports.

    It is what `compare` returns. Intervals are over tasks, which are what is drawn from
    a population: rows of one task are not independent of each other.

    Parameters
    ----------
    draws : DataFrame
        A row per estimator, task, draw and number of shots, with columns ``estimator``,
        ``fold``, ``task``, ``draw``, ``shots`` and ``score``, and where known
        ``n_query``, ``fit_time`` and ``adapt_time``.

    baselines : sequence of str, default=()
        Names of the estimators that do without meta-learning.

    metric : str, default="score"
        Name of the score.

    greater_is_better : bool, default=True
        False for an error.

    random_state : int, default=0
        Seed of the bootstrap and of the tests.

    caveats : sequence of str, default=()
        What to know before one believes it: sentences that end the verdict.

    support : str, default=None
        How the labelled rows were chosen: "random", "stratified", "first" or a
        splitter. None says nothing of it.

    Attributes
    ----------
    names : list of str
        The estimators, in the order given.

    shots : list of int
        The numbers of support rows.

    by_metric : dict of str to Comparison
        One for each metric that was asked for, this one included.

    See Also
    --------
    compare : Makes one.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklmeta.comparing import Comparison
    >>> draws = pd.DataFrame({
    ...     "estimator": ["meta"] * 3 + ["own"] * 3,
    ...     "fold": 0,
    ...     "task": ["a", "b", "c"] * 2,
    ...     "draw": 0,
    ...     "shots": 5,
    ...     "score": [0.8, 0.9, 0.7, 0.6, 0.7, 0.75],
    ... })
    >>> result = Comparison(draws, baselines=["own"], metric="accuracy")
    >>> result.table(5)["mean"].round(2).to_dict()
    {'meta': 0.8, 'own': 0.68}
    >>> round(result.paired("meta", "own", 5).mean, 3)
    0.117
    >>> result.harm("meta", against="own", shots=5).tasks.index.tolist()
    ['c']
    """

    def verdict(self) -> str:
        """Say in a few sentences whether meta-learning pays, and from how many rows.

        Returns
        -------
        str
        """
        return verdict_of(self)

    def to_text(self, width: int = 80, *, bold: Callable[[str], str] = str) -> str:
        """Table of means by shots and the verdict, for a terminal.

        Parameters
        ----------
        width : int, default=80
            Characters in a line.

        bold : callable, default=str
            What makes a cell stand out, such as a terminal's codes.

        Returns
        -------
        str
        """
        verdict = textwrap.fill(verdict_of(self), width)
        return f"{text_of(self, width, bold)}\n\n{verdict}\n"

    def __str__(self) -> str:
        return self.to_text()

    def to_markdown(self) -> str:
        """Table of means and intervals by shots, for a page or a pull request.

        Returns
        -------
        str
        """
        return markdown_of(self, verdict_of(self))

    def to_csv(self, path: str | Path | None = None) -> str | None:
        """Write the whole table, one row per number of shots and estimator.

        Parameters
        ----------
        path : str or Path, default=None
            None returns the text.

        Returns
        -------
        str or None
        """
        text = self.table().reset_index().to_csv(index=False, lineterminator="\n")
        if path is None:
            return text
        Path(path).write_text(text, encoding="utf-8")
        return None

    def to_html(self, *, verdict: bool = True) -> str:
        """Table of means and intervals by shots, as notebooks show it.

        Parameters
        ----------
        verdict : bool, default=True
            Whether to end with the verdict.

        Returns
        -------
        str
        """
        return html_of(self, verdict_of(self) if verdict else None)

    def _repr_html_(self) -> str:
        return self.to_html()

    def __repr__(self) -> str:
        return (
            f"<Comparison of {len(self.names)} estimators on {len(self.tasks)} tasks, "
            f"shots={self.shots}, {self.metric}>"
        )
