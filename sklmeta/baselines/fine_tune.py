"""A network trained on all tasks as one, then tuned on a new task's support.

The baselines of Chen et al. (2019): no episodes, no inner loop, and often no worse.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import numbers

import torch
from torch import nn

from sklmeta._compat import Interval, StrOptions
from sklmeta.baselines.fine_tune_learner import HEADS, TUNED, FineTuneLearner
from sklmeta.estimator.faces import MetaClassifierMixin, MetaRegressorMixin
from sklmeta.estimator.likelihoods import LikelihoodMixin
from sklmeta.estimator.meta import BaseMetaEstimator
from sklmeta.learners.learner import TaskSpec


class _FineTuneParameters(BaseMetaEstimator):
    """The parameters of tuning, the same for both faces."""

    _is_baseline = True  # to `compare`
    _several_targets = True

    tune: str = "head"
    inner_lr: float = 0.1
    adapt_steps: int = 100
    alpha: float = 1.0
    batch_size: int = 128
    lr: float = 1e-2
    # Plain training on all rows learns the training tasks by heart without it.
    optimizer: str | type[torch.optim.Optimizer] = "AdamW"
    weight_decay: float = 1.0

    _parameter_constraints = {
        "tune": [StrOptions(set(TUNED))],
        "inner_lr": [Interval(numbers.Real, 0, None, closed="neither")],
        "adapt_steps": [Interval(numbers.Integral, 0, None, closed="left")],
        "alpha": [Interval(numbers.Real, 0, None, closed="left")],
        "batch_size": [Interval(numbers.Integral, 1, None, closed="left")],
    }

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> FineTuneLearner:
        return FineTuneLearner(
            spec,
            encoder,
            head=getattr(self, "head", "linear"),
            tune=self.tune,
            inner_lr=self.inner_lr,
            adapt_steps=self.adapt_steps,
            alpha=self.alpha,
            batch_size=self.batch_size,
        )


class FineTuneClassifier(MetaClassifierMixin, _FineTuneParameters):
    """A network trained on the rows of all tasks as one, then tuned on a support.

    The baselines of Chen et al. (2019), "Baseline" and, with ``head="cosine"``,
    "Baseline++": plain training on minibatches, without episodes. `adapt` takes
    gradient steps on the support.

    With shared classes tuning starts from the pooled head, which also predicts for a
    task of which nothing is known. Where classes are a task's own, the pooled network
    learns to tell all training tasks' classes from one another, and a new task gets a
    new head, for any number of classes.

    Parameters
    ----------
    head : {"linear", "cosine"}, default="linear"
        Whether the logit of a class is linear in the features, or a learned multiple
        of the cosine of their angle with the class's vector.

    n_way : int, default=None
        Number of classes in a training episode, for classes that are a task's own;
        None takes all of a task's classes.

    shared_classes : bool, default=None
        Whether all tasks speak of the same classes. None means True unless `n_way`
        is given; it is never guessed from the labels.

    tune : {"head", "all"}, default="head"
        What `adapt` moves: the head, or the encoder as well.

    inner_lr : float, default=0.1
        Step size of tuning. A step that would raise a task's loss is halved, up to ten
        times, and then left out.

    adapt_steps : int, default=20
        Gradient steps of tuning; 0 keeps the pooled network.

    alpha : float, default=10.0
        Pull of tuning towards where it starts: ``alpha / 2`` times the squared distance
        is added to the sum of the losses of the support rows, as in `Ridge`. So few
        rows move the network a little and many as far as they ask.

    batch_size : int, default=128
        Rows of a minibatch, of all tasks together; one minibatch is one update.

    n_shots, n_query, support, meta_batch_size : as in other estimators
        The episodes of held-out tasks by which `early_stopping` judges; by default
        5, 15, "random" and 16. Training here has none.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    `hidden_layer_sizes` and `activation`; the training's `max_iter`, ``lr=0.01``,
    `lr_schedule`, ``optimizer="AdamW"``, `optimizer_params`, ``weight_decay=1.0``,
    `max_grad_norm`, `chunk_size`, `early_stopping`, `validation_fraction`,
    `n_iter_no_change` and `callbacks`; and for `standardize`, `transductive`, `device`,
    `compile`, `n_threads`, `random_state`, `verbose`, `max_time`, `checkpoint_dir`,
    `accelerator` and `warm_start`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes; where these are a task's own, those of the adapted tasks.

    shared_classes_ : bool
        Whether the tasks share their classes.

    See `sklmeta.estimator.Parameters` for `tasks_`, `engine_`, `n_features_in_`,
    `feature_names_in_`, `n_iter_`, `history_`, `compile_time_` and `n_guarded_`.

    See Also
    --------
    Pooled : The same idea around any scikit-learn estimator.
    NearestCentroidBaseline : Without any training.
    MAMLClassifier : Learns a start from which tuning works.

    Notes
    -----
    Across domains this is on a par with many meta-learners (Meta-Dataset). It is weak
    where tasks contradict one another, as the pooled network then learns their average;
    and with many rows of few tasks, which it learns by heart.

    References
    ----------
    Chen, Liu, Kira, Wang and Huang, "A Closer Look at Few-shot Classification",
    ICLR 2019.

    Triantafillou et al., "Meta-Dataset", ICLR 2020.

    Li, Grandvalet and Davoine, "Explicit Inductive Bias for Transfer Learning with
    Convolutional Networks", ICML 2018: the pull towards the start.

    Examples
    --------
    >>> from sklmeta import FineTuneClassifier
    >>> from sklmeta.datasets import make_classification_tasks
    >>> X, y, task = make_classification_tasks(40, random_state=0)
    >>> old = task < 39
    >>> est = FineTuneClassifier(n_way=5, max_iter=100, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:25], y[~old][:25])
    >>> est.predict(X[~old][25:]).shape
    (25,)
    """

    head: str = "linear"
    adapt_steps: int = 20
    # Cross-entropy curves less than squared error, and gives way to a smaller pull.
    alpha: float = 10.0

    _parameter_constraints = {"head": [StrOptions(set(HEADS))]}


class FineTuneRegressor(LikelihoodMixin, MetaRegressorMixin, _FineTuneParameters):
    """A network trained on the rows of all tasks as one, then tuned on a support.

    Plain training on minibatches, without episodes. `adapt` takes gradient steps from
    the pooled network, which also predicts for a task of which nothing is known.

    Parameters
    ----------
    tune : {"head", "all"}, default="head"
        What `adapt` moves: the head, or the encoder as well.

    inner_lr : float, default=0.1
        Step size of tuning. A step that would raise a task's loss is halved, up to ten
        times, and then left out.

    adapt_steps : int, default=100
        Gradient steps of tuning; 0 keeps the pooled network.

    alpha : float, default=1.0
        Pull of tuning towards where it starts: ``alpha / 2`` times the squared distance
        is added to the sum of the losses of the support rows, as in `Ridge`. So few
        rows move the network a little and many as far as they ask.

    batch_size : int, default=128
        Rows of a minibatch, of all tasks together; one minibatch is one update.

    n_shots, n_query, support, meta_batch_size : as in other estimators
        The episodes of held-out tasks by which `early_stopping` judges; by default
        5, 15, "random" and 16. Training here has none.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    `hidden_layer_sizes` and `activation`; the training's `max_iter`, ``lr=0.01``,
    `lr_schedule`, ``optimizer="AdamW"``, `optimizer_params`, ``weight_decay=1.0``,
    `max_grad_norm`, `chunk_size`, `early_stopping`, `validation_fraction`,
    `n_iter_no_change` and `callbacks`; and for `likelihood`, `standardize`,
    `transductive`, `device`, `compile`, `n_threads`, `random_state`, `verbose`,
    `max_time`, `checkpoint_dir`, `accelerator` and `warm_start`.

    Attributes
    ----------
    See `sklmeta.estimator.Parameters` for `tasks_`, `engine_`, `n_features_in_`,
    `feature_names_in_`, `n_iter_`, `history_`, `compile_time_` and `n_guarded_`.

    See Also
    --------
    Pooled : The same idea around any scikit-learn estimator.
    MAMLRegressor : Learns a start from which tuning works.
    BayesianLinearRegressor : A head in closed form, on features learned for it.

    Notes
    -----
    Weak where tasks contradict one another: of sinusoids of any phase the pooled
    network learns the average, which is near zero everywhere. With many rows of few
    tasks it learns these by heart; fewer updates, or `early_stopping`, help then.

    References
    ----------
    Chen, Liu, Kira, Wang and Huang, "A Closer Look at Few-shot Classification",
    ICLR 2019.

    Examples
    --------
    >>> from sklmeta import FineTuneRegressor
    >>> from sklmeta.datasets import make_sinusoids
    >>> X, y, task = make_sinusoids(40, n_rows=30, random_state=0)
    >>> old = task < 39
    >>> est = FineTuneRegressor(max_iter=100, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:10], y[~old][:10])
    >>> est.predict(X[~old][10:]).shape
    (20,)
    """
