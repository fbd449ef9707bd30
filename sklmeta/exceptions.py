"""Errors and warnings of the package."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import sys
import warnings

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


_INSIDE = {"contextlib", "joblib", "sklearn", "sklmeta", "skops", "skorch", "torch"}


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the user's that led here, however deep that is."""
    level, frame = 2, sys._getframe(1).f_back
    while frame is not None:
        level += 1
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _INSIDE:
            break
        frame = frame.f_back
    warnings.warn(message, category, stacklevel=level)
