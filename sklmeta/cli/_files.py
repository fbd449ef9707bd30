"""Files that people have, read as the text that stands in them."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import sys
import zipfile
from collections.abc import Mapping
from itertools import islice
from numbers import Number
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

SEPARATORS = ",;\t|"
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
EXCEL = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
NUMBER = r"[+-]?[\d.,]+([eE][+-]?\d+)?"
TYPES = {"bool": (bool, np.bool_), "number": (Number,), "text": (str,)}


class DataError(ValueError):
    """Something about the data that a user can mend; told without a traceback."""


class File(NamedTuple):
    """A table of text, "" where nothing stands; its index counts the file's rows."""

    path: str
    cells: pd.DataFrame
    types: Mapping[str, str] = {}
    """number, bool, text or nested, of the columns of files that have types."""
    header: list[str] | None = None
    sep: str = ","
    encoding: str = "utf-8"

    def rows(self, known: Any) -> File:
        return self._replace(cells=self.cells[known])

    def write(
        self, found: dict[str, Any], decimal: str, out: str | None, escape: bool
    ) -> None:
        """Write the cells as they were read, and what was found beside them."""
        header = [*(self.header or self.cells.columns), *found]
        cells = self.cells.assign(**found)
        if escape:
            cells, header = cells.map(without_formula), [*map(without_formula, header)]
        text = cells.to_csv(index=False, sep=self.sep, header=header, decimal=decimal)
        if out is None:
            sys.stdout.write(text)
        else:
            Path(out).write_bytes(text.encode(self.encoding))


def without_formula(cell: Any) -> Any:
    """Put an apostrophe before text that a spreadsheet would evaluate."""
    evaluated = isinstance(cell, str) and cell.startswith(FORMULA)
    return f"'{cell}" if evaluated and not re.fullmatch(NUMBER, cell) else cell


def read_file(
    path: str,
    sep: str | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
) -> File:
    """Read a csv, tsv, Parquet or Excel file, or a folder of Parquet files."""
    file = Path(path)
    if not file.exists():
        raise DataError(f"There is no file {path}.")
    suffix = file.suffix.lower()
    if file.is_dir() and not any(file.glob("**/*.parquet")):
        raise DataError(f"{path} is a folder without Parquet files; name a file.")
    if file.is_dir() or suffix in (".parquet", ".pq"):
        read = from_types(path, _parquet(file))
    elif suffix in EXCEL:
        read = from_types(path, _excel(file, sheet))
    else:
        read = _from_text(path, *_decoded(file, encoding), sep)
    if not len(read.cells):
        raise DataError(f"{path} has a header and no rows.")
    return read


def _unique(path: str, names: list[str]) -> None:
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DataError(
            f"{path} has more than one column called {', '.join(map(repr, twice))}; "
            "rename them."
        )


# Text --------------------------------------------------------------------------------


