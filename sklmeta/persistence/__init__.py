"""Fitted models in files that run no code when they are read."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from sklmeta.persistence._atomic import check_writable, write_atomically
from sklmeta.persistence._models import ModelFileError, load, save
from sklmeta.persistence._types import trusted_types

__all__ = [
    "ModelFileError",
    "check_writable",
    "load",
    "save",
    "trusted_types",
    "write_atomically",
]
