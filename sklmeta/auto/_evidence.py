"""What members predict for training tasks that they have not seen."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklmeta._compat import _safe_indexing
from sklmeta.auto._bounds import TargetRange
from sklmeta.auto._response import respond
from sklmeta.auto._sharing import fit_alike
from sklmeta.auto._stacking import Evidence
from sklmeta.auto._support_losses import adapt_and_judge
from sklmeta.data.codes import IntArray
from sklmeta.data.kinds import TaskKind
from sklmeta.data.table import Table
from sklmeta.episodes.sampler import split_support_query, training_support
from sklmeta.evaluation.containers import zero_shot

MOST_QUERY_ROWS = 50
"""Rows of a task and draw that stacking looks at: more would tell little more."""

MOST_TASKS = 500
"""Tasks that stacking looks at."""


class Protocol(NamedTuple):
    """How supports are drawn."""

    shots: Sequence[int]
    n_draws: int
    support: Any

    @property
    def judged_by(self) -> str:
        """How members are judged by a support: see `adapt_and_judge`."""
        return "later" if self.support == "first" else "rows"


class Cases(NamedTuple):
    """Training tasks, each with some draws of a support and its query."""

    task: IntArray  # shape: (n_cases,)
    shots: IntArray  # shape: (n_cases,)
    support: IntArray  # rows of the table
    support_case: IntArray
    query: IntArray
    query_case: IntArray


class Answers(NamedTuple):
    """What members that were fitted to a fold say of its other tasks."""

    rows: IntArray  # in `Cases.query`
    predictions: np.ndarray  # shape: (n_rows, n_members); of the true class, if classes
    cases: IntArray
    losses: np.ndarray  # shape: (n_cases, n_members)


def draw_cases(table: Table, protocol: Protocol, rng: np.random.Generator) -> Cases:
    """Draw supports and queries of all sizes, the same for all members."""
    judged = rng.permutation(table.n_tasks)[:MOST_TASKS]
    rows = np.flatnonzero(np.isin(table.codes, judged))
    part, parts, n_cases = table.part(rows), [], 0
    for k in protocol.shots:
        # Without a row, or with the first ones, every draw is the same.
        is_random = k > 0 and protocol.support != "first"
        for _ in range(protocol.n_draws if is_random else 1):
            drawn = _one_draw(part, k, protocol, rng)
            tasks, case = np.unique(part.codes[drawn[1]], return_inverse=True)
            support = drawn[0][np.isin(part.codes[drawn[0]], tasks)]
            of_support = np.searchsorted(tasks, part.codes[support])
            parts.append(
                Cases(
                    tasks,
                    np.full(len(tasks), k),
                    rows[support],
                    of_support + n_cases,
                    rows[drawn[1]],
                    case + n_cases,
                )
            )
            n_cases += len(tasks)
    return Cases(*map(np.concatenate, zip(*parts, strict=True)))


def _one_draw(
    table: Table, k: int, protocol: Protocol, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Rows of the supports, and some of the queries of tasks that have more than k."""
    support, query = split_support_query(
        table.y,
        table.codes,
        k,
        support=training_support(protocol.support),
        kind=table.kind,
        random_state=int(rng.integers(2**31)),
    )
    sizes = np.bincount(table.codes)
    query = query[sizes[table.codes[query]] > k]
    return support, _at_most(query, table.codes, MOST_QUERY_ROWS, rng)


def _at_most(
    rows: IntArray, codes: IntArray, most: int, rng: np.random.Generator
) -> IntArray:
    """Keep `most` random rows of each task."""
    rows = rng.permutation(rows)
    order = np.argsort(codes[rows], kind="stable")
    ranked = codes[rows][order]
    first = np.searchsorted(ranked, ranked)
    kept = np.arange(len(rows)) - first < most
    return np.sort(rows[order][kept])


