"""Downloads that can be interrupted at any point."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
import tarfile
import time
import zipfile
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from sklmeta.data.files import write_atomically

CHUNK = 1 << 16
TIMEOUT = 30.0


def download(url: str, part: Path, *, n_retries: int, delay: float) -> None:
    """Download `url` to `part`, going on where an earlier attempt stopped.

    Parameters
    ----------
    url : str
    part : pathlib.Path
        Holds the whole file on return. After an error it holds what had arrived.
    n_retries : int
        Attempts after the first one that failed.
    delay : float
        Seconds between attempts.

    Raises
    ------
    OSError
        If the last attempt failed.
    """
    for attempt in range(n_retries + 1):
        try:
            _attempt(url, part)
            return
        except (OSError, HTTPException) as error:
            permanent = isinstance(error, HTTPError) and 400 <= error.code < 500
            if permanent or attempt == n_retries:
                if isinstance(error, OSError):
                    raise
                raise OSError(f"{type(error).__name__}: {error}") from error
            time.sleep(delay)


def _attempt(url: str, part: Path) -> None:
    """One request; resumes only if the server's file is still the same one."""
    validator = part.with_name(f"{part.name}.validator")
    have = part.stat().st_size if part.is_file() and validator.is_file() else 0
    headers = {"User-Agent": "sklmeta"}
    if have:
        # Without If-Range two versions of a file could be joined into one.
        headers["Range"] = f"bytes={have}-"
        headers["If-Range"] = validator.read_text(encoding="ascii")
    try:
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code != 416 or not have:
            raise
        # Nothing is left after `have` bytes: start again rather than guess why.
        validator.unlink()
        return _attempt(url, part)
    with response:
        resumed = response.status == 206
        expected = response.headers.get("Content-Length")
        got = response.headers.get("Content-Range", "")
        if resumed and not got.startswith(f"bytes {have}-"):
            validator.unlink()
            raise ConnectionError(f"{url} sent {got!r} instead of bytes {have}-")
        if not resumed:
            have = 0
            _remember_validator(validator, response.headers)
        with open(part, "ab" if resumed else "wb") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    # A read of given length does not complain about a connection that was cut.
    if expected is not None and part.stat().st_size != have + int(expected):
        raise ConnectionError(
            f"the transfer of {url} stopped after {part.stat().st_size} of "
            f"{have + int(expected)} bytes"
        )
    validator.unlink(missing_ok=True)


def _remember_validator(path: Path, headers: object) -> None:
    """Keep what identifies the version of the file that is being transferred."""
    get = headers.get  # type: ignore[attr-defined]
    etag = get("ETag") or ""
    # A weak tag does not promise equal bytes, so it is no good for ranges.
    value = etag if etag and not etag.startswith("W/") else get("Last-Modified")
    if value:
        write_atomically(path, value.encode("ascii"))
    else:
        path.unlink(missing_ok=True)


def read_members(path: Path, name: str, files: tuple[str, ...]) -> dict[str, bytes]:
    """Return the contents of data files, out of an archive if `name` is one's.

    Members are found by their last component and never written under their own paths.
    An archive that is itself the data file is left as it is.
    """
    if files == (name,):
        return {name: path.read_bytes()}
    try:
        if name.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                where = {PurePosixPath(n).name: n for n in archive.namelist()}
                return {file: archive.read(where[file]) for file in files}
        if name.endswith((".tar.gz", ".tgz")):
            return _read_tar(path, files)
    except KeyError as error:
        raise OSError(f"{name} holds no file {error}") from error
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise OSError(f"{name} is not a readable archive: {error}") from error
    return {files[0]: path.read_bytes()}


def _read_tar(path: Path, files: tuple[str, ...]) -> dict[str, bytes]:
    with tarfile.open(path, "r:gz") as archive:
        where = {PurePosixPath(m.name).name: m for m in archive if m.isfile()}
        contents = {}
        for file in files:
            stream = archive.extractfile(where[file])
            if stream is None:
                raise KeyError(file)
            contents[file] = stream.read()
        return contents
