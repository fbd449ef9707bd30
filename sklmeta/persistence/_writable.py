"""Whether a file can be written, asked before the work."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Say before the hours of work that their result cannot be kept.

    Parameters
    ----------
    path : str or path-like
        Of a file to be written.

    Returns
    -------
    path : Path

    Raises
    ------
    OSError
        If it is a folder, lies in none, or the folder cannot be written to; the message
        names which.

    Examples
    --------
    >>> from sklmeta.persistence import check_writable
    >>> check_writable("nowhere/model.skops")
    Traceback (most recent call last):
        ...
    FileNotFoundError: There is no folder nowhere to write model.skops to.
    """
    path = Path(path)
    folder = path.parent
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file in it.")
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder} to write {path.name} to.")
    try:  # asking the system by trying: permissions alone do not tell
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise PermissionError(
            f"Nothing can be written to the folder {folder}: {reason}."
        ) from error
    return path
