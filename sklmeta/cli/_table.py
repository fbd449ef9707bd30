"""Reading a table, checking its columns, and preparing its features."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklmeta.cli._counts import KINDS, family_of, look_like_counts
from sklmeta.cli._files import DataError, File
from sklmeta.cli._schema import (
    MOST_CATEGORIES,
    PLAIN,
    Column,
    Reading,
    columns_of,
    describe,
    features_of,
    find_formats,
    known,
    notes_on,
    numbers_of,
    plain,
)
from sklmeta.cli._time import times_of
from sklmeta.preparation import TablePreparation

__all__ = ["DataError", "Table", "check_columns", "make_table", "preparation"]

MOST_LEVELS = 10
"""A target of more whole numbers than these is taken for an amount."""

MOST_CLASSES, MANY_CLASSES, FEWEST_ROWS = 100, 20, 3
"""More classes than the first, or than the second with fewer rows each: a question."""

FEWEST_COUNTED = 20
"""Rows that a column counts from the first to the last without being a measurement."""

MOST_DIFFERENT = 0.8
"""Share of the rows that have single words of their own: these are identifiers."""

WHOLE = r"-?(0|[1-9]\d{0,17})"


class Table(NamedTuple):
    """Features, targets and tasks, and how they were read."""

    X: pd.DataFrame
    y: NDArray[Any]
    task: NDArray[Any]
    classification: bool
    schema: dict[str, Any]
    notes: list[str]
    time: NDArray[Any] | None = None
    family: str = "gaussian"


def check_columns(frame: pd.DataFrame, names: Sequence[str], path: str) -> None:
    """Name what is missing, and the columns that it might have meant."""
    columns = [str(column) for column in frame.columns]
    for name in names:
        if name in columns:
            continue
        lowered = {column.lower(): column for column in columns}
        near = difflib.get_close_matches(name.lower(), list(lowered), n=3, cutoff=0.5)
        if near:
            hint = "Did you mean " + " or ".join(repr(lowered[n]) for n in near) + "?"
        else:
            hint = "There are: " + ", ".join(columns[:20]) + "."
        raise DataError(f"{path} has no column {name!r}. {hint}")


def make_table(
    file: File,
    *,
    target: str,
    task: str,
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    kind: str | None = None,
    own_classes: bool = False,
    reading: Reading | None = None,
    time: str | None = None,
) -> Table:
    """Take the table apart; rows without a target or a task are left out."""
    asked = [*([] if time is None else [time]), *(features or ()), *drop]
    check_columns(file.cells, [target, task, *asked], file.path)
    if target == task:
        raise DataError(f"The target and the task are the same column, {target!r}.")
    reading = reading or Reading()
    chosen, notes = _chosen(file, features, {target, task, *drop})
    columns = columns_of(file, [*chosen, target], reading.na)
    marks = find_formats(list(columns.values()), reading)
    labels, tasks = columns[target], Column(file, task, reading.na)
    found, about = _target(labels, marks[target], kind, own_classes)
    notes += about
    if tasks.usual.any():
        notes += notes_on(tasks, {"kind": "category"})
    y, missing = read_target(labels, found)
    missing |= tasks.empty[tasks.codes]
    names = _names_of(tasks)
    if missing.any():
        notes.append(f"{missing.sum()} row(s) without a target or a task left out.")
        y, names = y[~missing], names[~missing]
        columns = columns_of(file.rows(~missing), chosen, reading.na)
    if not len(names):
        raise DataError(
            f"No row has both a value of {target!r} and a {task!r}: are these the "
            "columns, and what does --na say of their gaps?"
        )
    if len(np.unique(names)) < 2:
        raise DataError(
            f"Column {task!r} holds {len(np.unique(names))} task(s): learning across "
            "tasks needs several."
        )
    classification = found["kind"] == "class"
    if classification:
        _check_classes(y, labels, kind, own_classes)
        y = labels_of(pd.Series(y, dtype=object))
        if not own_classes:
            found["classes"] = [str(label) for label in np.unique(y)]
    doubted = None if features else names
    family = "gaussian" if classification else family_of(y, names, kind, target)
    schema, about = _describe(columns, chosen, marks, doubted)
    X, _ = features_of(columns, schema)
    about += _notes_on_marks({**schema, target: found})
    kept = {"features": schema, "target": found, "na": sorted(reading.na)}
    times = None if time is None else times_of(file, time, ~missing, reading)
    return Table(X, y, names, classification, kept, notes + about, times, family)


def _chosen(
    file: File, features: Sequence[str] | None, others: set[str]
) -> tuple[list[str], list[str]]:
    """Columns to predict from; numbers of rows are left out unless asked for."""
    if features:
        return [name for name in features if name not in others], []
    chosen = [str(name) for name in file.cells if name not in others]
    count = [str(i) for i in range(len(file.cells) + 1)]
    blank = [name for name in chosen if name.startswith("Unnamed: ")]
    index = [name for name in blank if file.cells[name].any()] + [
        name for name in chosen if _counts_rows(name, file.cells[name].tolist(), count)
    ]
    if {*index, *blank} == {*chosen}:
        index = []  # where there is nothing else it may be the time
    names = ", ".join(index)
    note = f"Left out as numbers of rows: {names} (--features keeps them)."
    return [n for n in chosen if n not in {*index, *blank}], [note] * bool(index)


def _counts_rows(name: str, cells: list[str], count: list[str]) -> bool:
    """Whether cells are 0, 1, 2, or 1, 2, 3 and so on, and too many for chance."""
    if name in ("index", "level_0") or len(cells) >= FEWEST_COUNTED:
        return cells in (count[:-1], count[1:])
    return False


def _describe(
    columns: dict[str, Column],
    chosen: Sequence[str],
    marks: dict[str, Any],
    tasks: NDArray[Any] | None,  # None: the columns were asked for
) -> tuple[dict[str, Any], list[str]]:
    """Find what each feature holds; leave out, or refuse, what is of no use."""
    schema, notes, useless = {}, [], {}
    for name in chosen:
        column = columns[name]
        found = describe(column, marks[name])
        if found["kind"] == "unused":
            useless[name] = found["why"]
            continue
        if found["kind"] == "category" and tasks is not None:
            why = _why_of_no_use(column, tasks)
            if why:
                useless[name] = why
                continue
        if len(found.get("categories", ())) > MOST_CATEGORIES:
            found = {"kind": "text"}
        schema[name] = found
        notes += notes_on(column, found)
    text = [name for name, found in schema.items() if found["kind"] == "text"]
    if text:
        notes.append(f"Read as text, by parts of words: {', '.join(text)}.")
    if useless:
        names = ", ".join(f"{name} ({why})" for name, why in useless.items())
        notes.append(f"Left out as features: {names}. --features keeps them.")
    if not schema:
        raise DataError("No column is left to predict from.")
    return schema, notes


def _why_of_no_use(column: Column, tasks: NDArray[Any]) -> str:
    """Why words tell nothing of new rows; nothing if they may."""
    filled = ~column.empty[column.codes]
    pairs = pd.DataFrame({"word": column.codes, "task": tasks})[filled]
    n_pairs = len(pairs.drop_duplicates())
    if pairs.word.nunique() == pairs.task.nunique() == n_pairs > 1:
        return "another name of the tasks"
    if len(column.words) <= MOST_CATEGORIES:
        return ""
    odd = np.isnan(column.numbers(PLAIN)) & ~column.usual & ~column.empty
    if column.counts[odd].sum() < len(column.codes) / 2:
        return f"numbers but for {column.named(odd)}"
    words = column.words[~column.empty]
    single = ~words.str.strip().str.contains(r"\s")
    n_rows = column.counts[~column.empty].sum()
    if len(words) > MOST_DIFFERENT * n_rows and single.mean() > 1 - MOST_DIFFERENT:
        return "identifiers, hardly one of them twice"
    return ""


def _notes_on_marks(schema: dict[str, dict[str, Any]]) -> list[str]:
    """Say which columns are read with other marks than a decimal point."""
    by_marks: dict[tuple[str, str], list[str]] = {}
    for name, found in schema.items():
        by_marks.setdefault(tuple(found.get("marks", PLAIN)), []).append(name)
    by_marks.pop(PLAIN, None)
    return [
        f"Read with {decimal} before decimals, {thousands or 'nothing'} between "
        f"thousands: {', '.join(names)}."
        for (decimal, thousands), names in by_marks.items()
    ]


# Targets and labels ------------------------------------------------------------------


def _target(
    column: Column, marks: Any, kind: str | None, own_classes: bool
) -> tuple[dict[str, Any], list[str]]:
    """Find whether the target is a number or a class, and what is missing in it."""
    found = describe(column, marks)
    if found["kind"] == "unused" and found["why"] == "lists":
        raise DataError(f"Column {column.name!r} holds lists; a target is one value.")
    if kind in KINDS:
        if found["kind"] not in ("number", "bool"):
            if marks is None and np.isnan(column.numbers(PLAIN)).all():
                shown = column.named(~column.empty)
                raise DataError(f"Column {column.name!r} holds no numbers: {shown}.")
            found = {"kind": "number", "marks": list(marks or PLAIN), "missing": []}
        return found, notes_on(column, found)
    if found["kind"] != "number":
        about = notes_on(column, {"kind": "category"}) if column.usual.any() else []
        return {"kind": "class", "missing": []}, about
    about = notes_on(column, found)
    numbers = numbers_of(column, found)
    numbers = numbers[~np.isnan(numbers)]
    is_class = own_classes or is_classification(numbers, kind)
    if kind is None and not own_classes and (numbers % 1 == 0).all():
        counts = look_like_counts(numbers)
        if is_class:
            taken, other = "classes", "regression" + " or counts" * counts
        elif counts:
            taken, other = "counts", "regression or classification"
        else:
            taken, other = "amounts", "classification"
        about.append(
            f"The {len(np.unique(numbers))} whole numbers of {column.name!r} are taken "
            f"for {taken}; if they are not, say --kind {other}."
        )
    if not is_class:
        return found, about
    missing = sorted({*found["missing"], *column.words[column.usual]})
    return {"kind": "class", "missing": missing}, about


def read_target(
    column: Column, found: dict[str, Any]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Targets, numbers or words, and which of them are missing."""
    if found["kind"] != "class":
        numbers = numbers_of(column, found)
        return numbers, np.isnan(numbers)
    missing = column.empty | column.words.isin(found["missing"]).to_numpy(bool)
    words = column.words
    if "classes" in found:
        words = known(words, found["classes"])
        new = ~words.isin(found["classes"]).to_numpy(bool) & ~missing
        column.refuse(new, f"class of fit ({', '.join(found['classes'][:5])})")
    return words.to_numpy(object)[column.codes], missing[column.codes]


