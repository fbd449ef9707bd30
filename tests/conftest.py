"""Shared fixtures."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import signal

import numpy as np
import pytest

from sklmeta.datasets import make_classification_tasks, make_linear_tasks

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in its background deaf to Ctrl-C, which tests press.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def regression_tasks():
    """Thirty ragged linear tasks: X, y, task."""
    return make_linear_tasks(30, n_rows=(4, 25), n_features=3, random_state=0)


@pytest.fixture(scope="session")
def shared_tasks():
    """Thirty ragged tasks that speak of the same three classes, as strings."""
    X, y, task = make_classification_tasks(
        30,
        n_rows=(6, 30),
        n_way=3,
        n_features=5,
        n_informative=3,
        shared_labels=True,
        random_state=0,
    )
    return (
        X,
        np.array(["ill", "unsure", "well"])[np.unique(y, return_inverse=True)[1]],
        task,
    )


@pytest.fixture(scope="session")
def own_tasks():
    """Thirty ragged tasks of two to five classes of their own."""
    return make_classification_tasks(
        30,
        n_rows=(15, 40),
        n_way=(2, 5),
        n_features=5,
        n_informative=3,
        random_state=0,
    )
