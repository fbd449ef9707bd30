"""Learners that adapt by remembering."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from sklmeta.metric_based.matching import MatchingNetClassifier
from sklmeta.metric_based.prototypical import ProtoNetClassifier
from sklmeta.metric_based.relation import RelationNetClassifier
from sklmeta.metric_based.siamese import SiameseClassifier

__all__ = [
    "MatchingNetClassifier",
    "ProtoNetClassifier",
    "RelationNetClassifier",
    "SiameseClassifier",
]
