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

from sklmeta.auto._evidence import Answers, Cases, cross_fit
from sklmeta.auto._preparing import Prepared
from sklmeta.auto._remembering import remembered, with_place
from sklmeta.auto._sharing import fit_alike, groups_of, is_dear, is_trained
from sklmeta.data.codes import IntArray
from sklmeta.evaluation.containers import inner_estimator
from sklmeta.exceptions import warn
from sklmeta.model_selection import TaskKFold
from sklmeta.model_selection.running import run_jobs, worth_of
from sklmeta.training.checkpoint import Checkpoints
from sklmeta.training.interrupts import (
    heed_interrupt,
    hold_interrupts,
    release_interrupts,
)
from sklmeta.training.progress import Progress, reported_to

FEW_TASKS, SOME_TASKS = 30, 60
"""With fewer, members that are fitted in a moment get ten folds, and five."""

PROBES = (5, 25)
"""Meta-updates whose time tells what all of them take."""


class Work(NamedTuple):
    """Members that share their fits, and the folds of tasks to fit them to."""

    group: list[int]
    members: list[Any]
    folds: list[tuple[IntArray, IntArray]]


class Schedule:
    """Fits of all members.

    Parameters
    ----------
    names, members : lists
    prepared : Prepared
        The training tasks.

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
    checkpoints : Checkpoints or None
        Where fits and answers are kept.

    Attributes
    ----------
    interrupted : bool
        Whether Ctrl-C left out some of the fits.
    """

    def __init__(
        self,
        names: list[str],
        members: list[Any],
        prepared: Prepared,
        cases: Cases | None,
        judged_by: str,
        *,
        cv: int | None,
        max_time: float | None,
        n_jobs: int | None,
        verbose: int | None,
        random_state: np.random.RandomState,
        checkpoints: Checkpoints | None = None,
    ):
        self.start = time.perf_counter()
        self.names, self.table, self.cases = names, prepared.whole, cases
        self.prepared = prepared
        self.judged_by, self.max_time, self.n_jobs = judged_by, max_time, n_jobs
        seed = int(random_state.randint(2**31 - 1))
        self.work = []
        for group in groups_of(members):
            own = [members[i] for i in group]
            folds = [] if cases is None else self._folds(own[0], cv, seed)
            self.work.append(Work(group, own, folds))
        total = sum((len(w.folds) + 1) * worth_of(w.members[0]) for w in self.work)
        self.fitted: dict[int, list[Any]] = {}  # by the first member of a group
        self.progress = Progress(total, "fitting members", verbose)
        self.checkpoints, self.interrupted = checkpoints, False

    def _folds(
        self, member: Any, cv: int | None, seed: int
    ) -> list[tuple[IntArray, IntArray]]:
        table = self.table
        if cv is None:
            cv = 3
            if not is_dear(member) and table.n_tasks < SOME_TASKS:
                cv = 10 if table.n_tasks < FEW_TASKS else 5
        split = TaskKFold(min(cv, table.n_tasks), shuffle=True, random_state=seed)
        return list(split.split(table.X, table.y, groups=table.codes))

    def answers(self) -> list[tuple[list[int], list[Answers]]]:
        """Fit groups of members to folds, all or those that there is time for.

        Returns
        -------
        list of (group, answers)
        """
        found: list[tuple[list[int], list[Answers]]] = []
        try:
            if self.max_time is None:
                found += self._question(self.work)
            else:
                found += self._question_in_time(self.max_time)
        except KeyboardInterrupt:
            found = self._usable(found)
            if not found:
                raise
            self.interrupted = True
            heed_interrupt()
        hold_interrupts()  # while it is weighed
        return found

    def _usable(
        self, found: list[tuple[list[int], list[Answers]]]
    ) -> list[tuple[list[int], list[Answers]]]:
        """Groups that have answered, and take no training any more."""
        trained = {w.group[0] for w in self.work if is_trained(w.members[0])}
        return [s for s in found if s[0][0] in self.fitted or s[0][0] not in trained]

    def fit(self, kept: Sequence[int]) -> dict[int, Any]:
        """Fit members to all tasks, those that are not yet."""
        wanted = [work for work in self.work if not set(work.group).isdisjoint(kept)]
        missing = [work for work in wanted if work.group[0] not in self.fitted]
        try:
            if not self.interrupted:
                release_interrupts()
            self._fit_to_all(missing)
        except KeyboardInterrupt:
            self.interrupted = True
            heed_interrupt()
        hold_interrupts()
        self.progress.close()
        by_index = {
            i: member
            for work in wanted
            if work.group[0] in self.fitted
            for i, member in zip(work.group, self.fitted[work.group[0]], strict=True)
        }
        if not by_index:
            raise KeyboardInterrupt
        return {i: by_index[i] for i in kept if i in by_index}

    def _fit_to_all(self, work: Sequence[Work]) -> None:
        jobs = [
            (fit_alike, self._placed(members, group, "all"), self.table)
            for group, members, _ in work
        ]
        worths = [worth_of(members[0]) for _, members, _ in work]
        found = run_jobs(jobs, worths, self.progress, self.n_jobs)
        for (group, _, _), fitted in zip(work, found, strict=True):
            self.fitted[group[0]] = [with_place(member, None) for member in fitted]

    def _placed(self, members: list[Any], group: list[int], part: str) -> list[Any]:
        """Copies of members that keep what they learn, if anything is to be kept."""
        if self.checkpoints is None:
            return members
        folder = self.checkpoints.folder / f"{self._file_name(group)}-{part}"
        return [with_place(clone(member), folder) for member in members]

    def _file_name(self, group: list[int]) -> str:
        letters = [c if c.isalnum() else "-" for c in self.names[group[0]]]
        return f"{group[0]}-{''.join(letters)}"

    def _question(
        self, work: Sequence[Work]
    ) -> Iterator[tuple[list[int], list[Answers]]]:
        # How many updates pay is asked once, of all tasks: folds take as many.
        self._fit_to_all(
            [w for w in work if w.folds and asks_for_updates(w.members[0])]
        )
        jobs: list[tuple[Any, ...]] = []
        worths: list[float] = []
        for group, members, folds in work:
            for k, fold in enumerate(folds):
                share = len(np.unique(self.table.codes[fold[0]])) / self.table.n_tasks
                known = self.fitted.get(group[0], [None])[0]
                short = [shortened(member, share, known) for member in members]
                short = self._placed(short, group, f"fold-{k}")
                table = self.prepared.for_fold(fold[0])
                given = short, table, self.cases, fold, self.judged_by
                worths.append(share * worth_of(members[0]))
                if self.checkpoints is None:
                    jobs.append((cross_fit, *given))
                    continue
                place = self.checkpoints.part(f"{self._file_name(group)}-fold-{k}")
                jobs.append((remembered, place, *given))
        found = run_jobs(jobs, worths, self.progress, self.n_jobs)
        for group, _, folds in work:
            answers = []
            for _ in folds:
                answers += next(found)
            yield group, answers

    def _question_in_time(
        self, max_time: float
    ) -> Iterator[tuple[list[int], list[Answers]]]:
        """Take the cheapest first, and leave out what would end too late."""
        rate, owed = 1.0, 0.0  # the last fits, to all tasks, come when all is weighed
        late: list[str] = []
        begun = False
        for priced in self._priced(max_time):
            for now, later, work in sorted(priced, key=lambda p: p[0] + p[1]):
                left = max_time - (time.perf_counter() - self.start) - rate * owed
                if begun and rate * (now + later) > left:
                    late += [self.names[i] for i in work.group]
                    continue
                begun, began = True, time.perf_counter()
                yield from self._question([work])
                took = time.perf_counter() - began
                owed += later
                if now > 0.1 * max_time:  # shorter ones tell little of the longer
                    rate = max(1.0, took / now)
        if late:
            warn(
                f"{', '.join(late)} left out of the blend: fitting in about "
                f"max_time={max_time:g} seconds leaves no time for what takes longest."
            )

    def _priced(self, max_time: float) -> Iterator[list[tuple[float, float, Work]]]:
        """What groups cost: of the dear ones it is asked when the others are done."""
        for dear in (False, True):
            priced = []
            for work in self.work:
                if is_dear(work.members[0]) != dear:
                    continue
                too_late = dear and time.perf_counter() - self.start > max_time / 2
                price = (math.inf, math.inf) if too_late else self._price(work)
                priced.append((*price, work))
            yield priced

    def _price(self, work: Work) -> tuple[float, float]:
        """Seconds that a group takes, about, until it is weighed, and thereafter."""
        member, table = work.members[0], self.table

        def seconds(**params: Any) -> float:
            probe = clone(member)
            inner_estimator(probe).set_params(**params)
            began = time.perf_counter()
            with reported_to(None):
                fit_alike([probe], table)
            return time.perf_counter() - began

        asks = work.folds and asks_for_updates(member)
        if is_trained(member):
            few, many = PROBES
            params = {"early_stopping": False} if asks else {}
            seconds(max_iter=1, **params)  # the first one imports and builds
            base, longer = (seconds(max_iter=n, **params) for n in PROBES)
            each = max(0.0, longer - base) / (many - few)
            of_fit = longer + each * (inner_estimator(member).max_iter - many)
        else:
            of_fit = seconds()
        n_folds = len(work.folds)
        n_rounds = math.ceil(n_folds / min(effective_n_jobs(self.n_jobs), n_folds or 1))
        if asks:  # which takes about as long as all updates, where not all pay
            return of_fit * (2 + n_rounds / 3), 0.0
        return of_fit * n_rounds, of_fit


def asks_for_updates(member: Any) -> bool:
    """Whether the fit finds out how many meta-updates pay."""
    return getattr(inner_estimator(member), "early_stopping", False) == "folds"


def shortened(member: Any, share: float, fitted: Any = None) -> Any:
    """A copy with as many passes through a share of the tasks as it has through all.

    `fitted` is the member after a fit to all tasks, where this asked for the updates.
    """
    new = clone(member)
    if is_trained(new):
        inner = inner_estimator(new)
        n_updates = inner.max_iter
        if fitted is not None:
            n_updates = inner_estimator(fitted).n_iter_
            inner.set_params(early_stopping=False)
        inner.set_params(max_iter=math.ceil(share * n_updates))
    return new
