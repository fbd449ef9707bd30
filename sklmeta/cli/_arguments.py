"""What the commands make of their arguments."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from sklmeta.cli._counts import few_rows, words_for
from sklmeta.cli._files import DataError, File, read_file
from sklmeta.cli._schema import Reading
from sklmeta.cli._table import Table, make_table
from sklmeta.persistence import check_writable


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def require(package: str, what_for: str) -> None:
    """Say what is missing before hours of work, not after."""
    if importlib.util.find_spec(package) is None:
        raise DataError(f"{what_for}: pip install 'sklmeta[cli]'.")


def check_path(path: str) -> None:
    try:
        check_writable(path)
    except OSError as error:
        raise DataError(str(error)) from error


def read(path: str, arguments: argparse.Namespace) -> File:
    return read_file(path, arguments.sep, arguments.encoding, arguments.sheet)


def reading_of(arguments: argparse.Namespace, na: Iterable[str] = ()) -> Reading:
    words = frozenset(arguments.na) | frozenset(na)
    return Reading(words, arguments.decimal, arguments.thousands)


def load(arguments: argparse.Namespace) -> tuple[Table, dict[str, Any]]:
    table = make_table(
        read(arguments.data, arguments),
        target=arguments.target,
        task=arguments.task,
        features=arguments.features,
        drop=arguments.drop,
        kind=arguments.kind,
        own_classes=arguments.own_classes,
        reading=reading_of(arguments),
        time=getattr(arguments, "time", None),
    )
    for note in table.notes:
        say(note)
    kind = "classification" if table.classification else words_for(table.family)
    n_tasks = len(np.unique(table.task))
    say(
        f"{len(table.y):,} rows of {n_tasks:,} tasks, {table.X.shape[1]} features, "
        f"{kind} of {arguments.target!r}."
    )
    options: dict[str, Any] = {"random_state": arguments.seed}
    if arguments.max_iter is not None:
        options["max_iter"] = arguments.max_iter
    if table.family != "gaussian":
        options |= {"family": table.family, "likelihood": table.family}
        if few_rows(table.task, table.X.shape[1]):
            say("Tasks have too few rows for slopes of their own: they have levels.")
            options["random_slopes"] = "none"
    if table.classification and arguments.own_classes:
        options["shared_classes"] = False
    return table, options
