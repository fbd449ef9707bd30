"""Pictures inside a page: drawn for wide and for narrow screens, light and dark."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import colorsys
import html
import io
import re
import textwrap
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from sklmeta.comparing import Comparison
from sklmeta.inspection import ShotCurveDisplay, TaskDifferenceDisplay

MOST_NAMED = 40  # tasks; of more a name appears when the pointer rests on its mark
HEX = re.compile(r"(?<=[:\s])#([0-9a-f]{6})\b")
ROW = 20  # pixels of a task's line, whose label is of 11


class Screen(NamedTuple):
    """Pixels of the text's width, and of the letters: "small" is five sixths of it.

    The page shrinks pictures by at most a sixth before it shows those of the narrower
    screen, so that no label is under 11 pixels.
    """

    name: str
    width: int
    letters: float


WIDE, NARROW = Screen("wide", 800, 16), Screen("narrow", 368, 13.5)
Draw = Callable[[Screen], tuple[Any, dict[str, list[Any]]]]


class Pictures:
    """Figures for a page, and the colours that its style must define."""

    def __init__(self) -> None:
        self.colours: set[str] = set()
        self.n_drawn = 0

    def figure(self, draw: Draw, label: str, caption: str) -> str:
        """Return a figure; `caption` is HTML, `label` what a screen reader says."""
        pictures = "".join(self._svg(draw, screen, label) for screen in (WIDE, NARROW))
        return f"<figure>{pictures}<figcaption>{caption}</figcaption></figure>"

    def _svg(self, draw: Draw, screen: Screen, label: str) -> str:
        import matplotlib.pyplot as plt

        # Names stay text, which can be searched and read aloud, and which the browser
        # has glyphs for where matplotlib has none. Lengths are pixels.
        look: dict[Any, Any] = {
            "svg.fonttype": "none",
            "figure.dpi": 72,
            "font.size": screen.letters,
        }
        look |= {"svg.hashsalt": f"sklmeta {self.n_drawn}", "text.usetex": False}
        look |= {"axes.titlesize": "medium", "axes.labelsize": "small"}
        look |= {"xtick.labelsize": "small", "ytick.labelsize": "small"}
        text = io.StringIO()
        with plt.rc_context(look), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing")
            figure, hover = draw(screen)
            kept = {"format": "svg", "metadata": {"Date": None}, "transparent": True}
            figure.savefig(text, **kept)
        plt.close(figure)
        self.n_drawn += 1
        return self._embedded(text.getvalue(), screen, label, hover)

    def _embedded(
        self, svg: str, screen: Screen, label: str, hover: dict[str, list[Any]]
    ) -> str:
        svg = svg[svg.index("<svg") :]
        svg = re.sub("<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        svg = _with_titles(svg, hover)
        # Ids are the page's own: the next picture has the same.
        own = f"f{self.n_drawn}-"
        svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{own}", svg)
        self.colours |= set(HEX.findall(svg))
        svg = HEX.sub(r"var(--c\1)", svg)
        said = html.escape(label, quote=True)
        size = re.compile(r'<svg ([^>]*?)width="[\d.]+pt"')
        svg = re.sub(r'height="[\d.]+pt" ', "", svg, count=1)
        start = f'<svg class="{screen.name}" role="img" aria-label="{said}" '
        return size.sub(rf"{start}\1", svg, count=1)

    def style(self) -> str:
        """Colours by day and, where the reader's screen asks for it, by night."""
        day = " ".join(f"--c{c}: #{c};" for c in sorted(self.colours))
        night = " ".join(f"--c{c}: {_by_night(c)};" for c in sorted(self.colours))
        dark = f"@media (prefers-color-scheme: dark) {{:root {{{night}}}}}"
        return f":root {{{day}}}\n{dark}"


