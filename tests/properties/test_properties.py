"""What holds of every estimator, whatever its support looks like.

``make test-long`` draws fifty times as many cases.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import os
from typing import NamedTuple

import numpy as np
import pytest
from fits import fitted
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from instances import ALL
from sklearn.base import is_classifier

N_CASES = int(os.environ.get("SKLMETA_CASES", "3"))
CASES = settings(
    max_examples=N_CASES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

# Of a task's own logistic regression on columns that nobody has scaled.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

COLUMNS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "constant": lambda rng, n: np.full(n, rng.normal()),
    "duplicates": lambda rng, n: rng.choice([-1.0, 0.5], n),
    "far": lambda rng, n: 1e3 + rng.normal(size=n),
    "tiny": lambda rng, n: 1e-30 * rng.normal(size=n),
    "wide": lambda rng, n: 50 * rng.standard_t(2, size=n),
}


# Of sums in float32 over numbers a thousand deviations from those of the training, by
# the oldest torch; what crosses or depends on the order moved answers ten times as far.
ROUNDING = 3e-3


class Support(NamedTuple):
    seed: int
    n_rows: int
    columns: list[str]


SUPPORTS = st.builds(
    Support,
    seed=st.integers(0, 2**16),
    n_rows=st.integers(1, 9),
    columns=st.lists(st.sampled_from(sorted(COLUMNS)), min_size=5, max_size=5),
)


@pytest.fixture(scope="module")
def model(request, regression_tasks, shared_tasks):
    estimator = ALL[request.param]
    data = shared_tasks if is_classifier(estimator) else regression_tasks
    return fitted(estimator, data), data


def rows_of(support, model, n_rows=None):
    rng = np.random.default_rng(support.seed)
    n = support.n_rows if n_rows is None else n_rows
    names = [support.columns[i % 5] for i in range(model.n_features_in_)]
    X = np.column_stack([COLUMNS[name](rng, n) for name in names])
    y = rng.choice(model.classes_, n) if is_classifier(model) else rng.normal(size=n)
    return X, y


def answers(model, X, **metadata):
    """Numbers: probabilities where there are any, so that ties do not matter."""
    if hasattr(model, "predict_proba"):
        return model.predict_proba(X, **metadata)
    return model.predict(X, **metadata)


def assert_close(actual, expected, scale):
    np.testing.assert_allclose(actual, expected, rtol=ROUNDING, atol=ROUNDING * scale)


def scale_of(values):
    return max(1.0, float(np.abs(values).max()))


MODELS = pytest.mark.parametrize("model", ALL, indirect=True)


@MODELS
@CASES
@given(support=SUPPORTS)
def test_answers_are_finite_and_of_their_shape(model, support):
    model, _ = model
    X, y = rows_of(support, model)
    found = answers(model.adapt(X, y), X)
    assert len(found) == len(X) and np.isfinite(found).all()
    if is_classifier(model) and found.ndim == 2:
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-4)
        assert (found >= 0).all()


@MODELS
@CASES
@given(support=SUPPORTS, order=st.randoms(use_true_random=False))
def test_the_order_of_rows_says_nothing(model, support, order):
    model, (query, *_) = model
    X, y = rows_of(support, model)
    place = list(range(len(X)))
    order.shuffle(place)
    one = answers(model.adapt(X, y), query[:5])
    other = answers(model.adapt(X[place], y[place]), query[:5])
    assert_close(other, one, scale_of(one))


@MODELS
@CASES
@given(support=SUPPORTS, other=SUPPORTS)
def test_tasks_and_query_rows_do_not_see_each_other(model, support, other):
    model, (query, *_) = model
    parts = [rows_of(s, model) for s in (support, other)]
    X, y = (np.concatenate(part) for part in zip(*parts, strict=True))
    task = np.repeat(["a", "b"], [len(part[1]) for part in parts])
    where = np.repeat(["a"], 5)
    alone = model.adapt(*parts[0], task=task[: len(parts[0][1])])
    expected = answers(alone, query[:5], task=where)
    beside = answers(model.adapt(X, y, task=task), query[:5], task=where)
    assert_close(beside, expected, scale_of(expected))
    first = answers(model, query[:1], task=where[:1])
    assert_close(first, beside[:1], scale_of(expected))
