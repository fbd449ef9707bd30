"""Where data sets are looked for: a local copy, the cache, their original homes."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from sklmeta.data.files import write_atomically
from sklmeta.datasets._download import download, read_members

ENVIRONMENT_VARIABLE = "SKLMETA_DATA"


class DatasetNotFoundError(FileNotFoundError):
    """A data set is neither on this machine nor could it be downloaded."""


class ChecksumError(OSError):
    """A cached or downloaded file is not the one that was expected."""


@dataclass(frozen=True)
class Remote:
    """A file at its original home: one data file, or an archive of several.

    Attributes
    ----------
    url : str
    files : tuple of str
        Names of the data files that it holds, without folders.
    """

    url: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """What is known of a data set's files.

    Attributes
    ----------
    folder : str
        Name of its folder, in a local copy and in the cache.
    remotes : tuple of Remote
    checksums : dict of str to str
        SHA-256 of the data files whose originals are known. The others are trusted on
        first use: what was downloaded is recorded and compared at every later load.
    """

    folder: str
    remotes: tuple[Remote, ...]
    checksums: dict[str, str]

    @property
    def files(self) -> tuple[str, ...]:
        """Names of all data files."""
        return tuple(name for remote in self.remotes for name in remote.files)


def get_data_home(data_home: str | os.PathLike | None = None) -> Path:
    """Return the folder in which downloaded data sets are cached.

    Nothing is created; the folder comes into being with the first download.

    Parameters
    ----------
    data_home : str or path-like, default=None
        The folder; None is ``~/sklmeta_data``. A leading ``~`` is expanded.

    Returns
    -------
    path : pathlib.Path

    Examples
    --------
    >>> from sklmeta.datasets import get_data_home
    >>> get_data_home().name
    'sklmeta_data'
    """
    return Path(data_home if data_home is not None else "~/sklmeta_data").expanduser()


def locate(
    source: Source,
    data_home: str | os.PathLike | None,
    download_if_missing: bool,
    n_retries: int,
    delay: float,
) -> dict[str, Path]:
    """Return the path of each data file, downloaded when it has to be.

    Looks into ``$SKLMETA_DATA/<folder>``, whose files are the user's own and are not
    checked; then into ``<data_home>/<folder>``, whose files are; then downloads.
    """
    local = _local_copy(source)
    if local is not None:
        return {name: local / name for name in source.files}
    folder = get_data_home(data_home) / source.folder
    for remote in source.remotes:
        if _has_all(folder, remote.files):
            continue
        if not download_if_missing:
            raise DatasetNotFoundError(
                _not_found(source, folder, "not tried: download_if_missing is False")
            )
        try:
            _fetch_remote(source, remote, folder, n_retries, delay)
        except ChecksumError:
            raise
        except OSError as error:
            reason = f"failed: {type(error).__name__}: {error}"
            raise DatasetNotFoundError(_not_found(source, folder, reason)) from error
    for name in source.files:
        _verify_cached(source, folder / name)
    return {name: folder / name for name in source.files}


def _local_copy(source: Source) -> Path | None:
    """Folder of the user's own copy, if the environment names a complete one."""
    root = os.environ.get(ENVIRONMENT_VARIABLE)
    if not root:
        return None
    folder = Path(root).expanduser() / source.folder
    return folder if _has_all(folder, source.files) else None


def _has_all(folder: Path, names: tuple[str, ...]) -> bool:
    return all((folder / name).is_file() for name in names)


def _not_found(source: Source, folder: Path, outcome: str) -> str:
    """Say the three places that were looked at, and what to do."""
    root = os.environ.get(ENVIRONMENT_VARIABLE)
    local = (
        f"{Path(root).expanduser() / source.folder}: not all files are there"
        if root
        else "not set"
    )
    urls = ", ".join(remote.url for remote in source.remotes)
    return (
        f"The data set {source.folder!r} was not found. Looked in\n"
        f"  1. ${ENVIRONMENT_VARIABLE}: {local}\n"
        f"  2. the cache {folder}: not all files are there\n"
        f"  3. download from {urls}: {outcome}\n"
        f"Needed are the files {', '.join(source.files)}. To use a copy of your own, "
        f"put them into a folder named {source.folder!r} and set the environment "
        f"variable {ENVIRONMENT_VARIABLE} to the folder that contains it."
    )


