"""The line that says how far a fit is: where, when, and that it is one."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import io
import re

import pytest

from sklmeta import BayesianLinearRegressor
from sklmeta.datasets import make_linear_tasks
from sklmeta.training import progress
from sklmeta.training.progress import Progress, reported_to


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def fit(monkeypatch):
    """Fits in which half a second passes at every look at the clock."""

    def fit(stderr, delay=0.0, pause=0.0, **params):
        monkeypatch.setattr(progress, "DELAY", delay)
        monkeypatch.setattr(progress, "PLAIN_EVERY", pause)
        monkeypatch.setattr("sys.stderr", stderr)
        X, y, task = make_linear_tasks(12, n_rows=10, random_state=0)
        est = BayesianLinearRegressor(
            hidden_layer_sizes=(),
            start=None,
            early_stopping=True,
            random_state=0,
            **params,
        )
        est.fit(X, y, task=task)
        return stderr.getvalue()

    return fit


@pytest.mark.parametrize("verbose", [None, 1])
def test_a_bar_on_a_terminal_is_one_line_with_the_time_left(fit, verbose):
    shown = fit(Terminal(), max_iter=200, verbose=verbose)
    assert "\n" not in shown.rstrip("\n")
    assert "/200 [" in shown
    assert " left" in shown
    assert "validation loss" in shown
    assert "\x1b[3" not in shown  # colours


def test_a_short_fit_shows_nothing(fit):
    assert fit(Terminal(), delay=60.0, max_iter=5, verbose=1) == ""


@pytest.mark.parametrize("stderr", [Terminal, io.StringIO])
def test_silent_where_told_to_be(fit, stderr):
    assert fit(stderr(), max_iter=5, verbose=0) == ""


def test_a_file_gets_nothing_by_default_and_plain_lines_if_told(fit):
    assert fit(io.StringIO(), max_iter=5) == ""
    lines = fit(io.StringIO(), max_iter=20, verbose=1).splitlines()
    pattern = r"\w+: \d+ of 20, \d\d:\d\d gone, about \d\d:\d\d left.*"
    assert lines
    assert all(re.fullmatch(pattern, line) for line in lines)


def test_silences_grow(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    line = Progress(1000, "fit", verbose=1)
    for _ in range(1000):
        now[0] += 1.0
        line.advance()
    said = capsys.readouterr().err.splitlines()
    assert 5 < len(said) < 12
    assert said[0] == "fit: 11 of 1000, 00:11 gone, about 16:29 left"


def test_a_fit_inside_another_work_reports_to_it(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shares = []
    with reported_to(shares.append):
        line = Progress(4, "fit", verbose=1)
        for _ in range(4):
            now[0] += 100.0
            line.advance()
    assert shares == [0.25, 0.5, 0.75, 1.0]
    assert capsys.readouterr().err == ""
