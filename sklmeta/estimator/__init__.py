"""The public contract of an estimator, and what carries it out."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause
