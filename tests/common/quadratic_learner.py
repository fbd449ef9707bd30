"""A learner whose meta-training is known, and the means to train it."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import warnings

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.learner import Learner, TaskSpec
from sklmeta.training.loop import TrainingOptions, meta_train


def options(**changed):
    defaults = {
        "max_iter": 20,
        "lr": 0.1,
        "lr_schedule": "constant",
        "optimizer": "Adam",
        "optimizer_params": {},
        "max_grad_norm": None,
        "n_iter_no_change": 10,
        "callbacks": (),
        "device": "cpu",
    }
    return TrainingOptions(**{**defaults, **changed})


def plain_episodes(n_tasks=7):
    ones = torch.ones(n_tasks, 4)
    rows = Rows(ones[..., None], ones.clone(), ones)
    return Episodes(rows, rows)


class Bowl(Learner):
    """Lowers |w|^2; says nonsense at the updates that it is told."""

    def __init__(self, bad_losses=(), bad_gradients=()):
        super().__init__(TaskSpec("regression", (2,), 1, 0))
        self.w = nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
        self.b = nn.Parameter(torch.tensor(0.5))
        self.bad_losses, self.bad_gradients = set(bad_losses), set(bad_gradients)
        self.n_calls = 0

    def meta_loss(self, episodes):
        n_tasks = len(episodes.query.X)
        losses = (self.w.square().sum() + self.b.square()).expand(n_tasks)
        if self.training:
            self.n_calls += 1
            if self.n_calls in self.bad_losses:
                losses = losses * torch.nan
            if self.n_calls in self.bad_gradients:
                losses = losses + (0 * self.w).norm().sqrt()
        return losses


def train(learner, draw=plain_episodes, *, valid=None, **changed):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        result = meta_train(
            learner.train(),
            draw,
            options(**changed),
            valid_episodes=valid,
            on_epoch=lambda weights, history: False,
        )
    return result, [str(w.message) for w in caught]
