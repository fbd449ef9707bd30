"""What each command does."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import importlib.util
import sys
import textwrap
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn

from sklmeta.calibration import calibrated, cross_calibrated, predict_interval
from sklmeta.cli._early import first_answer
from sklmeta.cli._files import DataError, File, read_file
from sklmeta.cli._models import bounded, compared, piped, single
from sklmeta.cli._next import next_step_of
from sklmeta.cli._quality import quality_of
from sklmeta.cli._record import record_of
from sklmeta.cli._report import write_report
from sklmeta.cli._rounding import rounded
from sklmeta.cli._schema import (
    Column,
    Reading,
    columns_of,
    describe,
    features_of,
    held_to,
    known,
)
from sklmeta.cli._store import load_model, save_model
from sklmeta.cli._table import (
    Table,
    check_columns,
    labels_of,
    make_table,
    preparation,
    read_target,
)
from sklmeta.cli._terminal import growing, is_live, text_of
from sklmeta.comparing import Comparison, compare
from sklmeta.evaluation.containers import adapted
from sklmeta.model_selection import TaskShuffleSplit
from sklmeta.persistence import check_writable

FEWEST_TO_CALIBRATE = 9
"""Calibration tasks that an interval of 90 % needs."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def require(package: str, what_for: str) -> None:
    """Say what is missing before hours of work, not after."""
    if importlib.util.find_spec(package) is None:
        raise DataError(f"{what_for}: pip install 'sklmeta[cli]'.")


def _check_writable(path: str) -> None:
    try:
        check_writable(path)
    except OSError as error:
        raise DataError(str(error)) from error


def _read(path: str, arguments: argparse.Namespace) -> File:
    return read_file(path, arguments.sep, arguments.encoding, arguments.sheet)


def _reading(arguments: argparse.Namespace, na: Iterable[str] = ()) -> Reading:
    words = frozenset(arguments.na) | frozenset(na)
    return Reading(words, arguments.decimal, arguments.thousands)


def _load(arguments: argparse.Namespace) -> tuple[Table, dict[str, Any]]:
    table = make_table(
        _read(arguments.data, arguments),
        target=arguments.target,
        task=arguments.task,
        features=arguments.features,
        drop=arguments.drop,
        kind=arguments.kind,
        own_classes=arguments.own_classes,
        reading=_reading(arguments),
        time=getattr(arguments, "time", None),
    )
    for note in table.notes:
        say(note)
    kind = "classification" if table.classification else "regression"
    n_tasks = len(np.unique(table.task))
    say(
        f"{len(table.y):,} rows of {n_tasks:,} tasks, {table.X.shape[1]} features, "
        f"{kind} of {arguments.target!r}."
    )
    options: dict[str, Any] = {"random_state": arguments.seed}
    if arguments.max_iter is not None:
        options["max_iter"] = arguments.max_iter
    if table.classification and arguments.own_classes:
        options["shared_classes"] = False
    return table, options


def run_compare(arguments: argparse.Namespace) -> None:
    """Print the table and the verdict, and write the report."""
    if not arguments.no_report:
        require("matplotlib", "The report's pictures need matplotlib (or --no-report)")
        _check_writable(arguments.report)
    table, options = _load(arguments)
    if arguments.support is None:
        arguments.support = "first" if arguments.time else "random"
    options["support"] = arguments.support  # what the meta-learners train for
    options = bounded(options, len(np.unique(table.task)))
    names = apart(arguments.models)
    models = compared(table.classification, options, names)
    if arguments.quiet:
        result = _compared(models, table, arguments)
    elif not is_live():
        result = _compared(models, table, arguments, first_answer(models), verbose=1)
    else:
        with growing(len(models)) as callback:
            result = _compared(models, table, arguments, callback)
    for one in result.by_metric.values():
        print(one.to_markdown() if arguments.markdown else text_of(one))
    next_step = next_step_of(
        result,
        data=arguments.data,
        task=arguments.task,
        target=arguments.target,
        options=fitting_options(arguments),
    )
    record = record_of(arguments, table)
    if not arguments.markdown:
        print(textwrap.fill(f"What to do next: {next_step.text}", 80), "\n")
        print(*(f"  {command}" for command in next_step.commands), "", sep="\n")
        for name, value in record.items():
            print(textwrap.fill(f"{name}: {value}", 80, subsequent_indent="  "))
    if arguments.csv:
        tables = {m: one.table() for m, one in result.by_metric.items()}
        if len(tables) == 1:
            result.to_csv(arguments.csv)
        else:
            pd.concat(tables, names=["metric"]).to_csv(arguments.csv)
    if not arguments.no_report:
        write_report(
            *(result, arguments.report, arguments.data, arguments.target),
            next_step=next_step,
            record=record,
        )
        say(f"Report: {arguments.report}")


def apart(words: list[str] | None) -> list[str] | None:
    """Part what is given with commas, or as several arguments."""
    names = [part.strip() for word in words or [] for part in word.split(",")]
    return [name for name in names if name] or None


def _compared(
    models: dict[str, Any],
    table: Table,
    arguments: argparse.Namespace,
    callback: Any = None,
    verbose: int = 0,
) -> Comparison:
    given = {} if arguments.shots is None else {"shots": arguments.shots}
    scoring = apart([arguments.scoring or ""])
    return compare(
        models,
        table.X,
        table.y,
        table.task,
        cv=arguments.folds,
        n_draws=arguments.draws,
        scoring=scoring,
        support=arguments.support,
        time=table.time,
        preparation=preparation(),
        random_state=arguments.seed,
        n_jobs=arguments.jobs,
        verbose=verbose,
        callback=callback,
        **given,
    )


def run_fit(arguments: argparse.Namespace) -> None:
    """Fit a model to the tasks, calibrate it if asked to, and keep it."""
    _check_writable(arguments.out)
    require("skops", "Models are kept with skops")
    if Path(arguments.out).suffix != ".skops":
        raise DataError(f"--out must end in .skops; got {arguments.out}.")
    table, options = _load(arguments)
    options["n_jobs"] = arguments.jobs
    if not arguments.quiet:
        options["verbose"] = 1
    model = piped(single(arguments.model, table.classification, options), preparation())
    bare, start = model, time.perf_counter()
    if arguments.calibrate:
        model = _fit_calibrated(model, table, arguments)
    else:
        with sklearn.config_context(enable_metadata_routing=True):
            model.fit(table.X, table.y, task=table.task)
    seconds = time.perf_counter() - start
    meta = {
        "task": arguments.task,
        "target": arguments.target,
        "features": list(table.schema["features"]),
        "classification": table.classification,
        "calibrated": arguments.calibrate,
        "schema": table.schema,
    }
    save_model(model, meta, arguments.out)
    say(f"Model: {arguments.out}")
    if not arguments.no_validation:
        say(quality_of(bare, table, seconds, arguments.seed))


def fitting_options(arguments: argparse.Namespace) -> list[str]:
    """Write down what `compare` was told of the table, for `fit` to be told as well."""
    said: list[str] = []
    for name in ("sep", "encoding", "sheet", "decimal", "thousands", "kind"):
        value = getattr(arguments, name)
        said += [] if value is None else [f"--{name}", value]
    for name in ("features", "drop"):
        columns = getattr(arguments, name)
        said += [f"--{name}", *columns] if columns else []
    said += [part for word in arguments.na for part in ("--na", word)]
    return [*said, "--own-classes"] if arguments.own_classes else said


def _fit_calibrated(model: Any, table: Table, arguments: argparse.Namespace) -> Any:
    """Calibrate on a quarter of the tasks, or on all where a quarter is too few."""
    n_tasks = len(np.unique(table.task))
    if n_tasks < FEWEST_TO_CALIBRATE:
        raise DataError(
            f"90 % intervals need {FEWEST_TO_CALIBRATE} tasks; there are {n_tasks}. "
            "Fit without --calibrate, or bring more tasks."
        )
    if n_tasks < 4 * FEWEST_TO_CALIBRATE:
        say("Calibrating on all tasks by cross-validation, which takes six fits.")
        return cross_calibrated(model, table.X, table.y, table.task)
    split = TaskShuffleSplit(1, test_size=0.25, random_state=arguments.seed)
    old, held = next(split.split(table.X, table.y, groups=table.task))
    with sklearn.config_context(enable_metadata_routing=True):
        model.fit(table.X.iloc[old], table.y[old], task=table.task[old])
    return calibrated(model, table.X.iloc[held], table.y[held], table.task[held])


def run_predict(arguments: argparse.Namespace) -> None:
    """Adapt to the labelled rows, predict the others, and write both together."""
    if arguments.out is not None:
        _check_writable(arguments.out)
    model, meta = load_model(arguments.model)
    file = _read(arguments.data, arguments)
    check_columns(file.cells, meta["features"], file.path)
    if "schema" not in meta:
        say(f"{arguments.model} does not say how its columns were read: found anew.")
        meta["schema"] = _found_anew(file, model, meta)
    reading = _reading(arguments, meta["schema"]["na"])
    columns = columns_of(file, meta["features"], reading.na)
    schema = held_to(columns, meta["schema"]["features"], reading)
    X = _features(columns, schema)
    task, known_task = None, np.ones(len(file.cells), dtype=bool)
    if arguments.support is not None:
        model, task, known_task = _adapt(model, meta, file, arguments)
    if not known_task.any():
        raise DataError(f"{file.path} has no row with a task in {meta['task']!r}.")
    found = _predicted(model, X[known_task], task, meta, arguments.coverage)
    found = rounded(found, model, X[known_task], task, arguments.digits)
    found = {arguments.prefix + name: values for name, values in found.items()}
    clash = [name for name in found if name in file.cells]
    if clash:
        raise DataError(
            f"{file.path} has a column {clash[0]!r}, which would be written over: say "
            "--prefix, such as --prefix new_."
        )
    rows, where = file.cells.index, file.cells.index[known_task]
    written = {n: pd.Series(v, where).reindex(rows) for n, v in found.items()}
    comma = any(s["marks"][0] == "," for s in schema.values() if "marks" in s)
    file.write(written, "," if comma and file.sep != "," else ".", arguments.out)
    if arguments.out is not None:
        say(f"Predictions: {arguments.out}")


def _predicted(
    model: Any, X: pd.DataFrame, task: Any, meta: dict[str, Any], coverage: float
) -> dict[str, Any]:
    """Predictions, and probabilities or intervals where the model has them."""
    metadata = {} if task is None else {"task": task}
    with sklearn.config_context(enable_metadata_routing=True):
        found = {"prediction": model.predict(X, **metadata)}
        if meta["classification"]:
            found["prediction"] = found["prediction"].astype(str)
        if meta["classification"] and hasattr(model, "predict_proba"):
            values = model.predict_proba(X, **metadata)
            for label, column in zip(model.classes_, values.T, strict=True):
                found[f"probability_{label}"] = column
    if meta["calibrated"] and not meta["classification"]:
        ends = predict_interval(model, X, coverage, task=task)
        found["low"], found["high"] = ends.T
    return found


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
    support, X, y, old = _labelled(model, meta, arguments)
    name = meta["task"]
    if old is None or (len(np.unique(old)) < 2 and name not in file.cells):
        return adapted(model, X, y), None, np.ones(len(file.cells), dtype=bool)
    check_columns(file.cells, [name], file.path)
    column = Column(file, name, _reading(arguments, meta["schema"]["na"]).na)
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


def _labelled(
    model: Any, meta: dict[str, Any], arguments: argparse.Namespace
) -> tuple[File, pd.DataFrame, Any, Any]:
    """Rows of the support with a label, their labels, and their tasks if it has any."""
    support, target, tasks = _read(arguments.support, arguments), meta["target"], None
    check_columns(support.cells, [*meta["features"], target], support.path)
    reading = _reading(arguments, meta["schema"]["na"])
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
