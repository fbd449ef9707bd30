"""Parameters of the estimators beside whose network a mixed model stands."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from sklmeta._compat import StrOptions
from sklmeta.data.kinds import TaskKind
from sklmeta.data.table import Table
from sklmeta.estimator.meta import BaseMetaEstimator


class StartedEstimator(BaseMetaEstimator):
    """Starts from a mixed model, where tasks and rows allow it.

    ``early_stopping="auto"`` is "folds" there, and else False.
    """

    start: str | None = "mixed_model"

    _several_targets = True

    _parameter_constraints = {
        "start": [StrOptions({"mixed_model"}), None],
        "early_stopping": ["boolean", StrOptions({"folds", "auto"})],
    }

    def _chooses_updates(self, table: Table) -> bool:
        if self.early_stopping != "auto":
            return super()._chooses_updates(table)
        takes_it = table.kind != TaskKind.OWN and table.X.ndim == 2
        return self.start is not None and takes_it and not table.one_table
