"""Parquet files of more tasks than memory holds: read and written in pieces."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sklmeta.cli._files import DataError, File

BUFFER_BYTES = 2**20


def is_parquet(path: str | os.PathLike[str] | None) -> bool:
    return path is not None and Path(path).suffix.lower() in (".parquet", ".pq")


def parquet_of(path: str) -> Any:
    """Open a file, of which no more is read than is asked for."""
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import ParquetFile

    if not Path(path).is_file():
        raise DataError(f"There is no file {path}.")
    try:
        return ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False)
    except (ArrowInvalid, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error


def arrow_of(file: File) -> Any:
    """The whole table, with its types where the file has some, else as text."""
    import pyarrow
    from pyarrow.parquet import read_table

    if is_parquet(file.path):
        return read_table(file.path)
    return pyarrow.Table.from_pandas(file.cells, preserve_index=False)


def whole_tasks(path: str, task: str, n_rows: int) -> Iterator[tuple[int, Any]]:
    """Yield tables of whole tasks, of about so many rows, and their first row's number.

    Raises
    ------
    DataError
        If the file is not sorted by task, which says that no task comes back later.
    """
    import pyarrow

    order, kept, start = Order(path, task), None, 0
    for batch in parquet_of(path).iter_batches(batch_size=n_rows):
        table = pyarrow.Table.from_batches([batch])
        first = start + (0 if kept is None else len(kept))
        order.check(names_of(table[task]), first)
        if kept is not None:
            table = pyarrow.concat_tables([kept, table])
        # The last task may go on in what comes next.
        names = names_of(table[task])
        last = names.last_valid_index()
        end = (
            len(names)
            if last is None
            else int((names == names[last]).to_numpy().argmax())
        )
        if end:
            yield start, table.slice(0, end)
        kept, start = table.slice(end), start + end
    if kept is not None and len(kept):
        yield start, kept


def names_of(column: Any) -> pd.Series[Any]:
    names: pd.Series[Any] = column.to_pandas()
    if isinstance(names.dtype, pd.CategoricalDtype):
        names = names.astype(names.cat.categories.dtype)
    return names


class Order:
    """Whether tasks come in ascending or in descending order, looking at each once."""

    def __init__(self, path: str, task: str) -> None:
        self.path, self.task = path, task
        self.last: Any = None
        self.ascending: bool | None = None

    def check(self, names: pd.Series[Any], first: int) -> None:
        found = names[names.notna()]
        changed = found[(found != found.shift()).to_numpy()]
        words, rows = changed.tolist(), changed.index.tolist()
        if self.last is not None and words:
            words, rows = [self.last, *words], [-1, *rows]
        for before, after, row in zip(words, words[1:], rows[1:], strict=False):
            if before == after:
                continue
            if self.ascending is None:
                self.ascending = after > before
            if (after > before) != self.ascending:
                raise DataError(
                    f"{self.path} is not sorted by {self.task!r}: {after!r} comes "
                    f"after {before!r} in row {first + row + 2}. --in-pieces needs "
                    "each task's rows together: sort the file by task first."
                )
        self.last = words[-1] if words else self.last


def write_pieces(pieces: Iterable[Any], path: str) -> int:
    """Write tables one after another; return the number of rows.

    A file that was there stays until the new one is whole.
    """
    from pyarrow.parquet import ParquetWriter

    part, writer, n_rows = Path(f"{path}.part"), None, 0
    try:
        for table in pieces:
            writer = writer or ParquetWriter(part, table.schema)
            writer.write_table(table.cast(writer.schema))
            n_rows += len(table)
        if writer is None:
            raise DataError("There is no row to predict: each has a label.")
        writer.close()
        os.replace(part, path)
    finally:
        if writer is not None:
            writer.close()
        part.unlink(missing_ok=True)
    return n_rows


def with_columns(table: Any, found: dict[str, Any]) -> Any:
    """Put what was found beside the columns of an Arrow table, whose types it keeps."""
    import pyarrow

    for name, values in found.items():
        values = np.asarray(values)
        text = values.dtype.kind in "OUS"
        column = pyarrow.array(
            values.astype(object) if text else values, from_pandas=True
        )
        table = table.append_column(name, column)
    return table