def _by_night(colour: str) -> str:
    """Greys change places between paper and ink; dark colours become lighter."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4))
    hue, light, saturation = colorsys.rgb_to_hls(red, green, blue)
    if saturation < 0.05:
        light = 0.93 - 0.85 * light
        return "#" + 3 * f"{round(255 * light):02x}"
    rgb = colorsys.hls_to_rgb(hue, max(light, 0.58), 0.85 * saturation)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)


def _with_titles(svg: str, hover: dict[str, list[Any]]) -> str:
    """Let the marks of a group say their names when the pointer rests on them."""
    for gid, names in hover.items():
        start = svg.find(f'<g id="{gid}">')
        if start < 0:
            continue
        end = svg.index("\n   </g>", start)
        waiting = iter(names)

        def titled(mark: re.Match[str], waiting: Any = waiting) -> str:
            name = html.escape(str(next(waiting)))
            return f"<use {mark[1]}><title>{name}</title></use>"

        group = re.sub(r"<use ([^>]*?)/>", titled, svg[start:end])
        svg = svg[:start] + group + svg[end:]
    return svg


def curve(comparison: Comparison) -> Draw:
    """The leaders in colour, the others in grey; the names below."""

    def draw(screen: Screen) -> tuple[Any, dict[str, list[Any]]]:
        columns = 2 if screen is WIDE else 1
        n_lines = -(-len(comparison.names) // columns)
        height = 0.55 * screen.width + 1.5 * screen.letters * n_lines
        figure, ax = _axes(screen, height)
        ShotCurveDisplay.from_comparison(comparison, ax=ax)
        _legend_below(figure, ax, columns)
        return figure, {}

    return draw


def panels(comparison: Comparison) -> Draw:
    """Small multiples: each estimator in its colour over all others in grey."""

    def draw(screen: Screen) -> tuple[Any, dict[str, list[Any]]]:
        import matplotlib.pyplot as plt

        columns = 3 if screen is WIDE else 2
        n_rows = -(-len(comparison.names) // columns)
        height = n_rows * (0.8 * screen.width / columns + 2 * screen.letters)
        figure, axes = plt.subplots(
            *(n_rows, columns),
            figsize=(screen.width / 72, height / 72),
            layout="constrained",
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        for ax, name in zip(axes.flat, comparison.names, strict=False):
            ShotCurveDisplay.from_comparison(comparison, highlight=[name], ax=ax)
            ax.get_legend().remove()
            title = textwrap.fill(name.replace("$", r"\$"), 23)
            ax.set_title(title, fontsize="small")
            ax.set(xlabel="", ylabel="")
            ticks = [str(k) for k in comparison.shots]
            every = 2 if len(ticks) > 5 else 1
            ax.set_xticks(range(0, len(ticks), every), ticks[::every])
        for ax in axes.flat[len(comparison.names) :]:
            ax.remove()
        unit = comparison.unit_of_shots
        figure.supxlabel(f"Labelled {unit} of a task", fontsize="small")
        metric = comparison.metric.replace("$", r"\$")
        figure.supylabel(metric, fontsize="small")
        return figure, {}

    return draw


def differences(comparison: Comparison, a: str, b: str, shots: int) -> Draw:
    """Two estimators task by task; on narrow screens names stand in lines."""
    n_tasks = len(comparison.scores(shots)[[a, b]].dropna())

    def draw(screen: Screen) -> tuple[Any, dict[str, list[Any]]]:
        lines = screen is NARROW and n_tasks <= MOST_NAMED
        below = 9 * screen.letters
        height = ROW * n_tasks + below if lines else 0.5 * screen.width + below
        figure, ax = _axes(screen, height)
        display = TaskDifferenceDisplay.from_comparison(
            *(comparison, a, b),
            shots=shots,
            orient="horizontal" if lines else "vertical",
            ax=ax,
        )
        # The caption names the two.
        ax.set(**{"xlabel" if lines else "ylabel": "difference"})
        _legend_below(figure, ax, 2 if screen is WIDE else 1)
        return figure, display.tasks_

    return draw


def _axes(screen: Screen, height: float) -> tuple[Any, Any]:
    import matplotlib.pyplot as plt

    size = screen.width / 72, height / 72
    return plt.subplots(figsize=size, layout="constrained")


def _legend_below(figure: Any, ax: Any, columns: int) -> None:
    handles, names = ax.get_legend_handles_labels()
    ax.get_legend().remove()
    ax.set_title("")  # the page has headings
    look = {"frameon": False, "fontsize": "small", "ncols": columns}
    figure.legend(handles, names, loc="outside lower left", **look)
