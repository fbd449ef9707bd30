"""Deep kernel transfer: a Gaussian process on learned features for every task."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sklmeta._compat import StrOptions
from sklmeta.closed_form.gaussian_process import (
    MEANS,
    OBJECTIVES,
    DeepKernelLearner,
)
from sklmeta.estimator.faces import MetaClassifierMixin, PredictiveStdMixin
from sklmeta.estimator.meta import BaseMetaEstimator
from sklmeta.learners.learner import Learner, TaskSpec
from sklmeta.learners.torch_state import to_numpy

_CONSTRAINTS: dict[str, Any] = {
    "kernel": [str],
    "mean": [StrOptions(set(MEANS))],
    "objective": [StrOptions(set(OBJECTIVES))],
    "raw": ["boolean"],
}


class _DeepKernelAttributes(BaseMetaEstimator):
    """What was learned of the kernel and the noise."""

    @property
    def kernel_(self) -> list[dict[str, Any]]:
        """The terms of the learned kernel: name, variance, length scales."""
        check_is_fitted(self)
        unit = self._fitted.y_scaling.unit
        with self._lent_learner() as learner:
            terms = cast(DeepKernelLearner, learner).kernel.parts()
            found = [
                {"name": type(term).__name__.lower(), **to_numpy(term.quantities())}
                for term in terms
            ]
        return [{**term, "variance": term["variance"] * unit**2} for term in found]

    @property
    def noise_std_(self) -> float:
        """Standard deviation of a target about its task's function."""
        variance = self._of_learner(DeepKernelLearner.noise_variance)
        return float(np.sqrt(variance) * self._fitted.y_scaling.unit)


class DeepKernelRegressor(PredictiveStdMixin, _DeepKernelAttributes):
    """Gaussian process with a kernel learned across tasks (deep kernel transfer, DKT).

    Every task is a Gaussian process on the features of a meta-learned encoder; the
    kernel, the prior mean and the noise are shared by all tasks. Adaptation is the
    closed-form posterior: it takes no step size, cannot diverge, and comes with a
    predictive standard deviation, which includes the noise. With
    ``hidden_layer_sizes=()`` the kernel is of the raw features.

    Parameters
    ----------
    kernel : str, default="rbf"
        Covariance of two rows, given their features: "rbf", "linear", "cosine" or
        "spectral" (a mixture of four components), or a sum such as "rbf+constant";
        "constant" is an offset of each task's own. Variances, length scales (one for
        every feature) and frequencies are learned.

    mean : {"constant", "linear"}, default="linear"
        Prior mean, which is learned: "constant" as in the paper, or "linear" in
        the features.

    objective : {"marginal", "predictive"}, default="marginal"
        What meta-training lowers: "marginal", the paper's, is minus the log marginal
        likelihood of all rows of an episode; "predictive" is minus the
        log-likelihood of the query's predictions.

    raw : bool, default=False
        Whether the raw features stand beside the encoder's.

    start : {"mixed_model"} or None, default="mixed_model"
        What meta-training starts from: a linear mixed model of the training tasks, as
        of `MixedModelRegressor`. Before the first update tasks are predicted nearly as
        by it, and the network learns what it lacks. One table, fewer than three tasks,
        and inputs other than rows of numbers start from nothing, as all do with None.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    `hidden_layer_sizes` and `activation`; the episodes' ``n_shots=(1, 20)``,
    ``n_query=32`` and `support`; the training's ``meta_batch_size=4``,
    ``max_iter=800``, ``lr=0.01``, `lr_schedule`, ``optimizer="AdamW"``,
    `optimizer_params`, ``weight_decay=0.01``, `max_grad_norm`, `chunk_size`,
    ``early_stopping="folds"``, `validation_fraction`, `n_iter_no_change` and
    `callbacks`; and for `standardize`, `transductive`, `device`, `compile`,
    `n_threads`, `random_state`, `verbose`, `max_time`, `checkpoint_dir`,
    `accelerator` and `warm_start`.

    Attributes
    ----------
    kernel_ : list of dict
        The terms of the learned kernel: ``name``, ``variance`` in squared units of y
        and, where the kernel has them, ``lengthscale`` and ``frequency`` of each of its
        features: the encoder's, and with `raw` those of X in standard deviations. The
        mixed model's part, which stands beside them, is not among them.

    noise_std_ : float
        Standard deviation of a target about its task's function, in the units of y.

    See `sklmeta.estimator.Parameters` for `tasks_`, `engine_`, `n_features_in_`,
    `feature_names_in_`, `n_iter_`, `history_`, `compile_time_` and `n_guarded_`.

    See Also
    --------
    BayesianLinearRegressor : Linear in the features, with a prior of its weights.
    TransformerNeuralProcessRegressor : Adapts by a forward pass over the support.

    Notes
    -----
    Adapting costs the cube, and its state the square, of the number of support rows:
    that of 5,000 rows takes 200 MB. For longer tasks use `BayesianLinearRegressor`,
    whose cost is bounded by the number of features.

    Where tasks are combinations of a few functions, such as sinusoids, "rbf" needs far
    more rows than "linear", or than `BayesianLinearRegressor`.

    References
    ----------
    Patacchiola, Turner, Crowley, O'Boyle and Storkey, "Bayesian Meta-Learning for the
    Few-Shot Setting via Deep Kernels", NeurIPS 2020.

    Fortuin, Strathmann and Rätsch, "Meta-Learning Mean Functions for Gaussian
    Processes", arXiv:1901.08098, 2019.

    Wilson and Adams, "Gaussian Process Kernels for Pattern Discovery and
    Extrapolation", ICML 2013.

    Examples
    --------
    >>> from sklmeta import DeepKernelRegressor
    >>> from sklmeta.datasets import make_linear_tasks
    >>> X, y, task = make_linear_tasks(40, random_state=0)
    >>> old = task < 39
    >>> est = DeepKernelRegressor(max_iter=50, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:5], y[~old][:5])
    >>> y_mean, y_std = est.predict(X[~old][5:], return_std=True)
    >>> y_mean.shape, y_std.shape
    ((15,), (15,))
    """

    kernel: str = "rbf"
    mean: str = "linear"
    objective: str = "marginal"
    raw: bool = False
    start: str | None = "mixed_model"
    n_shots: int | tuple[int, int] = (1, 20)
    n_query: int = 32
    meta_batch_size: int = 4
    max_iter: int = 800
    early_stopping: bool | str = "folds"
    lr: float = 1e-2
    optimizer: str | type[torch.optim.Optimizer] = "AdamW"
    weight_decay: float = 0.01

    _parameter_constraints = {
        **_CONSTRAINTS,
        "start": [StrOptions({"mixed_model"}), None],
    }

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> Learner:
        return DeepKernelLearner(
            spec,
            encoder,
            kernel=self.kernel,
            mean=self.mean,
            objective=self.objective,
            raw=self.raw,
            starts=self.start is not None,
        )