def labels_of(words: pd.Series[str]) -> NDArray[Any]:
    """Whole numbers if all of them are, as exact as they stand there, else text."""
    whole = words.map(plain)
    if whole.str.fullmatch(WHOLE).all():
        return whole.to_numpy().astype(np.int64)
    return np.asarray(words, dtype=str)


def _names_of(tasks: Column) -> NDArray[Any]:
    """Labels of tasks, row by row; those that are written differently stay apart."""
    apart = tasks.words[~tasks.empty].map(plain).is_unique
    words = tasks.words.where(~tasks.empty, "0")  # of rows that are left out
    return (labels_of(words) if apart else np.asarray(words, dtype=str))[tasks.codes]


def is_classification(numbers: NDArray[Any], kind: str | None) -> bool:
    """Whether numbers are classes: as said, else if they are few and whole."""
    if kind is not None:
        return kind == "classification"
    if not (numbers % 1 == 0).all():
        return False
    return len(np.unique(numbers)) <= min(MOST_LEVELS, len(numbers) // 10)


def _check_classes(y: Any, column: Column, kind: str | None, own_classes: bool) -> None:
    n = len(pd.unique(y))
    most = max(MANY_CLASSES, min(MOST_CLASSES, len(y) / FEWEST_ROWS))
    if kind is None and not own_classes and n > most:
        shown = column.named(~column.empty)
        raise DataError(
            f"Column {column.name!r} would have {n} classes in {len(y)} rows: {shown}. "
            "Say --kind regression (with --decimal or --thousands?) if these are "
            "numbers, --kind classification if they are classes."
        )


def preparation() -> TablePreparation:
    """What makes numbers of the features: that of Python, with our bound on words."""
    return TablePreparation(cardinality_threshold=MOST_CATEGORIES + 1)
