"""A collection as notebooks show it: numbers, some tasks, and a sketch of them all."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MOST_TASKS = 5
MOST_CLASSES = 20  # of whole numbers; more are a quantity
MOST_BARS = 60
WIDTH, HEIGHT = 300, 70
SHADES = (0.85, 0.25, 0.6, 0.4)
STYLE = "display: inline-block; margin-right: 2em; vertical-align: top"


def html_of(name: str, y: Any, codes: NDArray[np.intp], labels: NDArray[Any]) -> str:
    """Return the page's piece; labels of tasks and classes are escaped."""
    sizes = np.bincount(codes, minlength=len(labels))
    text = f"<p>{escape(name)}</p>"
    if not len(codes):
        return text
    values = np.asarray(y)
    target = values if values.ndim == 1 else values[:, 0]
    bars = _bars(np.sort(sizes))
    sketch = _figure(bars, "Rows of each task, sorted")
    if _is_class(target):
        found, names = pd.factorize(target, sort=True)
        shares = np.zeros((len(labels), len(names)))
        np.add.at(shares, (codes[found >= 0], found[found >= 0]), 1)  # -1: missing
        shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1)
        sketch += _figure(_stacks(shares), "Classes of each task, sorted")
        said = [_classes(row, names) for row in shares[:MOST_TASKS]]
    else:
        tasks = pd.Series(target.astype(float)).groupby(codes)
        spread = tasks.agg(["mean", "min", "max"]).reindex(range(len(labels)))
        caption = "Target of each task: range and mean, sorted"
        sketch += _figure(_ranges(spread.dropna().to_numpy()), caption)
        said = [
            f"{mean:.4g} ({least:.4g} to {most:.4g})"
            for mean, least, most in spread[:MOST_TASKS].to_numpy()
        ]
    rows = zip(labels[:MOST_TASKS], sizes, said, strict=False)
    return text + _table(rows, len(labels)) + sketch


def _is_class(target: NDArray[Any]) -> bool:
    if target.dtype.kind == "f":
        return False
    return target.dtype.kind not in "iu" or len(np.unique(target)) <= MOST_CLASSES


def _classes(shares: NDArray[Any], names: Any) -> str:
    most = np.argsort(-shares, kind="stable")[:3]
    parts = [f"{names[i]} {shares[i]:.0%}" for i in most if shares[i] > 0]
    return ", ".join(parts)


def _table(rows: Any, n_tasks: int) -> str:
    body = "".join(
        f"<tr><td>{escape(str(label))}</td><td>{size:,}</td><td>{escape(text)}</td></tr>"
        for label, size, text in rows
    )
    rest = n_tasks - MOST_TASKS
    more = f"<tr><td>and {rest:,} more</td><td></td><td></td></tr>" if rest > 0 else ""
    head = "<tr><th>task</th><th>rows</th><th>target</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{body}{more}</tbody></table>"


def _figure(marks: str, caption: str) -> str:
    """Marks take the colour of the text, by day and by night."""
    box = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    drawn = f'<svg role="img" aria-label="{caption}" {box} fill="currentColor">'
    said = f"<figcaption><small>{caption}</small></figcaption>"
    return f'<figure style="{STYLE}">{drawn}{marks}</svg>{said}</figure>'


def _some(values: NDArray[Any]) -> NDArray[Any]:
    """Return all of the sorted tasks, or every so many."""
    chosen = np.linspace(0, len(values) - 1, min(len(values), MOST_BARS)).round()
    return values[chosen.astype(int)]


def _rect(i: int, n: int, low: float, high: float, opacity: float = 0.6) -> str:
    """Bar `i` of `n`, from one share of the height to another."""
    step = WIDTH / n
    return (
        f'<rect x="{i * step:.1f}" y="{HEIGHT * (1 - high):.1f}" '
        f'width="{max(step - 1, 0.5):.1f}" height="{HEIGHT * (high - low):.1f}" '
        f'fill-opacity="{opacity}"/>'
    )


def _bars(sizes: NDArray[Any]) -> str:
    heights = _some(sizes) / max(sizes.max(), 1)
    return "".join(_rect(i, len(heights), 0, h) for i, h in enumerate(heights))


def _stacks(shares: NDArray[Any]) -> str:
    order = np.lexsort(shares.T[::-1])
    marks = []
    ends = np.cumsum(_some(shares[order]), axis=1)
    for i, row in enumerate(ends):
        for j, (low, high) in enumerate(zip([0.0, *row], row, strict=False)):
            if high > low:
                shade = SHADES[j % len(SHADES)]
                marks.append(_rect(i, len(ends), low, high, shade))
    return "".join(marks)


def _ranges(spread: NDArray[Any]) -> str:  # shape: (n_tasks, 3); mean, min, max
    spread = spread[np.isfinite(spread).all(axis=1)]
    if not len(spread):
        return ""
    spread = _some(spread[np.argsort(spread[:, 0], kind="stable")])
    low, high = spread.min(), spread.max()
    scaled = (spread - low) / ((high - low) or 1.0)
    marks = []
    for i, (mean, least, most) in enumerate(scaled):
        marks.append(_rect(i, len(scaled), least, most, 0.3))
        mark = np.clip(mean, 0.015, 0.985)
        marks.append(_rect(i, len(scaled), mark - 0.015, mark + 0.015, 1))
    return "".join(marks)
