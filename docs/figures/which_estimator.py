"""Draws the two charts of "Which estimator?" as SVG, whose leaves are links.

``python docs/figures/which_estimator.py`` writes them beside this file. A chart is a
list of questions from the top to the bottom: "yes" leads to its leaves, "no" further
down. It is as wide as a phone; on a desk the two stand side by side. Colours are the
site's where it has them, and by the reader's preference elsewhere.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

REGRESSION = (
    ("Begin with these two.", [
        ("MixedModelRegressor", "a second; levels and slopes vary"),
        ("AutoMetaRegressor", "half a minute; a blend of several"),
    ]),
    ("Or by hand. Has a new task hundreds of labelled rows?", [
        ("PerTask", "a model of its own, of any kind"),
    ]),
    ("Are there fewer than twenty tasks?", [
        ("Pooled", "one model for all, beside the first two"),
    ]),
    ("Do tasks differ in level and slope alone?", [
        ("MixedModelRegressor", "nothing else gains much there"),
    ]),
    ("Thresholds, gaps and categories rather than smooth curves?", [
        ("EpisodicBoostingRegressor", "trees that read the labelled rows"),
    ]),
    ("Are the labelled rows the first in time?", [
        ("TransformerNeuralProcessRegressor", "a hundred curves or more"),
        ("MixedModelRegressor", "fewer; on few features"),
    ]),
    ("A network of your own, adapted as a whole?", [
        ("MAMLRegressor", "gradient steps from a learned start"),
    ]),
    ("Otherwise", [
        ("BayesianLinearRegressor", "learns in what tasks are lines"),
    ]),
)  # fmt: skip
CLASSIFICATION = (
    ("Has each task classes of its own?", [
        ("ProtoNetClassifier", "the first choice; trains in seconds"),
        ("LDABaseline", "if features are good, as of sentences"),
        ("AutoMetaClassifier", "a blend; five rows of each class"),
    ]),
    ("Shared classes: begin with these two.", [
        ("MixedModelClassifier", "seconds; levels and slopes vary"),
        ("AutoMetaClassifier", "half a minute; a blend of several"),
    ]),
    ("Or by hand. Has a new task hundreds of labelled rows?", [
        ("PerTask", "a model of its own, of any kind"),
    ]),
    ("Are there fewer than twenty tasks?", [
        ("Pooled", "one model for all, beside the last two"),
    ]),
    ("Does each class lie around one centre?", [
        ("ProtoNetClassifier", "remembers a mean of each class"),
    ]),
    ("Does each task respond in its own way, as devices and people do?", [
        ("TransformerNeuralProcessClassifier", "up to a dozen labelled rows"),
        ("MAMLClassifier", "two dozen and more"),
    ]),
    ("Otherwise: thresholds, gaps, categories", [
        ("EpisodicBoostingClassifier", "trees that read the labelled rows"),
    ]),
)  # fmt: skip
CHARTS = {
    "which_regressor": ("Predicting numbers", REGRESSION),
    "which_classifier": ("Predicting classes", CLASSIFICATION),
}

WIDTH, TRUNK, LEAF_X = 380, 20, 64
STYLE = """
.chart{--ink:var(--pst-color-text-base,#1f2328);--soft:var(--pst-color-text-muted,#59636e);
--line:var(--pst-color-text-muted,#8c959f);--paper:var(--pst-color-surface,#f6f8fa);
--accent:var(--pst-color-link,#0a6a75)}
@media (prefers-color-scheme:dark){.chart{--ink:var(--pst-color-text-base,#e6edf3);
--soft:var(--pst-color-text-muted,#9198a1);--line:var(--pst-color-text-muted,#656c76);
--paper:var(--pst-color-surface,#151b23);--accent:var(--pst-color-link,#4cc3d0)}}
.chart text{fill:var(--ink);font:14px system-ui,sans-serif}
.chart .head{font-weight:600;font-size:17px}
.chart .soft{fill:var(--soft);font-size:13px}
.chart .name{fill:var(--accent);font:600 13px ui-monospace,Menlo,Consolas,monospace}
.chart a{text-decoration:none}
.chart a:hover .name{text-decoration:underline}
.chart path{stroke:var(--line);stroke-width:1.5;fill:none}
.chart rect{fill:var(--paper);stroke:var(--line)}
.chart .leaf{stroke:var(--accent)}
.chart rect.begin{stroke:var(--accent);stroke-width:2.5}
.chart text.begin{font-weight:600}
"""


@dataclass
class Drawing:
    """What is drawn already, and how far down."""

    y: float = 0
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, words: str, kind: str = "") -> None:
        self.parts.append(
            f'<text x="{x}" y="{y}" class="{kind}">{escape(words)}</text>'
        )

    def box(self, x: float, height: float, kind: str) -> None:
        self.parts.append(
            f'<rect x="{x}" y="{self.y}" width="{WIDTH - 2 - x}" height="{height}" '
            f'rx="6" class="{kind}"/>'
        )

    def line(self, path: str) -> None:
        self.parts.append(f'<path d="{path}"/>')


def draw(title: str, questions: tuple) -> str:
    """One chart, as the text of an SVG file."""
    drawing = Drawing(y=34)
    drawing.text(2, 20, title, "head")
    for number, (question, leaves) in enumerate(questions):
        asked = question.endswith("?")
        begin = "egin with" in question
        draw_question(drawing, question, "begin" if begin else "")
        top = drawing.y
        for leaf in leaves:
            answer = "yes" if asked and leaf is leaves[0] else ""
            draw_leaf(drawing, *leaf, answer, "leaf begin" if begin else "leaf")
        if number == len(questions) - 1:
            drawing.line(f"M{TRUNK} {top}V{drawing.y - 29}")
        else:
            drawing.line(f"M{TRUNK} {top}V{drawing.y + 6}m-4-6 4 6 4-6")
            if asked:
                drawing.text(TRUNK + 7, drawing.y + 2, "no", "soft")
            drawing.y += 8
    size = f'viewBox="0 0 {WIDTH} {drawing.y + 2}" width="{WIDTH}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} class="chart" role="group" '
        f'aria-label="{escape(title)}">\n<style>{STYLE}</style>\n'
        + "\n".join(drawing.parts)
        + "\n</svg>\n"
    )


def draw_question(drawing: Drawing, question: str, kind: str) -> None:
    lines = wrapped(question, 48)
    height = 14 + 19 * len(lines)
    drawing.box(2, height, kind)
    for number, line in enumerate(lines):
        drawing.text(12, drawing.y + 21 + 19 * number, line, kind)
    drawing.y += height


def draw_leaf(drawing: Drawing, name: str, why: str, answer: str, kind: str) -> None:
    """A box that is a link, joined to the trunk."""
    drawing.y += 8
    drawing.line(f"M{TRUNK} {drawing.y + 23}H{LEAF_X - 2}m-6-4 6 4-6 4")
    drawing.text(TRUNK + 7, drawing.y + 18, answer, "soft")
    drawing.parts.append(f'<a href="../api.md#{name}">')
    drawing.box(LEAF_X, 46, kind)
    drawing.text(LEAF_X + 10, drawing.y + 19, name, "name")
    drawing.text(LEAF_X + 10, drawing.y + 37, why, "soft")
    drawing.parts.append("</a>")
    drawing.y += 46 + 6


def wrapped(words: str, width: int) -> list[str]:
    """Lines of about equal length, none longer than the width."""
    n_lines = len(textwrap.wrap(words, width))
    while len(textwrap.wrap(words, width - 1)) == n_lines:
        width -= 1
    return textwrap.wrap(words, width)


def main() -> None:
    """Write the charts."""
    for name, (title, questions) in CHARTS.items():
        path = Path(__file__).with_name(f"{name}.svg")
        path.write_text(draw(title, questions), "utf-8")


if __name__ == "__main__":
    main()
