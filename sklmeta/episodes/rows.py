"""Rows of many tasks, padded and masked, and the episodes made of them."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import Tensor


class Rows(NamedTuple):
    """Rows of ``n_tasks`` tasks, padded to the longest.

    Padding rows repeat nothing: they are zeros, have class 0 and mask 0, and a learner
    must give the same answer whatever stands in them.

    Parameters
    ----------
    X : Tensor of shape (n_tasks, n_rows, ...)
        Rows.

    y : Tensor of shape (n_tasks, n_rows)
        Class index (long), or target (float); of several targets, of shape
        (n_tasks, n_rows, n_targets).

    mask : Tensor of shape (n_tasks, n_rows)
        1 for a real row, 0 for padding. In supports that a learner with `takes_weights`
        adapts to it may be any weight above 0: how often the row counts.

    n_classes : int, default=0
        Width of the class dimension; 0 for regression.

    ways : Tensor of shape (n_tasks,), default=None
        Number of classes of each task, where classes are its own.

    Examples
    --------
    >>> import torch
    >>> from sklmeta.learners import Rows
    >>> mask = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])  # of 3 and 2 rows
    >>> rows = Rows(torch.zeros(2, 3, 4), torch.zeros(2, 3), mask)
    >>> rows.X.shape
    torch.Size([2, 3, 4])
    """

    X: Tensor
    y: Tensor
    mask: Tensor
    n_classes: int = 0
    ways: Tensor | None = None

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Rows:
        """Move to a device; floating tensors are cast.

        Parameters
        ----------
        device : str or torch.device
            Where to.

        dtype : torch.dtype
            Of `X` and `mask`, and of targets that are numbers.

        Returns
        -------
        Rows
        """
        y = self.y.to(device, dtype if self.n_classes == 0 else torch.long)
        ways = None if self.ways is None else self.ways.to(device)
        X = self.X.to(device, dtype)
        return Rows(X, y, self.mask.to(device, dtype), self.n_classes, ways)


class Episodes(NamedTuple):
    """One meta-batch: a support and a query set for each of ``n_tasks`` tasks.

    Parameters
    ----------
    support : Rows
        What the tasks are adapted with.

    query : Rows
        What they are judged on.

    Examples
    --------
    >>> import torch
    >>> from sklmeta.learners import Episodes, Rows
    >>> rows = Rows(torch.zeros(2, 3, 4), torch.zeros(2, 3), torch.ones(2, 3))
    >>> Episodes(support=rows, query=rows).query.y.shape
    torch.Size([2, 3])
    """

    support: Rows
    query: Rows


def split_episodes(episodes: Episodes, size: int) -> list[Episodes]:
    """Cut a meta-batch into parts of at most `size` tasks, as equal as they come."""
    n_tasks = len(episodes.query.X)
    n_parts = -(-n_tasks // size)
    bounds = [n_tasks * i // n_parts for i in range(n_parts + 1)]
    return [
        Episodes(*(of_tasks(rows, slice(start, stop)) for rows in episodes))
        for start, stop in itertools.pairwise(bounds)
    ]


def empty_some_supports(episodes: Episodes) -> Episodes:
    """Empty one support in sixteen, to train for a task of which nothing is known."""
    mask = episodes.support.mask
    kept = torch.arange(len(mask)) >= len(mask) // 16
    support = episodes.support._replace(mask=mask * kept.to(mask)[:, None])
    return episodes._replace(support=support)


def of_tasks(rows: Rows, tasks: slice | Tensor) -> Rows:
    return Rows._make(v[tasks] if isinstance(v, Tensor) else v for v in rows)


def is_unpadded(episodes: Episodes) -> bool:
    return all(bool((rows.mask > 0).all()) for rows in episodes)


def without_padding(episode: Episodes) -> Episodes:
    """Leave the padding rows of one task out."""
    parts = []
    for rows in episode:
        real = rows.mask[0] > 0
        parts.append(
            rows._replace(X=rows.X[:, real], y=rows.y[:, real], mask=rows.mask[:, real])
        )
    return Episodes(*parts)
