"""Learners that adapt a network by gradient descent, with fixed or learned steps."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from sklmeta.episodes.rows import Episodes, Rows, of_tasks
from sklmeta.learners.dense.adjoint import DenseDescent
from sklmeta.learners.dense.rates import Rates, count_rates
from sklmeta.learners.inner_loop import (
    UpdateRules,
    gradient_step,
    guarded_inner_loop,
    inner_path,
    scaled_step,
    stayed_within_bounds,
)
from sklmeta.learners.learner import State, TaskSpec
from sklmeta.learners.losses import accumulate_gradients, row_loss
from sklmeta.learners.network import AdaptedNetwork
from sklmeta.learners.stabilisers import StepSizes


class DescentLearner(AdaptedNetwork):
    """Base of the learners whose meta-gradient passes through steps of descent.

    The network is an encoder and a linear head; adaptation moves both. A subclass may
    set `step_sizes` to have these learned as well.

    Parameters
    ----------
    spec, encoder
        As in `AdaptedNetwork`.

    inner_lr, inner_steps, adapt_steps, first_order, head_init, engine
        As in `MAMLClassifier`.
    """

    def __init__(
        self,
        spec: TaskSpec,
        encoder: nn.Module,
        *,
        inner_lr: float = 0.1,
        inner_steps: int = 5,
        adapt_steps: int | None = None,
        first_order: bool = False,
        head_init: str = "prototypes",
        engine: str = "auto",
    ):
        super().__init__(
            spec, encoder, inner_steps=inner_steps, head_init=head_init, engine=engine
        )
        self.adapt_steps = inner_steps if adapt_steps is None else adapt_steps
        self.first_order = first_order
        self.inner_lr = inner_lr
        self.step_sizes: StepSizes | None = None
        self._update = partial(gradient_step, lr=inner_lr)
        self._descent: DenseDescent | None = None
        if self.dense is not None:
            self._descent = DenseDescent(self.dense, lr=inner_lr)
        self.enter_phase(first_order, None)

    def enter_phase(self, first_order: bool, weights: Sequence[float] | None) -> None:
        """Set how the meta-updates from now on are made.

        Parameters
        ----------
        first_order : bool
            Take the inner gradients as constants.

        weights : sequence of float or None
            Weights of the query losses after every step; None is the last one alone.
        """
        self._takes_first_order = first_order
        if self._descent is not None:
            self._descent.first_order = first_order
        self._step_weights: Sequence[float] | Tensor | None = weights
        if weights is not None and self._descent is None and self.compiler is not None:
            like = next(self.parameters())  # a number would be compiled in
            tensor = torch.tensor(weights, dtype=like.dtype)
            self._step_weights = tensor.to(like.device, non_blocking=True)
        self.phase = first_order, weights is not None

    @property
    def body_stays(self) -> bool:
        """Whether adaptation leaves the encoder as it is, whatever the support.

        With identical class vectors the gradient of the first step with respect to the
        encoder is exactly zero; a second step is needed to move it.
        """
        shared = self.spec.kind == "own" and not self.has_prototypes
        return shared and self.inner_steps == 1

    def _adapt(self, support: Rows) -> State:
        """Take the gradient steps; see the base class.

        In training mode the state keeps its graph. In evaluation mode it does not, and
        the steps are guarded: ``state["n_guarded"]``, of shape (n_tasks,), counts
        those that were shortened or dropped.
        """
        if self.training:
            return self._plain_path(support)[-1]
        if self._descent is None:
            return self._guarded_adapt(support)
        with torch.no_grad():
            start = self.start(support)
        state, losses = self._descent.descend(
            start,
            support,
            self.adapt_steps,
            rates=self._rates(),
            n_trained_steps=self.inner_steps,
        )
        wild = ~stayed_within_bounds(state, losses, self.inner_steps)
        state["n_guarded"] = torch.zeros_like(wild, dtype=torch.long)
        # The guard seldom acts, and then on few tasks, which no other task sees.
        if wild.any():
            tasks = wild.nonzero()[:, 0]
            for name, value in self._guarded_adapt(of_tasks(support, tasks)).items():
                state[name][tasks] = value
        return state

    def _guarded_adapt(self, support: Rows) -> State:
        with torch.no_grad():
            start = self.own_start(support)
        state, n_guarded = guarded_inner_loop(
            partial(self.support_loss, support=support),
            start,
            self._updates(),
            self.adapt_steps,
            n_trained_steps=self.inner_steps,
            extra_update=self._update,
        )
        return {**state, "n_guarded": n_guarded}

    def meta_loss(self, episodes: Episodes) -> Tensor:
        """Query loss after unguarded steps, also in evaluation mode.

        In a phase of training with the loss of every step it is their weighted sum.
        """
        support, query = episodes
        weights = self._step_weights if self.training else None
        if self._descent is not None:
            start = self.start(support)
            return self._descent.query_loss(
                start,
                support,
                query,
                self.inner_steps,
                rates=self._rates(),
                step_weights=weights,
            )
        path = self._plain_path(support)
        if weights is None:
            return row_loss(self.run(path[-1], query.X), query)
        losses = [row_loss(self.run(point, query.X), query) for point in path]
        return torch.stack([w * v for w, v in zip(weights, losses, strict=True)]).sum(0)

    def accumulate(self, episodes: Episodes, scale: float) -> Tensor:
        """See the base class; the adjoint needs autograd for the start alone."""
        if self._descent is None:
            return super().accumulate(episodes, scale)
        if self.compiler is not None:
            episodes = self.compiler.pad(episodes)
        self._descent.compiler = self.compiler
        support, query = episodes
        start, rates = self.start(support), self._rates()
        losses, gradients = self._descent.gradients(
            start,
            support,
            query,
            self.inner_steps,
            scale,
            rates=rates,
            step_weights=self._step_weights,
        )
        values = list(start.values())
        if rates is not None:
            values += [rates[name] for name in start]
        accumulate_gradients(values, gradients)
        return losses

    def _plain_path(self, support: Rows) -> list[State]:
        with torch.enable_grad():
            return inner_path(
                partial(self.support_loss, support=support),
                self.own_start(support),
                self._updates(),
                self.inner_steps,
                first_order=self._takes_first_order,
            )

    def _rates(self) -> Rates | None:
        return None if self.step_sizes is None else self.step_sizes()

    def _updates(self) -> UpdateRules:
        rates = self._rates()
        if rates is None:
            return self._update
        last = count_rates(rates) - 1
        return [
            partial(scaled_step, rates={n: r[min(k, last)] for n, r in rates.items()})
            for k in range(self.inner_steps)
        ]
