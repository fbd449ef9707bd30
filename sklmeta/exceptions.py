"""Errors and warnings of the package."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from sklearn.exceptions import NotFittedError

from sklmeta.training import NonFiniteLossError

__all__ = ["NonFiniteLossError", "NotAdaptedError", "VersionMismatchWarning"]


class NotAdaptedError(NotFittedError):
    """`predict` was called before `adapt`, and there is no model without a support."""


class VersionMismatchWarning(UserWarning):
    """An estimator was unpickled by another version of sklmeta than wrote it."""
