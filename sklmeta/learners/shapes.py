"""What a learner gives must have the shapes of its contract: told in a sentence."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from sklmeta.episodes.rows import Rows
from sklmeta.learners.learner import Learner, State


def check_state(learner: Learner, state: Any, n_tasks: int) -> None:
    """Raise unless `state` is what `adapt` owes for that many tasks.

    Raises
    ------
    ValueError
        That says what `adapt` must return, and what it returned.
    """
    found = ""
    if not isinstance(state, Mapping) or not state:
        found = "an empty dict" if isinstance(state, Mapping) else _describe(state)
    else:
        for name, value in state.items():
            if not isinstance(value, Tensor) or value.shape[:1] != (n_tasks,):
                found = f"{_describe(value)} as {name!r}"
                break
    if found:
        raise ValueError(
            f"{type(learner).__name__}.adapt must return a dict of tensors, each with "
            f"the tasks as its first dimension, here of size {n_tasks}; it returned "
            f"{found}."
        )


def check_outputs(
    learner: Learner,
    outputs: Any,
    X: Tensor,  # shape: (n_tasks, n_rows, *input)
    n_classes: int,
) -> None:
    """Raise unless `outputs` are what `predict` owes for the rows of `X`.

    Raises
    ------
    ValueError
        That says what `predict` must return, and what it returned.
    """
    n = learner.spec.n_targets
    shapes = [
        (*X.shape[:2], width) for width in ((n_classes,) if n_classes else (n, 2 * n))
    ]
    if not isinstance(outputs, Tensor) or tuple(outputs.shape) not in shapes:
        expected = " or ".join(map(str, shapes))
        raise ValueError(
            f"{type(learner).__name__}.predict must return a tensor of shape (n_tasks, "
            f"n_rows, n_outputs), here {expected}; it returned {_describe(outputs)}."
        )


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"an object of type {type(value).__name__}"


@contextlib.contextmanager
def checked_shapes(learner: Learner) -> Iterator[None]:
    """Check, while it lasts, whatever `adapt` and `predict` of `learner` return."""
    adapt, predict, n_classes = learner.adapt, learner.predict, learner.spec.n_classes

    def checked_adapt(support: Rows) -> State:
        nonlocal n_classes
        n_classes = support.n_classes
        state = adapt(support)
        check_state(learner, state, len(support.X))
        return state

    def checked_predict(state: State, X: Tensor) -> Tensor:
        outputs = predict(state, X)
        check_outputs(learner, outputs, X, n_classes)
        return outputs

    vars(learner).update(adapt=checked_adapt, predict=checked_predict)
    try:
        yield
    finally:
        del vars(learner)["adapt"], vars(learner)["predict"]
