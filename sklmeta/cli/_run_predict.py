"""``sklmeta predict``: adapt to labelled rows, and predict others."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd
import sklearn

from sklmeta.cli._arguments import check_path, read, reading_of, require, say
from sklmeta.cli._files import DataError, File
from sklmeta.cli._in_pieces import predict_in_pieces
from sklmeta.cli._pieces import arrow_of, is_parquet, with_columns, write_pieces
from sklmeta.cli._predictions import check_new, predicted
from sklmeta.cli._rounding import rounded
from sklmeta.cli._schema import (
    Column,
    columns_of,
    describe,
    features_of,
    held_to,
    known,
)
from sklmeta.cli._store import load_model
from sklmeta.cli._table import check_columns, labels_of, read_target
from sklmeta.evaluation.containers import adapted


def run(arguments: argparse.Namespace) -> None:
    """Adapt to the labelled rows, predict the others, and write both together."""
    if arguments.out is not None:
        check_path(arguments.out)
    model, meta = load_model(arguments.model)
    if arguments.in_pieces:
        predict_in_pieces(model, meta, arguments)
        return
    file = read(arguments.data, arguments)
    check_columns(file.cells, meta["features"], file.path)
    if "schema" not in meta:
        say(f"{arguments.model} does not say how its columns were read: found anew.")
        meta["schema"] = _found_anew(file, model, meta)
    reading = reading_of(arguments, meta["schema"]["na"])
    columns = columns_of(file, meta["features"], reading.na)
    schema = held_to(columns, meta["schema"]["features"], reading)
    X = _features(columns, schema)
    task, known_task = None, np.ones(len(file.cells), dtype=bool)
    if arguments.support is not None:
        model, task, known_task = _adapt(model, meta, file, arguments)
    if not known_task.any():
        raise DataError(f"{file.path} has no row with a task in {meta['task']!r}.")
    found = predicted(model, X[known_task], task, meta, arguments.coverage)
    found = rounded(found, model, X[known_task], task, arguments.digits)
    found = {arguments.prefix + name: values for name, values in found.items()}
    check_new(found, file.cells, file.path)
    rows, where = file.cells.index, file.cells.index[known_task]
    written = {n: pd.Series(v, where).reindex(rows) for n, v in found.items()}
    if is_parquet(arguments.out):
        require("pyarrow", "Writing Parquet needs pyarrow")
        write_pieces([with_columns(arrow_of(file), written)], arguments.out)
    else:
        comma = any(s["marks"][0] == "," for s in schema.values() if "marks" in s)
        mark = "," if comma and file.sep != "," else "."
        file.write(written, mark, arguments.out, arguments.escape_formulas)
    if arguments.out is not None:
        say(f"Predictions: {arguments.out}")


def _features(columns: dict[str, Column], schema: dict[str, Any]) -> pd.DataFrame:
    X, notes = features_of(columns, schema)
    for note in notes:
        say(note)
    return X


def _found_anew(file: File, model: Any, meta: dict[str, Any]) -> dict[str, Any]:
    """What models of before the schema were told of: the columns of the new file."""
    features = {}
    number = {"kind": "number", "marks": [".", ""], "missing": []}
    for name in meta["features"]:
        column = Column(file, name, ())
        found = describe(column, next(iter(column.formats((".", ""))), None))
        if found["kind"] == "date":
            words = column.words[~column.empty].tolist()
            found = {"kind": "category", "categories": words}
        features[name] = number if found["kind"] == "unused" else found
    target: dict[str, Any] = number
    if meta["classification"]:
        target = {"kind": "class", "missing": []}
        if hasattr(model, "classes_"):
            target["classes"] = [str(label) for label in model.classes_]
    return {"features": features, "target": target, "na": []}


def _adapt(
    model: Any, meta: dict[str, Any], file: File, arguments: argparse.Namespace
) -> tuple[Any, Any, Any]:
    """Adapt to one task, or to those that the column of tasks tells apart.

    Returns the adapted model, the tasks of the rows to predict where there are several,
    and which of these rows have a task.
    """
    support, X, y, old = labelled(model, meta, arguments)
    name = meta["task"]
    if old is None or (len(np.unique(old)) < 2 and name not in file.cells):
        return adapted(model, X, y), None, np.ones(len(file.cells), dtype=bool)
    check_columns(file.cells, [name], file.path)
    column = Column(file, name, reading_of(arguments, meta["schema"]["na"]).na)
    has_task = ~column.empty[column.codes]
    if not has_task.all():
        say(f"{file.path}: {(~has_task).sum()} row(s) not predicted: no task.")
    new = known(file.cells[name], np.unique(old)).to_numpy(object)[has_task]
    others = [str(task) for task in pd.unique(new) if task not in set(old)]
    if others:
        raise DataError(
            f"{file.path} has rows of {name} {', '.join(map(repr, others[:5]))}, of "
            f"which {support.path} has no labelled row."
        )
    if len(np.unique(old)) < 2:
        return adapted(model, X, y), None, has_task
    with sklearn.config_context(enable_metadata_routing=True):
        return adapted(model, X, y, task=old), new.astype(str), has_task


def labelled(
    model: Any, meta: dict[str, Any], arguments: argparse.Namespace
) -> tuple[File, pd.DataFrame, Any, Any]:
    """Rows of the support with a label, their labels, and their tasks if it has any."""
    support, target, tasks = read(arguments.support, arguments), meta["target"], None
    check_columns(support.cells, [*meta["features"], target], support.path)
    reading = reading_of(arguments, meta["schema"]["na"])
    schema = {**meta["schema"]["features"], target: meta["schema"]["target"]}
    columns = columns_of(support, schema, reading.na)
    schema = held_to(columns, schema, reading)
    about = schema.pop(target)
    y, missing = read_target(columns[target], about)
    if meta["task"] in support.cells:
        column = Column(support, meta["task"], reading.na)
        without = column.empty[column.codes] & ~missing
        if without.any():
            say(f"{support.path}: {without.sum()} labelled row(s) left out: no task.")
        missing |= without
        tasks = support.cells[meta["task"]].to_numpy(str)[~missing]
    if missing.all():
        raise DataError(f"{support.path} has no labelled row.")
    support, labels = support.rows(~missing), pd.Series(y[~missing])
    if "classes" in about:  # the labels themselves, not how they are written
        labels = known(labels, model.classes_)
    elif about["kind"] == "class":
        labels = pd.Series(labels_of(labels))
    X = _features(columns_of(support, schema, reading.na), schema)
    return support, X, np.asarray(list(labels)), tasks
