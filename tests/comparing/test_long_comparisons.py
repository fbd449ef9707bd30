"""A comparison that is interrupted, killed, short of time, or spread over cores."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import warnings

import pandas as pd
import pytest
from killing import CtrlC, dying
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge

from sklmeta import BayesianLinearRegressor, PerTask
from sklmeta.comparing import compare
from sklmeta.datasets import make_linear_tasks
from sklmeta.model_selection import running
from sklmeta.training.progress import Progress

X, Y, TASK = make_linear_tasks(12, n_rows=10, random_state=0)
NAMES = pd.Series(TASK).map("task {}".format).to_numpy(object)


def learner(**params):
    return BayesianLinearRegressor(
        hidden_layer_sizes=(),
        start=None,
        early_stopping=False,
        random_state=0,
        **{"max_iter": 120, **params},
    )


def scores(models, **how):
    result = compare(models, X, Y, NAMES, shots=[1, 3], n_draws=1, cv=2, **how)
    return result.draws.drop(columns=["fit_time", "adapt_time"])


def models(**params):
    return {"own": PerTask(Ridge()), "mixed": learner(**params)}


def test_what_a_killed_comparison_has_done_is_not_done_again(tmp_path, monkeypatch):
    whole = scores(models())
    for n in (2, 1, 3, 2):  # writings
        with dying(monkeypatch, n):
            scores(models(), checkpoint_dir=tmp_path)
    pd.testing.assert_frame_equal(scores(models(), checkpoint_dir=tmp_path), whole)
    monkeypatch.setattr(PerTask, "fit", None)  # nothing is fitted any more
    more = {**models(), "other": learner(max_iter=3)}
    found = scores(more, checkpoint_dir=tmp_path)
    rest = found[found.estimator != "other"].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, whole)
    with pytest.raises(ValueError, match="another fit: random_state was 0, and is 1"):
        scores(models(), checkpoint_dir=tmp_path, random_state=1)


def test_ctrl_c_leaves_the_estimators_that_are_judged():
    cut = models(callbacks=[CtrlC("on_batch_end", 5)])
    said = pytest.warns(UserWarning, match=r"has the 1 estimator\(s\) that were")
    with said, pytest.warns(ConvergenceWarning, match="Interrupted after 5 of 120"):
        found = scores(cut)
    assert set(found.estimator) == {"own"}
    with pytest.warns(ConvergenceWarning), pytest.raises(KeyboardInterrupt):
        scores({"mixed": cut["mixed"]})


def test_time_is_shared_by_the_fits_to_come():
    with pytest.warns(ConvergenceWarning, match="ended the training after") as said:
        result = compare(
            models(max_iter=10**6), X, Y, TASK, shots=[1], cv=2, max_time=0.6
        )
    assert len(said) == 2
    assert result.draws.groupby("fold").fit_time.max().sum() < 20  # not hours


def test_other_cores_find_the_same(monkeypatch):
    whole = scores(models())
    monkeypatch.setattr(running, "ALONE", 0.0)
    monkeypatch.setattr(running, "WORTH_STARTING", 0.0)
    used = []
    parallel = running.Parallel
    monkeypatch.setattr(
        running, "Parallel", lambda **how: used.append(how["n_jobs"]) or parallel(**how)
    )
    monkeypatch.setattr(running, "effective_n_jobs", lambda n: 2)
    pd.testing.assert_frame_equal(scores(models()), whole)
    assert used == [2]


def test_warnings_of_other_processes_are_heard_at_the_line_of_the_user():
    progress = Progress(2, "jobs")
    jobs = [(warnings.warn, "told elsewhere", RuntimeWarning)] * 2
    with pytest.warns(RuntimeWarning, match="told elsewhere") as said:
        assert list(running.run_jobs(jobs, [1, 1], progress, 2)) == [None] * 2
    assert {one.filename for one in said} == {__file__}
