"""The place that pickles of early versions name for `sklmeta.TaskCollection`."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from sklmeta.data.collection import TaskCollection, split_tasks, stack_tasks

__all__ = ["TaskCollection", "split_tasks", "stack_tasks"]
