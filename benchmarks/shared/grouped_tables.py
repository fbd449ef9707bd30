"""Tables of `mixed_models.py`: means, paired differences, and what they add up to."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t as student

from benchmarks.shared.grouped_models import AUTO, MIXED
from benchmarks.shared.report import table

Figures = dict[str, Any]  # of one model on one set
BASELINES = ("own", "pooled", "centred", "nearest centroid", "linear discriminants")
REFERENCES = (MIXED, "linear discriminants", "nearest centroid", "own logistic")

STRATIFIED = (
    "A support has a row of each class that its task has, as far as it goes "
    '(`support="stratified"`).'
)


class Pair(NamedTuple):
    """One model against another on the same tasks; above zero it is worse."""

    setting: str
    rows: str
    worse_by: float
    half: float

    @property
    def is_worse(self) -> bool:
        return self.worse_by > self.half

    @property
    def is_better(self) -> bool:
        return self.worse_by < -self.half

    def __str__(self) -> str:
        return f"{self.setting} at {self.rows} ({self.worse_by:+.4f} ± {self.half:.4f})"


def means_of(figures: Figures) -> dict[str, float]:
    return {k: float(np.mean(scores)) for k, scores in figures["scores"].items()}


def paired(setting: str, one: Figures, other: Figures, is_loss: bool) -> Iterator[Pair]:
    """Differences over tasks, with half the 95 % interval by Student's t."""
    for k, scores in one["scores"].items():
        differences = np.subtract(scores, other["scores"][k])
        n = len(differences)
        half = student.ppf(0.975, n - 1) * np.std(differences, ddof=1) / np.sqrt(n)
        sign = 1 if is_loss else -1
        yield Pair(setting, k, sign * float(np.mean(differences)), float(half))


def best_single(found: dict[str, Figures], k: str, is_loss: bool) -> str:
    """Model, other than the blend, with the best mean at k rows."""
    means = {name: means_of(own)[k] for name, own in found.items() if name != AUTO}
    return (min if is_loss else max)(means, key=lambda name: means[name])


def lines_of(found: dict[str, dict[str, Figures]], is_loss: bool) -> list[str]:
    """Markdown: what it adds up to, then a table per set."""
    score = (
        "RMSE, in units of the standard deviation of y over all rows"
        if is_loss
        else "Accuracy (tox21: area under the ROC curve)"
    )
    lines = [
        f"{score},",
        "of each task by number of labelled rows, averaged over draws, then over",
        "tasks. In brackets the paired difference to the first row's model, with its",
        "95 % interval over tasks (Student's t); bold where zero is outside. `fit` is",
        "the mean over folds in seconds, `one` the milliseconds of adapting to one",
        "task alone and predicting its other rows, preparation included, on the clock",
        "of a shared machine. Intervals of few tasks promise more than they hold.",
        *([] if is_loss else [STRATIFIED]),
        "",
        *summary({name: own for name, own in found.items() if own}, is_loss),
    ]
    for setting, own in found.items():
        if own:
            lines += ["", f"## {setting}", "", *table_of(setting, own, is_loss)]
    return lines


def table_of(setting: str, found: dict[str, Figures], is_loss: bool) -> list[str]:
    reference = reference_of(found)
    names = [reference, *(name for name in found if name != reference)]
    counts = {k: len(scores) for k, scores in found[reference]["scores"].items()}
    rows = []
    for name in names:
        own = found[name]
        cells = [f"{mean:.4f}" for mean in means_of(own).values()]
        if name != reference:
            pairs = paired(setting, own, found[reference], is_loss)
            cells = [
                f"{cell} ({difference(pair, is_loss)})"
                for cell, pair in zip(cells, pairs, strict=True)
            ]
        rows.append([name, *cells, f"{own['fit']:.1f}", f"{own['one']:.1f}"])
    header = [f"{k} ({n} tasks)" for k, n in counts.items()]
    return table(["model", *header, "`fit` s", "`one` ms"], rows)


def difference(pair: Pair, is_loss: bool) -> str:
    mean = pair.worse_by if is_loss else -pair.worse_by
    text = f"{mean:+.4f} ± {pair.half:.4f}"
    return f"**{text}**" if pair.is_worse or pair.is_better else text


def reference_of(found: dict[str, Figures]) -> str:
    return next((name for name in REFERENCES if name in found), next(iter(found)))


def summary(found: dict[str, dict[str, Figures]], is_loss: bool) -> list[str]:
    """Markdown: where something is worse than it may be."""
    lines = ["## What it adds up to", ""]
    singles = (AUTO, "Bayesian linear", "transformer", "episodic boosting")
    for name in singles:
        pairs = [
            pair
            for setting, own in found.items()
            if name in own and MIXED in own
            for pair in paired(setting, own[name], own[MIXED], is_loss)
        ]
        if pairs:
            lines.append(against_mixed(name, pairs))
    pairs = []
    for setting, own in found.items():
        for k in own[AUTO]["scores"] if AUTO in own and len(own) > 1 else []:
            best = best_single(own, k, is_loss)
            title = f"{setting} ({best})"
            compared = paired(title, own[AUTO], own[best], is_loss)
            pairs += [pair for pair in compared if pair.rows == k]
    if pairs:
        lines.append(
            f"- {AUTO} is worse than the best single method, found on the same tasks, "
            f"by more than the interval at {told(pairs)}."
        )
    if not is_loss:
        lines += behind_baselines(found)
    return lines


def against_mixed(name: str, pairs: list[Pair]) -> str:
    sets = {pair.setting for pair in pairs}
    worse = {pair.setting for pair in pairs if pair.is_worse}
    better = {pair.setting for pair in pairs if pair.is_better}
    return (
        f"- {name} is worse than the {MIXED} by more than the interval at "
        f"{told(pairs)}; it is better with an interval, and nowhere worse, on "
        f"{len(better - worse)} of {len(sets)} sets, at "
        f"{sum(pair.is_better for pair in pairs)} of {len(pairs)} numbers of rows."
    )


def told(pairs: list[Pair]) -> str:
    worse = [str(pair) for pair in pairs if pair.is_worse]
    return f"{len(worse)} of {len(pairs)}" + ": " * bool(worse) + "; ".join(worse)


def behind_baselines(found: dict[str, dict[str, Figures]]) -> list[str]:
    """Markdown: the blend less the best baseline at each number of rows."""
    parts = []
    for setting, own in found.items():
        baselines = {
            name: means_of(figures)
            for name, figures in own.items()
            if name.startswith(BASELINES)
        }
        if AUTO not in own or not baselines:
            continue
        gains = [
            f"{mean - max(other[k] for other in baselines.values()):+.3f} at {k}"
            for k, mean in means_of(own[AUTO]).items()
        ]
        parts.append(f"{setting} {', '.join(gains)}")
    text = f"- {AUTO} less the best baseline: {'; '.join(parts)}."
    return [text] if parts else []
