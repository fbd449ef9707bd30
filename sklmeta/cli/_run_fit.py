"""``sklmeta fit``: learn from a table of many tasks."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import sklearn

from sklmeta.calibration import calibrated, cross_calibrated
from sklmeta.cli._arguments import check_path, load, require, say
from sklmeta.cli._counts import notes_on_models
from sklmeta.cli._files import DataError
from sklmeta.cli._models import AUTO, MIXED, piped, single
from sklmeta.cli._quality import quality_of
from sklmeta.cli._store import save_model
from sklmeta.cli._table import Table, preparation
from sklmeta.model_selection import TaskShuffleSplit

FEWEST_TO_CALIBRATE = 9
"""Calibration tasks that an interval of 90 % needs."""


def run(arguments: argparse.Namespace) -> None:
    """Fit a model to the tasks, calibrate it if asked to, and keep it."""
    check_path(arguments.out)
    require("skops", "Models are kept with skops")
    if Path(arguments.out).suffix != ".skops":
        raise DataError(f"--out must end in .skops; got {arguments.out}.")
    table, options = load(arguments)
    options["n_jobs"] = arguments.jobs
    if not arguments.quiet:
        options["verbose"] = 1
    name = arguments.model or (AUTO if table.family == "gaussian" else MIXED)
    estimator = single(name, table.classification, options)
    for note in notes_on_models({name: estimator}, table.family):
        say(note)
    model = piped(estimator, preparation())
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
        "family": table.family,
        "schema": table.schema,
    }
    save_model(model, meta, arguments.out)
    say(f"Model: {arguments.out}")
    if not arguments.no_validation:
        say(quality_of(bare, table, seconds, arguments.seed))


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