def _decoded(file: Path, encoding: str | None) -> tuple[str, str]:
    """Text and encoding: as said, by the mark of order, else UTF-8 or an error."""
    suffix = file.suffix.lower()
    try:
        if suffix == ".zip":
            with zipfile.ZipFile(file) as archive:
                raw = archive.read(archive.namelist()[0])
        else:
            with OPENERS.get(suffix, open)(file, "rb") as stream:
                raw = stream.read()
    except (OSError, EOFError, zipfile.BadZipFile, lzma.LZMAError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    marked = next((name for mark, name in MARKS.items() if raw.startswith(mark)), None)
    used = marked or encoding or "utf-8"
    try:
        text = raw.decode(used)
    except (UnicodeError, LookupError) as error:
        raise DataError(
            f"{file} cannot be read as {used}: {error}. Say --encoding, such as "
            "latin-1, cp1252 or utf-16."
        ) from error
    if "\0" in text:
        raise DataError(
            f"{file} is no text in {used}. Say --encoding (utf-16?), or save it as csv."
        )
    return text, used


def _from_text(path: str, text: str, encoding: str, sep: str | None) -> File:
    if not text.strip():
        raise DataError(f"{path} cannot be read as a table: it is empty.")
    if sep is not None and len(sep := sep.replace("\\t", "\t")) != 1:
        raise DataError(f"--sep is one character; got {sep!r}.")
    header: list[str] = []
    rows, numbers, number = [], [], 1
    try:
        sep = sep or _separator(path, text)
        lines = io.StringIO(text, newline="")
        reader = csv.reader(lines, delimiter=sep, strict=True)
        for number, row in enumerate(reader, start=1):
            if not row:
                continue
            if not header:
                header = row
                continue
            if any(row[len(header) :]):
                raise DataError(
                    f"{path} has {len(header)} columns, and {len(row)} cells in row "
                    f"{number}: {row[-1]!r} has no column. Say --sep, or put quotes "
                    f"around cells that have {sep!r} inside."
                )
            rows.append((row + [""] * len(header))[: len(header)])
            numbers.append(number)
    except csv.Error as error:
        raise DataError(
            f"{path} cannot be read as a table: after row {number}, {error}. Is "
            "a quote not closed?"
        ) from error
    _unique(path, header)
    names = [name.strip() or f"Unnamed: {i}" for i, name in enumerate(header)]
    _unique(path, names)
    cells = pd.DataFrame(rows, index=numbers, columns=names, dtype=object)
    return File(path, cells, {}, header, sep, encoding)


def _separator(path: str, text: str) -> str:
    """What parts all rows into as many cells as the header, if it is certain."""
    fits = []
    for sep in SEPARATORS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=sep)
        rows = [row for row in islice(reader, 100) if row]
        width = len(rows[0])
        if width > 1:
            even = all(len(r) == width or not any(r[width:]) for r in rows)
            fits.append((even and all(len(r) >= width for r in rows), sep))
    best = [sep for even, sep in fits if even == max(fits)[0]]
    if len(best) > 1:
        raise DataError(
            f"{path} may be parted by {' or '.join(map(repr, best))}: say --sep."
        )
    return best[0] if best else ","


# Files with types --------------------------------------------------------------------


def _parquet(file: Path) -> pd.DataFrame:
    try:
        # Nullable types: integers with a gap would go through floats otherwise.
        frame = pd.read_parquet(file, dtype_backend="numpy_nullable")
    except ImportError as error:
        raise DataError(
            "Reading Parquet needs pyarrow: pip install 'sklmeta[arrow]'."
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as Parquet: {error}") from error
    named = [name for name in frame.index.names if name is not None]
    return frame.reset_index(named) if named else frame


def _excel(file: Path, sheet: str | None) -> pd.DataFrame:
    try:
        with pd.ExcelFile(file) as book:
            if sheet is None and len(book.sheet_names) > 1:
                raise DataError(
                    f"{file} has the sheets {', '.join(map(str, book.sheet_names))}: "
                    "say --sheet."
                )
            frame = book.parse(
                sheet or 0, header=None, dtype=object, keep_default_na=False
            )
    except ImportError as error:
        raise DataError(
            f"{file} is a spreadsheet, which needs a package: pip install openpyxl "
            f"({error}). Or save the sheet as csv."
        ) from error
    except DataError:
        raise
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{file} cannot be read as a spreadsheet: {error}") from error
    if frame.empty:
        raise DataError(f"{file} cannot be read as a table: the sheet is empty.")
    header = [str(name) or f"Unnamed: {i}" for i, name in enumerate(frame.iloc[0])]
    return frame[1:].set_axis(header, axis=1)


def from_types(path: str, frame: pd.DataFrame) -> File:
    names = [str(name) for name in frame.columns]
    _unique(path, names)
    cells, types = {}, {}
    for i, name in enumerate(names):
        series = frame.iloc[:, i].astype(object)
        column = series.where(series.notna(), "").to_numpy()
        full = [cell for cell in column if not (isinstance(cell, str) and not cell)]
        met = {type(cell) for cell in full}
        if any(issubclass(t, (list, dict, tuple, np.ndarray)) for t in met):
            types[name] = "nested"
        else:
            kinds = {
                next((k for k, t in TYPES.items() if issubclass(m, t)), "") for m in met
            }
            if len(kinds) == 1:
                types[name] = kinds.pop()
        cells[name] = [re.sub(" 00:00:00$", "", str(cell)) for cell in column]
    numbers = range(2, len(frame) + 2)  # as in a spreadsheet
    return File(path, pd.DataFrame(cells, index=numbers, dtype=object), types)
