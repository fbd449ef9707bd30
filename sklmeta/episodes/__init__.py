"""What learning is shown: supports and queries of many tasks, drawn and gathered."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause
