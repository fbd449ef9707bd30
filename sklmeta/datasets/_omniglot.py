"""Omniglot: handwritten characters of fifty alphabets, classes of each task's own."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from sklmeta.datasets._base import Remote, Source, locate

FILES = {
    "background": "images_background.zip",
    "evaluation": "images_evaluation.zip",
}
HOME = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
ANGLES = (0, 90, 180, 270)

SOURCE = Source(
    folder="omniglot",
    remotes=tuple(Remote(HOME + name, (name,)) for name in FILES.values()),
    # As TensorFlow Datasets records them.
    checksums={
        "images_background.zip": (
            "ad41ab679c8b5d90b271ef46be6987cc81211774a695c29dcc5367b2b26ee640"
        ),
        "images_evaluation.zip": (
            "1f61a8f3366785b057fc117d9228e78a16e3d976c8953b2a10fcc74cf0609cee"
        ),
    },
)

DESCR = """\
Omniglot (Lake, Salakhutdinov and Tenenbaum 2015)

1,623 characters of 50 alphabets, drawn by 20 people each, as black strokes on white,
105 x 105 pixels. "background" has 30 alphabets with 964 characters, "evaluation" 20
with 659. Target: the character. Task: its alphabet; classes are a task's own. Images
are scaled down by averaging; ink is 1 and paper 0. With rotations, every character
turned by 90, 180 and 270 degrees is a character of its own, in an alphabet of its own.

Source: https://github.com/brendenlake/omniglot
Licence: MIT.

B. M. Lake, R. Salakhutdinov and J. B. Tenenbaum, "Human-level concept learning through
probabilistic program induction", Science 350, 2015.
"""


def fetch_omniglot(
    *,
    subset: str = "all",
    image_size: int = 28,
    rotations: bool = False,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    return_X_y_task: bool = False,
    n_retries: int = 3,
    delay: float = 1.0,
) -> Bunch | tuple[Any, Any, Any]:
    """Load the Omniglot characters (own classes, a task per alphabet).

    ==============   ===================
    Tasks            50 alphabets
    Rows             32,460 images (20 per character)
    Features         image_size x image_size pixels
    Classes          1,623 characters, 14 to 55 per alphabet
    ==============   ===================

    The files are looked for in ``$SKLMETA_DATA/omniglot`` (a copy of your own, not
    checked), then in the cache, then downloaded from the authors' repository. No
    SHA-256 checksum of the originals is known: that of the downloaded files is recorded
    beside them and compared at every later load (trust on first use). Reading the
    images needs Pillow.

    Parameters
    ----------
    subset : {"all", "background", "evaluation"}, default="all"
        The authors' split: 30 alphabets to learn from, and 20.
    image_size : int, default=28
        Height and width to which the drawings are scaled down, at most 105.
    rotations : bool, default=False
        Whether to add the images turned by 90, 180 and 270 degrees, as new characters
        (``"Greek/character01@90"``) of new alphabets (``"Greek@90"``).
    data_home : str or path-like, default=None
        Folder of the cache; None is ``~/sklmeta_data``.
    download_if_missing : bool, default=True
        If False, raise an error instead of downloading.
    return_X_y_task : bool, default=False
        Return ``(data, target, task)`` instead of a Bunch.
    n_retries : int, default=3
        Further attempts after a failed download.
    delay : float, default=1.0
        Seconds between attempts.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With the attributes

        data : ndarray of shape (n_samples, 1, image_size, image_size), float32
            The images, from 0 (paper) to 1 (ink).
        target : ndarray of shape (n_samples,)
            Name of the character, with its alphabet's.
        task : ndarray of shape (n_samples,)
            Name of the alphabet.
        drawer : ndarray of shape (n_samples,)
            Number of the person who drew it, 1 to 20.
        target_names : list of str
            Names of the targets.
        task_name : str
            Name of the tasks' column.
        DESCR : str
            What the data are, and where they come from.

    Raises
    ------
    ValueError
        If `subset` is none of these, or `image_size` out of range.
    ImportError
        If Pillow is not installed.
    DatasetNotFoundError
        If the data are nowhere to be had.
    ChecksumError
        If a cached file is not the one that was downloaded.

    References
    ----------
    .. [1] B. M. Lake, R. Salakhutdinov and J. B. Tenenbaum, "Human-level concept
       learning through probabilistic program induction", Science 350, 2015.

    Examples
    --------
    >>> from sklmeta.datasets import fetch_omniglot
    >>> X, y, alphabet = fetch_omniglot(
    ...     subset="evaluation", return_X_y_task=True
    ... )  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (13180, 1, 28, 28)
    """
    if subset not in ("all", *FILES):
        raise ValueError(
            f"subset must be 'all' or one of {tuple(FILES)}, got {subset!r}."
        )
    if not 1 <= image_size <= 105:
        raise ValueError(f"image_size must be from 1 to 105, got {image_size}.")
    _check_pillow()
    paths = locate(SOURCE, data_home, download_if_missing, n_retries, delay)
    names = FILES if subset == "all" else (subset,)
    parts = [read_omniglot(paths[FILES[name]], image_size) for name in names]
    images, characters, alphabets, drawers = map(
        np.concatenate, zip(*parts, strict=True)
    )
    if rotations:
        images = np.concatenate([np.rot90(images, i, axes=(1, 2)) for i in range(4)])
        characters = np.concatenate([_turned(characters, angle) for angle in ANGLES])
        alphabets = np.concatenate([_turned(alphabets, angle) for angle in ANGLES])
        drawers = np.tile(drawers, 4)
    data = images[:, None]
    if return_X_y_task:
        return data, characters, alphabets
    return Bunch(
        data=data,
        target=characters,
        task=alphabets,
        drawer=drawers,
        target_names=["character"],
        task_name="alphabet",
        DESCR=DESCR,
    )


def _check_pillow() -> None:
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Reading the images of Omniglot needs Pillow: pip install 'sklmeta[images]'"
        ) from error


def _turned(names: NDArray, angle: int) -> NDArray:
    return np.char.add(names, f"@{angle}") if angle else names


def read_omniglot(
    path: Path, image_size: int
) -> tuple[NDArray[np.float32], NDArray, NDArray, NDArray]:
    """Read one archive: images (n, size, size), characters, alphabets, drawers."""
    from PIL import Image

    images, characters, alphabets, drawers = [], [], [], []
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            file = PurePosixPath(name)
            if file.suffix != ".png" or file.name.startswith("."):
                continue
            alphabet, character = file.parts[-3:-1]
            with Image.open(io.BytesIO(archive.read(name))) as image:
                small = image.convert("L").resize(
                    (image_size, image_size), Image.Resampling.BOX
                )
            images.append(np.asarray(small))
            characters.append(f"{alphabet}/{character}")
            alphabets.append(alphabet)
            drawers.append(int(file.stem.rpartition("_")[2]))
    ink = (255 - np.stack(images)).astype(np.float32) / np.float32(255)
    return ink, np.array(characters), np.array(alphabets), np.array(drawers)
