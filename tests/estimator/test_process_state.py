"""What others set in the process changes nothing that is learned or predicted."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
import torch
from instances import ALL, CLASSIFIERS
from sklearn.base import clone

from sklmeta.datasets import make_classification_tasks, make_linear_tasks


def process_state():
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.are_deterministic_algorithms_enabled(),
        np.geterr(),
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
    )


@contextmanager
def setting(change, value, back):
    change(value)
    try:
        yield
    finally:
        change(back)


STATES = {
    "float64": lambda: setting(torch.set_default_dtype, torch.float64, torch.float32),
    "device": lambda: setting(torch.set_default_device, "meta", None),
    "numpy": lambda: np.errstate(all="raise"),
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "deterministic": lambda: setting(torch.use_deterministic_algorithms, True, False),
}


@cache
def tasks_for(name):
    if name in CLASSIFIERS:
        options = {"n_way": 2, "n_features": 3, "n_informative": 3}
        return make_classification_tasks(
            6, n_rows=(8, 12), shared_labels=True, random_state=0, **options
        )
    return make_linear_tasks(6, n_rows=(6, 9), n_features=3, random_state=0)


def answers_of(name):
    """All that an estimator says, of every public kind."""
    X, y, task = tasks_for(name)
    estimator = clone(ALL[name])
    if "max_iter" in estimator.get_params():
        estimator.set_params(max_iter=2)
    estimator.fit(X, y, task=task)
    answers = [estimator.predict(X)]
    estimator.adapt(X, y, task=task)
    answers.append(estimator.predict(X, task=task))
    estimator.adapt(X[:5], y[:5])
    if name in CLASSIFIERS:
        answers += [estimator.predict_proba(X), estimator.predict_log_proba(X)]
    else:
        answers.append(estimator.predict(X))
    for method in ("transform", "pair_distance"):
        if hasattr(estimator, method):
            answers.append(getattr(estimator, method)(*[X] * (1 + (method[0] == "p"))))
    answers.append(estimator.score(X, y, task=task, shots=2))
    return answers


answers_in_peace = cache(answers_of)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("state", STATES)
def test_nothing_global_is_read_or_changed(state, name):
    expected = answers_in_peace(name)
    with STATES[state]():
        before = process_state()
        actual = answers_of(name)
        assert process_state() == before
    for mine, theirs in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
