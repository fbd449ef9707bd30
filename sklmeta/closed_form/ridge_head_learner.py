"""What the ridge head learns: features, a penalty and where the head shrinks to."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklmeta.closed_form._linear_algebra import PenalisedDesign
from sklmeta.closed_form._logistic import logistic_heads
from sklmeta.data.kinds import TaskKind
from sklmeta.episodes.rows import Episodes, Rows
from sklmeta.learners.learner import State, TaskSpec
from sklmeta.learners.losses import row_loss
from sklmeta.learners.raw_features import RawFeaturesLearner
from sklmeta.learners.task_spec import width_of
from sklmeta.mixed_models.start import MixedStart

SOLVERS = ("ridge", "logistic")

MIN_PENALTY = 1e-6
TRAINING_STEPS = 8

ENCODED_VARIANCE = 1e-2
"""Of the weights of the encoder's features, at the start beside a mixed model: small
enough to begin as it, and no smaller, or waves take thousands of updates. Chosen on
sinusoids; with it drug curves, shops, dietox and produc are predicted better, too."""

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
        self.uses_encoded_scale = (
            encoder is not None and spec.kind == TaskKind.REGRESSION
        )
        if self.uses_raw:
            self.log_raw_scale = nn.Parameter(torch.zeros(self.n_raw))
        if self.uses_encoded_scale:
            self.log_encoded_scale = nn.Parameter(torch.tensor(0.0))
        self.log_height = nn.Parameter(torch.tensor(0.0))
        self.log_penalty = nn.Parameter(torch.tensor(-2.0))
        if spec.kind != TaskKind.OWN:
            n_outputs = width_of(spec, regression=spec.n_targets, own=0)
            n_features = self.n_encoded + self.n_raw + 1
            self.prior_head = nn.Parameter(torch.zeros(n_features, n_outputs))
        if spec.kind != TaskKind.REGRESSION:
            self.log_scale = nn.Parameter(torch.tensor(1.0))
        if spec.kind == TaskKind.SHARED:
            self.class_bias = nn.Parameter(torch.zeros(spec.n_classes))

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *how: Any
    ) -> None:
        if self.uses_encoded_scale:  # which files of before do not have: it was one
            state_dict.setdefault(f"{prefix}log_encoded_scale", torch.zeros(()))
        super()._load_from_state_dict(state_dict, prefix, *how)

    def start_from(self, start: MixedStart | Sequence[MixedStart]) -> None:
        """Take the mixed model's fixed effects, and its variances as penalties.

        Of several targets each has fixed effects of its own, and the penalties, which
        they share, are those of their mean variances.
        """
        each = [start] if isinstance(start, MixedStart) else start
        # A weight's prior variance is noise / penalty, times its feature's squared
        # scale; that of the encoded features is small.
        found = np.mean([np.diag(s.covariance) for s in each], axis=0)
        scales = np.sqrt(np.maximum(found, LEAST_VARIANCE))
        means = np.stack([s.mean for s in each], axis=1)
        head = torch.as_tensor(means / scales[:, None], dtype=torch.float32)
        logs = torch.as_tensor(np.log(scales), dtype=torch.float32)
        noise = max(float(np.mean([s.noise_variance for s in each])), LEAST_VARIANCE)
        with torch.no_grad():
            self.prior_head[self.n_encoded :] = head
            self.log_raw_scale.copy_(logs[:-1] + 0.5 * math.log(self.n_raw))
            self.log_height.copy_(logs[-1])
            self.log_penalty.fill_(math.log(noise))
            if self.uses_encoded_scale:
                self.log_encoded_scale.fill_(0.5 * math.log(ENCODED_VARIANCE))

    def features(
        self,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> Tensor:  # shape: (n_tasks, n_rows, n_features)
        """Encoder's features, raw features and a constant, in float64."""
        # A row's squared norm should not grow with the width: the penalty holds for it.
        blocks = []
        if self.encoder is not None:
            encoded = self.encode(X) / self.spec.n_features_out**0.5
            if self.uses_encoded_scale:
                encoded = encoded * self.log_encoded_scale.exp()
            blocks.append(encoded)
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
            y = support.y[..., None] if support.y.ndim == 2 else support.y
            return y * mask
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
