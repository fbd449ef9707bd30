"""Arguments, exit codes and the four commands."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Sequence
from typing import Any

import sklmeta
from sklmeta._version import __version__
from sklmeta.cli._warnings import in_plain_words

FILES = "csv, tsv, Parquet or a spreadsheet"
NOT_LISTED = ("AutoMeta", "MixedModel")  # which have other names here
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0 means done, 1 that something about the data is wrong, which is said on standard
    error, 2 a wrong argument, 130 an interruption.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments; None takes those of the process.

    Returns
    -------
    int
    """
    arguments = parser().parse_args(argv)
    try:
        # torch and pandas take seconds, for which help and typing errors do not wait.
        command = importlib.import_module(f"sklmeta.cli._run_{arguments.command}")
        with in_plain_words():
            command.run(arguments)
    except (ValueError, ImportError) as error:
        # The estimators' own checks speak of the data in a ValueError, as ours do.
        text = str(error).replace("checkpoint_dir", "--resume")
        print(f"sklmeta: {text}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, such as head, has seen enough
        sys.stdout = None  # or Python would complain when it flushes at exit
    except KeyboardInterrupt:
        folder = getattr(arguments, "resume", None)
        kept = f"what is done is in {folder}: say the same again to go on"
        print(
            f"sklmeta: interrupted; {kept if folder else 'nothing was written'}",
            file=sys.stderr,
        )
        return INTERRUPTED
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="sklmeta", description="Few-shot learning over many small related tables."
    )
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(required=True, dest="command", metavar="command")
    _add_compare(commands)
    _add_fit(commands)
    _add_predict(commands)
    _add_explain(commands)
    return top


def _add_compare(commands: Any) -> None:
    compare = commands.add_parser(
        "compare",
        help="does meta-learning pay on this table, and from how many rows?",
        description=(
            "Cross-validate meta-learners and baselines by task, print the table and "
            "a verdict, and write a report with pictures."
        ),
    )
    _add_data(compare)
    _add_judging(compare)
    compare.add_argument(
        "--markdown", action="store_true", help="print the table as Markdown"
    )
    compare.add_argument(
        "--resume",
        metavar="DIR",
        help="keep what is done in this folder: the same command, after Ctrl-C or a "
        "crash, goes on there",
    )
    compare.add_argument("--report", default="report.html", metavar="FILE")
    compare.add_argument("--no-report", action="store_true")
    compare.add_argument("--csv", metavar="FILE", help="write the table here as well")


def _add_judging(compare: argparse.ArgumentParser) -> None:
    compare.add_argument(
        "--shots",
        type=int,
        nargs="+",
        help="labelled rows of a new task (default: 0 1 2 5 10 20 50, as far as tasks "
        "have them)",
    )
    compare.add_argument(
        "--models",
        nargs="+",
        metavar="NAME",
        help="meta-learners to compare, apart by spaces or commas; the baselines are "
        f"always there. {_models()}",
    )
    compare.add_argument(
        "--scoring",
        metavar="NAMES",
        help="rmse, mae, accuracy, log_loss, or names of scikit-learn's scorers; "
        "several, apart by commas, make a table each, and the report has the first "
        "(default: rmse or accuracy)",
    )
    compare.add_argument(
        "--support",
        choices=["random", "stratified", "first"],
        help="which rows of a task are labelled (default: random); 'stratified': of "
        "shared classes one of each first; 'first' in the order of the file",
    )
    compare.add_argument(
        "--time",
        metavar="COLUMN",
        help="dates or numbers: the labelled rows of a task are its first in time",
    )
    compare.add_argument("--folds", type=int, default=None, help="default: 5")
    compare.add_argument("--draws", type=int, default=3, help="supports per task")


def _models() -> str:
    """Names, with a star at those that are compared by default."""
    # Those of `sklmeta.cli._models`, which takes seconds to import.
    defaults = {"mixed model", "BayesianLinear", "ProtoNet"}
    names = {re.sub("(Classifier|Regressor)$", "", n) for n in sklmeta.__all__}
    kept = [n for n in sorted(names - {*sklmeta.__all__}) if n not in NOT_LISTED]
    named = ["auto (a blend)", "mixed model", *kept]
    listed = ", ".join(f"{n}*" if n in defaults else n for n in named)
    return f"There are (* by default): {listed}. Some are for classes or numbers only"


