"""A file is written whole or not at all."""

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


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write beside the file, then take its place: a good file is never half replaced.

    Parameters
    ----------
    path : str or path-like
        Of the file; a link to one stays a link.
    data : bytes
        All that the file will hold.

    Raises
    ------
    OSError
        If there is no room or no permission; what was there before is still there.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklmeta.persistence import write_atomically
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "a.txt", b"whole")
    ...     (Path(folder) / "a.txt").read_bytes()
    b'whole'
    """
    path = Path(os.path.realpath(path))  # a link stays one
    number, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _keep_permissions(path, name)
        os.replace(name, path)
    except BaseException:  # an interrupted writer leaves nothing behind either
        Path(name).unlink(missing_ok=True)
        raise


def _keep_permissions(path: Path, name: str) -> None:
    """Give the new file the old one's, or those of a file opened in the usual way."""
    if path.exists():
        mode = path.stat().st_mode & 0o7777
    else:
        mask = os.umask(0)
        os.umask(mask)
        mode = 0o666 & ~mask
    os.chmod(name, mode)
