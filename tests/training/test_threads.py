"""Intra-op threads of a fit, and their restoration."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import threading

import pytest
import torch
from torch import nn

from sklmeta import BayesianLinearRegressor
from sklmeta.learners.torch_state import intra_op_threads


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Counting(nn.Linear):
    """Notes the number of threads it runs with."""

    seen: set[int] = set()

    def __init__(self, n_features_in, width=4):
        super().__init__(n_features_in, width)

    def forward(self, X):
        if self.training:
            self.seen.add(torch.get_num_threads())
        return super().forward(X)


class Convolving(Counting):
    def __init__(self, n_features_in):
        super().__init__(n_features_in)
        self.convolution = nn.Conv1d(1, 1, 1)


class Wide(Counting):
    def __init__(self, n_features_in):
        super().__init__(n_features_in)
        self.more = nn.Linear(1024, 1025)


@pytest.mark.parametrize(
    ("module", "n_threads", "expected"),
    [
        (Counting, None, 1),
        (Convolving, None, 2),
        (Wide, None, 2),
        (Counting, 3, 3),
        (Convolving, 1, 1),
    ],
)
def test_threads_of_a_fit(module, n_threads, expected, regression_tasks, two_threads):
    X, y, task = regression_tasks
    Counting.seen.clear()
    est = BayesianLinearRegressor(
        module=module, n_threads=n_threads, max_iter=2, device="cpu"
    )
    est.fit(X, y, task=task)
    assert Counting.seen == {expected}
    assert torch.get_num_threads() == 2


def test_threads_are_restored(two_threads):
    with intra_op_threads(1):
        with intra_op_threads(3):
            assert torch.get_num_threads() == 3
        assert torch.get_num_threads() == 1
        with intra_op_threads(None):
            assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_threads_are_restored_after_an_error(two_threads):
    with pytest.raises(RuntimeError, match="inside"), intra_op_threads(1):
        raise RuntimeError("inside")
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("first_out", ["main", "worker"])
def test_threads_of_simultaneous_fits(first_out, two_threads):
    """A thread made during a fit would inherit that fit's number for good."""
    entered, leave = threading.Event(), threading.Event()
    found = {}

    def work():
        with intra_op_threads(3):
            found["inside"] = torch.get_num_threads()
            entered.set()
            leave.wait(10)
        found["after"] = torch.get_num_threads()

    def look():
        found["new"] = torch.get_num_threads()

    worker = threading.Thread(target=work)
    with intra_op_threads(1):
        worker.start()
        entered.wait(10)
        assert torch.get_num_threads() == 1
        if first_out == "worker":
            leave.set()
            worker.join()
    leave.set()
    worker.join()
    assert found == {"inside": 3, "after": 2}
    assert torch.get_num_threads() == 2
    later = threading.Thread(target=look)
    later.start()
    later.join()
    assert found["new"] == 2