def _add_fit(commands: Any) -> None:
    fit = commands.add_parser("fit", help="learn from a table of many tasks")
    _add_data(fit)
    fit.add_argument("--out", required=True, metavar="MODEL.skops")
    fit.add_argument(
        "--model",
        help="an estimator's name (default: auto, a blend; of counts the mixed model)",
    )
    fit.add_argument(
        "--calibrate",
        action="store_true",
        help="calibrate intervals and probabilities: on a quarter of the tasks, held "
        "out, or with fewer than 36 on all of them, by cross-validation",
    )
    fit.add_argument(
        "--no-validation",
        action="store_true",
        help="do not measure how good the model is, by three more fits where they are "
        "quick",
    )


def _add_predict(commands: Any) -> None:
    predict = commands.add_parser("predict", help="adapt to labelled rows, and predict")
    predict.add_argument("model", metavar="MODEL.skops")
    predict.add_argument("data", help=f"{FILES}: the rows to predict")
    _add_reading(predict)
    predict.add_argument(
        "--support",
        metavar="FILE",
        help="labelled rows of the new task, or tasks; without them a task of which "
        "nothing is known",
    )
    predict.add_argument("--coverage", type=float, default=0.9, help="of the intervals")
    predict.add_argument(
        "--out", metavar="FILE", help="csv or Parquet; default: csv to standard output"
    )
    predict.add_argument(
        "--escape-formulas",
        action="store_true",
        help="put an apostrophe before text that begins with =, +, - or @, which a "
        "spreadsheet would evaluate; numbers stay",
    )
    predict.add_argument(
        "--digits",
        type=int,
        help="decimals of what is written; default: two digits of how sure it is",
    )
    predict.add_argument(
        "--in-pieces",
        action="store_true",
        help="Parquet to Parquet, in memory that does not grow with the tasks: DATA "
        "has each task's labelled rows beside those to predict, sorted by task",
    )
    predict.add_argument(
        "--rows", type=int, default=50_000, help="of a piece (default: 50,000)"
    )
    predict.add_argument(
        "--prefix", default="", help="of the names of the columns that are written"
    )


def _add_explain(commands: Any) -> None:
    explain = commands.add_parser(
        "explain",
        help="what the model looks at in a new task",
        description=(
            "Permutation importance of the features for the model as adapted to the "
            "labelled rows of new tasks, and of a mixed model its coefficients and how "
            "much these tasks deviate."
        ),
    )
    explain.add_argument("model", metavar="MODEL.skops")
    explain.add_argument("data", help=f"{FILES}: labelled rows of new tasks")
    _add_reading(explain)
    explain.add_argument("--repeats", type=int, default=20, help="shuffles (20)")
    explain.add_argument("--seed", type=int, default=0)
    explain.add_argument("--markdown", action="store_true", help="tables as Markdown")


def _add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument("data", help=FILES)
    _add_reading(command)
    command.add_argument("--task", required=True, metavar="COLUMN")
    command.add_argument("--target", required=True, metavar="COLUMN")
    command.add_argument("--features", nargs="+", metavar="COLUMN")
    command.add_argument("--drop", nargs="+", default=[], metavar="COLUMN")
    command.add_argument(
        "--kind",
        choices=["classification", "regression", "counts", "amounts"],
        help="of the target; counts (0, 1, 2, ...) and amounts (above 0) are predicted "
        "on a logarithmic scale, never negative (default: found from it)",
    )
    command.add_argument(
        "--own-classes",
        action="store_true",
        help="each task has classes of its own, which mean nothing in another",
    )
    command.add_argument("--max-iter", type=int, help="meta-updates of every learner")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--jobs", type=int, default=None, help="fits at a time")
    command.add_argument("--quiet", action="store_true", help="no progress bars")


def _add_reading(command: Any) -> None:
    read = command.add_argument_group("how files are read")
    read.add_argument("--sep", help="between cells; default: found where certain")
    read.add_argument("--encoding", help="default: UTF-8, or as the file is marked")
    read.add_argument("--sheet", help="of a spreadsheet; default: the only one")
    read.add_argument(
        "--decimal", help="mark of decimals; default: found where certain"
    )
    read.add_argument("--thousands", help="mark between thousands")
    read.add_argument(
        "--na",
        action="append",
        default=[],
        metavar="WORD",
        help="word that means missing in every column; may be given several times",
    )
