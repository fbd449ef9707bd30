"""The encoders, by the name under which they are given to estimators.

They are defined in `sklmeta.learners`; pickled estimators and user code name them here.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from sklmeta.learners.encoders import MLP, Conv4

__all__ = ["MLP", "Conv4"]
