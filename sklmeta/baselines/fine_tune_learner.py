"""A network that learns from the rows of all tasks, and is tuned on a support."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.pooled import pool_rows, stream_rows
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.episodes.source import EpisodeSource
from sklmeta.learners.engine import Engine, Parameters, stack_parameters
from sklmeta.learners.inner_loop import gradient_step, guarded_inner_loop
from sklmeta.learners.learner import Learner, State, TaskSpec
from sklmeta.learners.likelihoods import likelihood_of, loss_of, support_loss_of
from sklmeta.learners.losses import or_one
from sklmeta.learners.task_spec import width_of

HEADS = ("linear", "cosine")
TUNED = ("head", "all")
FIRST_SCALE = 10.0


class FineTuneLearner(Learner):
    """An encoder and a head, trained on rows and tuned by gradient steps.

    In training mode the loss is that of the pooled network on the query rows, and the
    support is not looked at. In evaluation mode it is the query loss after tuning on
    the support, by which early stopping judges.

    With regression and shared classes tuning starts from the pooled head. Where classes
    are a task's own, the pooled head tells all training tasks' classes apart, and a new
    task gets a new one: zeros if linear, the class means if cosine.

    Parameters
    ----------
    spec : TaskSpec
        What the tasks look like.

    encoder : nn.Module
        Maps rows (n, *input_shape) to (n, n_features_out). Parameters that do not
        require gradients are neither trained nor tuned.

    head, tune, inner_lr, adapt_steps, alpha, batch_size
        As in `FineTuneClassifier`.
    """

    encoder: nn.Module
    takes_weights = True

    def __init__(
        self,
        spec: TaskSpec,
        encoder: nn.Module,
        *,
        head: str = "linear",
        tune: str = "head",
        inner_lr: float = 0.1,
        adapt_steps: int = 100,
        alpha: float = 1.0,
        batch_size: int = 128,
    ):
        super().__init__(spec)
        self.likelihood = likelihood_of(spec, predicts_spread=False)
        if head not in HEADS:
            raise ValueError(f"head must be in {HEADS}, got {head!r}.")
        if tune not in TUNED:
            raise ValueError(f"tune must be in {TUNED}, got {tune!r}.")
        if head == "cosine" and spec.kind == TaskKind.REGRESSION:
            raise ValueError("head='cosine' is for classes.")
        self.encoder = encoder
        self.cosine, self.tunes_all = head == "cosine", tune == "all"
        self.adapt_steps, self.alpha = adapt_steps, alpha
        self.batch_size = batch_size
        self.update = partial(gradient_step, lr=inner_lr)
        self.engine = Engine(encoder)
        if self.cosine:
            self.log_scale = nn.Parameter(torch.tensor(FIRST_SCALE).log())
        self._new_head(width_of(spec, regression=spec.n_targets, own=0))

    def _new_head(
        self, n_outputs: int, generator: torch.Generator | None = None
    ) -> None:
        width = self.spec.n_features_out
        weight = torch.empty(n_outputs, width).uniform_(-1, 1, generator=generator)
        self.weight = nn.Parameter(weight / math.sqrt(width))
        if not self.cosine:
            self.bias = nn.Parameter(torch.zeros(n_outputs))

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        # How many classes all training tasks have together, only the weights tell.
        if self.spec.kind == TaskKind.OWN and f"{prefix}weight" in state_dict:
            like, n_outputs = self.weight, len(state_dict[f"{prefix}weight"])
            self._new_head(n_outputs, torch.Generator())  # what it draws is overwritten
            self.to(like.device, like.dtype)
        super()._load_from_state_dict(state_dict, prefix, *args)

    # Training -----------------------------------------------------------------

    def training_batches(self, source: EpisodeSource) -> Callable[[], Episodes]:
        """Draw rows of all tasks; the head has an output for every class of theirs."""
        pooled = pool_rows(source)
        if self.spec.kind == TaskKind.OWN and len(self.weight) != pooled.n_classes:
            seed = int(source.rng.integers(2**31))
            self._new_head(pooled.n_classes, torch.Generator().manual_seed(seed))
        stream = stream_rows(pooled, self.batch_size, source.rng)
        return lambda: next(stream)

    def meta_loss(self, episodes: Episodes) -> Tensor:  # shape: (n_tasks,)
        """Loss of the pooled network; in evaluation mode, that after tuning."""
        if not self.training:
            support, query = episodes
            return loss_of(self, self.predict(self.adapt(support), query.X), query)
        rows = episodes.query
        head = self._pooled_head(len(rows.X))
        return loss_of(self, self._outputs(head, self.encode(rows.X)), rows)

    # Tuning -------------------------------------------------------------------

    def adapt(self, support: Rows) -> State:
        """Take the gradient steps, of which none raises a task's support loss."""
        n_tasks = len(support.X)
        absent: State = {}
        with torch.no_grad():
            features = self.encode(support.X)
            start = self._pooled_head(n_tasks)
            if self.spec.kind == TaskKind.OWN:
                start, absent = self._own_head(features, support)
            if self.tunes_all:
                start = {**self._own_encoder(n_tasks), **start}
        weight = self.alpha / (2 * or_one(support.mask.sum(1)))  # (n_tasks,)

        def loss_function(parameters: Parameters) -> Tensor:
            Z = self._features(parameters, support.X) if self.tunes_all else features
            output = self._outputs({**parameters, **absent}, Z)
            loss = support_loss_of(self, output, support)
            if not self.alpha:
                return loss
            moved = [
                (value - start[name]).square().flatten(1).sum(1)
                for name, value in parameters.items()
            ]
            return loss + weight * torch.stack(moved).sum(0)

        state, n_guarded = guarded_inner_loop(
            loss_function, start, self.update, self.adapt_steps, n_trained_steps=0
        )
        return {**state, **absent, "n_guarded": n_guarded}

    def predict(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_outputs)
        return self._outputs(state, self._features(state, X))

    def prior_state(self) -> State | None:
        """Return the pooled network, unless classes are a task's own."""
        if self.spec.kind == TaskKind.OWN:
            return None
        head = self._pooled_head(1)
        return {**self._own_encoder(1), **head} if self.tunes_all else head

    def _pooled_head(self, n_tasks: int) -> Parameters:
        head: Parameters = {"weight": self.weight.expand(n_tasks, -1, -1)}
        return head if self.cosine else {**head, "bias": self.bias.expand(n_tasks, -1)}

    def _own_encoder(self, n_tasks: int) -> Parameters:
        own = stack_parameters(self.encoder, n_tasks)
        return {f"encoder.{name}": value for name, value in own.items()}

    def _own_head(
        self,
        features: Tensor,  # shape: (n_tasks, n_rows, d)
        support: Rows,
    ) -> tuple[Parameters, State]:
        """Where a new head starts, and what takes from the logits absent classes."""
        member = F.one_hot(support.y, support.n_classes).to(features.dtype)
        member = member * support.mask[..., None]  # (n_tasks, n_rows, n_classes)
        present = member.sum(1) > 0
        absent = torch.where(present, 0.0, -torch.inf).to(features.dtype)
        sums = member.mT @ F.normalize(features, dim=-1)  # (n_tasks, n_classes, d)
        if self.cosine:  # which has no gradient at zero
            return {"weight": F.normalize(sums, dim=-1)}, {"absent": absent}
        head = {"weight": torch.zeros_like(sums), "bias": torch.zeros_like(absent)}
        return head, {"absent": absent}

    def _features(self, parameters: Parameters, X: Tensor) -> Tensor:
        if not self.tunes_all:
            return self.encode(X)
        prefix = "encoder."
        own = {
            name.removeprefix(prefix): value
            for name, value in parameters.items()
            if name.startswith(prefix)
        }
        return self.engine(own, X)

    def _outputs(
        self,
        head: Parameters,
        features: Tensor,  # shape: (n_tasks, n_rows, d)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_outputs)
        weight = head["weight"].mT  # (n_tasks, d, n_outputs)
        if self.cosine:
            features, weight = F.normalize(features, dim=-1), F.normalize(weight, dim=1)
            outputs = self.log_scale.exp() * (features @ weight)
        else:
            outputs = torch.baddbmm(head["bias"][:, None], features, weight)
        return outputs + head["absent"][:, None] if "absent" in head else outputs
