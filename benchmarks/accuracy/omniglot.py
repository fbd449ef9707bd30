"""Omniglot: what the papers report, what others reached, and what we reach.

    SKLMETA_DATA=... python -m benchmarks.accuracy.omniglot protonet [--fast]
    python -m benchmarks.accuracy.omniglot

Each name trains one model and keeps its figures in ``results/omniglot.json``; without
a name the table is written from what is kept. Training: the 964 background characters
and their three rotations, an episode from one rotation at a time. Evaluation: the 659
evaluation characters, unrotated, in random episodes over all alphabets, support and
query of other drawings. One thread; at most 30 CPU minutes of training in each row.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.shared.omniglot_rows import BUILDERS, NOTES, PUBLISHED
from benchmarks.shared.report import DOCS, keep, kept, write_report
from sklmeta.datasets import fetch_omniglot

N_QUERY = 10
N_EPISODES = {5: 600, 20: 200}


def draw_episodes(
    labels: NDArray[Any], n_way: int, shots: int, n: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of the support (n, n_way * shots) and of the query of `n` episodes."""
    rows_of = np.argsort(labels, kind="stable").reshape(-1, 20)  # 20 drawings of each
    support, query = [], []
    for _ in range(n):
        rows = rows_of[rng.choice(len(rows_of), n_way, replace=False)]
        rows = rng.permuted(rows, axis=1)
        support.append(rows[:, :shots].ravel())
        query.append(rows[:, shots : shots + N_QUERY].ravel())
    return np.array(support), np.array(query)


def evaluate(
    model: Any, X: NDArray[Any], y: NDArray[Any], n_way: int, shots: int, n: int
) -> tuple[float, float]:
    """Accuracy over `n` episodes and half its 95 % interval."""
    rng = np.random.default_rng(0)
    support, query = draw_episodes(y, n_way, shots, n, rng)
    scores = []
    for start in range(0, n, 50):
        s, q = support[start : start + 50], query[start : start + 50]
        names = np.arange(len(s))
        model.adapt(X[s.ravel()], y[s.ravel()], task=np.repeat(names, s.shape[1]))
        predicted = model.predict(X[q.ravel()], task=np.repeat(names, q.shape[1]))
        scores.append((predicted == y[q.ravel()]).reshape(q.shape).mean(1))
    accuracy = np.concatenate(scores)
    return float(accuracy.mean()), float(1.96 * accuracy.std() / np.sqrt(n))


def run(name: str, seed: int, max_iter: int | None) -> dict[str, Any]:
    """Train the row's model and judge it in its settings."""
    model, settings = BUILDERS[name](seed)
    if max_iter is not None:
        model.set_params(max_iter=max_iter)
    X, y, alphabet = fetch_omniglot(
        subset="background", rotations=True, return_X_y_task=True
    )
    angle = np.char.partition(alphabet, "@")[:, 2]
    start, cpu = time.perf_counter(), time.process_time()
    model.fit(X, y, task=np.where(angle == "", "0", angle))
    result: dict[str, Any] = {
        "cpu_minutes": (time.process_time() - cpu) / 60,
        "minutes": (time.perf_counter() - start) / 60,
        "max_iter": model.max_iter,
        "seed": seed,
        "model": " ".join(repr(model).split()),
    }
    X, y, _ = fetch_omniglot(subset="evaluation", return_X_y_task=True)
    for transductive in (False, True) if "transductive" in name else (False,):
        model.transductive = transductive
        for n_way, shots in settings:
            n = N_EPISODES[n_way] if max_iter is None else 20
            key = f"{n_way}-way {shots}-shot" + transductive * ", transductive"
            result[key] = evaluate(model, X, y, n_way, shots, n)
            print(name, key, result[key], flush=True)
    return result


def lines_of(figures: dict[str, Any]) -> list[str]:
    """Markdown: one row per method and setting; what was not run says so."""
    lines = [
        "Accuracy in % on random episodes of 5 (20) of the 659 evaluation characters,",
        f"600 (200) episodes, {N_QUERY} query drawings of each; ± is the 95 % interval",
        "over episodes. The split differs from the papers' (1,200 characters to train",
        "on): here 964, with their rotations. CPU minutes are those of `fit`. With 20",
        "classes the gradient-based learners wait for a GPU.",
        "",
        "| method | setting | paper | replications | ours | updates | CPU min | seed |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in PUBLISHED:
        own = figures.get(row.name, {})
        key = row.setting + row.transductive * ", transductive"
        ours, tail = "not run", ["", "", ""]
        if key in own:
            mean, half = own[key]
            ours = f"{100 * mean:.1f} ± {100 * half:.1f}"
            tail = [
                f"{own['max_iter']:,}",
                f"{own['cpu_minutes']:.0f}",
                f"{own['seed']}",
            ]
        cells = [row.method, key, row.paper, row.others, ours, *tail]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## Why a row misses", ""]
    lines += [f"- `{name}`: {text}" for name, text in NOTES.items() if name in figures]
    lines += ["", "## Settings", ""]
    lines += [f"- `{name}`: `{own['model']}`" for name, own in figures.items()]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(BUILDERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fast", action="store_true", help="20 updates, nothing kept")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.names:
        result = run(name, args.seed, 20 if args.fast else None)
        if not args.fast:
            keep("omniglot", name, result)
    if not args.fast:
        write_report(
            "omniglot",
            "Omniglot: the papers, others' replications, and ours. Conv4 at 28 x 28.",
            lines_of(kept("omniglot")),
            folder=DOCS,
            command="python -m benchmarks.accuracy.omniglot NAME",
        )


if __name__ == "__main__":
    main()
