"""What users give: collections of tasks, their codes, validation, rows and scaling."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause
