"""The contract that every algorithm's torch module keeps.

A learner is a map from (support, query inputs) to query predictions, batched over
tasks: every tensor that crosses this interface has the tasks as its first dimension.
Ragged tasks arrive padded; ``Rows.mask`` is the only trace of it.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = dict[str, Tensor]
"""What adaptation leaves behind: tensors with the tasks as their first dimension."""


class Rows(NamedTuple):
    """Rows of ``n_tasks`` tasks, padded to the longest.

    Padding rows repeat nothing: they are zeros, have class 0 and mask 0, and a learner
    must give the same answer whatever stands in them.
    """

    X: Tensor  # shape: (n_tasks, n_rows, *input)
    y: Tensor  # shape: (n_tasks, n_rows); class index (long), or target (float)
    mask: Tensor  # shape: (n_tasks, n_rows); 1 for a real row, 0 for padding
    n_classes: int = 0  # width of the class dimension; 0 for regression
    ways: Tensor | None = None  # shape: (n_tasks,); classes of each task, if its own

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Rows:
        """Move to `device`; floating tensors are cast to `dtype`."""
        y = self.y.to(device, dtype if self.n_classes == 0 else torch.long)
        ways = None if self.ways is None else self.ways.to(device)
        X = self.X.to(device, dtype)
        return Rows(X, y, self.mask.to(device, dtype), self.n_classes, ways)


class Episodes(NamedTuple):
    """One meta-batch: a support and a query set for each of ``n_tasks`` tasks."""

    support: Rows
    query: Rows


class TaskSpec(NamedTuple):
    """What a learner must know about the tasks before it can be built."""

    kind: str  # "regression", "shared" (classes) or "own" (classes)
    input_shape: tuple[int, ...]  # shape of one row
    n_features_out: int  # width of the encoder's output
    n_classes: int  # number of shared classes; 0 otherwise


class Learner(nn.Module):
    """Base of all learners.

    A subclass implements `adapt` and `predict`. `meta_loss` is the criterion on the
    query and may be replaced.

    Predictions have shape (n_tasks, n_rows, n_classes), as logits, for classification;
    (n_tasks, n_rows, 1), the mean, for regression; or (n_tasks, n_rows, 2), the mean
    and the logarithm of the predictive variance, where the learner has one.
    """

    has_predictive_variance = False

    def __init__(self, spec: TaskSpec):
        super().__init__()
        self.spec = spec

    def adapt(self, support: Rows) -> State:
        """Return the state of each task after it has seen its support."""
        raise NotImplementedError(f"{type(self).__name__} lacks adapt.")

    def predict(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_outputs)
        """Predict query rows; one row's prediction never depends on another's."""
        raise NotImplementedError(f"{type(self).__name__} lacks predict.")

    def prior_state(self) -> State | None:
        """State of one task of which nothing is known, or None if there is no prior."""
        return None

    def meta_loss(self, episodes: Episodes) -> Tensor:  # shape: (n_tasks,)
        """Loss of each episode, the quantity that meta-training lowers on average."""
        state = self.adapt(episodes.support)
        return row_loss(self.predict(state, episodes.query.X), episodes.query)

    def forward(self, episodes: Episodes) -> Tensor:  # shape: (n_tasks,)
        return self.meta_loss(episodes)


def mask_absent_classes(
    logits: Tensor,  # shape: (n_tasks, n_rows, n_classes)
    ways: Tensor | None,  # shape: (n_tasks,)
) -> Tensor:
    """Give the classes that a task does not have probability zero."""
    if ways is None:
        return logits
    index = torch.arange(logits.shape[-1], device=logits.device)
    absent = index >= ways[:, None]  # (n_tasks, n_classes)
    return logits.masked_fill(absent[:, None, :], -torch.inf)


def masked_mean(
    values: Tensor,  # shape: (n_tasks, n_rows)
    mask: Tensor,  # shape: (n_tasks, n_rows)
) -> Tensor:  # shape: (n_tasks,)
    """Mean over the real rows of each task; 0 for a task that has none."""
    return (values * mask).sum(1) / mask.sum(1).clamp(min=1)


def row_loss(
    output: Tensor,  # shape: (n_tasks, n_rows, n_outputs)
    rows: Rows,
) -> Tensor:  # shape: (n_tasks,)
    """Mean loss over the rows of each task.

    Cross-entropy for classes; squared error for a mean; Gaussian negative
    log-likelihood for a mean and a log-variance.
    """
    if rows.n_classes:
        output = mask_absent_classes(output, rows.ways)
        # Padding rows have class 0, which every task has: their loss is finite.
        loss = F.cross_entropy(output.transpose(1, 2), rows.y, reduction="none")
    elif output.shape[-1] == 1:
        loss = (output[..., 0] - rows.y).square()
    else:
        loss = gaussian_nll(output[..., 0], output[..., 1], rows.y)
    return masked_mean(loss, rows.mask)


def gaussian_nll(mean: Tensor, log_variance: Tensor, y: Tensor) -> Tensor:
    """Negative log-likelihood under a normal, without its constant."""
    return 0.5 * (log_variance + (y - mean).square() * torch.exp(-log_variance))
