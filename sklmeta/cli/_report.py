"""A report with the pictures inside: one file, no network, no script."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path

import sklmeta
from sklmeta.cli._meanings import explained_columns, explained_rows
from sklmeta.cli._next import NextStep
from sklmeta.cli._pictures import MOST_NAMED, Pictures, curve, differences, panels
from sklmeta.comparing import Comparison

FEW_LINES = 2  # of which small multiples show nothing new
MOST_WORST = 5
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
:root {{--paper: #fff; --ink: #222; --faint: #595959; --box: #f2f2f2; --rule: #999}}
@media (prefers-color-scheme: dark) {{:root {{--paper: #141414; --ink: #e6e6e6;
  --faint: #a8a8a8; --box: #242424; --rule: #666}}}}
{colours}
body {{font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto;
  padding: 0 1rem; color: var(--ink); background: var(--paper);
  overflow-wrap: anywhere}}
h1 {{font-size: 1.5rem}} h2 {{font-size: 1.15rem; margin-top: 2rem}}
figure {{margin: 1rem 0 1.5rem}}
/* matplotlib leaves black out, which is what a shape is filled with by default */
figure svg {{display: block; width: 100%; height: auto; fill: var(--ink)}}
figure .narrow {{display: none}}
@media (max-width: 700px) {{figure .wide {{display: none}}
  figure .narrow {{display: block}}}}
table {{border-bottom: 1px solid var(--rule); border-top: 1px solid var(--rule)}}
thead th {{border-bottom: 1px solid var(--rule)}}
.box {{background: var(--box); padding: .8rem 1rem}}
.scroll {{overflow-x: auto; overflow-wrap: normal}}
pre {{white-space: pre-wrap; font-size: .875rem}}
dt {{font-weight: 600}} dd {{margin: 0 0 .4rem 1rem}}
small, figcaption, dd {{color: var(--faint)}} figcaption {{font-size: .9rem}}
</style>
</head>
<body>
<h1>{title}</h1>
<p class="box">{verdict}</p>
{next_step}
<h2>Score by the number of labelled rows</h2>
{curve}
<div class="scroll">{table}</div>
<h2>What the rows and columns are</h2>
{explained}
<h2>Task by task</h2>
{differences}
<h2>How this was found</h2>
<p>Every estimator was fitted to the other tasks and judged on tasks it had not seen,
with the same labelled rows as all others.</p>
{record}
</body>
</html>
"""


def write_report(
    result: Comparison,
    path: str,
    data: str,
    target: str,
    *,
    next_step: NextStep | None = None,
    record: Mapping[str, object] | None = None,
) -> None:
    """Write the report; the pictures need matplotlib.

    `record` says how the comparison came about, such as its command, date and seed.
    """
    import matplotlib

    matplotlib.use("Agg")  # a shell may have no display

    pictures = Pictures()
    about = {"Version": f"sklmeta {sklmeta.__version__}", **(record or {})}
    drawn = {"curve": _curves(pictures, result), "differences": ""}
    drawn["differences"] = _differences(pictures, result)
    page = PAGE.format(
        title=html.escape(f"Does meta-learning pay? {Path(data).name}, {target}"),
        verdict=html.escape(result.verdict()),
        next_step=_next(next_step),
        table=result.to_html(verdict=False),
        explained=_listed({**explained_rows(result), **explained_columns(result)}),
        record=_listed(about),
        colours=pictures.style(),
        **drawn,
    )
    Path(path).write_text(page, encoding="utf-8")


def _next(step: NextStep | None) -> str:
    if step is None:
        return ""
    commands = html.escape("\n".join(step.commands))
    return (
        f"<h2>What to do next</h2>\n<p>{html.escape(step.text)}</p>\n"
        f'<pre class="box"><code>{commands}</code></pre>'
    )


def _listed(entries: Mapping[str, object]) -> str:
    items = "".join(
        f"<dt>{html.escape(str(name))}</dt><dd>{html.escape(str(text))}</dd>\n"
        for name, text in entries.items()
    )
    return f"<dl>\n{items}</dl>"


def _curves(pictures: Pictures, result: Comparison) -> str:
    all_at_once = pictures.figure(
        curve(result),
        f"Mean {result.metric} by the number of labelled rows, for each estimator.",
        "Mean over tasks; the bands are 95 % intervals over tasks. Of many estimators "
        "those that lead somewhere are in colour.",
    )
    if len(result.names) <= FEW_LINES:
        return all_at_once
    each = pictures.figure(
        panels(result),
        "The same curves, one panel for each estimator.",
        "Each estimator with its 95 % interval over all others in grey.",
    )
    return all_at_once + each


def _differences(pictures: Pictures, result: Comparison) -> str:
    """Best meta-learner against the best baseline, at every number of shots."""
    meta = [name for name in result.names if name not in result.baselines]
    if not meta or not result.baselines:
        return "<p>There is nothing to set side by side.</p>"
    figures = []
    for k in result.shots:
        a = result.leader(k, among=meta)
        b = result.leader(k, among=result.baselines)
        rows = "row" if k == 1 else "rows"
        label = f"{k} labelled {rows}: {a} against {b}."
        picture = differences(result, a, b, k)
        caption = f"<b>{html.escape(label)}</b> {_caption(result, a, b, k)}"
        figures.append(pictures.figure(picture, label, caption))
    return "\n".join(figures)


def _caption(result: Comparison, a: str, b: str, shots: int) -> str:
    harm = result.harm(a, against=b, shots=shots)
    said = (
        f"One mark per task: the {result.metric} of {a} less that of {b}, "
        f"{'above' if result.greater_is_better else 'below'} zero where {a} is better."
    )
    if harm.n_tasks > MOST_NAMED:
        said += " The name of a task appears when the pointer rests on its mark."
    if harm.n_worse:
        worst = ", ".join(str(name) for name in harm.tasks.index[:MOST_WORST])
        most = "" if harm.n_worse <= MOST_WORST else " most"
        said += f" {a} is the worse one{most} on {worst}."
    return html.escape(said)
