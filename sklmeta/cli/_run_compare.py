"""``sklmeta compare``: does meta-learning pay on this table?"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import textwrap
from typing import Any

import numpy as np
import pandas as pd

from sklmeta.cli._arguments import check_path, load, require, say
from sklmeta.cli._counts import notes_on_models
from sklmeta.cli._early import first_answer
from sklmeta.cli._models import bounded, compared
from sklmeta.cli._next import next_step_of
from sklmeta.cli._record import record_of
from sklmeta.cli._report import write_report
from sklmeta.cli._table import Table, preparation
from sklmeta.cli._terminal import growing, is_live, text_of
from sklmeta.comparing import Comparison, compare


def run(arguments: argparse.Namespace) -> None:
    """Print the table and the verdict, and write the report."""
    _check_outputs(arguments)
    table, options = load(arguments)
    if arguments.support is None:
        arguments.support = "first" if arguments.time else "random"
    options["support"] = arguments.support  # what the meta-learners train for
    options = bounded(options, len(np.unique(table.task)))
    names = apart(arguments.models)
    models = compared(table.classification, options, names)
    for note in notes_on_models(models, table.family):
        say(note)
    if arguments.quiet:
        result = _compared(models, table, arguments)
    elif not is_live():
        result = _compared(models, table, arguments, first_answer(models), verbose=1)
    else:
        with growing(len(models)) as callback:
            result = _compared(models, table, arguments, callback)
    if arguments.resume and len(result.names) < len(models):
        say(f"What is done is in {arguments.resume}: say the same again to go on.")
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
        _write_csv(result, arguments.csv)
    if not arguments.no_report:
        write_report(
            *(result, arguments.report, arguments.data, arguments.target),
            next_step=next_step,
            record=record,
        )
        say(f"Report: {arguments.report}")


def _check_outputs(arguments: argparse.Namespace) -> None:
    """Whether all can be written, before the hours of work."""
    if not arguments.no_report:
        require("matplotlib", "The report's pictures need matplotlib (or --no-report)")
        check_path(arguments.report)
    if arguments.csv:
        check_path(arguments.csv)


def _write_csv(result: Comparison, path: str) -> None:
    tables = {metric: one.table() for metric, one in result.by_metric.items()}
    if len(tables) == 1:
        result.to_csv(path)
    else:
        pd.concat(tables, names=["metric"]).to_csv(path)


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
        checkpoint_dir=arguments.resume,
        callback=callback,
        **given,
    )


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
