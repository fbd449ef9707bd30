"""What the displays share: matplotlib on demand, and styles that survive in grey."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any, NamedTuple

# Okabe and Ito's colours, which colour-blind readers can tell apart, in an order in
# which neighbours differ in lightness as well; grey, in place of their yellow, which
# white paper swallows.
COLOURS = (
    *("#0072B2", "#E69F00", "#000000", "#009E73"),
    *("#D55E00", "#56B4E9", "#CC79A7", "#7F7F7F"),
)
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


def plain(name: Any, most: int | None = None) -> str:
    """Return a name as matplotlib draws it letter by letter.

    What is between two dollar signs would be read as mathematics, and a legend leaves
    out what starts with an underscore. Of more than `most` letters the first are kept.
    """
    text = " ".join(str(name).split())
    if most is not None and len(text) > most:
        text = text[: most - 1] + "…"
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


class Display:
    """What is drawn, apart from where; `plot` draws it, and draws it again."""

    ax_: Any
    figure_: Any
    _size: tuple[float, float] = (7, 4.5)  # inches

    def plot(self, *, ax: Any = None) -> Any:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        self

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax = self._new_axes() if ax is None else ax
        self._draw(ax)
        ax.spines[["top", "right"]].set_visible(False)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _new_axes(self) -> Any:
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError(
                f"{type(self).__name__} draws with matplotlib, which is not installed: "
                "pip install 'sklmeta[plot]'."
            ) from error
        return plt.subplots(layout="constrained", figsize=self._size)[1]

    def _draw(self, ax: Any) -> None:
        # `plot` is the same for all displays but for this.
        raise NotImplementedError(f"{type(self).__name__} lacks _draw.")


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]
