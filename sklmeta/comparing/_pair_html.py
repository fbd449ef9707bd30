"""Two estimators task by task, as notebooks show them."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from sklmeta.comparing._numbers import number

MOST_TASKS = 5


def html_of_pair(pair: Any) -> str:
    """Return the mean difference, its interval, and the tasks at both ends."""
    rows = "row" if pair.shots == 1 else "rows"
    found = f"{pair.better} is better" if pair.better else "cannot be told apart"
    facts = [
        ("mean difference over tasks", number(pair.mean)),
        ("95 % interval", f"{number(pair.low)} to {number(pair.high)}"),
        ("p-value", number(pair.p_value)),
        ("tasks", f"{pair.n_tasks:,}"),
    ]
    ordered = pair.differences.sort_values()
    ends = ordered
    if len(ordered) > 2 * MOST_TASKS:
        ends = ordered.iloc[[*range(MOST_TASKS), *range(-MOST_TASKS, 0)]]
    tasks = [(str(task), number(value)) for task, value in ends.items()]
    title = f"{pair.a} less {pair.b}, {pair.shots} labelled {rows}: {found}."
    named = "all tasks" if len(ends) == len(ordered) else "tasks at both ends"
    return _titled(title) + _table(facts) + _table(tasks, (named, "difference"))


def html_of_harm(harm: Any) -> str:
    """Return on how many tasks there is a loss, how large, and the worst of them."""
    a, against = harm.tasks.columns[:2]
    title = (
        f"{a} is worse than {against} on {harm.n_worse:,} of {harm.n_tasks:,} tasks."
    )
    if not harm.n_worse:
        return _titled(title)
    gains = "nothing is gained elsewhere"
    if math.isfinite(harm.share_lost):
        gains = f"{number(harm.share_lost)} times what the other tasks gain"
    facts = [
        ("mean loss on these tasks", number(harm.mean_loss)),
        ("all losses together", gains),
    ]
    worst = [
        (str(task), *map(number, values))
        for task, *values in harm.tasks[:MOST_TASKS].itertuples()
    ]
    return _titled(title) + _table(facts) + _table(worst, ("worst", a, against, "loss"))


def _titled(title: str) -> str:
    return f"<p>{escape(title)}</p>"


def _table(rows: Iterable[Sequence[str]], heads: Sequence[Any] = ()) -> str:
    head = "".join(f"<th>{escape(str(name))}</th>" for name in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
