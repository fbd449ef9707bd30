"""A comparison that is interrupted goes on, and ends where another one does."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import pandas as pd
import pytest

from sklmeta.cli import main
from sklmeta.comparing import _judging
from tests.cli.tables import sales

FLAGS = ["--task", "store", "--target", "sales", "--models", "mixed model", "--jobs"]
FLAGS += ["1", "--folds", "2", "--draws", "1", "--shots", "2", "--no-report", "--quiet"]
N_FITS = 4 * 2  # models and folds


@pytest.fixture
def fits(tmp_path, monkeypatch):
    """How many fits were begun; Ctrl-C comes at the numbers of `stops`."""
    monkeypatch.chdir(tmp_path)
    sales().to_csv("sales.csv", index=False)
    judge = _judging.evaluate_fold
    fits: dict[str, list[int]] = {"begun": [], "stops": []}

    def counted(*args, **kwargs):
        fits["begun"].append(len(fits["begun"]) + 1)
        if fits["begun"][-1] in fits["stops"]:
            raise KeyboardInterrupt
        return judge(*args, **kwargs)

    monkeypatch.setattr(_judging, "evaluate_fold", counted)
    return fits


def compare(*more):
    return main(["compare", "sales.csv", *FLAGS, *more])


@pytest.mark.filterwarnings("ignore:Interrupted")
def test_the_same_command_again_ends_at_the_same_table(fits, capsys):
    assert compare("--csv", "whole.csv") == 0
    assert len(fits["begun"]) == N_FITS
    # The second fit, before any model is done; then the second of the fourth model.
    fits["begun"], fits["stops"] = [], [2, N_FITS + 1]
    resumed = ["--resume", "kept", "--csv", "resumed.csv"]
    assert compare(*resumed) == 130
    assert "in kept: say the same again" in capsys.readouterr().err
    assert compare(*resumed) == 0
    printed = capsys.readouterr()
    assert "in kept: say the same again" in printed.err
    assert "own ridge" in printed.out
    assert compare(*resumed) == 0
    assert "say the same again" not in capsys.readouterr().err
    assert len(fits["begun"]) == N_FITS + 2  # none twice but for those broken off
    whole, found = pd.read_csv("whole.csv"), pd.read_csv("resumed.csv")
    times = ["fit_seconds", "adapt_milliseconds"]
    pd.testing.assert_frame_equal(found.drop(columns=times), whole.drop(columns=times))


def test_a_folder_of_another_table_is_refused(fits, capsys):
    assert compare("--resume", "kept") == 0
    sales(seed=1).to_csv("sales.csv", index=False)
    assert compare("--resume", "kept") == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "Give another --resume" in told
