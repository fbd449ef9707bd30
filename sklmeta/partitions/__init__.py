"""Frames in, frames out: adapting many tasks on engines that cut a table in parts."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from sklmeta.partitions._adapt_partition import adapt_partition

__all__ = ["adapt_partition"]
