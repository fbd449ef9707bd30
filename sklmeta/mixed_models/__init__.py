"""The mathematics of mixed models: what the estimators above fit, and start from."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause
