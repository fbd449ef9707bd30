"""Optimizers of the inner loop, for all tasks at once and without a graph.

Parameters are a matrix with a row for each task. Adam without momentum divides a
gradient by the root of a running mean of its square. Between the tasks of meta-training
the weights go back to the start; these second moments stay.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.rows import Rows

BETA2 = 0.999
EPS = 1e-8


class InnerOptimizer(Protocol):
    """Takes steps."""

    def step(
        self,
        point: Tensor,  # shape: (n_tasks, n_parameters)
        gradient: Tensor,  # shape: (n_tasks, n_parameters)
    ) -> None:
        """Move `point`, in place."""


class Sgd:
    """Plain gradient steps."""

    def __init__(self, lr: float):
        self.lr = lr

    def step(self, point: Tensor, gradient: Tensor) -> None:
        point.sub_(gradient, alpha=self.lr)


class SharedAdam:
    """One state for all tasks: the mean of their squared gradients goes in.

    A step of n tasks counts as n steps of one, so that the means remember as many of
    them, whether tasks come together or one after the other.

    Parameters
    ----------
    moment : Tensor of shape (n_parameters,)
        The running mean so far, for one row of the head.

    n_steps : Tensor of shape ()
        Steps that it has seen.

    lr : float
        Step size.

    rows : HeadRows
    """

    def __init__(self, moment: Tensor, n_steps: Tensor, lr: float, rows: HeadRows):
        self.moment, self.n_steps = moment.clone(), n_steps.clone()
        self.lr, self.rows = lr, rows

    def step(self, point: Tensor, gradient: Tensor) -> None:
        n_tasks = len(point)
        total = (gradient * gradient).sum(0)  # fifty times faster than a norm along it
        self.moment.lerp_(self.rows.mean(total, n_tasks), 1 - BETA2**n_tasks)
        self.n_steps += n_tasks
        root = (self.moment / _correction(self.n_steps)).sqrt_().add_(EPS)
        rates = self.rows.spread(root.reciprocal_())
        point.addcmul_(gradient, rates, value=-self.lr)


class OwnAdam:
    """A state of each task's own, which goes on from the shared one.

    Parameters
    ----------
    moment, n_steps, lr, rows
        As in `SharedAdam`.

    n_tasks : int
    """

    def __init__(
        self,
        moment: Tensor,
        n_steps: Tensor,
        lr: float,
        rows: HeadRows,
        n_tasks: int,
    ):
        self.moment = rows.spread(moment).repeat(n_tasks, 1)
        self.n_steps, self.lr = n_steps.clone(), lr

    def step(self, point: Tensor, gradient: Tensor) -> None:
        self.moment.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        self.n_steps += 1
        root = (self.moment / _correction(self.n_steps)).sqrt_().add_(EPS)
        point.addcdiv_(gradient, root, value=-self.lr)


def _correction(n_steps: Tensor) -> Tensor:
    """What a running mean that began at zero has reached after so many steps of one."""
    return 1 - torch.pow(BETA2, n_steps.double())


class HeadRows:
    """Where classes are a task's own, all rows of the head share a second moment.

    Parameters
    ----------
    n_body : int
        Parameters of the encoder; after them come the head's weight, turned, and bias.

    n_features : int
        Columns of the head's weight.

    n_classes : int
        Rows of the head.

    ways : Tensor of shape (n_tasks,) or None
        Classes of each task; the gradient of the others is zero. None leaves
        everything as it is: rows of the head are like any other parameters.
    """

    def __init__(
        self, n_body: int, n_features: int, n_classes: int, ways: Tensor | None
    ):
        self.n_body, self.n_features, self.n_classes = n_body, n_features, n_classes
        self.ways = ways

    def spread(self, values: Tensor) -> Tensor:
        """From one row of the head to all."""
        if self.ways is None:
            return values
        body, weight, bias = values.split([self.n_body, self.n_features, 1])
        weight = weight.repeat_interleave(self.n_classes)
        return torch.cat([body, weight, bias.expand(self.n_classes)])

    def mean(self, total: Tensor, n_tasks: int) -> Tensor:
        """From sums over the tasks to means, of the head's rows over these as well."""
        if self.ways is None:
            return total / n_tasks
        sizes = [self.n_body, self.n_features * self.n_classes, self.n_classes]
        body, weight, bias = total.split(sizes)
        weight = weight.unflatten(0, (self.n_features, self.n_classes)).sum(1)
        head = torch.cat([weight, bias.sum(0, keepdim=True)]) / self.ways.sum()
        return torch.cat([body / n_tasks, head])


def head_rows(support: Rows, n_body: int, n_features: int, kind: str) -> HeadRows:
    ways = support.ways
    if kind == TaskKind.OWN and ways is None:
        ways = torch.full_like(support.y[:, 0], support.n_classes)
    return HeadRows(n_body, n_features, support.n_classes, ways)
