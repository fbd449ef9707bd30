"""Small ragged tasks for the tests of neural processes."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import torch

from sklmeta.episodes.rows import Episodes, Rows

KINDS = ["regression", "shared", "own"]
N_INPUTS, N_CLASSES = 3, 4
SIZES = (2, 7, 1, 5)


def make_rows(kind: str, sizes: tuple[int, ...], n_rows: int, seed: int = 0) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    shape = (len(sizes), n_rows)
    X = torch.randn(*shape, N_INPUTS, generator=generator, dtype=torch.float64)
    mask = (torch.arange(n_rows) < torch.tensor(sizes)[:, None]).double()
    X = X * mask[..., None]
    if kind == "regression":
        y = torch.randn(*shape, generator=generator, dtype=torch.float64) * mask
        return Rows(X, y, mask)
    y = torch.randint(N_CLASSES, shape, generator=generator) * mask.long()
    if kind == "shared":
        return Rows(X, y, mask, N_CLASSES)
    ways = torch.tensor([2, 4, 3, 2])[: len(sizes)]
    return Rows(X, y % ways[:, None], mask, N_CLASSES, ways)


def make_episodes(kind: str, sizes: tuple[int, ...] = SIZES) -> Episodes:
    query = make_rows(kind, (5, 1, 3, 5), 5, seed=1)
    return Episodes(make_rows(kind, sizes, 7), query)


def take(rows: Rows, task: int) -> Rows:
    """One task, without its padding."""
    real = rows.mask[task] > 0
    ways = None if rows.ways is None else rows.ways[task : task + 1]
    X, y, mask = (value[task, real][None] for value in rows[:3])
    return Rows(X, y, mask, rows.n_classes, ways)
