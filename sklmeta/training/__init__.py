"""The outer loop: meta-training a learner over episodes."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause
