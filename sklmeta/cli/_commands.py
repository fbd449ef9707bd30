"""What each command does."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from pandas.api.types import is_numeric_dtype

from sklmeta.calibration import calibrated, cross_calibrated, predict_interval
from sklmeta.cli._models import compared, piped, single
from sklmeta.cli._report import write_report
from sklmeta.cli._store import load_model, save_model
from sklmeta.cli._table import (
    DataError,
    Table,
    check_columns,
    features_of,
    is_classification,
    make_table,
    preparation,
    read_frame,
)
from sklmeta.comparing import compare
from sklmeta.evaluation.containers import adapted
from sklmeta.model_selection import TaskShuffleSplit

FEWEST_TO_CALIBRATE = 9
"""Calibration tasks that an interval of 90 % needs."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def require(package: str, what_for: str) -> None:
    """Say what is missing before hours of work, not after."""
    if importlib.util.find_spec(package) is None:
        raise DataError(f"{what_for}: pip install 'sklmeta[cli]'.")


def check_writable(path: str) -> None:
    folder = Path(path).resolve().parent
    if not folder.is_dir():
        raise DataError(f"{path} cannot be written: there is no folder {folder}.")


def _load(arguments: argparse.Namespace) -> tuple[Table, bool, dict[str, Any]]:
    table = make_table(
        read_frame(arguments.data),
        path=arguments.data,
        target=arguments.target,
        task=arguments.task,
        features=arguments.features,
        drop=arguments.drop,
    )
    classification = is_classification(table.y, arguments.kind)
    for note in table.notes:
        say(note)
    if classification:
        table = table._replace(y=_labels(table.y))
    else:
        if not is_numeric_dtype(pd.Series(table.y)):
            raise DataError(f"Column {arguments.target!r} holds no numbers.")
        table = table._replace(y=table.y.astype(float))
    kind = "classification" if classification else "regression"
    n_tasks = len(np.unique(table.task))
    say(
        f"{len(table.y):,} rows of {n_tasks:,} tasks, {table.X.shape[1]} features, "
        f"{kind} of {arguments.target!r}."
    )
    options: dict[str, Any] = {"random_state": arguments.seed}
    if arguments.max_iter is not None:
        options["max_iter"] = arguments.max_iter
    if classification and arguments.own_classes:
        options["shared_classes"] = False
    return table, classification, options


def _labels(y: Any) -> Any:
    return y if is_numeric_dtype(pd.Series(y)) else np.asarray(y, dtype=str)


def run_compare(arguments: argparse.Namespace) -> None:
    """Print the table and the verdict, and write the report."""
    if not arguments.no_report:
        require("matplotlib", "The report's pictures need matplotlib (or --no-report)")
        check_writable(arguments.report)
    table, classification, options = _load(arguments)
    options["support"] = arguments.support  # what the meta-learners train for
    models = compared(classification, options, arguments.models)
    given = {} if arguments.shots is None else {"shots": arguments.shots}
    prepared = preparation(table.X)
    result = compare(
        {name: piped(model, prepared) for name, model in models.items()},
        table.X,
        table.y,
        table.task,
        cv=arguments.folds,
        n_draws=arguments.draws,
        support=arguments.support,
        random_state=arguments.seed,
        n_jobs=arguments.jobs,
        verbose=0 if arguments.quiet else 1,
        **given,
    )
    print(result.to_markdown())
    if arguments.csv:
        result.to_csv(arguments.csv)
    if not arguments.no_report:
        write_report(result, arguments.report, arguments.data, arguments.target)
        say(f"Report: {arguments.report}")


def run_fit(arguments: argparse.Namespace) -> None:
    """Fit a model to the tasks, calibrate it if asked to, and keep it."""
    check_writable(arguments.out)
    require("skops", "Models are kept with skops")
    if Path(arguments.out).suffix != ".skops":
        raise DataError(f"--out must end in .skops; got {arguments.out}.")
    table, classification, options = _load(arguments)
    options["n_jobs"] = arguments.jobs
    if not arguments.quiet:
        options["verbose"] = 1
    model = piped(
        single(arguments.model, classification, options), preparation(table.X)
    )
    if arguments.calibrate:
        model = _fit_calibrated(model, table, arguments)
    else:
        with sklearn.config_context(enable_metadata_routing=True):
            model.fit(table.X, table.y, task=table.task)
    meta = {
        "task": arguments.task,
        "target": arguments.target,
        "features": [str(name) for name in table.X.columns],
        "classification": bool(classification),
        "calibrated": arguments.calibrate,
    }
    save_model(model, meta, arguments.out)
    say(f"Model: {arguments.out}")


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
    model, meta = load_model(arguments.model)
    frame = read_frame(arguments.data)
    check_columns(frame, meta["features"], arguments.data)
    X, task = features_of(frame, meta["features"]), None
    if arguments.support is not None:
        support = read_frame(arguments.support)
        needed = [*meta["features"], meta["target"]]
        check_columns(support, needed, arguments.support)
        model, task = _adapt(model, meta, support, frame, arguments)
    metadata = {} if task is None else {"task": task}
    with sklearn.config_context(enable_metadata_routing=True):
        found = {"prediction": model.predict(X, **metadata)}
        if meta["classification"] and hasattr(model, "predict_proba"):
            values = model.predict_proba(X, **metadata)
            for label, column in zip(model.classes_, values.T, strict=True):
                found[f"probability_{label}"] = column
    if meta["calibrated"] and not meta["classification"]:
        ends = predict_interval(model, X, arguments.coverage, task=task)
        found["low"], found["high"] = ends.T
    written = frame.assign(**found)
    if arguments.out is None:
        written.to_csv(sys.stdout, index=False)
        return
    written.to_csv(arguments.out, index=False)
    say(f"Predictions: {arguments.out}")


def _adapt(
    model: Any,
    meta: dict[str, Any],
    support: pd.DataFrame,
    frame: pd.DataFrame,
    arguments: argparse.Namespace,
) -> tuple[Any, Any]:
    """Adapt to one task, or to those that the column of tasks tells apart."""
    support = support[support[meta["target"]].notna()]
    if not len(support):
        raise DataError(f"{arguments.support} has no labelled row.")
    y = support[meta["target"]].to_numpy()
    y = _labels(y) if meta["classification"] else y.astype(float)
    X, name = features_of(support, meta["features"]), meta["task"]
    if name not in support or support[name].nunique() < 2:
        if name in support and name in frame:
            others = frame[name][~frame[name].isin(support[name])].unique()
            if len(others):
                raise DataError(
                    f"{arguments.data} has rows of {name} "
                    f"{', '.join(map(repr, others[:5].tolist()))}, of which "
                    f"{arguments.support} has no labelled row."
                )
        return adapted(model, X, y), None
    check_columns(frame, [name], arguments.data)
    with sklearn.config_context(enable_metadata_routing=True):
        new = adapted(model, X, y, task=support[name].astype(str).to_numpy())
    return new, frame[name].astype(str).to_numpy()
