"""Small ragged classification tasks for the tests of metric-based learners."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.learner import Learner

N_FEATURES, N_CLASSES = 3, 5


def make_rows(kind: str, sizes: list[list[int]], seed: int, padding: int = 0) -> Rows:
    """Draw tasks whose classes have the given numbers of rows."""
    generator = torch.Generator().manual_seed(seed)
    labels = [
        torch.cat([torch.full((n,), c, dtype=torch.long) for c, n in enumerate(task)])
        for task in sizes
    ]
    n_rows = max(len(y) for y in labels) + padding
    X = torch.zeros(len(sizes), n_rows, N_FEATURES, dtype=torch.float64)
    y = torch.zeros(len(sizes), n_rows, dtype=torch.long)
    mask = torch.zeros(len(sizes), n_rows, dtype=torch.float64)
    for t, task in enumerate(labels):
        n = len(task)
        X[t, :n] = torch.randn(n, N_FEATURES, generator=generator, dtype=X.dtype)
        X[t, :n] += task[:, None]
        y[t, :n], mask[t, :n] = task, 1
    if kind == "shared":
        return Rows(X, y, mask, N_CLASSES)
    ways = torch.tensor([len(task) for task in sizes])
    return Rows(X, y, mask, max(len(task) for task in sizes), ways)


def make_episodes(kind: str) -> Episodes:
    """Draw ragged episodes, with classes of one row and, if shared, of none."""
    support = [[3, 1, 2, 2], [1, 4], [1, 1, 1]]
    if kind == "shared":
        support = [[3, 0, 2, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 4, 0]]
    query = [[2] * len(task) for task in support]
    return Episodes(make_rows(kind, support, 1, 2), make_rows(kind, query, 2, 1))


def relative_error(actual: Tensor, expected: Tensor) -> float:
    scale = float(expected.detach().abs().max())
    return float((actual - expected).detach().abs().max()) / max(scale, 1e-300)


def check_against_loops(
    learner: Learner,
    episodes: Episodes,
    reference: Callable[..., Tensor],
    tolerance: float = 1e-10,
) -> None:
    """Compare losses and meta-gradient with ``reference(learner, *episodes, t)``."""
    n_tasks = len(episodes.query.X)
    expected = torch.stack([reference(learner, *episodes, t) for t in range(n_tasks)])
    actual = learner(episodes)
    assert relative_error(actual, expected) < 1e-10
    parameters = list(learner.parameters())
    weights = torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64)
    gradients = torch.autograd.grad((actual * weights).sum(), parameters)
    references = torch.autograd.grad((expected * weights).sum(), parameters)
    for gradient, slow in zip(gradients, references, strict=True):
        # A bias before a softmax has no gradient but rounding.
        bound = tolerance * float(slow.abs().max()) + 1e-13
        assert float((gradient - slow).abs().max()) < bound
