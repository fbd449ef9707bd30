"""Dense networks of many tasks, with derivatives by hand."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause
