"""Ridge head: a linear head on learned features, solved for every task (R2-D2)."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import torch
from torch import nn

from sklmeta._compat import StrOptions
from sklmeta.closed_form.ridge_head_learner import SOLVERS, RidgeHeadLearner
from sklmeta.estimator.faces import MetaClassifierMixin, MetaRegressorMixin
from sklmeta.estimator.meta import BaseMetaEstimator
from sklmeta.learners.learner import Learner, TaskSpec


class RidgeHeadClassifier(MetaClassifierMixin, BaseMetaEstimator):
    """Ridge or logistic regression on meta-learned features (R2-D2, LR-D2).

    Adaptation fits a linear classifier to the support, on the features of a
    meta-learned encoder and the raw ones; the penalty is learned as well, and so is the
    encoder, through the solution. There is no step size, and nothing can diverge. With
    classes of each task's own, a task may have any number of them. With shared classes
    the head shrinks towards one that is learned across tasks, so that a class absent
    from the support can still be predicted. With ``hidden_layer_sizes=()`` there is no
    encoder: the prior head, the penalty and the scale of every feature are learned.

    Parameters
    ----------
    solver : {"ridge", "logistic"}, default="ridge"
        What is fitted to the support: ridge regression on targets of plus and minus
        one (R2-D2), solved at once; or logistic regression (LR-D2), solved by Newton
        steps, several times slower. Either is of each class against the rest.

    n_way : int, default=None
        Number of classes in a training episode, for classes that are a task's own;
        None takes all of a task's classes.

    shared_classes : bool, default=None
        Whether all tasks speak of the same classes. None means True unless `n_way`
        is given; it is never guessed from the labels.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    `hidden_layer_sizes` and `activation`; the episodes' ``n_shots=(1, 15)``,
    ``n_query=20`` and `support`; the training's `meta_batch_size`, `max_iter`,
    ``lr=0.01``, `lr_schedule`, ``optimizer="AdamW"``, `optimizer_params`,
    ``weight_decay=1.0``, `max_grad_norm`, `chunk_size`, `early_stopping`,
    `validation_fraction`, `n_iter_no_change` and `callbacks`; and for `standardize`,
    `transductive`, `device`, `compile`, `n_threads`, `random_state`, `verbose`,
    `max_time`, `checkpoint_dir`, `accelerator` and `warm_start`.

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
    ProtoNetClassifier : Adapts by remembering class means.
    MAMLClassifier : Adapts by gradient steps, which move the encoder too.
    RidgeHeadRegressor : The same for numbers.

    Notes
    -----
    The encoder is the same in all tasks. Do not use it where a task needs features
    that no other task had; there, fit a model of its own, or `MAMLClassifier`.

    Train for the support sizes that will come (`n_shots`): the penalty and the scale of
    the logits are learned for these, and the probabilities are calibrated for no other.

    References
    ----------
    Bertinetto, Henriques, Torr and Vedaldi, "Meta-learning with Differentiable
    Closed-Form Solvers", ICLR 2019.

    Examples
    --------
    >>> from sklmeta import RidgeHeadClassifier
    >>> from sklmeta.datasets import make_classification_tasks
    >>> X, y, task = make_classification_tasks(40, random_state=0)
    >>> old = task < 39
    >>> est = RidgeHeadClassifier(n_way=5, max_iter=50, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:25], y[~old][:25])
    >>> est.predict(X[~old][25:]).shape
    (25,)
    """

    solver: str = "ridge"
    n_shots: int | tuple[int, int] = (1, 15)
    n_query: int = 20
    lr: float = 1e-2
    optimizer: str | type[torch.optim.Optimizer] = "AdamW"
    weight_decay: float = 1.0

    _parameter_constraints = {"solver": [StrOptions(set(SOLVERS))]}

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> Learner:
        encoder_or_none = self._unless_empty(encoder)
        return RidgeHeadLearner(spec, encoder_or_none, solver=self.solver)


class RidgeHeadRegressor(MetaRegressorMixin, BaseMetaEstimator):
    """Ridge regression on meta-learned features (R2-D2).

    Adaptation is a ridge regression on the features of a meta-learned encoder and the
    raw ones, which shrinks towards a head learned across tasks; the penalty is learned
    as well, and so is the encoder, through the solution. There is no step size, and
    nothing can diverge.

    Parameters
    ----------
    start : {"mixed_model"} or None, default="mixed_model"
        What meta-training starts from: a linear mixed model of the training tasks, as
        of `MixedModelRegressor`. Before the first update tasks are predicted nearly as
        by it, and the network learns what it lacks. One table, fewer than three tasks,
        and inputs other than rows of numbers start from nothing, as all do with None.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    `hidden_layer_sizes` and `activation`; the episodes' ``n_shots=(1, 20)``,
    ``n_query=32`` and `support`; the training's ``meta_batch_size=4``,
    ``max_iter=2000``, ``lr=0.01``, `lr_schedule`, ``optimizer="AdamW"``,
    `optimizer_params`, ``weight_decay=0.01``, `max_grad_norm`, `chunk_size`,
    ``early_stopping="folds"``, `validation_fraction`, `n_iter_no_change` and
    `callbacks`; and for `standardize`, `transductive`, `device`, `compile`,
    `n_threads`, `random_state`, `verbose`, `max_time`, `checkpoint_dir`,
    `accelerator` and `warm_start`.

    Attributes
    ----------
    See `sklmeta.estimator.Parameters` for `tasks_`, `engine_`, `n_features_in_`,
    `feature_names_in_`, `n_iter_`, `history_`, `compile_time_` and `n_guarded_`.

    See Also
    --------
    BayesianLinearRegressor : The same model with a learned prior covariance; says how
        sure it is.
    DeepKernelRegressor : Gaussian process on learned features.
    RidgeHeadClassifier : The same for classes.

    Notes
    -----
    It has no predictive standard deviation: it learns from the squared error alone,
    which says nothing about the noise. That error is largest where the support is
    smallest, so that with a wide range of `n_shots` the penalty and the features become
    those for very few rows: give the number that will come. In both respects
    `BayesianLinearRegressor` is the better choice, and as fast.

    References
    ----------
    Bertinetto, Henriques, Torr and Vedaldi, "Meta-learning with Differentiable
    Closed-Form Solvers", ICLR 2019.

    Examples
    --------
    >>> from sklmeta import RidgeHeadRegressor
    >>> from sklmeta.datasets import make_linear_tasks
    >>> X, y, task = make_linear_tasks(40, random_state=0)
    >>> old = task < 39
    >>> est = RidgeHeadRegressor(max_iter=100, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:5], y[~old][:5])
    >>> est.predict(X[~old][5:]).shape
    (15,)
    """

    start: str | None = "mixed_model"
    n_shots: int | tuple[int, int] = (1, 20)
    n_query: int = 32
    # As in `BayesianLinearRegressor`: the noise of small meta-batches keeps the
    # features from fitting few tasks alone.
    meta_batch_size: int = 4
    max_iter: int = 2000
    early_stopping: bool | str = "folds"
    lr: float = 1e-2
    optimizer: str | type[torch.optim.Optimizer] = "AdamW"
    weight_decay: float = 0.01

    _parameter_constraints = {"start": [StrOptions({"mixed_model"}), None]}

    _several_targets = True

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> Learner:
        return RidgeHeadLearner(spec, self._unless_empty(encoder))
