"""Learners that adapt by remembering."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from sklmeta.metric_based.prototypical import ProtoNetClassifier

__all__ = ["ProtoNetClassifier"]
