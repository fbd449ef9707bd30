"""Tables as people have them, turned into numbers."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from sklmeta.preparation.automatic import needs_preparation
from sklmeta.preparation.order import rows_in_time
from sklmeta.preparation.table import TablePreparation

__all__ = ["TablePreparation", "needs_preparation", "rows_in_time"]
