"""The contract that every algorithm's torch module keeps.

A learner is a map from (support, query inputs) to query predictions, batched over
tasks: every tensor that crosses this interface has the tasks as its first dimension.
Ragged tasks arrive padded; ``Rows.mask`` is the only trace of it.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.rows import (
    Episodes,
    Rows,
    is_unpadded,
    split_episodes,
    without_padding,
)
from sklmeta.learners.encoders import (
    activation_sizes,
    encode,
    mixes_rows,
    uses_batch_statistics,
)
from sklmeta.learners.losses import row_loss
from sklmeta.learners.task_spec import TaskSpec

if TYPE_CHECKING:
    from sklmeta.episodes.source import EpisodeSource

__all__ = ["ACTIVATION_BYTES", "Learner", "State", "TaskSpec"]

State = dict[str, Tensor]
"""What adaptation leaves behind: tensors with the tasks as their first dimension."""


ACTIVATION_BYTES = 2**24
"""One activation of a chunk on a CPU, at most: larger blocks are mapped anew from the
system each time they are wanted, and paid for in page faults."""


class Learner(nn.Module):
    """Base of all learners.

    A subclass implements `adapt` and `predict`, for many tasks at once. `meta_loss` is
    the criterion on the query and may be replaced. `sklmeta.testing.check_learner`
    holds it to what is said here.

    Predictions have shape (n_tasks, n_rows, n_classes), as logits, for classification;
    (n_tasks, n_rows, 1), the mean, for regression; or (n_tasks, n_rows, 2), the mean
    and the logarithm of the predictive variance, where the learner has one. Of several
    targets (``spec.n_targets``) all means come first, then all logarithms.

    Parameters
    ----------
    spec : TaskSpec
        What the tasks look like.
    """

    compiler: Any = None
    phase: tuple[bool, ...] = ()  # of the training, where `meta_loss` depends on it
    decayed: str = ""  # pattern of the parameters on which `weight_decay` acts
    encoder: nn.Module | None  # set by those that have one
    takes_weights = False  # in `adapt`: whether a mask of 2 is the same row twice
    why_no_weights = "its learner does not say that it takes them"

    def __init__(self, spec: TaskSpec):
        super().__init__()
        self.spec = spec
        self._mixes: bool | None = None
        self._activations: tuple[int, int] | None = None

    @property
    def mixes_rows(self) -> bool:
        """Whether the encoder, in its present mode, lets one row influence another.

        Then it is shown the rows of one task at a time, and no padding.
        """
        encoder = getattr(self, "encoder", None)
        if encoder is None or uses_batch_statistics(encoder):
            return encoder is not None
        if self._mixes is None:
            self._mixes = mixes_rows(encoder, self.spec.input_shape)
        return self._mixes

    @property
    def adapt_mixes_rows(self) -> bool:
        """Whether `adapt` lets rows influence each other in the encoder."""
        return self.mixes_rows

    @property
    def engine_name(self) -> str | None:
        """How the tasks go through the encoder: all rows at once, or in a loop."""
        return "loop" if self.mixes_rows else "once"

    def encode(
        self,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_features_out)
        """Encode the rows of all tasks: in one pass, unless rows would mix.

        Parameters
        ----------
        X : Tensor of shape (n_tasks, n_rows, ...)
            Rows.

        Returns
        -------
        Tensor of shape (n_tasks, n_rows, n_features_out)
        """
        assert self.encoder is not None
        if self.mixes_rows:
            return torch.cat([encode(self.encoder, rows[None]) for rows in X])
        return encode(self.encoder, X)

    def adapt(self, support: Rows) -> State:
        """Return the state of each task after it has seen its support.

        In meta-training gradients go through it; where an estimator adapts, they are
        switched off, and the learner is in evaluation mode.

        Parameters
        ----------
        support : Rows
            Supports of unequal size, padded; the padding must change nothing.

        Returns
        -------
        dict of str to Tensor
            All that `predict` needs, each with the tasks as first dimension. A tensor
            called ``n_guarded`` counts steps that were shortened; estimators add it up.
        """
        # A subclass must supply it; plain, as in torch's own `Module.forward`.
        raise NotImplementedError(f"{type(self).__name__} lacks adapt.")

    def predict(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_outputs)
        """Predict query rows; one row's prediction never depends on another's.

        Parameters
        ----------
        state : dict of str to Tensor
            What `adapt` or `prior_state` returned, of the tasks wanted.

        X : Tensor of shape (n_tasks, n_rows, ...)
            Query rows of each task.

        Returns
        -------
        Tensor of shape (n_tasks, n_rows, n_outputs)
            Logits of classes, or a mean, or a mean and the logarithm of a variance; in
            the dtype of `X`.
        """
        # As `adapt`: a learner without it cannot be meta-trained, and says so at once.
        raise NotImplementedError(f"{type(self).__name__} lacks predict.")

    def leave_one_out(
        self, state: State, support: Rows
    ) -> Tensor | None:  # shape: (n_tasks, n_rows, n_outputs)
        """Predict each support row from its task's others, where there is a formula.

        It is what `predict` answers after `adapt` to the support without the row. Tasks
        have two rows or more; what stands for padding is not read.

        Parameters
        ----------
        state : dict of str to Tensor
            What `adapt` returned for the support.

        support : Rows
            The support.

        Returns
        -------
        Tensor of shape (n_tasks, n_rows, n_outputs), or None
            None where it would take as long as adapting to each support without a row.
        """
        return None

    def of_both(
        self, episodes: Episodes, function: Callable[[Tensor], Tensor]
    ) -> Tensor:  # shape: (n_tasks, n_support + n_query, ...)
        """Apply what encodes rows to supports and queries, in one pass.

        Where rows influence each other they go apart: no query may see a support.

        Parameters
        ----------
        episodes : Episodes
            Supports and queries of the same tasks.

        function : callable
            Takes a Tensor of shape (n_tasks, n_rows, ...).

        Returns
        -------
        Tensor of shape (n_tasks, n_support + n_query, ...)
        """
        if self.mixes_rows:
            return torch.cat([function(rows.X) for rows in episodes], dim=1)
        return function(torch.cat([rows.X for rows in episodes], dim=1))

    def state_without_rows(self) -> State | None:
        """State of one task with an empty support; None for classes of its own.

        It is the prior of learners that read supports of any size.

        Returns
        -------
        dict of str to Tensor, or None
        """
        if self.spec.kind == TaskKind.OWN:
            return None
        X = next(self.parameters()).new_zeros(1, 0, *self.spec.input_shape)
        y = X.new_zeros(1, 0, *self.spec.target_shape)
        y = y.long() if self.spec.n_classes else y
        return self.adapt(Rows(X, y, X.new_zeros(1, 0), self.spec.n_classes))

    def prior_state(self) -> State | None:
        """State of one task of which nothing is known, or None if there is no prior.

        An estimator whose learner has none adapts, at the end of `fit`, to rows drawn
        evenly from all tasks, and so has an answer with zero shots all the same.

        Returns
        -------
        dict of str to Tensor, or None
            It must be what `adapt` returns for a support without rows.
        """
        return None

    def start_from(self, start: Any) -> None:
        """Begin at a mixed model of the training rows; called if `start` asks for it.

        Parameters
        ----------
        start : MixedStart or MixedClassStart
            In the units in which the learner sees the rows.
        """

    def meta_loss(self, episodes: Episodes) -> Tensor:  # shape: (n_tasks,)
        """Return each episode's loss, which meta-training lowers on average.

        Parameters
        ----------
        episodes : Episodes
            A meta-batch, or a chunk of one.

        Returns
        -------
        Tensor of shape (n_tasks,)
        """
        state = self.adapt(episodes.support)
        return row_loss(self.predict(state, episodes.query.X), episodes.query)

    def training_batches(self, source: EpisodeSource) -> Callable[[], Episodes]:
        """Return what draws a meta-batch; not all learners train on episodes.

        Parameters
        ----------
        source : EpisodeSource
            The tasks that `fit` was given.

        Returns
        -------
        callable
        """
        return source.draw

    def begin_update(self, progress: float) -> None:
        """Get ready for a meta-update; called before each of them.

        Parameters
        ----------
        progress : float
            Share of the meta-updates of this `fit` that are done. In evaluation mode
            the loss must not depend on it, as epochs are compared by it.
        """

    def for_training(self, episodes: Episodes) -> Episodes:
        """Change a whole meta-batch, before it is cut into chunks.

        Parameters
        ----------
        episodes : Episodes
            As drawn.

        Returns
        -------
        Episodes
            To be trained on: here the same.
        """
        return episodes

    def accumulate(self, episodes: Episodes, scale: float) -> Tensor:
        """Return the losses; add the gradient of `scale` times their sum to `grad`.

        Parameters
        ----------
        episodes : Episodes
            A chunk of a meta-batch.

        scale : float
            One over the number of tasks of the whole meta-batch.

        Returns
        -------
        Tensor of shape (n_tasks,)
            Without a graph.
        """
        compiler = self.compiler
        if compiler is None or compiler.gave_up:
            losses = self(episodes)
        elif self.mixes_rows or not self.can_compile(episodes):
            compiler.give_up("its tasks go through one by one")
            losses = self(episodes)
        else:
            episodes = compiler.pad(episodes)
            support, query = episodes
            key = (*support.X.shape, query.X.shape[1], support.n_classes, *self.phase)
            losses = compiler("meta_loss", self.meta_loss, key, episodes)
        (losses.sum() * scale).backward()
        return losses.detach()

    def can_compile(self, episodes: Episodes) -> bool:
        """Whether ``compile=True`` has a graph to make of `meta_loss`.

        Parameters
        ----------
        episodes : Episodes
            The first chunk.

        Returns
        -------
        bool
        """
        return True

    def auto_chunk_size(self, episodes: Episodes) -> int:
        """Say how many tasks go through `meta_loss` with ``chunk_size="auto"``.

        Asked before every meta-update, so it must be cheap. As many here as keep the
        largest activation of one pass over all rows small; a learner that keeps a graph
        for every task's weights gives fewer.

        Parameters
        ----------
        episodes : Episodes
            The whole meta-batch.

        Returns
        -------
        int
        """
        n_tasks = len(episodes.query.X)
        n_rows = max(episodes.support.X.shape[1], episodes.query.X.shape[1])
        if (
            episodes.query.X.device.type != "cpu"
            or getattr(self, "encoder", None) is None
        ):
            return n_tasks
        row_bytes = self.activations[0] * episodes.query.X.element_size()
        return max(1, min(n_tasks, ACTIVATION_BYTES // max(1, n_rows * row_bytes)))

    @property
    def activations(self) -> tuple[int, int]:
        """Numbers in the encoder's largest activation, and in all, for one row."""
        if self._activations is None:
            assert self.encoder is not None
            self._activations = activation_sizes(self.encoder, self.spec.input_shape)
        return self._activations

    def forward(self, episodes: Episodes) -> Tensor:  # shape: (n_tasks,)
        """Return each episode's loss; task by task where rows look at one another.

        Parameters
        ----------
        episodes : Episodes
            A meta-batch, or a chunk of one.

        Returns
        -------
        Tensor of shape (n_tasks,)
        """
        if self.mixes_rows and not is_unpadded(episodes):
            alone = map(without_padding, split_episodes(episodes, 1))
            return torch.cat([self.meta_loss(episode) for episode in alone])
        return self.meta_loss(episodes)
