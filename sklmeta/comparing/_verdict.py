"""A comparison in words: does meta-learning pay, from how many rows, where not."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence

from sklmeta.comparing._numbers import number
from sklmeta.comparing._paired import PairedDifference
from sklmeta.comparing._scores import ComparisonScores

Pairs = Sequence[PairedDifference]

FEW_TASKS = 20
"""With fewer tasks an interval over tasks promises more than it holds."""
MUCH_HARM = 0.1
"""Losses are called out from this share of the gains on."""


def verdict_of(comparison: ComparisonScores) -> str:
    meta = [name for name in comparison.names if name not in comparison.baselines]
    if not meta or not comparison.baselines:
        missing = "baseline" if meta else "meta-learner"
        return (
            f"There is no {missing} in this comparison, so it cannot tell whether "
            "meta-learning pays."
        )
    pairs = [
        comparison.paired(
            comparison.leader(k, among=meta),
            comparison.leader(k, among=comparison.baselines),
            k,
        )
        for k in comparison.shots
    ]
    if max(pair.n_tasks for pair in pairs) < FEW_TASKS:
        return " ".join([_few_tasks(comparison, pairs), *comparison.caveats])
    unit = f"labelled {comparison.unit_of_shots}"
    wins = [pair for pair in pairs if pair.better == pair.a]
    losses = [pair for pair in pairs if pair.better == pair.b]
    chosen = _typical(wins or losses or pairs)
    say = _it_pays if wins else _it_does_not_pay
    first, *others = say(pairs, wins, losses, unit)
    sentences = [first, _how_much(comparison, chosen), *others]
    sentences += [*_harm(comparison, chosen), _basis(comparison, meta)]
    return " ".join([*sentences, *comparison.caveats])


def _basis(comparison: ComparisonScores, meta: list[str]) -> str:
    """What it rests on: choosing among many on the same tasks flatters the chosen."""
    draws, folds = comparison.draws.draw.nunique(), comparison.draws.fold.nunique()
    counted = [
        _count(len(comparison.tasks), "task"),
        f"{_count(draws, 'draw')} of the labelled rows",
        _count(folds, "fold"),
    ]
    text = f"This rests on {counted[0]}, {counted[1]} and {counted[2]}"
    if max(len(meta), len(comparison.baselines)) > 1:
        text += (
            f"; the best of {_count(len(meta), 'meta-learner')} and of "
            f"{_count(len(comparison.baselines), 'baseline')} were chosen on the same "
            "tasks"
        )
    return f"{text}. Of tasks unlike these it says nothing."


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _it_pays(pairs: Pairs, wins: Pairs, losses: Pairs, unit: str) -> list[str]:
    if len(wins) == len(pairs):
        every = f"at every number of {unit} compared, {_ranges(wins, pairs)}"
        return [f"Meta-learning pays here {every}."]
    first = f"Meta-learning pays here with {_with(wins, pairs, unit)} of a new task."
    if losses:
        where = f"With {_with(losses, pairs, unit)}"
        return [first, f"{where} {_best(losses)} is better: use that there."]
    ties = [pair for pair in pairs if pair not in wins]
    where = f"With {_ranges(ties, pairs)}"
    return [first, f"{where} the data cannot tell it from the best baseline."]


def _it_does_not_pay(pairs: Pairs, wins: Pairs, losses: Pairs, unit: str) -> list[str]:
    if not losses:
        where = f"at no number of {unit} can the best meta-learner be told from"
        return [
            f"Whether meta-learning pays here cannot be told: {where} the best "
            + "baseline.",
            "That is not to say that it does not pay: more tasks may tell. Until then "
            + "the simpler one is as good a guess.",
        ]
    return [
        f"Meta-learning does not pay here: with {_with(losses, pairs, unit)} "
        + f"{_best(losses)} is better than every meta-learner, and at no number is one "
        + "better than the best baseline."
    ]


def _few_tasks(comparison: ComparisonScores, pairs: Pairs) -> str:
    n_tasks = max(pair.n_tasks for pair in pairs)
    unit = f"labelled {comparison.unit_of_shots}"
    ahead: dict[str, list[PairedDifference]] = {}
    for pair in pairs:
        best = pair.a if comparison.sign * pair.mean > 0 else pair.b
        ahead.setdefault(best, []).append(pair)
    parts = [f"{_with(own, pairs, unit)} {name}" for name, own in ahead.items()]
    return (
        f"With {n_tasks} tasks, fewer than {FEW_TASKS}, no claim can be made. By the "
        f"mean over these tasks alone the best is: with {'; with '.join(parts)}."
    )


def _typical(pairs: Pairs) -> PairedDifference:
    """Return the one closest to five rows."""
    return min(pairs, key=lambda pair: (abs(pair.shots - 5), pair.shots))


def _best(pairs: Pairs) -> str:
    """Name the baselines of these pairs."""
    return " or ".join(dict.fromkeys(pair.b for pair in pairs))


def _with(chosen: Pairs, every: Pairs, unit: str) -> str:
    text = _ranges(chosen, every)
    return f"{text} {unit.replace('rows', 'row') if text == '1' else unit}"


def _ranges(chosen: Pairs, every: Pairs) -> str:
    """Write the shots as ranges of neighbours: "0, 2 to 10 and 50"."""
    runs: list[list[int]] = []
    previous = None
    for position, pair in enumerate(every):
        if pair not in chosen:
            continue
        if previous is not None and position == previous + 1:
            runs[-1].append(pair.shots)
        else:
            runs.append([pair.shots])
        previous = position
    texts = [f"{run[0]}" if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    return " and ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))


def _how_much(comparison: ComparisonScores, pair: PairedDifference) -> str:
    means = comparison.scores(pair.shots)[[pair.a, pair.b]].mean()
    return (
        f"With {pair.shots}, {pair.a} has a mean {comparison.metric} of "
        f"{number(means[pair.a])} and the best baseline, {pair.b}, "
        f"{number(means[pair.b])} (difference {number(pair.mean)}, 95 % interval "
        f"{number(pair.low)} to {number(pair.high)}, {pair.n_tasks} tasks)."
    )


def _harm(comparison: ComparisonScores, pair: PairedDifference) -> list[str]:
    harm = comparison.harm(pair.a, against=pair.b, shots=pair.shots)
    if not harm.n_worse:
        return []
    gain = comparison.sign * pair.differences
    better = int((gain > 0).sum())
    equal = harm.n_tasks - better - harm.n_worse
    ties = f", level on {equal}" if equal else ""
    worst = ", ".join(str(name) for name in harm.tasks.index[:3])
    how = "" if harm.n_worse == 1 else " on average"
    most = "" if harm.n_worse <= 3 else "most "
    text = (
        f"On {harm.n_worse} of {harm.n_tasks} tasks it is worse than {pair.b}, by "
        f"{number(harm.mean_loss)}{how} ({most}on {worst})"
    )
    text += f"{ties}, and better on {better}"
    if better:
        text += f", by {number(float(gain[gain > 0].mean()))} on average"
    if pair.better == pair.b or harm.share_lost < MUCH_HARM:
        return [text + "."]
    return [f"Mind the tasks that it harms. {text}."]
