"""``sklmeta predict --in-pieces``: of many tasks, as many at a time as memory holds."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import sklearn
from numpy.typing import NDArray

from sklmeta.cli._arguments import reading_of, require, say
from sklmeta.cli._files import DataError, File, from_types
from sklmeta.cli._pieces import (
    is_parquet,
    names_of,
    parquet_of,
    whole_tasks,
    with_columns,
    write_pieces,
)
from sklmeta.cli._predictions import check_new, predicted
from sklmeta.cli._rounding import rounded
from sklmeta.cli._schema import Reading, columns_of, features_of, held_to, known
from sklmeta.cli._table import check_columns, read_target
from sklmeta.evaluation.containers import adapted


def predict_in_pieces(
    model: Any, meta: dict[str, Any], arguments: argparse.Namespace
) -> None:
    """Adapt to the labelled rows of each task, predict its others, and write these."""
    require("pyarrow", "Parquet in pieces needs pyarrow")
    path, out = arguments.data, arguments.out
    if not (is_parquet(path) and is_parquet(out)) or arguments.support is not None:
        raise DataError(
            "--in-pieces reads one Parquet file, where labelled rows stand beside "
            "those to predict, which have no target, and writes another: give both, "
            "DATA.parquet and --out FILE.parquet, and no --support."
        )
    if arguments.rows < 1:
        raise DataError(f"--rows is 1 or more; got {arguments.rows}.")
    if "schema" not in meta:
        raise DataError(f"{arguments.model} is too old for --in-pieces: fit it anew.")
    names = parquet_of(path).schema_arrow.names
    there = pd.DataFrame(columns=names)
    check_columns(there, [*meta["features"], meta["target"], meta["task"]], path)
    n_rows = write_pieces(_pieces(model, meta, arguments), out)
    say(f"{n_rows:,} predictions: {out}")


def _pieces(
    model: Any, meta: dict[str, Any], arguments: argparse.Namespace
) -> Iterator[Any]:
    reading, told = reading_of(arguments, meta["schema"]["na"]), set[str]()
    for first, table in whole_tasks(arguments.data, meta["task"], arguments.rows):
        piece, notes = _read(table, arguments.data, first, model, meta, reading)
        for note in {*notes} - told:
            say(note)
        told |= {*notes}
        asked = (piece.y.isna() & piece.task.notna()).to_numpy()
        if not asked.any():
            continue
        found = _found(piece, asked, model, meta, arguments)
        found = {arguments.prefix + name: values for name, values in found.items()}
        check_new(found, table.column_names, arguments.data)
        yield with_columns(table.filter(asked), found)


class Piece(NamedTuple):
    """Rows of whole tasks; the target of those to predict is missing."""

    X: pd.DataFrame
    y: pd.Series[Any]
    task: pd.Series[Any]


def _found(
    piece: Piece,
    asked: NDArray[np.bool_],
    model: Any,
    meta: dict[str, Any],
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """Predictions of the rows asked about; zero-shot where a task has no label."""
    X, y, task = piece
    # Only tasks that are asked about, so that nothing is adapted in vain.
    labelled = y.notna() & task.isin(task[asked].unique()) & task.notna()
    adapts = asked & task.isin(task[labelled].unique()).to_numpy()
    ways: list[tuple[Any, Any, Any]] = []
    if adapts.any():
        support = np.asarray(list(y[labelled])), task[labelled].to_numpy()
        with sklearn.config_context(enable_metadata_routing=True):
            one = adapted(model, X[labelled], *support)
        ways.append((one, adapts, task[adapts].to_numpy()))
    if (asked & ~adapts).any():
        ways.append((model, asked & ~adapts, None))
    found = []
    for one, rows, names in ways:
        part = predicted(one, X[rows], names, meta, arguments.coverage)
        # What a piece knows must not decide how its numbers look beside the others'.
        if arguments.digits is not None:
            part = rounded(part, one, X[rows], names, arguments.digits)
        found.append(pd.DataFrame(part, index=np.flatnonzero(rows)))
    frame = pd.concat(found).sort_index()
    return {str(name): values.to_numpy() for name, values in frame.items()}


def _read(
    table: Any,
    path: str,
    first: int,
    model: Any,
    meta: dict[str, Any],
    reading: Reading,
) -> tuple[Piece, list[str]]:
    """Rows as the model takes them, and what a user should know of them."""
    schema, target = meta["schema"]["features"], meta["target"]
    about, quick = {**schema, target: meta["schema"]["target"]}, {}
    for name, what in about.items():
        numbers = _numbers(table[name]) if what["kind"] == "number" else None
        if numbers is not None and not reading.na and not np.isinf(numbers).any():
            quick[name] = numbers
    slow = [name for name in about if name not in quick]
    frame = table.select(slow).to_pandas(types_mapper=_whole)
    file = from_types(path, frame)
    file = file._replace(cells=file.cells.set_axis(np.arange(len(table)) + first + 2))
    X, y, notes = _slow(file, slow, about, target, reading)
    if "classes" in about[target]:  # the labels themselves, not how they are written
        y = known(y, model.classes_).where(y.notna())
    if target in quick:
        y = pd.Series(quick.pop(target))
    columns = {**dict(X.items()), **quick}
    features = pd.DataFrame({name: columns[name] for name in schema})
    task = names_of(table[meta["task"]])
    if task.isna().any():
        notes.append(f"{path} has rows without a task: left out.")
    return Piece(features, y, task.astype(str).where(task.notna())), notes


def _whole(kind: Any) -> Any:
    """Integers with a gap would go through floats otherwise."""
    from pyarrow import types

    return pd.Int64Dtype() if types.is_integer(kind) else None


def _numbers(column: Any) -> Any:
    """Numbers of a column that has numbers by its type, NaN at gaps, or None."""
    import pyarrow

    kind = column.type
    if not (pyarrow.types.is_floating(kind) or pyarrow.types.is_integer(kind)):
        return None
    numbers = column.cast(pyarrow.float64(), safe=False).to_numpy()
    return np.asarray(numbers, np.float64)


def _slow(
    file: File, names: list[str], about: dict[str, Any], target: str, reading: Reading
) -> tuple[pd.DataFrame, Any, list[str]]:
    """Columns that are read cell by cell, as those of every other file."""
    columns = columns_of(file, names, reading.na)
    schema = held_to(columns, {name: about[name] for name in names}, reading)
    what, y = schema.pop(target, None), None
    if what is not None:
        values, missing = read_target(columns[target], what)
        y = pd.Series(values, dtype=object).mask(missing)
    X, notes = features_of(columns, schema)
    return X, y, notes
