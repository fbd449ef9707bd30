"""Minibatches of every task's support, drawn for all tasks at once."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import torch
from torch import Tensor

from sklmeta.episodes.rows import Rows

FIXED_SEED = 0
"""Of the order in which adaptation takes the rows: the same for every task."""


def minibatches(
    support: Rows,
    n_steps: int,
    batch_size: int,
    generator: torch.Generator | None = None,
) -> list[Rows]:
    """Draw the rows of each step.

    A task goes through its rows in random order, and once more in another order when
    they are used up, so that every minibatch is full. One with `batch_size` rows or
    fewer takes all of them at every step.

    Parameters
    ----------
    support : Rows
    n_steps : int
        Number of minibatches.

    batch_size : int
        Rows of a minibatch.

    generator : torch.Generator, default=None
        On the CPU. None draws orders that depend on the number of a task's rows
        alone, whatever other tasks are beside it.

    Returns
    -------
    list of Rows
        Of at most `batch_size` rows each.
    """
    n_tasks, width = support.mask.shape
    if width <= batch_size:
        return [support] * n_steps
    n_rows = (support.mask > 0).sum(1)[:, None]  # (n_tasks, 1)
    n_passes = _n_passes(n_rows, n_steps, batch_size)
    keys = _keys(n_tasks, n_passes, width, generator).to(support.X.device)
    # Padding comes last in every order.
    order = keys.masked_fill((support.mask == 0)[:, None], 2.0).argsort(-1)
    position = torch.arange(n_steps * batch_size, device=support.X.device)
    whole = n_rows <= batch_size
    within = torch.where(whole, position % batch_size, position % n_rows.clamp(min=1))
    which = torch.where(whole, 0, position // n_rows.clamp(min=1))
    rows = order.flatten(1).gather(1, which * width + within)
    real = ~whole | (within < n_rows)

    def by_step(values: Tensor) -> Tensor:  # shape: (n_steps, n_tasks, batch_size)
        return values.unflatten(1, (n_steps, batch_size)).transpose(0, 1).contiguous()

    tasks = torch.arange(n_tasks, device=rows.device)[:, None]
    at = by_step(rows)
    X, y = support.X[tasks, at], support.y[tasks, at]
    mask = by_step(real.to(support.mask.dtype)) * support.mask[tasks, at]
    return [support._replace(X=X[k], y=y[k], mask=mask[k]) for k in range(n_steps)]


def _n_passes(n_rows: Tensor, n_steps: int, batch_size: int) -> int:
    fewest = batch_size + 1
    if n_rows.device.type == "cpu":  # elsewhere the host would have to wait for it
        longer = n_rows[n_rows > batch_size]
        fewest = int(longer.min()) if len(longer) else n_steps * batch_size
    return max(1, -(-n_steps * batch_size // fewest))


def _keys(
    n_tasks: int, n_passes: int, width: int, generator: torch.Generator | None
) -> Tensor:  # shape: (n_tasks, n_passes, width)
    if generator is not None:
        return torch.rand(n_tasks, n_passes, width, generator=generator)
    own = torch.Generator()
    passes = []
    for i in range(n_passes):
        # So a longer task beside it changes nothing: the first numbers stay the same.
        own.manual_seed(FIXED_SEED + i)
        passes.append(torch.rand(width, generator=own))
    return torch.stack(passes).expand(n_tasks, -1, -1)
