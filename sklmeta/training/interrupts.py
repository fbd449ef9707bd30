"""Ctrl-C during a fit: noted, and heeded where stopping leaves something whole."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Noted:
    """Whether an interrupt waits until something is whole, and whether one came."""

    active = False  # our handler is in place
    held = False
    requested = False


_NOTED = _Noted()


def _note(number: int, frame: Any) -> None:
    if not _NOTED.held or _NOTED.requested:  # a second one does not wait
        raise KeyboardInterrupt
    _NOTED.requested = True


@contextmanager
def interrupts_noted() -> Iterator[None]:
    """Let `hold_interrupts` be called within; on leaving, what was noted is raised.

    A handler other than Python's own is left alone, and so is every thread but the
    main one, which alone is interrupted.
    """
    ours = threading.current_thread() is threading.main_thread() and (
        _NOTED.active or signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if not ours:
        yield
        return
    outermost, held = not _NOTED.active, _NOTED.held
    if outermost:
        _NOTED.active, _NOTED.held, _NOTED.requested = True, False, False
        signal.signal(signal.SIGINT, _note)
    try:
        yield
    finally:
        _NOTED.held = held
        if outermost:
            _NOTED.active = False
            signal.signal(signal.SIGINT, signal.default_int_handler)
    if _NOTED.requested:
        raise KeyboardInterrupt


def hold_interrupts() -> None:
    """From here to the end of `interrupts_noted`, note the first one, raise none."""
    if _NOTED.active and threading.current_thread() is threading.main_thread():
        _NOTED.held = True


def release_interrupts() -> None:
    """Raise interrupts again, and what was noted at once."""
    if _NOTED.active and threading.current_thread() is threading.main_thread():
        _NOTED.held = False
        if _NOTED.requested:
            raise KeyboardInterrupt


def heed_interrupt() -> None:
    """Take the one that came for dealt with, and hold the next."""
    if _NOTED.active and threading.current_thread() is threading.main_thread():
        _NOTED.held, _NOTED.requested = True, False


def interrupt_noted() -> bool:
    """Whether one came, and waits."""
    return (
        _NOTED.requested
        and _NOTED.active
        and threading.current_thread() is threading.main_thread()
    )
