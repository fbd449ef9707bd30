"""What a comparison rests on, so that it can be repeated."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import datetime
import shlex
import sys

import numpy as np

from sklmeta._version import __version__
from sklmeta.cli._table import Table


def record_of(arguments: argparse.Namespace, table: Table) -> dict[str, str]:
    """Return the command, the date, the split, and the columns used and left out."""
    used = list(table.schema["features"])
    known = {arguments.task, arguments.target, *used}
    out = [name for name in arguments.drop if name not in known]
    folds = arguments.folds or "5, or as many as there are tasks"
    record = {
        "Command": shlex.join(["sklmeta", *sys.argv[1:]]),
        "Version": f"sklmeta {__version__}",
        "Date": f"{datetime.datetime.now():%Y-%m-%d %H:%M}",
        "Seed": arguments.seed,
        "Folds": folds,
        "Draws of a support for each task": arguments.draws,
        "Choice of the support": arguments.support
        + (f", in the order of {arguments.time}" if arguments.time else ""),
        "Rows": f"{len(table.y):,}, of {len(np.unique(table.task)):,} tasks",
        "Features": ", ".join(used),
        "Left out on request": ", ".join(out),
        "Notes on the table": " ".join(table.notes),
    }
    return {name: str(value) for name, value in record.items() if value != ""}