def _fetch_remote(
    source: Source, remote: Remote, folder: Path, n_retries: int, delay: float
) -> None:
    """Download one file and put its data files, verified, into the cache."""
    folder.mkdir(parents=True, exist_ok=True)
    name = remote.url.rsplit("/", 1)[-1]
    with _locked(folder / f"{name}.lock"):
        if _has_all(folder, remote.files):
            return  # another process has been faster
        part = folder / f"{name}.part"
        download(remote.url, part, n_retries=n_retries, delay=delay)
        try:
            contents = read_members(part, name, remote.files)
            for member, content in contents.items():
                _verify(source, member, content, remote.url)
        except OSError:
            # Resuming a file that is wrong would keep it wrong for ever.
            part.unlink()
            raise
        for member, content in contents.items():
            if member not in source.checksums:
                digest = f"{hashlib.sha256(content).hexdigest()}  {member}\n"
                write_atomically(_record(folder / member), digest.encode())
            write_atomically(folder / member, content)
        part.unlink()


def _record(path: Path) -> Path:
    """Where the checksum of a file that is trusted on first use is kept."""
    return path.with_name(f"{path.name}.sha256")


def _verify(source: Source, name: str, content: bytes, origin: str) -> None:
    expected = source.checksums.get(name)
    found = hashlib.sha256(content).hexdigest()
    if expected is not None and found != expected:
        raise ChecksumError(
            f"{name} from {origin} has the SHA-256 checksum {found}, but that of the "
            f"original is {expected}. Nothing was kept. Its home may have changed the "
            f"file: if you trust it, use it as a copy of your own through the "
            f"environment variable {ENVIRONMENT_VARIABLE}."
        )


def _verify_cached(source: Source, path: Path) -> None:
    """Compare a cached file with the original's checksum, or with its record."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    expected = source.checksums.get(path.name)
    record = _record(path)
    if expected is None and not record.is_file():
        # A file that the user put into the cache: this load is its first use.
        write_atomically(record, f"{found}  {path.name}\n".encode())
        return
    if expected is None:
        expected = record.read_text(encoding="ascii").split()[0]
    if found != expected:
        raise ChecksumError(
            f"The cached file {path} has the SHA-256 checksum {found}, expected "
            f"{expected}: it was damaged or changed. Delete it to download it again."
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes; the system frees it if the process dies."""
    with open(path, "ab") as file:
        if os.name == "nt":
            import msvcrt

            while True:
                try:
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined, unused-ignore]
                except OSError:  # LK_LOCK gives up after ten seconds
                    continue
                break
            yield  # closing the file releases the lock
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def make_bunch(
    frame: pd.DataFrame,
    *,
    feature_names: list[str],
    target_name: str,
    task_name: str,
    descr: str,
    as_frame: bool,
    return_X_y_task: bool,
    **extra: Any,
) -> Bunch | tuple[Any, Any, Any]:
    """Cut a frame of features, target and task into what the loaders return."""
    data: Any = frame[feature_names]
    target: Any = frame[target_name]
    task: Any = frame[task_name]
    if not as_frame:
        numbers = all(map(pd.api.types.is_numeric_dtype, data.dtypes))
        data = data.to_numpy(np.float64 if numbers else object)
        target, task = _to_array(target), _to_array(task)
    if return_X_y_task:
        return data, target, task
    return Bunch(
        data=data,
        target=target,
        task=task,
        frame=frame if as_frame else None,
        feature_names=feature_names,
        target_names=[target_name],
        task_name=task_name,
        DESCR=descr,
        **extra,
    )


def _to_array(column: pd.Series) -> np.ndarray:
    """Numbers as they are; strings as NumPy strings, whatever pandas calls them."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy()
    return column.to_numpy(dtype=str)
