"""What Reptile learns: a start, drawn to where ordinary training on each task ends."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import torch
from torch import Tensor, nn

from sklmeta.episodes.rows import Episodes, Rows, of_tasks
from sklmeta.learners.dense.stacked import DenseTrainer
from sklmeta.learners.engine import Parameters
from sklmeta.learners.inner_loop import guard_wild_tasks, guarded_inner_loop
from sklmeta.learners.inner_optimizers import (
    InnerOptimizer,
    OwnAdam,
    Sgd,
    SharedAdam,
    head_rows,
)
from sklmeta.learners.learner import State, TaskSpec
from sklmeta.learners.minibatches import minibatches
from sklmeta.learners.network import AdaptedNetwork
from sklmeta.learners.stacked import (
    GraphTrainer,
    Stack,
    Trainer,
    draw_towards,
    stacked,
)

INNER_OPTIMIZERS = ("adam", "sgd")


class ReptileLearner(AdaptedNetwork):
    """Learns a start by moving it towards the weights that tasks adapt to.

    Its gradient is no derivative of a loss: it is the start minus the mean of the
    adapted weights, so that plain gradient descent with step ``lr`` is the update
    ``start += lr * (mean(adapted) - start)``.

    Where classes are a task's own, rows of the head have no order (the reference
    numbers the classes at random), and share a second moment. They start from the
    support's class means, or all from one learned row. From one row the steps of all
    rows add up to zero, as the gradients of a softmax do: the encoder alone is learned,
    and with `inner_steps` of one not even that.

    Parameters
    ----------
    spec, encoder
        As in `AdaptedNetwork`.

    inner_lr, inner_steps, inner_batch_size, inner_optimizer, adapt_steps, head_init,
    engine
        As in `ReptileClassifier`.
    """

    second_moment: Tensor
    n_inner_steps: Tensor

    def __init__(
        self,
        spec: TaskSpec,
        encoder: nn.Module,
        *,
        inner_lr: float = 1e-3,
        inner_steps: int = 5,
        inner_batch_size: int = 10,
        inner_optimizer: str = "adam",
        adapt_steps: int | None = 50,
        head_init: str = "shared",
        engine: str = "auto",
    ):
        super().__init__(
            spec, encoder, inner_steps=inner_steps, head_init=head_init, engine=engine
        )
        self.inner_lr, self.inner_optimizer = inner_lr, inner_optimizer
        self.inner_batch_size = inner_batch_size
        self.adapt_steps = inner_steps if adapt_steps is None else adapt_steps
        # Learned as the weights are, and so among what a fitted estimator keeps.
        n_parameters = sum(Stack(self.adapted_shapes()).sizes)
        self.register_buffer("second_moment", torch.zeros(n_parameters))
        self.register_buffer("n_inner_steps", torch.zeros((), dtype=torch.long))
        self._seed = int(torch.randint(2**31, ()))
        self._generator: torch.Generator | None = None
        self._trainer: Trainer = GraphTrainer()
        if self.dense is not None:
            self._trainer = DenseTrainer(self.dense)

    def meta_loss(self, episodes: Episodes) -> Tensor:
        """Query loss after the steps, with the gradient that Reptile takes instead.

        In training mode the steps are those of meta-training, and the shared second
        moments learn from them. In evaluation mode they are those of `adapt`, not
        guarded, and there is no gradient.
        """
        support, query = episodes
        # A head of prototypes is no parameter that could move.
        moves = torch.is_grad_enabled() and not self.has_prototypes
        with torch.set_grad_enabled(moves):
            start = self.start(support)
        with torch.no_grad():
            stack, first = stacked(start, len(support.X), self.has_prototypes)
            if not self.training:
                return self._descend(first, stack, support, query)[1]
            point, losses = self._meta_train(first, stack, support, query)
        learned = list(start.values())[: -2 if self.has_prototypes else None]
        return draw_towards(losses, first - point, stack, learned)

    def _adapt(self, support: Rows) -> State:
        """Train on the support, from the learned start and second moments.

        ``state["n_guarded"]``, of shape (n_tasks,), counts the steps that were
        shortened or dropped. A task that ends in a support loss that is not finite or
        more than ten times what it was is trained anew, on its whole support at every
        step, and each step is guarded.
        """
        with torch.no_grad():
            stack, first = stacked(
                self.start(support), len(support.X), self.has_prototypes
            )
            _, before = self._trainer.train(self, first, stack, [], Sgd(0.0), support)
            point, after = self._descend(first, stack, support, support)
            found = guard_wild_tasks(
                {"network": point},
                torch.stack([before, after]),
                1,
                lambda tasks: self._guarded(
                    first.expand_as(point)[tasks], stack, of_tasks(support, tasks)
                ),
            )
        state = {
            name: value.clone(memory_format=torch.contiguous_format)
            for name, value in stack.named(found["network"]).items()
        }
        return {**state, "n_guarded": found["n_guarded"]}

    def accumulate(self, episodes: Episodes, scale: float) -> Tensor:
        """See the base class; the steps keep no graph that could be compiled."""
        if self.compiler is not None and not self.compiler.gave_up:
            self.compiler.give_up("Reptile differentiates no meta-update")
        return super().accumulate(episodes, scale)

    def _meta_train(
        self, first: Tensor, stack: Stack, support: Rows, query: Rows
    ) -> tuple[Tensor, Tensor]:
        """Take the steps of meta-training, from which the shared moments learn."""
        if self._generator is None:
            # A warm start goes on with other minibatches than the last fit began with.
            seed = self._seed + int(self.n_inner_steps)
            self._generator = torch.Generator().manual_seed(seed)
        batches = minibatches(
            support, self.inner_steps, self.inner_batch_size, self._generator
        )
        optimizer = self._optimizer(support)
        point, losses = self._trainer.train(
            self, first, stack, batches, optimizer, query
        )
        self.n_inner_steps += self.inner_steps * len(point)
        if isinstance(optimizer, SharedAdam):
            # One wild task must not leave its mark on all that come after.
            sane = (point.sum() + optimizer.moment.sum()).isfinite()
            self.second_moment.copy_(
                torch.where(sane, optimizer.moment, self.second_moment)
            )
        return point, losses

    def _descend(
        self, first: Tensor, stack: Stack, support: Rows, judged: Rows
    ) -> tuple[Tensor, Tensor]:
        """Take the steps of `adapt`; no task has a part in another's."""
        batches = minibatches(support, self.adapt_steps, self.inner_batch_size)
        optimizer = self._optimizer(support, own=True)
        return self._trainer.train(self, first, stack, batches, optimizer, judged)

    def _guarded(self, start: Tensor, stack: Stack, support: Rows) -> State:
        optimizer = self._optimizer(support, own=True)

        def loss(parameters: Parameters) -> Tensor:
            return self.support_loss(stack.named(parameters["network"]), support)

        def update(parameters: Parameters, gradients: Parameters) -> Parameters:
            point = parameters["network"].detach().clone()
            optimizer.step(point, gradients["network"])
            return {"network": point}

        adapted, n_guarded = guarded_inner_loop(
            loss,
            {"network": start},
            update,
            self.adapt_steps,
            n_trained_steps=self.adapt_steps,
        )
        return {**adapted, "n_guarded": n_guarded}

    def _optimizer(self, support: Rows, own: bool = False) -> InnerOptimizer:
        if self.inner_optimizer == "sgd":
            return Sgd(self.inner_lr)
        n_features, kind = self.spec.n_features_out, self.spec.kind
        rows = head_rows(support, self._n_body, n_features, kind)
        state = self.second_moment, self.n_inner_steps
        if own:
            return OwnAdam(*state, self.inner_lr, rows, len(support.X))
        return SharedAdam(*state, self.inner_lr, rows)
