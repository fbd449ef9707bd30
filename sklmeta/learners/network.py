"""An encoder and a linear head with the weights of many tasks.

What the gradient-based learners share: where adaptation starts, the network's output at
the parameters of each task, the loss on the support, and how many tasks go through at
once.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.rows import Episodes, Rows, split_episodes, without_padding
from sklmeta.learners.dense.network import Layer, dense_layers
from sklmeta.learners.encoders import (
    batch_statistics,
    normalisations,
    overwritten_statistics,
)
from sklmeta.learners.engine import Engine, Parameters, linear_stack, looped
from sklmeta.learners.learner import Learner, State, TaskSpec
from sklmeta.learners.likelihoods import likelihood_of, loss_of, support_loss_of
from sklmeta.learners.losses import or_one
from sklmeta.learners.task_spec import width_of

ENGINES = ("auto", "adjoint", "batched", "vmap", "loop")
HEAD_INITS = ("shared", "prototypes")

CACHED_COPIES_BYTES = 2**22
"""Copies of the weights of a chunk of tasks on a CPU, at most: they stay in cache. The
adjoint needs no such limit, it gains from more tasks at any size."""

GRAPH_BYTES = 2**28
"""What the derivatives of a chunk keep on a CPU, at most, about."""

GPU_MEMORY_SHARE = 0.5
GRAPH_COPIES = 3
"""Numbers that an inner step keeps, for each of its parameters and activations."""


class AdaptedNetwork(Learner):
    """Base of the learners that adapt a network by gradient steps.

    When classes are a task's own, the head is built for each task, for any number of
    classes.

    Parameters
    ----------
    spec : TaskSpec
        What the tasks look like.

    encoder : nn.Module
        Maps rows (n, *input_shape) to (n, n_features_out). Parameters that do not
        require gradients are neither learned nor adapted.

    inner_steps : int
        Gradient steps of adaptation in meta-training.

    head_init : {"shared", "prototypes"}, default="prototypes"
        Start of the head where classes are a task's own.

    engine : {"auto", "adjoint", "batched", "vmap", "loop"}, default="auto"
        See `sklmeta.learners.engine.Engine`.
    """

    encoder: nn.Module
    takes_weights = True

    def __init__(
        self,
        spec: TaskSpec,
        encoder: nn.Module,
        *,
        inner_steps: int,
        head_init: str = "prototypes",
        engine: str = "auto",
    ):
        super().__init__(spec)
        self.encoder = encoder
        self.inner_steps = inner_steps
        self._gpu_budget: int | None = None
        self.head = learned_head(spec, head_init)
        self._adapted = [
            name for name, p in encoder.named_parameters() if p.requires_grad
        ]
        self._n_body = sum(p.numel() for p in encoder.parameters() if p.requires_grad)
        # Walking the modules at every step would cost a tenth of it.
        self._owners = {
            name: encoder.get_submodule(name.rpartition(".")[0])
            for name in self._adapted
        }
        self.likelihood = likelihood_of(spec, predicts_spread=False)
        by_hand = engine in ("auto", "adjoint") and self.likelihood is None
        self.dense = self._dense_layers() if by_hand else None
        if engine == "adjoint" and self.likelihood is not None:
            raise ValueError(
                f"engine='adjoint' has no likelihood={spec.likelihood!r}; use "
                "engine='auto'."
            )
        if engine == "adjoint" and self.dense is None:
            raise ValueError(
                "engine='adjoint' takes a Sequential of Linear layers, each followed "
                "by at most one activation, all of them learned; for "
                f"{type(encoder).__name__} use engine='auto'."
            )
        self.engine = Engine(encoder, "auto" if engine == "adjoint" else engine)
        self._norms = normalisations(encoder)
        self._statistics = [
            f"{name}.{statistic}"
            for name in self._norms
            for statistic in ("running_mean", "running_var")
        ]

    @property
    def has_prototypes(self) -> bool:
        return self.head is None

    @property
    def engine_name(self) -> str | None:
        return "adjoint" if self.dense is not None else self.engine.name

    def adapted_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters that are adapted, without the axis of the tasks.

        Where classes are a task's own, those of the head for one class.
        """
        shapes = {
            f"encoder.{name}": tuple(self.encoder.get_parameter(name).shape)
            for name in self._adapted
        }
        n_outputs = width_of(self.spec, regression=self.spec.n_targets, own=1)
        head = n_outputs, self.spec.n_features_out
        return {**shapes, "head.weight": head, "head.bias": head[:1]}

    def _dense_layers(self) -> list[Layer] | None:
        own = dict(self.encoder.named_parameters())
        names = {id(own[name]): f"encoder.{name}" for name in self._adapted}
        body = dense_layers(linear_stack(self.encoder), names)
        return None if body is None else [*body, Layer("head.weight", "head.bias")]

    def can_compile(self, episodes: Episodes) -> bool:
        """See the base class; the engine chooses by trying, which no compiler takes."""
        if self.engine.name is None:
            with torch.no_grad():
                few = split_episodes(episodes, 2)[0].support
                self.run(self.own_start(few), few.X)
        self.engine.settle()
        return self.engine.name != "loop"

    def start(self, support: Rows) -> Parameters:
        """Parameters before the first step; those of all tasks lack the first axis."""
        if self.head is None:
            # Not the tensors that adaptation starts from: the meta-gradient passes
            # through the prototypes, while the inner gradient takes the head as given.
            weight, bias = prototype_head(self.encode(support.X), support)
        else:
            weight, bias = self.head.weight, self.head.bias
            if len(bias) != (width := support.n_classes or len(bias)):
                weight, bias = weight.expand(width, -1), bias.expand(width)
        encoder = {
            f"encoder.{name}": getattr(owner, name.rpartition(".")[2])
            for name, owner in self._owners.items()
        }
        return {**encoder, "head.weight": weight, "head.bias": bias}

    def own_start(self, support: Rows) -> Parameters:
        """Parameters before the first step, with the tasks as first axis of them all.

        Nothing is copied: every task's are views of the same.
        """
        return spread(self.start(support), len(support.X), self.has_prototypes)

    @property
    def adapt_mixes_rows(self) -> bool:
        return self.mixes_rows or bool(self._norms)

    def adapt(self, support: Rows) -> State:
        """Adapt each task's network to its support.

        In training mode the state keeps its graph. In evaluation mode it does not, and
        layers with batch statistics take, as in meta-training, those of the support:
        what they learned fits no weights that have moved. The state keeps these
        statistics, for prediction.
        """
        if self.training or not self._norms:
            return self._adapt(support)
        with batch_statistics(self._norms.values()):
            state = self._adapt(support)
            return {**state, **self._statistics_at(state, support)}

    def _adapt(self, support: Rows) -> State:
        # As `adapt` of the base class, which calls this one here.
        raise NotImplementedError(f"{type(self).__name__} lacks _adapt.")

    @torch.no_grad()
    def _statistics_at(self, state: State, support: Rows) -> State:
        """Means and variances that the adapted network has on the support."""
        buffers = {
            f"{name}.{buffer}": value.expand(len(support.X), *value.shape).clone()
            for name, layer in self._norms.items()
            for buffer, value in layer.named_buffers(recurse=False)
        }
        own = {name: state[f"encoder.{name}"] for name in self._adapted}
        with overwritten_statistics(self._norms.values()):
            looped(self.encoder, {**own, **buffers}, support.X)
        return {f"encoder.{name}": buffers[name] for name in self._statistics}

    def forward(self, episodes: Episodes) -> Tensor:  # shape: (n_tasks,)
        if self.training or not self._norms:
            return super().forward(episodes)
        # Validation judges what `adapt` and `predict` do, task by task.
        losses = []
        for support, query in map(without_padding, split_episodes(episodes, 1)):
            output = self.predict(self.adapt(support), query.X)
            losses.append(loss_of(self, output, query))
        return torch.cat(losses)

    def predict(self, state: State, X: Tensor) -> Tensor:
        return self.run(state, X)

    def support_loss(
        self, parameters: Parameters, support: Rows
    ) -> Tensor:  # shape: (n_tasks,)
        return support_loss_of(self, self.run(parameters, support.X), support)

    def run(
        self,
        parameters: Mapping[str, Tensor],  # {name: (n_tasks, *shape)}
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_outputs)
        """Output of the network at the parameters of each task."""
        encoder = {name: parameters[f"encoder.{name}"] for name in self._adapted}
        for name in self._statistics:
            if f"encoder.{name}" in parameters:  # not before a task was adapted to
                encoder[name] = parameters[f"encoder.{name}"]
        bias = parameters["head.bias"][:, None]  # (n_tasks, 1, n_outputs)
        features = self.engine(encoder, X)
        return torch.baddbmm(bias, features, parameters["head.weight"].mT)

    def auto_chunk_size(self, episodes: Episodes) -> int:
        """See the base class; beside, what all inner steps keep is bounded."""
        support, query = episodes
        n_tasks, n_rows = len(support.X), support.X.shape[1] + query.X.shape[1]
        on_cpu = support.X.device.type == "cpu"
        n_outputs = support.n_classes or self.spec.n_targets
        head = (self.spec.n_features_out + 1) * n_outputs
        n_parameters = self._n_body + head
        a_step = n_parameters + n_rows * self.activations[1]
        n_bytes = support.X.element_size()
        limits = [
            self._graph_budget(support.X)
            // (GRAPH_COPIES * self.inner_steps * a_step * n_bytes)
        ]
        if on_cpu and self.engine_name not in ("adjoint", "loop"):
            limits.append(CACHED_COPIES_BYTES // (n_parameters * n_bytes))
            limits.append(super().auto_chunk_size(episodes))
        return max(1, min(n_tasks, *limits))

    def _graph_budget(self, X: Tensor) -> int:
        if X.device.type != "cuda":
            return GRAPH_BYTES
        if self._gpu_budget is None:
            free, _ = torch.cuda.mem_get_info(X.device)
            self._gpu_budget = int(GPU_MEMORY_SHARE * free)
        return self._gpu_budget


def learned_head(spec: TaskSpec, head_init: str) -> nn.Linear | None:
    """Where the heads of all tasks start, or None where each starts from prototypes."""
    if head_init not in HEAD_INITS:
        raise ValueError(f"head_init must be in {HEAD_INITS}, got {head_init!r}.")
    if spec.kind == TaskKind.OWN and head_init == "prototypes":
        return None
    # One row serves all classes when these differ from task to task.
    n_outputs = width_of(spec, regression=spec.n_targets, own=1)
    head = nn.Linear(spec.n_features_out, n_outputs)
    nn.init.zeros_(head.bias)
    return head


def spread(start: Parameters, n_tasks: int, own_head: bool) -> Parameters:
    """Give every task a view of the start; heads of their own they have already."""
    return {
        name: p
        if own_head and name.startswith("head.")
        else p.expand(n_tasks, *p.shape)
        for name, p in start.items()
    }


def prototype_head(
    features: Tensor,  # shape: (n_tasks, n_rows, d)
    support: Rows,
) -> tuple[Tensor, Tensor]:  # shapes: (n_tasks, n_classes, d), (n_tasks, n_classes)
    """The linear form of squared distances to the class means."""
    member = F.one_hot(support.y, support.n_classes).to(features.dtype)
    member = member * support.mask[..., None]  # (n_tasks, n_rows, n_classes)
    n_rows = or_one(member.sum(1))[..., None]
    prototypes = member.mT @ features / n_rows
    return 2 * prototypes, -prototypes.square().sum(-1)
