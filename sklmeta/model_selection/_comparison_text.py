"""A comparison as a table to read: markdown and HTML."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sklmeta.model_selection._comparison import Comparison

STYLE = (
    "<style>.sklmeta-comparison td, .sklmeta-comparison th {text-align: right; "
    "padding: .2em .7em} .sklmeta-comparison td:first-child, .sklmeta-comparison "
    "th:first-child {text-align: left} .sklmeta-comparison {border-collapse: collapse} "
    ".sklmeta-comparison small {opacity: .7; white-space: nowrap}</style>"
)


def number(value: float) -> str:
    """Three significant digits, without an exponent where that is readable."""
    if not math.isfinite(value):
        return "n/a" if math.isnan(value) else str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        digits = 3 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
        return f"{value:,.{digits}f}"
    return f"{value:.2e}"


def rows_per_class(comparison: Comparison) -> bool:
    """Whether shots are counted per class, which the supports' sizes tell."""
    draws = comparison.draws
    return "n_support" in draws and bool((draws.n_support > draws.shots).any())


def cells_of(
    comparison: Comparison,
) -> tuple[list[str], list[tuple[str, list[tuple[str, str, bool]]]]]:
    """Header, and per estimator its name and (mean, interval, is it ahead)."""
    tables = {k: comparison.table(k) for k in comparison.shots}
    last = tables[comparison.shots[-1]]
    per_class = " per class" if rows_per_class(comparison) else ""
    header = [f"{k} row{'s' * (k != 1)}{per_class}" for k in comparison.shots]
    rows = []
    for name in last.index:
        cells = []
        for table in tables.values():
            mean, low, high = (
                float(table[column][name]) for column in ("mean", "low", "high")
            )
            interval = f"{number(low)} to {number(high)}"
            cells.append((number(mean), interval, bool(table["rank"][name] == 1)))
        rows.append((str(name), cells))
    return header, rows


def costs_of(comparison: Comparison, name: str) -> list[str]:
    """Seconds of fit, and milliseconds per task at the largest number of shots."""
    table = comparison.table(comparison.shots[-1])
    columns = [c for c in ("fit_seconds", "adapt_milliseconds") if c in table]
    return [number(float(table[column][name])) for column in columns]


def heading(comparison: Comparison) -> str:
    direction = "more" if comparison.greater_is_better else "less"
    return (
        f"Mean {comparison.metric} over {len(comparison.tasks)} held-out tasks "
        f"({direction} is better), with 95 % intervals over tasks, by the number of "
        "labelled rows of a task."
    )


def markdown_of(comparison: Comparison) -> str:
    header, rows = cells_of(comparison)
    costs = ["fit s", "adapt ms"] if "fit_time" in comparison.draws else []
    titles = ["", *header, *costs]
    lines = [heading(comparison), "", f"| {' | '.join(titles)} |"]
    lines.append("|" + " --- |" * len(titles))
    for name, cells in rows:
        texts = [
            f"{'**' * ahead}{mean}{'**' * ahead} ({interval})"
            for mean, interval, ahead in cells
        ]
        line = [name.replace("|", r"\|"), *texts]
        line += costs_of(comparison, name) if costs else []
        lines.append(f"| {' | '.join(line)} |")
    return "\n".join([*lines, "", comparison.verdict(), ""])


def html_of(comparison: Comparison, *, verdict: bool) -> str:
    header, rows = cells_of(comparison)
    costs = ["fit s", "adapt ms"] if "fit_time" in comparison.draws else []
    head = "".join(f"<th>{text}</th>" for text in ["", *header, *costs])
    body = []
    for name, cells in rows:
        texts = [f"<td>{html.escape(name)}</td>"]
        for mean, interval, ahead in cells:
            bold = f"<b>{mean}</b>" if ahead else mean
            texts.append(f"<td>{bold}<br><small>{interval}</small></td>")
        texts += [f"<td>{c}</td>" for c in costs and costs_of(comparison, name)]
        body.append(f"<tr>{''.join(texts)}</tr>")
    return (
        f"{STYLE}<p>{html.escape(heading(comparison))}</p>"
        f'<table class="sklmeta-comparison"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>"
        + (f"<p>{html.escape(comparison.verdict())}</p>" if verdict else "")
    )
