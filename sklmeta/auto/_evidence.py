"""What members predict for training tasks that they have not seen."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import sklearn
from sklearn.base import clone

from sklmeta._compat import _safe_indexing
from sklmeta.auto._stacking import Evidence
from sklmeta.auto._support_losses import adapted_response, support_losses
from sklmeta.data.codes import IntArray
from sklmeta.data.kinds import TaskKind
from sklmeta.data.validation import Table
from sklmeta.episodes.sampler import split_support_query

MOST_QUERY_ROWS = 50
"""Rows of a task and draw that stacking looks at: more would tell little more."""


class Protocol(NamedTuple):
    """How supports are drawn."""

    shots: Sequence[int]
    n_draws: int
    support: Any


def fit_members(members: Sequence[Any], table: Table) -> list[Any]:
    with sklearn.config_context(enable_metadata_routing=True):
        return [clone(m).fit(table.X, table.y, task=table.codes) for m in members]


def fold_evidence(
    members: Sequence[Any],
    table: Table,
    fold: tuple[IntArray, IntArray],
    protocol: Protocol,
    seed: int,
) -> list[Evidence]:
    """Fit members to one part of the tasks and let them predict the others."""
    train, test = fold
    own = table.part(train)
    fitted = fit_members(members, own)
    # A class that no task of this part has cannot be adapted to.
    known = np.ones(len(test), dtype=bool)
    if table.kind == TaskKind.SHARED:
        strange = ~np.isin(table.y[test], own.y)
        known = ~np.isin(table.codes[test], table.codes[test][strange])
    rows = test[known]
    if not len(rows):
        return []
    held = table.part(rows)
    rng = np.random.default_rng(seed)
    parts = []
    for k in protocol.shots:
        # Without a row, or with the first ones, every draw is the same.
        is_random = k > 0 and protocol.support == "random"
        for _ in range(protocol.n_draws if is_random else 1):
            part = _one_draw(fitted, held, k, protocol, rng)
            if part is not None:
                parts.append(part)
    return parts


def _one_draw(
    members: Sequence[Any],
    table: Table,
    k: int,
    protocol: Protocol,
    rng: np.random.Generator,
) -> Evidence | None:
    support, query = split_support_query(
        table.y,
        table.codes,
        k,
        support=protocol.support,
        kind=table.kind,
        random_state=int(rng.integers(2**31)),
    )
    sizes = np.bincount(table.codes)
    query = query[sizes[table.codes[query]] > k]
    query = _at_most(query, table.codes, MOST_QUERY_ROWS, rng)
    if not len(query):
        return None
    tasks, case = np.unique(table.codes[query], return_inverse=True)
    support = support[np.isin(table.codes[support], tasks)]
    # Members may know shared classes that none of these tasks has.
    classes = table.classes
    if table.kind == TaskKind.OWN:
        classes = np.unique(table.y)
    rows = None
    losses = np.full((len(tasks), len(members)), np.nan)
    if k:
        codes = np.searchsorted(tasks, table.codes[support])
        part = table.part(support)._replace(codes=codes, labels=tasks, classes=classes)
        rows = part.X, part.y, codes
        losses = support_losses(list(members), part)
    X, y = _safe_indexing(table.X, query), table.y[query]
    columns = []
    for member in members:
        values = adapted_response(member, rows, X, case, classes)
        if classes is not None:
            values = values[np.arange(len(y)), np.searchsorted(classes, y)]
        columns.append(values)
    target = np.ones(len(y)) if classes is not None else y.astype(np.float64)
    shots = np.full(len(tasks), k)
    return Evidence(np.stack(columns, axis=1), target, case, shots, losses)


def _at_most(
    rows: IntArray, codes: IntArray, most: int, rng: np.random.Generator
) -> IntArray:
    """Keep `most` random rows of each task."""
    rows = rng.permutation(rows)
    order = np.argsort(codes[rows], kind="stable")
    ranked = codes[rows][order]
    first = np.searchsorted(ranked, ranked)
    kept = np.arange(len(rows)) - first < most
    return np.sort(rows[order][kept])


def joined(parts: Sequence[Evidence]) -> Evidence:
    """Number the cases of all parts through."""
    sizes = [len(part.shots) for part in parts]
    starts = np.cumsum(sizes) - sizes
    cases = [part.case + start for part, start in zip(parts, starts, strict=True)]
    return Evidence(
        np.concatenate([part.predictions for part in parts]),
        np.concatenate([part.y for part in parts]),
        np.concatenate(cases),
        np.concatenate([part.shots for part in parts]),
        np.concatenate([part.losses for part in parts]),
    )
