"""Errors and warnings of the package."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from sklearn.exceptions import NotFittedError

__all__ = ["NonFiniteLossError", "NotAdaptedError", "VersionMismatchWarning"]


class NonFiniteLossError(FloatingPointError):
    """The meta-training loss stopped being finite.

    The estimator keeps the state of the last good epoch.
    """


class NotAdaptedError(NotFittedError):
    """`predict` was called before `adapt`, and there is no model without a support."""


class VersionMismatchWarning(UserWarning):
    """An estimator was unpickled by another version of sklmeta than wrote it."""
