"""After each meta-update: go on, or has the time run out, or did somebody interrupt?"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import time
from collections.abc import Callable

from sklmeta.training.distributed import Team
from sklmeta.training.interrupts import interrupt_noted
from sklmeta.training.progress import Progress


class Deadline:
    """A moment to be done by.

    Parameters
    ----------
    seconds : float or None
        From now; None is never.
    """

    def __init__(self, seconds: float | None):
        self.began = time.perf_counter()
        self.seconds = seconds
        self.agreed: float | None = None  # of several processes

    @property
    def left(self) -> float | None:
        """Seconds that are left; None where there is no end."""
        if self.seconds is None:
            return None
        return self.seconds - (time.perf_counter() - self.began)

    def part(self, share: float) -> Deadline:
        """Return a deadline after this share of the time that is left."""
        left = self.left
        return Deadline(None if left is None else max(0.0, left) * share)

    @property
    def gone(self) -> float:
        """Share of the time that is gone; several processes agree on it."""
        return self.clock if self.agreed is None else self.agreed

    @property
    def clock(self) -> float:
        """Share of the time that is gone in this process."""
        if self.seconds is None:
            return 0.0
        return min(1.0, (time.perf_counter() - self.began) / max(self.seconds, 1e-9))


class Watch:
    """Stands by while a training goes on.

    Parameters
    ----------
    deadline : Deadline
    progress : Progress
    team : Team, default=None
        Processes that end together.

    Attributes
    ----------
    reason : "interrupt", "time" or None
        Why the training is to end.
    """

    def __init__(
        self, deadline: Deadline, progress: Progress, team: Team | None = None
    ):
        self.deadline, self.progress = deadline, progress
        self.team = Team() if team is None else team
        if self.team.n > 1:
            deadline.agreed = 0.0
        self.reason: str | None = None
        self.interrupted: Callable[[], bool] = lambda: False  # by a callback

    def after_update(self) -> bool:
        """Count one; whether the training is to end."""
        self.progress.advance()
        return self.is_over()

    def is_over(self) -> bool:
        """Whether the training is to end."""
        interrupted = interrupt_noted() or self.interrupted()
        if self.team.n > 1:
            agreed = self.team.agree(interrupted, self.deadline.clock)
            interrupted, self.deadline.agreed = agreed
        if interrupted:
            self.reason = "interrupt"
        elif self.deadline.gone >= 1:
            self.reason = self.reason or "time"
        return self.reason is not None
