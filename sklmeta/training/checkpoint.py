"""What a killed `fit` goes on from: two generations of its state, in a folder."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from pathlib import Path
from typing import Any

import torch

from sklmeta.data.files import write_atomically
from sklmeta.exceptions import warn

ABOUT = "about.json"
EVERY = 2.0
"""Seconds between two writings, at least; epochs may be shorter."""

LENGTH = hashlib.sha256().digest_size
REMEDY = "Give another checkpoint_dir, or remove that folder to begin anew."


class Checkpoints:
    """The folder of one fit.

    Parameters
    ----------
    folder : str or path-like
        Made if it is not there.

    about : dict of str to str
        Data and parameters, in words that tell them apart.

    seed : int
        Of the fit; a fit that goes on takes that of the one before.

    Raises
    ------
    ValueError
        If the folder is that of other data or parameters.
    """

    def __init__(
        self, folder: str | os.PathLike[str], about: dict[str, str], seed: int
    ):
        self.folder = Path(folder)
        self.seed = seed
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / ABOUT
        if path.exists():
            known = self._read_about(path)
            self.seed = int(known.pop("seed"))
            _refuse_others(self.folder, known, about)
        else:
            text = json.dumps({**about, "seed": seed}, indent=1)
            write_atomically(path, text.encode())
        self.key = hashlib.sha256(path.read_bytes()).digest()

    def _read_about(self, path: Path) -> dict[str, Any]:
        try:
            known = json.loads(path.read_text())
            int(known["seed"])
        except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is not what fit wrote there. {REMEDY}") from error
        return known

    def part(self, name: str) -> Checkpoint:
        """Return the place of a part of the fit, such as a fold."""
        return Checkpoint(self.folder, name, self.key)


def _refuse_others(folder: Path, known: dict[str, str], about: dict[str, str]) -> None:
    names = [n for n in {**known, **about} if known.get(n) != about.get(n)]
    if names:
        told = "; ".join(
            f"{name} was {known.get(name, 'not given')}, "
            f"and is {about.get(name, 'not given')}"
            for name in names[:5]
        )
        raise ValueError(
            f"checkpoint_dir={str(folder)!r} is of another fit: {told}. {REMEDY}"
        )


class Checkpoint:
    """State of one training, in the older and the newer of two files.

    Parameters
    ----------
    folder : Path
    name : str
    key : bytes
        Of the fit; files of another one are not read.
    """

    def __init__(self, folder: Path, name: str, key: bytes):
        self.paths = [folder / f"{name}-{i}.state" for i in range(2)]
        self.key = key
        self.written = time.monotonic()
        self.number = 0

    def load(self) -> dict[str, Any] | None:
        """Return the newest state that is whole; None if there is none."""
        found = []
        for path in self.paths:
            if path.exists():
                state = self._read(path)
                if state is None:
                    warn(f"The checkpoint {path} is damaged; the one before is taken.")
                else:
                    found.append(state)
        if not found:
            return None
        newest = max(found, key=lambda state: state["number"])
        self.number = newest["number"]
        return newest

    def _read(self, path: Path) -> dict[str, Any] | None:
        data = path.read_bytes()
        digest, payload = data[:LENGTH], data[LENGTH:]
        if digest != hashlib.sha256(self.key + payload).digest():
            return None
        # Numbers and tensors alone: no code comes out of a file.
        return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)

    def is_due(self) -> bool:
        """Whether the last writing is long enough ago."""
        return time.monotonic() >= self.written + EVERY

    def save(self, state: dict[str, Any]) -> None:
        """Write the state over the older of both files."""
        self.number += 1
        buffer = io.BytesIO()
        torch.save({**state, "number": self.number}, buffer)
        payload = buffer.getvalue()
        digest = hashlib.sha256(self.key + payload).digest()
        write_atomically(self.paths[self.number % 2], digest + payload)
        self.written = time.monotonic()
