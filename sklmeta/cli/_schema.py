"""What the columns of a table hold: found once, kept with the model, held to later."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklmeta.cli._files import DataError, File

MOST_CATEGORIES = 50
"""A column of words with more different ones than these is an identifier, or text."""

MOST_CODES = 20
"""Up to so many whole numbers beside text (1, 2, X) are codes, not amounts."""

FEWEST_NUMBERS, NEARLY = 9, 0.9
"""How many, and what part, of the cells are numbers where others are mistakes."""

_USUAL = "NA N/A n/a #N/A #NA <NA> NaN nan -nan NAN NULL Null null None none ? - -- ."
USUAL = frozenset(re.split(" ", _USUAL))
"""Words that mean "missing" where all else is numbers, and nowhere else."""

BOOLS = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}
PLAIN = (".", "")
FORMATS = (PLAIN, (",", ""), (".", ","), (",", "."))  # decimal mark, thousands mark
DATE = r"(\d{4}[-./]\d\d?[-./]\d\d?|\d\d?[-./]\d\d?[-./]\d{4})(\D.*)?"
DATES = ("ISO8601", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y")
PARTS = ("year", "month", "day", "weekday", "days")


class Reading(NamedTuple):
    """What the user says about all columns of a file."""

    na: frozenset[str] = frozenset()
    decimal: str | None = None
    thousands: str | None = None

    @property
    def format(self) -> tuple[str, str] | None:
        if self.decimal is None and self.thousands is None:
            return None
        decimal = self.decimal or ("," if self.thousands == "." else ".")
        if decimal == self.thousands:
            raise DataError(f"{decimal!r} cannot be both --decimal and --thousands.")
        return decimal, self.thousands or ""


class Column:
    """The different cells of a column, in order of appearance."""

    def __init__(self, file: File, name: str, na: Iterable[str]) -> None:
        self.file, self.name, self.hint = file, name, file.types.get(name)
        self.codes, words = pd.factorize(file.cells[name])
        self.words: pd.Series[str] = pd.Series(words, dtype=object)
        self.counts = np.bincount(self.codes, minlength=len(words))
        self.plain = np.array(pd.to_numeric(self.words, errors="coerce"), np.float64)
        self.empty: NDArray[np.bool_] = np.array(self.words.isin(list(na)))
        text = np.flatnonzero(np.isnan(self.plain))  # few words of many numbers
        self.empty[text] |= (self.words[text].str.strip() == "").to_numpy(bool)
        self.usual = np.zeros(len(words), dtype=bool)
        self.usual[text] = self.words[text].isin(list(USUAL)) & ~self.empty[text]
        self.plain[self.empty | np.isinf(self.plain)] = np.nan

    def row(self, code: int) -> int:
        return int(self.file.cells.index[int(np.argmax(self.codes == code))])

    def named(self, which: NDArray[np.bool_]) -> str:
        """Count and examples of some of the words."""
        shown = [
            f"{self.words[i]!r} ({self.counts[i]}, first in row {self.row(i)})"
            for i in np.flatnonzero(which)[:3]
        ]
        return ", ".join(shown) + (", ..." if which.sum() > 3 else "")

    def refuse(self, wrong: NDArray[np.bool_], what: str) -> None:
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise DataError(
                f"{self.file.path}, column {self.name!r}, row {self.row(first)}: "
                f"{self.words[first]!r} is no {what} ({self.counts[wrong].sum()} such "
                "cell(s)). Mend it, or say --na with the word if it means that nothing "
                "is known, or --decimal and --thousands if it is a number."
            )

    def numbers(self, marks: tuple[str, str]) -> NDArray[np.float64]:
        """Return the words as numbers, NaN where they are none."""
        if marks == PLAIN:
            return self.plain
        words = self.words.where(~(self.usual | self.empty), "")
        decimal, thousands = map(re.escape, marks)
        grouped = rf"\d{{1,3}}({thousands}\d{{3}})+|" if thousands else ""
        pattern = rf"\s*[+-]?({grouped}\d+|(?={decimal}))({decimal}\d*)?"
        fits = words.str.fullmatch(pattern + r"([eE][+-]?\d+)?\s*")
        words = words.where(fits, "")
        if marks[1]:
            words = words.str.replace(marks[1], "", regex=False)
        words = words.str.replace(marks[0], ".", regex=False)
        return np.asarray(pd.to_numeric(words, errors="coerce"), dtype=np.float64)

    def is_numeric(self, numbers: NDArray[np.float64]) -> bool:
        found = ~np.isnan(numbers)
        odd = ~(found | self.usual | self.empty)
        if not found.any() or not odd.any():
            return bool(found.any())
        n, values = self.counts[found].sum(), np.unique(numbers[found])
        codes = len(values) <= MOST_CODES and bool((values % 1 == 0).all())
        enough = n >= max(FEWEST_NUMBERS, NEARLY * (n + self.counts[odd].sum()))
        return bool(enough) and not codes

    def formats(self, given: tuple[str, str] | None) -> list[tuple[str, str]]:
        """Formats in which this is a column of numbers, and not the same numbers."""
        if self.hint in ("number", "bool"):
            given = PLAIN
        found: list[tuple[str, str]] = []
        seen: list[NDArray[np.float64]] = []
        for marks in [given] if given else FORMATS:
            numbers = self.numbers(marks)
            if not self.is_numeric(numbers):
                continue
            if not any(np.array_equal(numbers, s, equal_nan=True) for s in seen):
                found.append(marks)
                seen.append(numbers)
            if marks == PLAIN:
                break
        return found

    def days(self, form: str) -> pd.Series[Any]:
        return pd.to_datetime(
            self.words.where(~(self.usual | self.empty)),
            format=form,
            errors="coerce",
            utc=True,
        )


def columns_of(file: File, names: Iterable[str], na: frozenset[str]) -> dict[str, Any]:
    return {name: Column(file, name, na) for name in names}


def find_formats(
    columns: Sequence[Column], reading: Reading
) -> dict[str, tuple[str, str] | None]:
    """Marks of decimals and thousands by column; None if it holds no numbers."""
    found = {c.name: c.formats(reading.format) for c in columns}
    decimals = {f[0][0] for f in found.values() if len(f) == 1 and f[0] != PLAIN}
    for c in columns:
        if "," in decimals and found[c.name] == [PLAIN] and c.hint is None:
            dots = c.words[c.words.str.contains(".", regex=False)]
            if len(dots) and dots.str.fullmatch(r"\d{1,3}(\.\d{3})+").all():
                found[c.name] = [PLAIN, (",", ".")]
        elif len(found[c.name]) > 1:
            found[c.name] = [f for f in found[c.name] if {f[0]} == decimals] or found[
                c.name
            ]
    for c in columns:
        if len(found[c.name]) > 1:
            cell = next(w for w in c.words if re.search(r"\d[.,]\d", w))
            raise DataError(
                f"{c.file.path}, column {c.name!r}: {cell!r} may be read in two ways. "
                "Say --decimal , or --thousands , (or --decimal . or --thousands .)."
            )
    return {name: marks[0] if marks else None for name, marks in found.items()}


def describe(column: Column, marks: tuple[str, str] | None) -> dict[str, Any]:
    """What a column holds, in plain values; of kind "unused" if nothing of use."""
    filled = ~(column.empty | column.usual)
    words = column.words[filled]
    if column.empty.all() or column.hint == "nested":
        why = "lists" if column.hint == "nested" else "nothing at all"
        return {"kind": "unused", "why": why}
    truth = marks is None and filled.any()
    if truth and words.str.lower().isin(["true", "false"]).all():
        return {"kind": "bool"}
    on_purpose = column.hint == "text" and not column.usual.any()
    if marks is not None:
        numbers = column.numbers(marks)
        odd = np.isnan(numbers) & filled
        if odd.any() or not on_purpose:
            missing = column.words[odd].tolist()
            return {"kind": "number", "marks": list(marks), "missing": missing}
    if len(words) and words.str.fullmatch(DATE).all():
        fits = [f for f in DATES if column.days(f)[filled].notna().all()]
        if len(fits) != 1:
            return {"kind": "unused", "why": "dates read in two ways, or in none"}
        days = column.days(fits[0])
        if days.nunique() < 2:
            return {"kind": "unused", "why": "one date"}
        return {"kind": "date", "form": fits[0], "first": days.min().isoformat()}
    categories = column.words[~column.empty].tolist()
    return {"kind": "category", "categories": categories}


def _date_parts(days: pd.Series[Any], first: pd.Timestamp) -> dict[str, pd.Series[Any]]:
    at = days.dt
    since = (days - first) / pd.Timedelta(days=1)
    parts = (at.year, at.month, at.day, at.day_of_week, since)
    return dict(zip(PARTS, parts, strict=True))


def notes_on(column: Column, found: dict[str, Any]) -> list[str]:
    """What a user should know of how a column is read."""
    name, kind = f"Column {column.name!r}", found["kind"]
    if kind == "category" and column.usual.any():
        shown = column.named(column.usual)
        return [f"{name}: {shown} is a value of its own; --na WORD makes it missing."]
    lost = column.usual | column.words.isin(found.get("missing", [])).to_numpy(bool)
    n = int(column.counts[lost].sum())
    notes = [f"{name}: {n} cell(s) taken for missing: {column.named(lost)}."] * bool(n)
    if kind == "date":
        notes.append(
            f"{name} holds dates, read as numbers: parts of the calendar that change, "
            f"and days since {found['first'][:10]}."
        )
    return notes


# Reading by a schema -----------------------------------------------------------------


def numbers_of(column: Column, found: dict[str, Any]) -> NDArray[np.float64]:
    """One number a row; a cell that is neither a number nor missing is refused."""
    missing = column.usual | column.empty
    if found["kind"] == "bool":
        truth = column.words.map(plain).str.lower().map(BOOLS)
        numbers = np.asarray(truth, dtype=np.float64)
        column.refuse(np.isnan(numbers) & ~missing, "true or false")
        return numbers[column.codes]
    typed = column.hint in ("number", "bool")
    numbers = column.numbers(PLAIN if typed else tuple(found["marks"]))
    missing |= column.words.isin(found["missing"]).to_numpy(bool)
    column.refuse(np.isnan(numbers) & ~missing, "number")
    return numbers[column.codes]


def plain(word: Any) -> str:
    """Return a whole number without the ".0" that some programs add to it."""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", str(word))


def known(words: pd.Series[str], values: Iterable[Any]) -> pd.Series[Any]:
    """Return each word as that of the values which is written so."""
    found = {plain(value): value for value in values} | {str(v): v for v in values}
    return words.map(lambda word: found.get(word, found.get(plain(word), word)))


def features_of(
    columns: dict[str, Column], schema: dict[str, dict[str, Any]]
) -> tuple[pd.DataFrame, list[str]]:
    """Columns as the preparation takes them: numbers, dates in UTC, and categories."""
    found: dict[str, Any] = {}
    notes = []
    for name, about in schema.items():
        column, kind = columns[name], about["kind"]
        if kind in ("number", "bool"):
            found[name] = numbers_of(column, about)
        elif kind == "date":
            days = column.days(about["form"])
            wrong = days.isna().to_numpy(bool) & ~(column.usual | column.empty)
            column.refuse(wrong, "date as in fit")
            if "parts" not in about:
                found[name] = days.dt.tz_localize(None).to_numpy()[column.codes]
                continue
            # Models of before were fitted to the parts themselves.
            parts = _date_parts(days, pd.Timestamp(about["first"]))
            for part in about["parts"]:
                values = parts[part].to_numpy(float)
                found[f"{name} ({part})"] = values[column.codes]
        elif kind == "text":
            words = column.words.where(~column.empty, None)
            found[name] = pd.Categorical(words.to_numpy(object)[column.codes])
        else:
            categories = about["categories"]
            words = known(column.words, categories).where(~column.empty, np.nan)
            new = (~words.isin(categories)).to_numpy(bool) & ~column.empty
            if new.any():
                shown = column.named(new)
                notes.append(
                    f"{column.file.path}: column {name!r}: not in fit: {shown}."
                )
            cells = words.to_numpy(object)[column.codes]
            found[name] = pd.Categorical(cells)
    return pd.DataFrame(found), notes


def held_to(
    columns: dict[str, Column], schema: dict[str, dict[str, Any]], reading: Reading
) -> dict[str, dict[str, Any]]:
    """Return the schema with the marks of this file, the first that read all of it.

    As the user says, else as in fit, else with a decimal point.
    """
    numeric = {name: s for name, s in schema.items() if s["kind"] == "number"}
    if reading.format:
        said = list(reading.format)
        return schema | {name: {**s, "marks": said} for name, s in numeric.items()}
    point = {name: {**s, "marks": list(PLAIN)} for name, s in numeric.items()}
    for tried in (numeric, point):
        try:
            for name, found in tried.items():
                numbers_of(columns[name], found)
        except DataError:
            continue
        return schema | tried
    return schema
