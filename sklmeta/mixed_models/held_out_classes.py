"""How well held-out classes are told apart by what the others taught."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from sklmeta.data.codes import IntArray, group_rows
from sklmeta.data.scaling import Scaling
from sklmeta.mixed_models.discriminants import (
    Array,
    Parts,
    Space,
    cells_of,
    find_space,
    of_equal_length,
)

N_FOLDS, MIN_TASKS = 3, 4
SHOTS = (1, 5)
MAX_WAYS, MAX_QUERY, MAX_GROUPS = 10, 10, 100
LOG_TEMPERATURES = (-3.0, 7.0)


class Choice(NamedTuple):
    """How to scale rows, and what to divide log likelihoods by."""

    standardize: bool
    normalize: bool
    temperature: float


def choose(
    X: NDArray,  # shape: (n_rows, *input)
    parts: Parts,
    log_prior: Array,  # shape: (n_classes,), or (1,) for classes of a task's own
    standardize: bool | str = "auto",
    normalize: bool | str = "auto",
) -> Choice:
    """Settle what "auto" leaves open by what tells held-out classes apart best."""
    either = [True, False]
    best, choice = (
        np.inf,
        Choice(
            True if standardize == "auto" else bool(standardize),
            False if normalize == "auto" else bool(normalize),
            1.0,
        ),
    )
    lengths = either if normalize == "auto" else [bool(normalize)]
    for scale in either if standardize == "auto" else [bool(standardize)]:
        Z = scaled_rows(X, Scaling.of(X, common=not scale))
        found = held_out(Z, parts, log_prior, scale, lengths)
        for length, (loss, temperature) in found.items():
            if loss < best:
                best, choice = loss, Choice(scale, length, temperature)
    return choice


def scaled_rows(X: NDArray, scaling: Scaling) -> Array:  # shape: (n_rows, n_features)
    """Scale rows, and flatten them."""
    Z = np.empty(X.shape)
    scaling.apply(X, out=Z)
    return Z.reshape(len(X), -1)


def held_out(
    X: Array,
    parts: Parts,
    log_prior: Array,  # shape: (n_classes,), or (1,) for classes of a task's own
    standardize: bool,
    normalize: Iterable[bool],
) -> dict[bool, tuple[float, float]]:
    """Log loss and best temperature for each way to normalise; {} without evidence."""
    found: dict[bool, list[tuple[Array, IntArray]]] = {}
    for held, taught in _folds(parts):
        space = find_space(X[~held], taught, standardize=standardize)
        for equal in normalize:
            one = of_equal_length(space, X[~held], taught) if equal else space
            found.setdefault(equal, []).extend(_judge(one, X, parts, held))
    return {equal: _loss(results, log_prior) for equal, results in found.items()}


def _folds(parts: Parts) -> Iterator[tuple[IntArray, Parts]]:
    """Rows to hold out, and what the others are of: whole tasks, or else classes."""
    tasks = parts.task.max() + 1
    if tasks < MIN_TASKS and (parts.n_priors > 1 or len(parts.task) < MIN_TASKS):
        return
    unit = parts.task if tasks >= MIN_TASKS else np.arange(len(parts.task))
    fold = np.random.default_rng(0).permutation(unit.max() + 1)[unit] % N_FOLDS
    for number in range(N_FOLDS):
        kept, held = fold != number, fold[parts.cell] == number
        # Every class needs its mean: without one there is nothing to expect.
        if len(np.unique(parts.prior[kept])) == parts.n_priors:
            cell = np.cumsum(kept)[parts.cell[~held]] - 1
            yield held, Parts(cell, parts.task[kept], parts.prior[kept])


def _judge(
    space: Space, X: Array, parts: Parts, held: IntArray
) -> Iterator[tuple[Array, IntArray]]:
    """Log likelihoods of the held-out rows' classes, and the true ones."""
    cell = parts.cell
    sizes = np.bincount(cell)
    held = held & (sizes[cell] > 1)
    if not held.any():
        return
    group, index, n_classes = _groups(parts, np.unique(cell[held]))
    rows = np.flatnonzero(held & (group[cell] < MAX_GROUPS))
    cell, Z = cell[rows], space.coordinates(X[rows])
    order = np.random.default_rng(0).permutation(len(rows))
    grouped, offsets = group_rows(cell[order], len(sizes))
    rank = np.empty(len(rows), dtype=np.intp)
    rank[order[grouped]] = np.arange(len(rows)) - offsets[cell[order[grouped]]]
    for shots in SHOTS:
        n_support = np.minimum(shots, sizes[cell] // 2)
        support = rank < n_support
        query = ~support & (rank < n_support + MAX_QUERY)
        codes, classes = group[cell], index[cell]
        n_groups = codes.max() + 1
        cells = cells_of(
            space, Z[support], codes[support], classes[support], n_groups, n_classes
        )
        values = np.full((query.sum(), n_classes), -np.inf)
        found = space.log_likelihood(Z[query], codes[query], cells)
        values[:, : found.shape[1]] = found
        yield values, classes[query]


def _groups(parts: Parts, cells: IntArray) -> tuple[IntArray, IntArray, int]:
    """Which classes are told apart: a group and a number within it for each."""
    group, index = np.zeros_like(parts.task), np.zeros_like(parts.task)
    task = np.unique(parts.task[cells], return_inverse=True)[1]
    if parts.n_priors > 1:
        group[cells], index[cells] = task, parts.prior[cells]
        return group, index, parts.n_priors
    order, offsets = group_rows(task, task.max() + 1)
    rank = np.arange(len(cells)) - offsets[task[order]]
    pairs = np.stack([task[order], rank // MAX_WAYS], axis=1)
    group[cells[order]] = np.unique(pairs, axis=0, return_inverse=True)[1].ravel()
    index[cells[order]] = rank % MAX_WAYS
    return group, index, MAX_WAYS


def _loss(
    results: list[tuple[Array, IntArray]], log_prior: Array
) -> tuple[float, float]:
    values, target = (np.concatenate(part) for part in zip(*results, strict=True))
    true = values[np.arange(len(target)), target]
    values = values - true[:, None]
    offset = log_prior - log_prior[target, None] if len(log_prior) > 1 else 0.0

    def loss(log_temperature: float) -> float:
        return float(
            logsumexp(values * np.exp(-log_temperature) + offset, axis=1).mean()
        )

    best = minimize_scalar(loss, bounds=LOG_TEMPERATURES, method="bounded")
    return float(best.fun), float(np.exp(best.x))
