"""What the package achieves, and what that costs."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause
