"""Scikit-learn-compatible meta-learning: few-shot learning over tasks."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

__version__ = "0.1.0.dev0"
