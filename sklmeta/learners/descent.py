"""Gradient steps on the support, and the query loss that they lead to.

The inner loop of MAML and its kin, for all tasks at once:

    theta_{k+1} = theta_k - a_k * g(theta_k),        k = 0, ..., K - 1,

with g the gradient of the support loss, and ``theta_0`` the learned start. A `Descent`
is a way to compute it, and its derivative: by autograd, or with derivatives by hand.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.engine import Parameters
from sklmeta.learners.inner_loop import (
    UpdateRule,
    gradient_step,
    guarded_inner_loop,
    loss_gradients,
    scaled_step,
)
from sklmeta.learners.learner import Learner, State
from sklmeta.learners.likelihoods import loss_of
from sklmeta.learners.network import AdaptedNetwork

Rates = dict[str, Tensor]
"""Step sizes: {name: (n_rates, *shape)}, with `shape` of as many dimensions as the
parameter's, each its own or 1; `n_rates` is 1 or the number of steps."""


class Steps(NamedTuple):
    """The gradient steps of meta-training, and how the query judges them."""

    lr: float
    n_steps: int
    first_order: bool = False  # take the inner gradients as constants
    rates: Rates | None = None  # learned, in place of `lr`
    weights: Tensor | None = None  # of the query losses after each; None: the last one

    @property
    def n_rates(self) -> int:
        return 0 if self.rates is None else len(next(iter(self.rates.values())))

    def updates(self) -> list[UpdateRule]:
        """Return the rule of each step."""
        if self.rates is None:
            return [partial(gradient_step, lr=self.lr)] * self.n_steps
        own = [min(k, self.n_rates - 1) for k in range(self.n_steps)]
        return [
            partial(scaled_step, rates={name: r[k] for name, r in self.rates.items()})
            for k in own
        ]


class Descent(Protocol):
    """Takes the gradient steps of all tasks' networks, and differentiates them.

    It is handed the learner at every call and keeps none: one that knew of it would be
    freed, with all its memory, no sooner than the garbage collector comes round.
    """

    def adapt(
        self, learner: AdaptedNetwork, support: Rows, steps: Steps, n_steps: int
    ) -> State:
        """Return the parameters after `n_steps` guarded steps, without a graph.

        Those beyond ``steps.n_steps`` are plain ones of ``steps.lr``.
        ``state["n_guarded"]``, of shape (n_tasks,), counts those that were shortened or
        dropped.
        """

    def query_loss(
        self, learner: AdaptedNetwork, episodes: Episodes, steps: Steps
    ) -> Tensor:  # shape: (n_tasks,)
        """Return the query loss after unguarded steps, which can be differentiated."""

    def accumulate(
        self, learner: AdaptedNetwork, episodes: Episodes, steps: Steps, scale: float
    ) -> Tensor:  # shape: (n_tasks,)
        """As `Learner.accumulate`, for a `meta_loss` that is the `query_loss`."""


def inner_path(
    learner: AdaptedNetwork, support: Rows, steps: Steps
) -> list[Parameters]:
    """Parameters of each task after each of the steps, as functions of the start."""
    path = []
    with torch.enable_grad():
        point = learner.own_start(support)
        loss = partial(learner.support_loss, support=support)
        for update in steps.updates():
            gradients = loss_gradients(loss, point, create_graph=not steps.first_order)
            point = update(point, gradients)
            path.append(point)
    return path


class GraphDescent:
    """By autograd, for every network."""

    def adapt(
        self, learner: AdaptedNetwork, support: Rows, steps: Steps, n_steps: int
    ) -> State:
        with torch.no_grad():
            start = learner.own_start(support)
        state, n_guarded = guarded_inner_loop(
            partial(learner.support_loss, support=support),
            start,
            steps.updates(),
            n_steps,
            n_trained_steps=steps.n_steps,
            extra_update=partial(gradient_step, lr=steps.lr),
        )
        return {**state, "n_guarded": n_guarded}

    def query_loss(
        self, learner: AdaptedNetwork, episodes: Episodes, steps: Steps
    ) -> Tensor:
        support, query = episodes
        path = inner_path(learner, support, steps)
        if steps.weights is None:
            return loss_of(learner, learner.run(path[-1], query.X), query)
        losses = [loss_of(learner, learner.run(p, query.X), query) for p in path]
        weighted = [w * v for w, v in zip(steps.weights, losses, strict=True)]
        return torch.stack(weighted).sum(0)

    def accumulate(
        self, learner: AdaptedNetwork, episodes: Episodes, steps: Steps, scale: float
    ) -> Tensor:
        return Learner.accumulate(learner, episodes, scale)
