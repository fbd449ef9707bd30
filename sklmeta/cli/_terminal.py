"""A comparison on a terminal: redrawn in place while it grows, plain elsewhere."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import importlib.util
import io
import math
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd

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


def printed(table: pd.DataFrame, markdown: bool) -> str:
    """A table of numbers by rows with names, for 80 columns or as Markdown."""
    head = [str(table.index.name), *map(str, table.columns)]
    rows = [
        [str(name), *map(significant, values)]
        for name, values in zip(table.index, table.to_numpy(), strict=True)
    ]
    if markdown:
        lines = [head, ["---"] * len(head), *rows]
        cells = [[cell.replace("|", r"\|") for cell in line] for line in lines]
        return "\n".join(f"| {' | '.join(line)} |" for line in cells)
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False)
    for i, title in enumerate(head):
        shown = Text(title)
        drawn.add_column(shown, justify="right" if i else "left", overflow="ellipsis")
    for row in rows:
        drawn.add_row(*map(Text, row))
    written = io.StringIO()
    Console(width=WIDE, file=written, color_system=None).print(drawn)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def significant(value: float) -> str:
    """Three significant digits, and nothing where there is no number."""
    if math.isnan(value):
        return ""
    return f"{value:.3g}" if 1e-3 < abs(value) < 1e4 or not value else f"{value:.2g}"


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
