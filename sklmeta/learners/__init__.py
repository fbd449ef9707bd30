"""The torch side: learners, encoders, losses and engines."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause
