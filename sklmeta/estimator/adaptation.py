"""Adapting to many tasks and predicting with each task's model, in padded chunks.

Functions of a learner, what `fit` left, what `adapt` left, and rows. Tasks of similar
size share a chunk.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklmeta.data.codes import IntArray, group_rows
from sklmeta.data.kinds import TaskKind
from sklmeta.data.own_classes import own_classes
from sklmeta.data.rows import RowTable, row_table, with_zero_row
from sklmeta.data.table import Table
from sklmeta.episodes.draw import PADDING, draw_distinct, padded_positions, take_padded
from sklmeta.episodes.gather import gather
from sklmeta.episodes.rows import Rows
from sklmeta.estimator.state import Chunk, Fitted, SupportRows, TaskModels
from sklmeta.learners.encoders import batch_statistics, normalisations
from sklmeta.learners.learner import Learner, State
from sklmeta.learners.losses import mask_absent_classes
from sklmeta.learners.shapes import check_outputs, check_state
from sklmeta.learners.torch_state import to_numpy, to_torch, torch_dtype

TASKS_PER_CHUNK = 128
ROWS_PER_CHUNK = 2**14
QUERY_BLOCK = 256
"""A task's query rows go through in blocks, so that one long task pads no other."""

LONE_BLOCK = 2**12
"""The same where there is one task, whose state each further block would repeat."""

STATE_BUDGET = 2**28
"""Bytes of adapted states to keep; past it each chunk keeps states or rows."""

MAX_ZERO_SHOT_ROWS = 1000
"""Rows that stand for a task of which nothing is known, where there is no prior."""


def _chunks(sizes: IntArray, *, padded: bool = True) -> Iterator[IntArray]:
    """Groups of tasks of similar size, bounded in tasks and in padded rows.

    Without padding the tasks of a group have exactly the same size.
    """
    by_size = np.argsort(sizes, kind="stable")
    ranked = sizes[by_size]
    end = len(by_size)
    while end:
        longest = int(ranked[end - 1])
        n_tasks = min(TASKS_PER_CHUNK, max(1, ROWS_PER_CHUNK // max(longest, 1)))
        start = max(0, end - n_tasks)
        if not padded:
            start = max(start, int(np.searchsorted(ranked, longest)))
        yield by_size[start:end]
        end = start


def adapt_to(
    learner: Learner, fitted: Fitted, table: Table, device: str
) -> tuple[TaskModels, int]:
    """Adapt to every task of the table.

    A chunk keeps its states or the support rows, from which prediction adapts again:
    whichever is smaller, once the states kept exceed a budget.

    Returns
    -------
    models : TaskModels
    n_guarded : int
        Steps of adaptation that had to be shortened or dropped.
    """
    X, y = _tensors(fitted, table, device)
    weight = None
    if table.weight is not None:
        weight = with_zero_row(table.weight, device, torch_dtype(fitted.dtype))
    order, offsets = group_rows(table.codes, table.n_tasks)
    sizes = np.diff(offsets)
    chunks: list[Chunk] = []
    n_guarded = kept_bytes = 0
    for tasks in _chunks(sizes, padded=not learner.adapt_mixes_rows):
        index = padded_positions(offsets[tasks], sizes[tasks], int(sizes[tasks].max()))
        ways = None if table.own is None else table.own.ways[tasks]
        n_classes = fitted.n_classes if ways is None else int(ways.max())
        index = take_padded(order, index)
        support = gather(index, X, y, n_classes=n_classes, ways=ways)
        if weight is not None:
            support = support._replace(mask=support.mask * weight[index])
        state = adapt(learner, support)
        n_guarded += int(state.pop("n_guarded", np.zeros(1)).sum())
        rows = {"X": support.X, "y": support.y, "mask": support.mask}
        state_bytes = sum(array.nbytes for array in state.values())
        row_bytes = sum(tensor.nbytes for tensor in rows.values())
        if kept_bytes + state_bytes <= STATE_BUDGET or state_bytes <= row_bytes:
            kept_bytes += state_bytes
            chunks.append(Chunk(tasks, ways, state, None))
        else:
            kept = SupportRows(**to_numpy(rows), n_classes=n_classes)
            chunks.append(Chunk(tasks, ways, None, kept))
    return TaskModels(chunks, table.own), n_guarded


def leave_one_out(
    learner: Learner, fitted: Fitted, table: Table, models: TaskModels, device: str
) -> NDArray | None:  # shape: (n_samples, n_outputs)
    """Predict every support row from its task's others, where the learner knows how.

    `models` are what the learner adapted to the table.
    """
    X, y = _tensors(fitted, table, device)
    order, offsets = group_rows(table.codes, table.n_tasks)
    sizes = np.diff(offsets)
    outputs: NDArray | None = None
    for chunk, state in states_of(learner, models, device):
        tasks, ways = chunk.tasks, chunk.ways
        n_classes = fitted.n_classes if ways is None else int(ways.max())
        index = padded_positions(offsets[tasks], sizes[tasks], int(sizes[tasks].max()))
        index = take_padded(order, index)
        support = gather(index, X, y, n_classes=n_classes, ways=ways)
        with torch.no_grad():
            values = learner.leave_one_out(state, support)
        if values is None:
            return None
        if outputs is None:
            width = values.shape[-1]
            if models.own is not None:
                width = int(models.own.ways.max())
            outputs = np.full((len(table.y), width), -np.inf)
        real = index >= 0
        outputs[index[real], : values.shape[-1]] = values.cpu().numpy()[real]
    return outputs


def _tensors(fitted: Fitted, table: Table, device: str) -> tuple[RowTable, Tensor]:
    dtype = torch_dtype(fitted.dtype)
    X = row_table(table.X, device, dtype, fitted.x_scaling, read_once=True)
    if table.class_index is None:
        return X, with_zero_row(table.y, device, dtype, fitted.y_scaling)
    return X, with_zero_row(table.class_index, device)


def adapt_to_nothing(
    learner: Learner,
    fitted: Fitted,
    table: Table,
    device: str,
    rng: np.random.Generator,
) -> tuple[TaskModels | None, int]:
    """Return what predicts for a task of which nothing is known, if anything does.

    It is the one table that `fit` saw; or the learner's prior, where it has one; or an
    adaptation to rows of all tasks.
    """
    if table.one_table:
        return adapt_to(learner, fitted, _numbered(table), device)
    if table.kind == TaskKind.OWN:
        return None, 0
    prior = learner.prior_state()
    if prior is None:
        some = table.part(zero_shot_rows(table.codes, rng)).as_one_task()
        return adapt_to(learner, fitted, some, device)
    first = np.zeros(1, dtype=np.intp)
    return TaskModels([Chunk(first, None, to_numpy(prior), None)], None), 0


def _numbered(table: Table) -> Table:
    """Number the classes within the table, where they are its own."""
    if table.kind != TaskKind.OWN:
        return table
    index, own = own_classes(table.y, table.codes, table.n_tasks)
    return table._replace(class_index=index, own=own)


def zero_shot_rows(codes: IntArray, rng: np.random.Generator) -> IntArray:
    """At most 1,000 rows, drawn evenly over the tasks."""
    n_tasks = int(codes.max()) + 1
    order, offsets = group_rows(codes, n_tasks)
    tasks = rng.permutation(n_tasks)[:MAX_ZERO_SHOT_ROWS]
    each = max(1, MAX_ZERO_SHOT_ROWS // len(tasks))
    drawn = draw_distinct(np.diff(offsets)[tasks], each, rng)
    positions = (drawn + offsets[tasks][:, None])[drawn != PADDING]
    return np.sort(order[positions])


def adapt(learner: Learner, support: Rows) -> dict[str, NDArray]:
    """Adapt a learner in evaluation mode and return the states as arrays."""
    with torch.no_grad():
        state = learner.adapt(support)
    check_state(learner, state, len(support.X))
    return to_numpy(state)


def outputs_of(
    learner: Learner,
    fitted: Fitted,
    models: TaskModels,
    X: NDArray,  # shape: (n_samples, *input)
    codes: IntArray,  # shape: (n_samples,)
    device: str,
    *,
    transductive: bool = False,
) -> NDArray:  # shape: (n_samples, n_outputs)
    """Predict every row with its own task's model.

    A row of a task with fewer classes than the widest has minus infinity in the
    columns that its task lacks.
    """
    dtype = torch_dtype(fitted.dtype)
    rows = row_table(X, device, dtype, fitted.x_scaling, read_once=True)
    layers = normalisations(learner) if transductive else {}
    with batch_statistics(layers.values()):
        return _predict_tasks(learner, models.chunks, rows, codes, transductive)


def _predict_tasks(
    learner: Learner,
    chunks: list[Chunk],
    X: RowTable,  # shape: (n_samples + 1, *input); the last row is zero
    codes: IntArray,  # shape: (n_samples,)
    transductive: bool,
) -> NDArray:  # shape: (n_samples, n_outputs)
    n_tasks = 1 + max(int(chunk.tasks.max()) for chunk in chunks)
    alone = transductive or learner.mixes_rows
    order, offsets = group_rows(codes, n_tasks)
    sizes = np.diff(offsets)
    outputs: NDArray | None = None
    for chunk in chunks:
        present = np.flatnonzero(sizes[chunk.tasks])
        if not len(present):
            continue
        state = _state_of(learner, chunk, str(X.device))
        for members, index in _blocks(chunk, present, order, offsets, alone):
            values = _predict_block(learner, state, chunk.ways, members, X[index])
            if outputs is None:
                width = values.shape[-1]
                if chunk.ways is not None:
                    every = (other.ways for other in chunks if other.ways is not None)
                    width = max(int(ways.max()) for ways in every)
                outputs = np.full((len(codes), width), -np.inf, dtype=values.dtype)
            real = index >= 0
            outputs[index[real], : values.shape[-1]] = values[real]
    assert outputs is not None, "there is at least one row to predict"
    return outputs


def states_of(
    learner: Learner, models: TaskModels, device: str
) -> Iterator[tuple[Chunk, State]]:
    """Yield each chunk of tasks with the learner's state of it."""
    for chunk in models.chunks:
        yield chunk, _state_of(learner, chunk, device)


def _blocks(
    chunk: Chunk,
    present: IntArray,
    order: IntArray,
    offsets: IntArray,
    alone: bool,
) -> Iterator[tuple[IntArray, IntArray]]:
    """Cut the query rows of a chunk's tasks into padded blocks.

    Yields the tasks, as positions in the chunk, and their rows. With `alone` a task's
    rows stay together and no other's are beside them: they look at one another.
    """
    tasks = chunk.tasks[present]
    starts, sizes = offsets[tasks], offsets[tasks + 1] - offsets[tasks]
    if alone:
        for member, start, size in zip(present, starts, sizes, strict=True):
            yield np.array([member]), order[None, start : start + size]
        return
    block = LONE_BLOCK if len(tasks) == 1 else QUERY_BLOCK
    n_blocks = -(-sizes // block)
    member = np.repeat(np.arange(len(tasks)), n_blocks)
    first = np.cumsum(n_blocks) - n_blocks
    shift = (np.arange(len(member)) - first[member]) * block
    block_sizes = np.minimum(sizes[member] - shift, block)
    block_starts = starts[member] + shift
    for some in _chunks(block_sizes):
        index = padded_positions(
            block_starts[some], block_sizes[some], int(block_sizes[some].max())
        )
        yield present[member[some]], take_padded(order, index)


def _state_of(learner: Learner, chunk: Chunk, device: str) -> State:
    if chunk.state is not None:
        return to_torch(chunk.state, device)
    assert chunk.support is not None, "a chunk has one or the other"
    tensors = chunk.support._asdict()
    n_classes = tensors.pop("n_classes")
    ways = None if chunk.ways is None else torch.tensor(chunk.ways, device=device)
    with torch.no_grad():
        rows = Rows(**to_torch(tensors, device), n_classes=n_classes, ways=ways)
        return learner.adapt(rows)


def _predict_block(
    learner: Learner,
    state: dict[str, Tensor],
    ways: IntArray | None,
    members: IntArray,
    X: Tensor,
) -> NDArray:
    n_tasks = len(next(iter(state.values())))
    if not np.array_equal(members, np.arange(n_tasks)):
        index = torch.from_numpy(members).to(X.device)
        state = {name: value[index] for name, value in state.items()}
    with torch.no_grad():
        output = learner.predict(state, X)
        n_classes = learner.spec.n_classes if ways is None else int(ways.max())
        check_outputs(learner, output, X, n_classes)
        if ways is not None:
            output = mask_absent_classes(
                output, torch.from_numpy(ways[members]).to(X.device)
            )
    return output.cpu().numpy()
