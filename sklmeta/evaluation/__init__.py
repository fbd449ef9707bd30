"""Adapted copies and few-shot scores of any fitted model."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause
