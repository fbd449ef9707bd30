"""Ridge head: a linear head on learned features, solved for every task (R2-D2)."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta._compat import StrOptions
from sklmeta.closed_form._linear_algebra import PenalisedDesign
from sklmeta.closed_form._logistic import logistic_heads
from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.estimator.faces import MetaClassifierMixin, MetaRegressorMixin
from sklmeta.estimator.meta import BaseMetaEstimator
from sklmeta.learners.learner import Learner, State, TaskSpec
from sklmeta.learners.losses import row_loss
from sklmeta.learners.raw_features import RawFeaturesLearner
from sklmeta.mixed_models.start import MixedStart

SOLVERS = ("ridge", "logistic")

MIN_PENALTY = 1e-6
TRAINING_STEPS = 8

ENCODED_VARIANCE = 1e-3
"""Of the weights of the encoder's features, at the start beside a mixed model."""

LEAST_VARIANCE = 1e-6


class RidgeHeadLearner(RawFeaturesLearner):
    """Ridge or logistic regression on learned features, through which it learns.

    The head of a task minimises the loss of its support rows plus
    ``penalty * ||W - W0||^2``; meta-training lowers the loss of the query, by
    gradients through the solution, in the encoder, the penalty and, where every task
    has the same outputs, the prior head ``W0``. With classes of a task's own ``W0`` is
    zero, and all classes are treated alike.

    The bias is the weight of a constant feature of learned height: the larger, the less
    is the bias held to its prior. So there is a prediction without any row.

    Parameters
    ----------
    spec : TaskSpec
        What the tasks are.

    encoder : nn.Module or None
        Maps (n, *input) to (n, spec.n_features_out). None leaves the raw features.

    solver : {"ridge", "logistic"}, default="ridge"
        For classes: ridge regression on targets of plus and minus one, or logistic
        regression, of each class against the rest.

    Raises
    ------
    ValueError
        If `solver` is unknown, or "logistic" for regression.

    References
    ----------
    Bertinetto, Henriques, Torr and Vedaldi, "Meta-learning with Differentiable
    Closed-Form Solvers", ICLR 2019.
    """

    takes_weights = True

    def __init__(
        self, spec: TaskSpec, encoder: nn.Module | None, *, solver: str = "ridge"
    ):
        super().__init__(spec, encoder)
        if solver not in SOLVERS:
            raise ValueError(f"solver must be one of {SOLVERS}, got {solver!r}.")
        if spec.kind == TaskKind.REGRESSION and solver == "logistic":
            raise ValueError("solver='logistic' is for classes, not for regression.")
        self.solver = solver
        if self.uses_raw:
            self.log_raw_scale = nn.Parameter(torch.zeros(self.n_raw))
        self.log_height = nn.Parameter(torch.tensor(0.0))
        self.log_penalty = nn.Parameter(torch.tensor(-2.0))
        if spec.kind != TaskKind.OWN:
            n_outputs = 1 if spec.kind == TaskKind.REGRESSION else spec.n_classes
            n_features = self.n_encoded + self.n_raw + 1
            self.prior_head = nn.Parameter(torch.zeros(n_features, n_outputs))
        if spec.kind != TaskKind.REGRESSION:
            self.log_scale = nn.Parameter(torch.tensor(1.0))
        if spec.kind == TaskKind.SHARED:
            self.class_bias = nn.Parameter(torch.zeros(spec.n_classes))

    def start_from(self, start: MixedStart) -> None:
        """Take the mixed model's fixed effects, and its variances as penalties."""
        # A weight's prior variance is noise / penalty, times its feature's squared
        # scale; that of the encoded features, whose scale is not learned, is small.
        variances = np.maximum(np.diag(start.covariance), LEAST_VARIANCE)
        scales = np.sqrt(variances / ENCODED_VARIANCE)
        head = torch.as_tensor(start.mean / scales, dtype=torch.float32)
        logs = torch.as_tensor(np.log(scales), dtype=torch.float32)
        noise = max(start.noise_variance, LEAST_VARIANCE)
        with torch.no_grad():
            self.prior_head[self.n_encoded :, 0] = head
            self.log_raw_scale.copy_(logs[:-1] + 0.5 * math.log(self.n_raw))
            self.log_height.copy_(logs[-1])
            self.log_penalty.fill_(math.log(noise / ENCODED_VARIANCE))

    def features(
        self,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_features)
        """Encoder's features, raw features and a constant, in float64."""
        # A row's squared norm should not grow with the width: the penalty holds for it.
        blocks = []
        if self.encoder is not None:
            blocks.append(self.encode(X) / self.spec.n_features_out**0.5)
        if self.uses_raw:
            scale = self.log_raw_scale.exp() / len(self.log_raw_scale) ** 0.5
            blocks.append(X.flatten(2) * scale)
        blocks.append(self.log_height.exp().expand(*X.shape[:2], 1))
        # A penalty far below the signal makes the systems too ill-conditioned for
        # float32.
        return torch.cat(blocks, dim=-1).to(torch.float64)

    def penalty(self) -> Tensor:  # shape: ()
        """Penalty on the squared distance of the head from its prior."""
        return self.log_penalty.to(torch.float64).exp() + MIN_PENALTY

    def prior_state(self) -> State | None:
        """State of one task without any row; None with classes of a task's own."""
        if self.spec.kind == TaskKind.OWN:
            return None
        return {"head": self.prior_head[None].to(torch.float64)}

    def adapt(self, support: Rows) -> State:
        """Solve for the ``head`` (n_tasks, n_features, n_outputs), in float64."""
        return self._solve(self.features(support.X), support)

    def predict(
        self,
        state: State,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_outputs)
        """Return the logits, or the means."""
        return self._outputs(state, self.features(X)).to(X.dtype)

    def leave_one_out(
        self, state: State, support: Rows
    ) -> Tensor | None:  # shape: (n_tasks, n_rows, n_outputs)
        """Predict each row from its task's others; None for logistic regression."""
        if self.solver != "ridge":
            return None
        features = self.features(support.X)
        mask = support.mask.to(features.dtype)[..., None]
        design = PenalisedDesign(features * mask, self.penalty())
        targets = self._targets(support, mask)
        residual = targets - features @ state["head"].to(features.dtype)
        outputs = targets - residual / design.without_own()[..., None]
        if self.spec.kind != TaskKind.OWN:
            return self._read_out(outputs, None)
        own = F.one_hot(support.y, support.n_classes)
        return self._read_out(outputs, state["counts"][:, None] - own)

    def meta_loss(self, episodes: Episodes) -> Tensor:  # shape: (n_tasks,)
        """Loss of the query; both sets are encoded at once."""
        support, query = episodes
        features = self.of_both(episodes, self.features)
        n_support = support.X.shape[1]
        state = self._solve(features[:, :n_support], support)
        output = self._outputs(state, features[:, n_support:])
        return row_loss(output.to(query.X.dtype), query)

    def _solve(
        self,
        features: Tensor,  # shape: (n_tasks, n_rows, n_features)
        support: Rows,
    ) -> State:
        # Rows of zeros with targets of zero add nothing to the solution.
        weight = support.mask.to(features.dtype)[..., None]
        root = weight.sqrt() if self.solver == "ridge" else (weight > 0).to(weight)
        features = features * root
        targets = self._targets(support, root)
        if self.spec.kind == TaskKind.OWN:
            prior = features.new_zeros(features.shape[2], support.n_classes)
        else:
            prior = self.prior_head.to(features.dtype)
        if self.solver == "ridge":
            design = PenalisedDesign(features, self.penalty())
            head = prior + design.ridge(targets - features @ prior)
        else:
            n_steps = TRAINING_STEPS if self.training else None
            given = features, targets, weight, prior, self.penalty()
            head = logistic_heads(*given, n_steps)
        if self.spec.kind == TaskKind.OWN:
            members = F.one_hot(support.y, support.n_classes) * weight
            return {"head": head, "counts": members.sum(1)}
        return {"head": head}

    def _targets(
        self,
        support: Rows,
        mask: Tensor,  # shape: (n_tasks, n_rows, 1)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_outputs); 0 for padding
        if self.spec.kind == TaskKind.REGRESSION:
            return support.y[..., None] * mask
        members = F.one_hot(support.y, support.n_classes).to(mask.dtype)
        return (2 * members - 1) * mask

    def _outputs(
        self,
        state: State,
        features: Tensor,  # shape: (n_tasks, n_rows, n_features)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_outputs)
        counts = state["counts"][:, None] if "counts" in state else None
        return self._read_out(features @ state["head"].to(features.dtype), counts)

    def _read_out(
        self,
        outputs: Tensor,  # shape: (n_tasks, n_rows, n_outputs)
        counts: Tensor | None,  # shape: (n_tasks, 1 or n_rows, n_classes)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_outputs)
        """Means as they are, and logits of classes; absent own ones have no chance."""
        if self.spec.kind == TaskKind.REGRESSION:
            return outputs
        logits = self.log_scale.to(outputs.dtype).exp() * outputs
        if counts is not None:
            return logits.masked_fill(counts == 0, -torch.inf)
        return logits + self.class_bias


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
    `transductive`, `device`, `compile`, `n_threads`, `random_state`, `verbose` and
    `warm_start`.

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
    `n_threads`, `random_state`, `verbose` and `warm_start`.

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

    def _make_learner(self, spec: TaskSpec, encoder: nn.Module) -> Learner:
        return RidgeHeadLearner(spec, self._unless_empty(encoder))
