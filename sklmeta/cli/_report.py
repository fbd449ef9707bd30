"""A report with the pictures inside: one file, no network, no script."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import html
import io
import re
from pathlib import Path
from typing import Any

import sklmeta
from sklmeta.comparing import Comparison
from sklmeta.inspection import ShotCurveDisplay, TaskDifferenceDisplay

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; color: #222; background: white}}
h1 {{font-size: 1.5rem}} h2 {{font-size: 1.15rem; margin-top: 2rem}}
figure {{margin: 1rem 0}} figure svg {{max-width: 100%; height: auto}}
table {{border-bottom: 1px solid #999; border-top: 1px solid #999}}
thead th {{border-bottom: 1px solid #999}}
.verdict {{background: #f2f2f2; padding: .8rem 1rem}} .wide {{overflow-x: auto}}
small, figcaption {{color: #555}}
</style>
</head>
<body>
<h1>{title}</h1>
<p class="verdict">{verdict}</p>
<h2>Score by the number of labelled rows</h2>
{curve}
<div class="wide">{table}</div>
<h2>Task by task</h2>
{differences}
<p><small>Every estimator was fitted to the other tasks and judged on tasks it had not
seen, with the same labelled rows as all others. Written by sklmeta {version}.</small>
</p>
</body>
</html>
"""


def write_report(result: Comparison, path: str, data: str, target: str) -> None:
    """Write the report; the pictures need matplotlib."""
    import matplotlib

    matplotlib.use("Agg")  # a shell may have no display

    title = f"Does meta-learning pay? {Path(data).name}, {target}"
    page = PAGE.format(
        title=html.escape(title),
        verdict=html.escape(result.verdict()),
        curve=_figure(
            ShotCurveDisplay.from_comparison(result),
            "Mean over tasks; the bands are 95 % intervals over tasks.",
        ),
        table=result.to_html(verdict=False),
        differences=_differences(result),
        version=sklmeta.__version__,
    )
    Path(path).write_text(page, encoding="utf-8")


def _differences(result: Comparison) -> str:
    """Best meta-learner against the best baseline, at every number of shots."""
    meta = [name for name in result.names if name not in result.baselines]
    if not meta or not result.baselines:
        return "<p>There is nothing to set side by side.</p>"
    figures = []
    for k in result.shots:
        a = result.leader(k, among=meta)
        b = result.leader(k, among=result.baselines)
        display = TaskDifferenceDisplay.from_comparison(result, a, b, shots=k)
        rows = "row" if k == 1 else "rows"
        figures.append(_figure(display, f"{k} labelled {rows}: {a} against {b}."))
    return "\n".join(figures)


def _figure(display: Any, caption: str) -> str:
    import matplotlib.pyplot as plt

    text = io.StringIO()
    # Names of tasks stay text, which can be searched and read aloud.
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "sklmeta"}):
        display.figure_.savefig(text, format="svg", metadata={"Date": None})
    plt.close(display.figure_)
    svg = text.getvalue()
    svg = re.sub(
        "<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL
    )
    label = html.escape(caption, quote=True)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"
