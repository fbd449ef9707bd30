"""A comparison on a terminal: redrawn in place while it grows, plain elsewhere."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import importlib.util
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sklmeta.comparing import Comparison

NARROW, WIDE = 40, 80
Shown = Callable[[Comparison], object]


def width_of_terminal() -> int:
    return min(max(shutil.get_terminal_size((WIDE, 24)).columns, NARROW), WIDE)


def is_live() -> bool:
    """Whether tables can be redrawn in place."""
    return sys.stdout.isatty() and importlib.util.find_spec("rich") is not None


def text_of(result: Comparison) -> str:
    """Table and verdict; the best cells are bold where there is a terminal."""
    if not sys.stdout.isatty():
        return result.to_text()
    return result.to_text(
        width_of_terminal(), bold=lambda cell: f"\x1b[1m{cell}\x1b[0m"
    )


@contextmanager
def growing(n_estimators: int) -> Iterator[Shown]:
    """Give a callback of `compare` that redraws the table in one place.

    What it drew is taken away at the end, for the whole to be printed.
    """
    from rich.console import Group
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.text import Text

    start = time.monotonic()
    spinner = Spinner("dots", f"1 of {n_estimators} estimators")
    with Live(spinner, transient=True, refresh_per_second=4) as live:

        def show(result: Comparison) -> Any:
            done = len(result.names)
            took = time.monotonic() - start
            spinner.update(
                text=f"{done} of {n_estimators} estimators after {took:.0f} s"
            )
            live.update(Group(Text.from_ansi(text_of(result)), spinner), refresh=True)

        yield show
