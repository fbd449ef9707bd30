"""A file is written whole or not at all."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path


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
    beside = path.with_name(f".{path.name}-{secrets.token_hex(6)}")
    try:
        with open(beside, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, beside)
        os.replace(beside, path)
    except BaseException:  # an interrupted writer leaves nothing behind either
        beside.unlink(missing_ok=True)
        raise
    _keep_name(path.parent)


def _keep_name(folder: Path) -> None:
    """Have the system write down the file's name too, where folders can be synced."""
    if os.name != "posix":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
