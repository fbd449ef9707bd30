"""The inner loop: steps that are differentiated, and steps that are guarded."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from functools import partial

import pytest
import torch

from sklmeta.learners.inner_loop import (
    gradient_step,
    guarded_inner_loop,
    stayed_within_bounds,
)


def quadratic(parameters):
    return parameters["w"].square().sum(1)


def test_guard_halves_a_step_until_it_is_within_the_limit():
    start = {"w": torch.tensor([[1.0], [2.0]])}

    def jump(parameters, gradients):
        """Goes to -9 for the first task, which is 81 times its loss, and to 0."""
        return {"w": torch.tensor([[-9.0], [0.0]])}

    adapted, n_guarded = guarded_inner_loop(
        quadratic, start, jump, 1, n_trained_steps=1
    )
    # Half way is -4, still 16 times the start; a quarter is -1.5.
    assert adapted["w"].tolist() == [[-1.5], [0.0]]
    assert n_guarded.tolist() == [1, 0]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_guard_drops_a_step_that_stays_bad(value):
    start = {"w": torch.tensor([[1.0], [2.0]])}

    def jump(parameters, gradients):
        return {"w": torch.tensor([[value], [1.0]])}

    adapted, n_guarded = guarded_inner_loop(
        quadratic, start, jump, 2, n_trained_steps=2
    )
    assert adapted["w"].tolist() == [[1.0], [1.0]]
    assert n_guarded.tolist() == [2, 0]


def test_extra_steps_follow_their_own_rule():
    start = {"w": torch.tensor([[1.0]])}
    calls = []

    def learned(parameters, gradients):
        calls.append("learned")
        return gradient_step(parameters, gradients, lr=0.1)

    def plain(parameters, gradients):
        calls.append("plain")
        return gradient_step(parameters, gradients, lr=1.25)

    adapted, n_guarded = guarded_inner_loop(
        quadratic, start, learned, 3, n_trained_steps=2, extra_update=plain
    )
    assert calls == ["learned", "learned", "plain"]
    # 0.64 - 1.25 * 1.28 = -0.96 raises the loss; half the step, -0.16, does not.
    torch.testing.assert_close(adapted["w"], torch.tensor([[-0.16]]))
    assert n_guarded.tolist() == [0]


def test_unused_parameters_get_zero_gradients():
    start = {"w": torch.tensor([[1.0]]), "unused": torch.tensor([[3.0]])}
    step = partial(gradient_step, lr=0.25)
    adapted, _ = guarded_inner_loop(quadratic, start, step, 2, n_trained_steps=2)
    assert adapted["unused"].item() == 3.0
    assert adapted["w"].item() == 0.25


def test_stayed_within_bounds_as_the_guard_would_judge():
    start = {"w": torch.tensor([[1.0], [1.0], [1.0], [1.0]])}
    # Before each step and after the last: rises, but below ten times the start; rises
    # beyond; rises in a step that was not trained for; is not finite.
    losses = torch.tensor(
        [
            [1.0, 1.0, 1.0, 1.0],
            [9.0, 11.0, 0.5, torch.nan],
            [8.0, 0.1, 0.6, 0.1],
        ]
    )
    within = stayed_within_bounds(start, losses, n_trained_steps=1)
    assert within.tolist() == [True, False, False, False]
    within = stayed_within_bounds(start, losses, n_trained_steps=2)
    assert within.tolist() == [True, False, True, False]
    lost = {"w": torch.tensor([[torch.inf], [1.0], [1.0], [1.0]])}
    within = stayed_within_bounds(lost, losses, n_trained_steps=2)
    assert within.tolist() == [False, False, True, False]
    assert stayed_within_bounds(start, losses[:1], n_trained_steps=2).all()
