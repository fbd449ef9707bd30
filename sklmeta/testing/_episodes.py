"""Small ragged episodes to hold a learner's answers against."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence

import torch

from sklmeta.episodes.rows import Episodes, Rows

N_CLASSES = 3
WAYS = (3, 2, 3)


def random_rows(
    kind: str,
    sizes: Sequence[int],
    *,
    n_rows: int | None = None,
    input_shape: tuple[int, ...] = (3,),
    n_classes: int = N_CLASSES,
    ways: Sequence[int] | None = None,
    n_targets: int = 1,
    random_state: int = 0,
) -> Rows:
    """Draw rows of tasks of unequal size, padded with zeros to the longest.

    Parameters
    ----------
    kind : {"regression", "shared", "own"}
        What the targets are: numbers, classes that all tasks share, or classes of a
        task's own.

    sizes : sequence of int
        Rows of each task.

    n_rows : int, default=None
        Rows of a task with its padding. None is the longest task.

    input_shape : tuple of int, default=(3,)
        Shape of one row.

    n_classes : int, default=3
        Width of the class dimension; of no meaning in regression.

    ways : sequence of int, default=None
        Classes of each task, with ``kind="own"``. None is `n_classes` in all.

    n_targets : int, default=1
        Targets of every row, in regression.

    random_state : int, default=0
        Seed of the draw.

    Returns
    -------
    Rows
        In float64. A task's rows take its classes in turn, so that a task with fewer
        rows than classes lacks the last ones.

    Examples
    --------
    >>> from sklmeta.testing import random_rows
    >>> rows = random_rows("shared", (2, 4))
    >>> rows.y
    tensor([[0, 1, 0, 0],
            [0, 1, 2, 0]])
    >>> rows.mask.sum(1)
    tensor([2., 4.], dtype=torch.float64)
    """
    generator = torch.Generator().manual_seed(random_state)
    shape = len(sizes), max(sizes) if n_rows is None else n_rows
    mask = (torch.arange(shape[1]) < torch.tensor(sizes)[:, None]).double()
    X = torch.randn(*shape, *input_shape, generator=generator, dtype=torch.float64)
    X = X * mask.view(*shape, *(1 for _ in input_shape))
    if kind == "regression":
        several = (n_targets,) if n_targets > 1 else ()
        y = torch.randn(*shape, *several, generator=generator, dtype=torch.float64)
        return Rows(X, y * mask.view(*shape, *(1 for _ in several)), mask)
    own = None
    if kind == "own":
        own = (
            torch.full((len(sizes),), n_classes) if ways is None else torch.tensor(ways)
        )
    turns = torch.arange(shape[1]) % (n_classes if own is None else own[:, None])
    return Rows(X, turns.expand(shape) * mask.long(), mask, n_classes, own)


def random_episodes(
    kind: str, *, input_shape: tuple[int, ...] = (3,), random_state: int = 0
) -> Episodes:
    """Draw a support and a query of three ragged tasks.

    Where classes are a task's own the tasks have three, two and three of them. With
    shared classes, and in regression, the first support has two rows, so that it lacks
    the last of three classes.

    Parameters
    ----------
    kind : {"regression", "shared", "own"}
        What the targets are: numbers, classes that all tasks share, or classes of a
        task's own.

    input_shape : tuple of int, default=(3,)
        Shape of one row.

    random_state : int, default=0
        Seed of the draw.

    Returns
    -------
    Episodes
        In float64.

    Examples
    --------
    >>> from sklmeta.testing import random_episodes
    >>> support, query = random_episodes("regression")
    >>> support.X.shape, query.X.shape
    (torch.Size([3, 6, 3]), torch.Size([3, 5, 3]))
    """
    sizes = (4, 6, 5) if kind == "own" else (2, 6, 5)
    support, query = (
        random_rows(
            kind,
            rows,
            input_shape=input_shape,
            ways=WAYS if kind == "own" else None,
            random_state=2 * random_state + part,
        )
        for part, rows in enumerate((sizes, (5, 3, 4)))
    )
    return Episodes(support, query)
