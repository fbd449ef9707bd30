"""Small ragged tasks, learners away from their start, and the loops to compare with."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sklmeta.episodes.rows import Episodes, Rows, of_tasks, without_padding
from sklmeta.learners.learner import Learner
from sklmeta.testing import random_rows

KINDS = ("regression", "shared", "own")
N_FEATURES, N_CLASSES, WAYS = 3, 5, (2, 4, 3, 2)


def away_from_start(build: Callable[[], Learner], spread: float = 0.3) -> Learner:
    """Build a learner in float64 none of whose parameters is where it starts."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        learner = build().double()
        with torch.no_grad():
            for parameter in learner.parameters():
                parameter.add_(spread * torch.randn_like(parameter))
    return learner


def ragged_episodes(kind: str) -> Episodes:
    """Draw four tasks; unless classes are their own, one of them has no support."""
    own = kind == "own"
    ways, n_classes = (WAYS, max(WAYS)) if own else (None, N_CLASSES)
    sizes = (3, 7, 4, 5) if own else (3, 7, 0, 5)
    return Episodes(
        *(
            random_rows(kind, n, n_classes=n_classes, ways=ways, random_state=seed)
            for seed, n in enumerate((sizes, (5, 1, 3, 5)))
        )
    )


def rows_of_classes(
    kind: str, sizes: Sequence[Sequence[int]], seed: int, padding: int = 0
) -> Rows:
    """Draw tasks whose classes have the given numbers of rows, around their number."""
    generator = torch.Generator().manual_seed(seed)
    labels = [torch.arange(len(n)).repeat_interleave(torch.tensor(n)) for n in sizes]
    n_rows = max(map(len, labels)) + padding
    X = torch.zeros(len(sizes), n_rows, N_FEATURES, dtype=torch.float64)
    y, mask = torch.zeros(X.shape[:2], dtype=torch.long), torch.zeros(X.shape[:2])
    for t, task in enumerate(labels):
        n = len(task)
        X[t, :n] = torch.randn(n, N_FEATURES, generator=generator, dtype=X.dtype)
        X[t, :n] += task[:, None]
        y[t, :n], mask[t, :n] = task, 1
    if kind == "shared":
        return Rows(X, y, mask.double(), N_CLASSES)
    ways = torch.tensor([len(task) for task in sizes])
    return Rows(X, y, mask.double(), int(ways.max()), ways)


def episodes_of_classes(kind: str) -> Episodes:
    """Draw ragged episodes; with shared classes one has no support, one but a class."""
    support = [[3, 1, 2, 2], [1, 4], [1, 1, 1]]
    if kind == "shared":
        support = [[3, 0, 2, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 4, 0]]
    query = [[2] + [1] * (len(task) - 1) for task in support]
    parts = (support, 1, 2), (query, 2, 1)
    return Episodes(*(rows_of_classes(kind, *part) for part in parts))


def one_task(rows: Rows, t: int) -> Rows:
    """One task, without its padding."""
    alone = of_tasks(rows, slice(t, t + 1))
    return without_padding(Episodes(alone, alone)).support


def relative_error(actual: Tensor, expected: Tensor) -> float:
    scale = float(expected.detach().abs().max())
    return float((actual - expected).detach().abs().max()) / max(scale, 1e-300)


def check_against_loops(
    learner: Learner,
    episodes: Episodes,
    reference: Callable[[Learner, Rows, Rows], Tensor],
    tolerance: float = 1e-10,
    rounding: float = 1e-13,
) -> None:
    """Compare losses and meta-gradient with those of ``reference``, task by task.

    It is shown one task at a time, without padding. A bias before a softmax has no
    gradient but `rounding`.
    """
    n_tasks = len(episodes.query.X)
    expected = torch.stack(
        [
            reference(learner, *(one_task(rows, t) for rows in episodes))
            for t in range(n_tasks)
        ]
    )
    actual = learner(episodes)
    assert relative_error(actual, expected) < 1e-10
    weights = torch.linspace(0.5, 2.0, n_tasks, dtype=torch.float64)
    gradients, references = (
        torch.autograd.grad(
            (losses * weights).sum(), list(learner.parameters()), materialize_grads=True
        )
        for losses in (actual, expected)
    )
    for gradient, slow in zip(gradients, references, strict=True):
        bound = tolerance * float(slow.abs().max()) + rounding
        assert float((gradient - slow).abs().max()) <= bound