def cross_fit(
    members: Sequence[Any],
    table: Table,
    cases: Cases,
    fold: tuple[IntArray, IntArray],
    judged_by: str,
) -> list[Answers]:
    """Fit members that share a fit to some tasks; let them answer cases of others."""
    train, test = fold
    labels, codes = np.unique(table.codes[train], return_inverse=True)
    own = table.part(train)._replace(codes=codes, labels=labels)
    with warnings.catch_warnings():  # the fit to all tasks tells the user
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = fit_alike(members, own)
    held = np.zeros(table.n_tasks, dtype=bool)
    held[table.codes[test]] = True
    if table.kind == TaskKind.SHARED:
        # A class that no task of this part has cannot be adapted to.
        strange = ~np.isin(table.y[test], own.y)
        held[table.codes[test][strange]] = False
    answers = []
    for chosen in (cases.shots == 0, cases.shots > 0):
        of_fold = np.flatnonzero(chosen & held[cases.task])
        if len(of_fold):
            answers.append(_answer(fitted, own, table, cases, of_fold, judged_by))
    return answers


def _answer(
    fitted: Sequence[Any],
    own: Table,
    table: Table,
    cases: Cases,
    chosen: IntArray,
    judged_by: str,
) -> Answers:
    number = np.full(len(cases.task), -1)
    number[chosen] = np.arange(len(chosen))
    rows = np.flatnonzero(number[cases.query_case] >= 0)
    query, case = cases.query[rows], number[cases.query_case[rows]]
    X, y = _safe_indexing(table.X, query), table.y[query]
    support = cases.support[number[cases.support_case] >= 0]
    codes = number[cases.support_case]
    part = table.part(support)._replace(
        codes=codes[codes >= 0], labels=np.arange(len(chosen))
    )
    if table.kind == TaskKind.OWN:
        part = part._replace(classes=np.unique(np.concatenate([part.y, y])))
    bounds = None
    if table.kind == TaskKind.REGRESSION:
        span = TargetRange.of(own)
        bounds = span.of_tasks(part) if len(support) else span.without_rows()
        bounds = np.broadcast_to(bounds, (len(chosen), 2))
    predictions = np.empty((len(rows), len(fitted)))
    losses = np.full((len(chosen), len(fitted)), np.nan)
    for m, member in enumerate(fitted):
        if len(support):
            new, losses[:, m] = adapt_and_judge(member, part, judged_by, bounds)
            values = respond(new, X, case, part.classes)
        else:
            values = respond(zero_shot(member), X, None, part.classes)
        if part.classes is not None:
            values = values[np.arange(len(y)), np.searchsorted(part.classes, y)]
        predictions[:, m] = values
    if bounds is not None:
        low, high = bounds[case].T[:, :, None]
        predictions = np.clip(predictions, low, high)
    return Answers(rows, predictions, chosen, losses)


def gathered(
    table: Table,
    cases: Cases,
    n_members: int,
    answers: Sequence[tuple[list[int], list[Answers]]],  # columns, and what they say
) -> Evidence | None:
    """Join what groups of members say, of cases that all of them could answer."""
    said = np.full((len(cases.query), n_members), np.nan)
    lost = np.full((len(cases.task), n_members), np.nan)
    for columns, parts in answers:
        for part in parts:
            said[part.rows[:, None], columns] = part.predictions
            lost[part.cases[:, None], columns] = part.losses
    asked = [i for columns, _ in answers for i in columns]
    missing = np.isnan(said[:, asked]).any(axis=1)
    usable = np.bincount(cases.query_case[missing], minlength=len(cases.task)) == 0
    kept = usable[cases.query_case]
    if not kept.any():
        return None
    number = np.cumsum(usable) - 1
    y = table.y[cases.query[kept]]
    target = y.astype(np.float64) if table.classes is None else np.ones(len(y))
    return Evidence(
        said[kept],
        target,
        number[cases.query_case[kept]],
        cases.shots[usable],
        lost[usable],
    )
