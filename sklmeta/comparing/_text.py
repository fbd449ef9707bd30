"""A comparison as a table to read: markdown and HTML."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import html
import textwrap
from collections.abc import Callable
from typing import NamedTuple

from sklmeta.comparing._numbers import number
from sklmeta.comparing._scores import ComparisonScores

STYLE = (
    "<style>.sklmeta-comparison td, .sklmeta-comparison th {text-align: right; "
    "padding: .2em .7em} .sklmeta-comparison td:first-child, .sklmeta-comparison "
    "th:first-child {text-align: left} .sklmeta-comparison {border-collapse: collapse} "
    ".sklmeta-comparison small {opacity: .7; white-space: nowrap}</style>"
)


class Line(NamedTuple):
    """One estimator: (mean, interval, is it ahead) by shots, and its costs."""

    name: str
    cells: list[tuple[str, str, bool]]
    costs: list[str]  # at the largest number of shots


COSTS = {"fit_seconds": "fit s", "adapt_milliseconds": "adapt ms"}


def lines_of(comparison: ComparisonScores) -> tuple[list[str], list[Line]]:
    """Titles of the columns, and a line per estimator."""
    tables = {k: comparison.table(k) for k in comparison.shots}
    last = tables[comparison.shots[-1]]
    unit = comparison.unit_of_shots
    titles = [
        f"{k} {unit.replace('rows', 'row') if k == 1 else unit}"
        for k in comparison.shots
    ]
    known = [column for column in COSTS if column in last]
    lines = []
    for name in last.index:
        cells = []
        for table in tables.values():
            mean, low, high = (
                float(table[column][name]) for column in ("mean", "low", "high")
            )
            interval = f"{number(low)} to {number(high)}"
            cells.append((number(mean), interval, bool(table["rank"][name] == 1)))
        costs = [number(float(last[column][name])) for column in known]
        lines.append(Line(str(name), cells, costs))
    return ["", *titles, *(COSTS[column] for column in known)], lines


def heading(comparison: ComparisonScores) -> str:
    direction = "more" if comparison.greater_is_better else "less"
    return (
        f"Mean {comparison.metric} over {len(comparison.tasks)} held-out tasks "
        f"({direction} is better), with 95 % intervals over tasks, by the number of "
        f"labelled rows of a task{_chosen(comparison)}."
    )


def _chosen(comparison: ComparisonScores) -> str:
    how = comparison.words_for_support
    return how and f", {how}"


def text_of(
    comparison: ComparisonScores,
    width: int = 80,
    bold: Callable[[str], str] = str,
) -> str:
    """Means alone, for a terminal: in blocks where one line would be too wide."""
    titles, found = lines_of(comparison)
    costs = titles[1 + len(comparison.shots) :]
    heads = [str(k) for k in comparison.shots] + costs
    texts = [
        [*(f"{mean}{'*' if ahead else ' '}" for mean, _, ahead in line.cells)]
        + [f"{cost} " for cost in line.costs]
        for line in found
    ]
    first = min(max(len(line.name) for line in found), width // 3)
    widths = [
        max(len(heads[j]) + 1, *(len(row[j]) for row in texts)) + 1
        for j in range(len(heads))
    ]
    unit, blocks, block = comparison.unit_of_shots, [], list[int]()
    for j in range(len(heads)):
        if block and first + sum(widths[i] for i in [*block, j]) > width:
            blocks.append(block)
            block = []
        block.append(j)
    lines = []
    for columns in [*blocks, block]:
        row = "".join(f"{heads[j]} ".rjust(widths[j]) for j in columns)
        lines += ["", f"{'':{first}}{row}".rstrip()]
        for line, row_texts in zip(found, texts, strict=True):
            cells = [row_texts[j].rjust(widths[j]) for j in columns]
            cells = [bold(c) if c.endswith("*") else c for c in cells]
            lines.append(f"{_cut(line.name, first):{first}}{''.join(cells)}".rstrip())
    about = f"Mean {comparison.metric} over {len(comparison.tasks)} held-out tasks"
    direction = "more" if comparison.greater_is_better else "less"
    about += f" ({direction} is better) by labelled {unit}{_chosen(comparison)}; "
    about += "* marks the best."
    return "\n".join([*textwrap.wrap(about, width), *lines])


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else f"{name[: width - 1]}…"


def markdown_of(comparison: ComparisonScores, verdict: str) -> str:
    titles, found = lines_of(comparison)
    lines = [heading(comparison), "", f"| {' | '.join(titles)} |"]
    lines.append("|" + " --- |" * len(titles))
    for line in found:
        texts = [
            f"{'**' * ahead}{mean}{'**' * ahead} ({interval})"
            for mean, interval, ahead in line.cells
        ]
        name = line.name.replace("|", r"\|")
        lines.append(f"| {' | '.join([name, *texts, *line.costs])} |")
    return "\n".join([*lines, "", verdict, ""])


def html_of(comparison: ComparisonScores, verdict: str | None) -> str:
    titles, found = lines_of(comparison)
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = []
    for line in found:
        texts = [html.escape(line.name)]
        for mean, interval, ahead in line.cells:
            bold = f"<b>{mean}</b>" if ahead else mean
            texts.append(f"{bold}<br><small>{interval}</small>")
        texts += line.costs
        body.append(f"<tr>{''.join(f'<td>{text}</td>' for text in texts)}</tr>")
    return (
        f"{STYLE}<p>{html.escape(heading(comparison))}</p>"
        f'<table class="sklmeta-comparison"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>"
        + (f"<p>{html.escape(verdict)}</p>" if verdict else "")
    )
