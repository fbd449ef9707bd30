"""One line that says how far a fit is: a bar where somebody watches, or plain lines."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import tqdm.auto
import tqdm.std

DELAY = 2.0
"""Seconds that a fit may take without a word."""

PLAIN_EVERY = 10.0
"""Seconds between plain lines, at first; each silence is half as long again."""

LINE = (
    "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} "
    "[{elapsed}, {remaining} left{postfix}]"
)

Report = Callable[[float], object]
"""Told which share of a fit is done."""

_REPORT: ContextVar[Report | None] = ContextVar("report", default=None)


@contextmanager
def reported_to(report: Report | None) -> Iterator[None]:
    """Within, fits show no line of their own and tell `report` how far they are."""
    token = _REPORT.set(report or (lambda share: None))
    try:
        yield
    finally:
        _REPORT.reset(token)


def is_watched() -> bool:
    """Whether standard error of the main process is a terminal or a notebook's."""
    if multiprocessing.current_process().name != "MainProcess":
        return False
    if tqdm.auto.notebook_tqdm is not tqdm.std.tqdm:
        return True
    return sys.stderr is not None and sys.stderr.isatty()


def is_shown(verbose: Any) -> bool:
    """Whether to show anything; None shows it where somebody watches."""
    return is_watched() if verbose is None else bool(verbose)


class Progress:
    """How much of `total` is done.

    Parameters
    ----------
    total : float
        Steps to take, as far as is known.

    what : str
        What they are steps of.

    verbose : int or None
        See `is_shown`. Where nobody watches the line is a plain one, now and then.
    """

    def __init__(self, total: float, what: str, verbose: Any = 0):
        self.total, self.what, self.done, self.figures = total, what, 0.0, ""
        self.report = _REPORT.get()
        self.began = self.spoke = time.monotonic()
        self.pause = PLAIN_EVERY
        self.bar: Any = None
        self.plain = False
        if self.report is None and is_shown(verbose):
            self.plain = not is_watched()
            if not self.plain:
                kept = bool(verbose)
                self.bar = tqdm.auto.tqdm(
                    total=total, desc=what, leave=kept, delay=DELAY, bar_format=LINE
                )

    @property
    def is_seen(self) -> bool:
        """Whether anybody sees it, or is told."""
        return self.plain or self.bar is not None or self.report is not None

    def advance(self, n: float = 1) -> None:
        """Say that so many more steps are done."""
        self.done += n
        if self.bar is not None:
            self.bar.update(n)
        elif self.plain or self.report is not None:
            now = time.monotonic()
            if self.report is not None and now > self.spoke + 0.5:
                self.spoke = now
                self.report(self.done / max(self.total, self.done))
            elif self.plain and now > self.spoke + self.pause:
                self.spoke, self.pause = now, 1.5 * self.pause
                self._say(now - self.began)

    def move_to(self, done: float) -> None:
        """Say how many steps are done in all."""
        self.advance(max(0.0, done - self.done))

    def note(self, figures: str) -> None:
        """Show these figures beside the time that is left."""
        self.figures = f", {figures}"
        if self.bar is not None:
            self.bar.set_postfix_str(figures, refresh=False)

    def expect(self, total: float) -> None:
        """Say that there are so many steps, other than it was thought."""
        self.total = total
        if self.bar is not None:
            self.bar.total = total

    def close(self) -> None:
        """Leave the line, if it was to be kept."""
        if self.bar is not None:
            self.bar.close()

    def _say(self, seconds: float) -> None:
        left = seconds * max(0.0, self.total - self.done) / max(self.done, 1e-9)
        shown = tqdm.std.tqdm.format_interval
        print(
            f"{self.what}: {self.done:.0f} of {self.total:.0f}, {shown(seconds)} gone, "
            f"about {shown(left)} left{self.figures}",
            file=sys.stderr,
            flush=True,
        )
