"""What the displays share: matplotlib on demand, and styles that survive in grey."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any, NamedTuple

# Okabe and Ito's colours, which colour-blind readers can tell apart, in an order in
# which neighbours differ in lightness as well.
COLOURS = ("#0072B2", "#E69F00", "#000000", "#009E73", "#D55E00", "#56B4E9", "#CC79A7")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "h")


class Style(NamedTuple):
    color: str
    linestyle: Any
    marker: str


def style(i: int) -> Style:
    """Colour, line and marker of the i-th line: any one of them tells it apart."""
    return Style(
        COLOURS[i % len(COLOURS)], LINES[i % len(LINES)], MARKERS[i % len(MARKERS)]
    )


def axes(display: str, ax: Any, **options: Any) -> Any:
    """Return `ax`, or the axes of a new figure.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{display} draws with matplotlib, which is not installed: "
            "pip install 'sklmeta[plot]'."
        ) from error
    return plt.subplots(layout="constrained", **options)[1]


def unframe(ax: Any) -> None:
    ax.spines[["top", "right"]].set_visible(False)


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]
