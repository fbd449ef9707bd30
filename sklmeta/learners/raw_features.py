"""Learners that read raw features beside those of an encoder."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math

from torch import Tensor, nn

from sklmeta.learners.learner import Learner, TaskSpec


class RawFeaturesLearner(Learner):
    """Base of learners whose rows are encoded features, raw ones, or both.

    Of images, and whatever else has several axes, the raw features are left out where
    there is an encoder: they would swamp its features.

    Parameters
    ----------
    spec : TaskSpec
        What the tasks look like.

    encoder : nn.Module or None
        Maps (n, *input) to (n, spec.n_features_out). None leaves the raw features.
    """

    # A prior, a noise and a kernel are not to shrink.
    decayed = r"encoder\."

    def __init__(self, spec: TaskSpec, encoder: nn.Module | None):
        super().__init__(spec)
        self.encoder = encoder
        self.uses_raw = encoder is None or len(spec.input_shape) == 1
        self.n_encoded = 0 if encoder is None else spec.n_features_out
        self.n_raw = math.prod(spec.input_shape) if self.uses_raw else 0

    def feature_blocks(
        self,
        X: Tensor,  # shape: (n_tasks, n_rows, *input)
    ) -> list[Tensor]:  # each of shape (n_tasks, n_rows, n_encoded or n_raw)
        """The encoder's features, if there is one, and the raw ones, if used."""
        blocks = [] if self.encoder is None else [self.encode(X)]
        return [*blocks, X.flatten(2)] if self.uses_raw else blocks
