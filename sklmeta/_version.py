"""The version of the package, and where its documentation is."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

__version__ = "0.1.0.dev0"

DOCUMENTATION = ""
"""Address of the published documentation, without a slash at the end; none yet.

The boxes of estimators in notebooks link to the pages of their classes there.
"""
