"""How many meta-updates pay: asked of tasks held out in folds, before all are used."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from torch import Tensor

from sklmeta.data.kinds import TaskKind
from sklmeta.data.table import Table
from sklmeta.episodes.rows import Episodes
from sklmeta.estimator.fitting import MetaTraining, held_out_episodes
from sklmeta.estimator.parameters import Parameters
from sklmeta.estimator.upkeep import FitUpkeep
from sklmeta.learners.learner import Learner
from sklmeta.learners.likelihoods import loss_of
from sklmeta.learners.losses import masked_mean, of_targets, summed
from sklmeta.training.loop import TrainingResult, Upkeep
from sklmeta.training.net import UPDATES_PER_EPOCH

FEW_TASKS = 30
N_FOLDS = {True: 5, False: 3}
"""Where tasks are few, more folds leave more of them to learn from."""

LEAST_IN_FOLD = 2
N_DRAWS = 4

BEYOND_DOUBT = 4.0
"""Standard errors by which training must be better than none to pay beyond doubt."""

MOST_PASSES = 200
"""Through the tasks: more learn few tasks by heart."""

PATIENCE = 2
"""Epochs, all worse than an earlier one by a standard error, that end a fold."""

Floats = NDArray[np.float64]

BuildLearner = Callable[[], Learner]


class FoldInterrupted(KeyboardInterrupt):
    """Ctrl-C came while folds were asked; what one has learned may be used.

    Attributes
    ----------
    training : MetaTraining
        Of the fold.

    learner : Learner
    result : TrainingResult
    """

    def __init__(
        self, training: MetaTraining, learner: Learner, result: TrainingResult
    ):
        super().__init__()
        self.training, self.learner, self.result = training, learner, result


def choose_updates(
    params: Parameters,
    table: Table,
    device: str,
    seed: int,
    build: BuildLearner,
    upkeep: FitUpkeep,
) -> int:
    """Return the number of meta-updates at which held-out tasks are predicted best.

    Each fold of tasks is held out once from a training like the one to come. Fewer
    updates, none included, are preferred where the best are not better by more than a
    standard error over the tasks: the "one standard error" rule (Breiman et al., 1984).
    Folds end where the answer is plain: none better than the start in two of them, or
    training that pays beyond doubt in one. No more updates are tried than go through
    the tasks `MOST_PASSES` times.

    Parameters
    ----------
    params : Parameters
        Of the estimator.

    table : Table
        Rows of the training tasks.

    device : str
    seed : int
    build : callable
        Returns a learner with its first weights.

    upkeep : FitUpkeep
        Of the whole fit: each fold has as much of its time as what comes after all.

    Raises
    ------
    FoldInterrupted
        With what the fold had learned.
    """
    usable = np.flatnonzero(table.sizes >= 2)
    n_folds = min(N_FOLDS[len(usable) < FEW_TASKS], len(usable) // LEAST_IN_FOLD)
    most = math.ceil(MOST_PASSES * len(usable) / params.meta_batch_size)
    most = min(int(params.max_iter), most)
    if n_folds < 2 or not most:
        return most
    alone = clone(params).set_params(callbacks=None, verbose=0, early_stopping=False)
    alone.set_params(max_iter=most)
    fold_of = np.full(table.n_tasks, -1)
    fold_of[usable] = np.random.default_rng(seed).permutation(len(usable)) % n_folds
    curves: list[Floats] = []
    upkeep.progress.expect((n_folds + 1) * most)
    for fold in range(n_folds):
        held = fold_of[table.codes] == fold
        parts = table.of_tasks(~held), table.of_tasks(held)
        with warnings.catch_warnings():  # heard in the training that counts
            warnings.simplefilter("ignore")
            training = MetaTraining(alone, parts[0], None, device, seed)
            own = upkeep.of_training(f"fold-{fold}", 1 / (n_folds - fold + 1))
            curve, cut = _curve(training, parts[1], build(), own)
        if cut is not None:
            upkeep.n_in_time = most = cut
            alone.set_params(max_iter=most)
        n_points = min(len(c) for c in [*curves, curve])
        curves = [c[:n_points] for c in [*curves, curve]]
        upkeep.progress.move_to((fold + 1) * most)
        losses = np.concatenate(curves, axis=1)  # (n_epochs + 1, n_episodes)
        chosen, pays = _least_that_is_as_good(losses)
        if (pays and 2 * chosen >= len(losses)) or (fold and not chosen):
            break
    n_updates = round(most * chosen / (len(losses) - 1))
    upkeep.progress.expect(upkeep.progress.done + n_updates)
    return n_updates


def _least_that_is_as_good(losses: Floats) -> tuple[int, bool]:
    """The epoch, and whether training pays beyond doubt: then it is the best one."""
    best = int(losses.mean(axis=1).argmin())
    worse, error = _compared(losses, best)
    if worse[0] > BEYOND_DOUBT * error[0]:
        return best, True
    return int(np.flatnonzero(worse <= error)[0]), False


def _compared(losses: Floats, best: int) -> tuple[Floats, Floats]:
    """How much worse each epoch is than the best, and the standard error of that."""
    worse = losses - losses[best]
    n_tasks = worse.shape[1] / N_DRAWS  # it is they that differ from one another
    return worse.mean(axis=1), worse.std(axis=1) / np.sqrt(n_tasks)


def _curve(
    training: MetaTraining, held: Table, learner: Learner, upkeep: Upkeep
) -> tuple[Floats, int | None]:  # shape: (n_epochs + 1, n_episodes)
    """Losses of held-out tasks, before training and after every epoch of it.

    Beside, the number of meta-updates if time has ended them.
    """
    episodes = held_out_episodes(training, held, N_DRAWS)
    curve = upkeep.beside

    def judge(*unused: Any) -> bool:
        learner.eval()
        with torch.no_grad():
            losses = [_losses(learner, part) for part in episodes]
        curve.append(upkeep.team.of_main(torch.cat(losses).double().cpu()))
        so_far = torch.stack(curve).numpy()
        worse, error = _compared(so_far, int(so_far.mean(axis=1).argmin()))
        return len(curve) > PATIENCE and bool((worse > error)[-PATIENCE:].all())

    result = training.run(learner, judge, on_start=judge, upkeep=upkeep)
    if result.interrupted:
        raise FoldInterrupted(training, learner, result)
    if result.out_of_time:
        return torch.stack(curve).numpy(), result.n_iter
    n_epochs = math.ceil(training.params.max_iter / UPDATES_PER_EPOCH)
    curve += curve[-1:] * (1 + n_epochs - len(curve))
    return torch.stack(curve).numpy(), None


def _losses(learner: Learner, episodes: Episodes) -> Tensor:  # shape: (n_tasks,)
    """Root mean squared errors, or the loss of classes, counts and amounts."""
    support, query = episodes
    output = learner.predict(learner.adapt(support), query.X)
    has_own = getattr(learner, "likelihood", None) is not None
    if has_own or learner.spec.kind != TaskKind.REGRESSION:
        return loss_of(learner, output, query)
    mean, _ = of_targets(output, query.y)
    return masked_mean(summed((mean - query.y).square()), query.mask).sqrt()
