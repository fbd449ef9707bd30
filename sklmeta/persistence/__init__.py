"""Fitted models in files that run no code when they are read."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from sklmeta.data.files import write_atomically
from sklmeta.persistence._models import ModelFileError, load, save
from sklmeta.persistence._types import trusted_types
from sklmeta.persistence._writable import check_writable

__all__ = [
    "ModelFileError",
    "check_writable",
    "load",
    "save",
    "trusted_types",
    "write_atomically",
]
