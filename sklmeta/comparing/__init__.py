"""Does meta-learning pay? Several estimators on the same tasks and supports."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from sklmeta.comparing._compare import compare
from sklmeta.comparing._comparison import Comparison
from sklmeta.comparing._paired import Harm, PairedDifference

__all__ = ["Comparison", "Harm", "PairedDifference", "compare"]
