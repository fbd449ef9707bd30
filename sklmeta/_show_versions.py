"""What is installed here: for reports of bugs."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    *("sklmeta", "scikit-learn", "numpy", "scipy", "pandas", "torch", "skorch"),
    *("skrub", "skops", "matplotlib", "rich", "tqdm", "pyarrow", "joblib"),
)


def show_versions() -> None:
    """Print the versions of Python, of what sklmeta uses, and of CUDA.

    Examples
    --------
    >>> import sklmeta
    >>> sklmeta.show_versions()  # doctest: +ELLIPSIS
    <BLANKLINE>
    System:
    ...
    """
    import torch

    system = {
        "python": sys.version.replace("\n", " "),
        "executable": sys.executable,
        "machine": platform.platform(),
    }
    gpus = [
        torch.cuda.get_device_name(i)
        for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    ]
    devices = {
        "CUDA of torch": torch.version.cuda,
        "GPUs": ", ".join(gpus) or None,
        "threads": torch.get_num_threads(),
    }
    parts: dict[str, Mapping[str, object]]
    parts = {"System": system, "Packages": _versions(), "Devices": devices}
    for title, entries in parts.items():
        print(f"\n{title}:")
        for name, value in entries.items():
            print(f"{name:>14}: {value}")


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