class DeepKernelClassifier(MetaClassifierMixin, _DeepKernelAttributes):
    """Gaussian processes of one class against the rest (deep kernel transfer, DKT).

    Every class of a task is a Gaussian-process regression on labels of plus and minus
    one, on the features of a meta-learned encoder; the kernel and the noise are shared
    by all classes and tasks. Adaptation is one closed-form solve for all classes. With
    shared classes each has a learned prior mean, so that a class absent from the
    support can still be predicted; with classes of each task's own, a task may have any
    number of them.

    Probabilities are the softmax of twice each class's mean over the variance, which
    all classes of a row have in common: by the model this is the posterior of which
    label is plus one. A learned temperature calibrates it.

    Parameters
    ----------
    kernel : str, default="rbf"
        Covariance of two rows, given their features: "rbf", "linear", "cosine" or
        "spectral" (a mixture of four components), or a sum such as "rbf+constant";
        "constant" is an offset of each task's own. Variances, length scales (one for
        every feature) and frequencies are learned.

    mean : {"constant", "linear"}, default="linear"
        Prior mean, which is learned: "constant" as in the paper, or "linear" in
        the features. Classes of a task's own all have the same, constant mean.

    objective : {"marginal", "predictive"}, default="marginal"
        What meta-training lowers: "marginal", the paper's, is minus the log marginal
        likelihood of all rows of an episode; "predictive" is the
        cross-entropy of the query. With "marginal" that calibrates the temperature
        alone.

    raw : bool, default=False
        Whether the raw features stand beside the encoder's.

    n_way : int, default=None
        Number of classes in a training episode, for classes that are a task's own;
        None takes all of a task's classes.

    shared_classes : bool, default=None
        Whether all tasks speak of the same classes. None means True unless `n_way`
        is given; it is never guessed from the labels.

    See `sklmeta.estimator.Parameters` for the encoder's `module`, `module_params`,
    `hidden_layer_sizes` and `activation`; the episodes' ``n_shots=(5, 15)``,
    ``n_query=20`` and `support`; the training's `meta_batch_size`, `max_iter`,
    ``lr=0.01``, `lr_schedule`, ``optimizer="AdamW"``, `optimizer_params`,
    ``weight_decay=0.01``, `max_grad_norm`, `chunk_size`, `early_stopping`,
    `validation_fraction`, `n_iter_no_change` and `callbacks`; and for `standardize`,
    `transductive`, `device`, `compile`, `n_threads`, `random_state`, `verbose`,
    `max_time`, `checkpoint_dir`, `accelerator` and `warm_start`.

    Attributes
    ----------
    kernel_ : list of dict
        The terms of the learned kernel: ``name``, ``variance`` and, where the kernel
        has them, ``lengthscale`` and ``frequency`` of each of its features.

    noise_std_ : float
        Standard deviation of a label, plus or minus one, about its task's function.

    classes_ : ndarray of shape (n_classes,)
        The classes; where these are a task's own, those of the adapted tasks.

    shared_classes_ : bool
        Whether the tasks share their classes.

    See `sklmeta.estimator.Parameters` for `tasks_`, `engine_`, `n_features_in_`,
    `feature_names_in_`, `n_iter_`, `history_`, `compile_time_` and `n_guarded_`.

    See Also
    --------
    ProtoNetClassifier : Remembers a mean of each class.

    Notes
    -----
    Adapting costs the cube, and its state the square, of the number of support rows.
    For tasks of more than some thousands use `ProtoNetClassifier`.

    References
    ----------
    Patacchiola, Turner, Crowley, O'Boyle and Storkey, "Bayesian Meta-Learning for the
    Few-Shot Setting via Deep Kernels", NeurIPS 2020.

    Examples
    --------
    >>> from sklmeta import DeepKernelClassifier
    >>> from sklmeta.datasets import make_classification_tasks
    >>> X, y, task = make_classification_tasks(40, random_state=0)
    >>> old = task < 39
    >>> est = DeepKernelClassifier(n_way=5, max_iter=50, random_state=0)
    >>> est = est.fit(X[old], y[old], task=task[old])
    >>> est = est.adapt(X[~old][:25], y[~old][:25])
    >>> est.predict(X[~old][25:]).shape
    (25,)
    """

    kernel: str = "rbf"
    mean: str = "linear"
    objective: str = "marginal"
    raw: bool = False
    n_shots: int | tuple[int, int] = (5, 15)
    n_query: int = 20
    max_iter: int = 1000
    lr: float = 1e-2
    optimizer: str | type[torch.optim.Optimizer] = "AdamW"
    weight_decay: float = 0.01

    _parameter_constraints = _CONSTRAINTS

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> Learner:
        return DeepKernelLearner(
            spec,
            encoder,
            kernel=self.kernel,
            mean=self.mean,
            objective=self.objective,
            raw=self.raw,
            min_noise=0.1,
        )
