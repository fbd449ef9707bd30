"""Fitting the members to folds and to all tasks, within the time there is."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed
from tqdm.auto import tqdm

from sklmeta.auto._evidence import Answers, Cases, cross_fit
from sklmeta.auto._sharing import fit_alike, groups_of, is_trained
from sklmeta.data.codes import IntArray
from sklmeta.data.validation import Table
from sklmeta.evaluation.containers import inner_estimator
from sklmeta.exceptions import warn
from sklmeta.model_selection import TaskKFold

FEW_TASKS, SOME_TASKS = 30, 60
"""With fewer, members that are fitted in a moment get ten folds, and five."""

PROBES = (4, 12)
"""Meta-updates whose time tells what all of them take."""


class Work(NamedTuple):
    """Members that share their fits, and the folds of tasks to fit them to."""

    group: list[int]
    members: list[Any]
    folds: list[tuple[IntArray, IntArray]]


class Done(NamedTuple):
    """What became of a group."""

    group: list[int]
    fitted: list[Any]
    answers: list[Answers]


class Schedule:
    """Fits of all members.

    Parameters
    ----------
    names, members : lists
    table : Table
        Of the training tasks.

    cases : Cases or None
        What members are to answer; None fits them to all tasks and no more.

    judged_by : str
        See `adapt_and_judge`.

    cv : int or None
        Folds; None takes 3, and 5 or 10 where tasks are few and a fit is cheap.

    max_time : float or None
        Seconds.

    n_jobs : int or None
    verbose : int
    random_state : RandomState
    """

    def __init__(
        self,
        names: list[str],
        members: list[Any],
        table: Table,
        cases: Cases | None,
        judged_by: str,
        *,
        cv: int | None,
        max_time: float | None,
        n_jobs: int | None,
        verbose: int,
        random_state: np.random.RandomState,
    ):
        self.start = time.perf_counter()
        self.names, self.table, self.cases = names, table, cases
        self.judged_by, self.max_time, self.n_jobs = judged_by, max_time, n_jobs
        seed = int(random_state.randint(2**31 - 1))
        self.work = []
        for group in groups_of(members):
            own = [members[i] for i in group]
            folds = [] if cases is None else self._folds(own[0], cv, seed)
            self.work.append(Work(group, own, folds))
        self.n_fits = sum(len(work.folds) + 1 for work in self.work)
        self.bar = tqdm(None, "fitting members", self.n_fits, disable=not verbose)

    def _folds(
        self, member: Any, cv: int | None, seed: int
    ) -> list[tuple[IntArray, IntArray]]:
        table = self.table
        if cv is None:
            cv = 3
            if not is_trained(member) and table.n_tasks < SOME_TASKS:
                cv = 10 if table.n_tasks < FEW_TASKS else 5
        split = TaskKFold(min(cv, table.n_tasks), shuffle=True, random_state=seed)
        return list(split.split(table.X, table.y, groups=table.codes))

    def run(self) -> list[Done]:
        """Fit all groups of members, or those that there is time for."""
        with self.bar:
            if self.max_time is None:
                return list(self._fit(self.work))
            return list(self._fit_in_time(self.max_time))

    def _fit(self, work: Sequence[Work]) -> Iterator[Done]:
        jobs = []
        for _, members, folds in work:
            for fold in folds:
                share = len(np.unique(self.table.codes[fold[0]])) / self.table.n_tasks
                short = [shortened(member, share) for member in members]
                given = short, self.table, self.cases, fold, self.judged_by
                jobs.append(delayed(cross_fit)(*given))
            jobs.append(delayed(fit_alike)(members, self.table))
        found = Parallel(n_jobs=self.n_jobs, return_as="generator")(jobs)
        for group, _, folds in work:
            answers = []
            for _ in folds:
                answers += next(found)
                self.bar.update()
            fitted = next(found)
            self.bar.update()
            yield Done(group, fitted, answers)

    def _fit_in_time(self, max_time: float) -> Iterator[Done]:
        """Fit the cheapest first, and leave out what would end too late."""
        priced = [(self._price(work), work) for work in self.work]
        priced.sort(key=lambda pair: pair[0])
        rate = 1.0
        for i, (price, work) in enumerate(priced):
            left = max_time - (time.perf_counter() - self.start)
            if i and price * rate > left:
                names = [self.names[g] for _, late in priced[i:] for g in late.group]
                warn(
                    f"{', '.join(names)} left out of the blend: fitting in about "
                    f"max_time={max_time:g} seconds leaves no time for what takes "
                    "longest."
                )
                return
            began = time.perf_counter()
            yield from self._fit([work])
            took = time.perf_counter() - began
            if took > 0.1 * max_time:  # shorter ones tell little of the longer
                rate = max(1.0, took / price)

    def _price(self, work: Work) -> float:
        """Seconds that the fits of a group will take, about."""
        member, table = work.members[0], self.table
        seconds = []
        updates = PROBES if is_trained(member) else (0,)
        for n_updates in updates:
            probe = clone(member)
            if n_updates:
                inner_estimator(probe).set_params(max_iter=n_updates)
            began = time.perf_counter()
            fit_alike([probe], table)
            seconds.append(time.perf_counter() - began)
        of_fit = seconds[0]
        if len(seconds) > 1:
            few, many = updates
            each = max(0.0, seconds[1] - seconds[0]) / (many - few)
            of_fit = seconds[1] + each * (inner_estimator(member).max_iter - many)
        n_fits = len(work.folds) + 1
        return of_fit * math.ceil(n_fits / min(effective_n_jobs(self.n_jobs), n_fits))


def shortened(member: Any, share: float) -> Any:
    """A copy with as many passes through a share of the tasks as it has through all."""
    new = clone(member)
    if is_trained(new):
        inner = inner_estimator(new)
        inner.set_params(max_iter=math.ceil(share * inner.max_iter))
    return new
