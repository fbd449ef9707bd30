"""WISDM activity recognition: one task per user, shared classes."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.utils import Bunch

from sklmeta.datasets._base import Remote, Source, locate, make_bunch

FILE = "WISDM_ar_v1.1_transformed.arff"

SOURCE = Source(
    folder="wisdm",
    remotes=(
        Remote(
            "https://www.cis.fordham.edu/wisdm/includes/datasets/latest/"
            "WISDM_ar_latest.tar.gz",
            (FILE,),
        ),
    ),
    # No checksum of the original is known: trusted on first use.
    checksums={},
)

DESCR = """\
WISDM Activity Prediction, version 1.1 (Kwapisz, Weiss and Moore 2011)

36 users carried a telephone with an accelerometer: 5,418 windows of ten seconds, 60 to
273 of each user. Task: the user. Target: one of six activities, Walking, Jogging,
Upstairs, Downstairs, Sitting, Standing; only 18 users show all six. Features: 43 of the
window's three axes: histograms (X0 to Z9), means, times between peaks (missing, NaN,
where no peak was found), absolute and standard deviations, and the mean resultant.

Source: https://www.cis.fordham.edu/wisdm/dataset.php
Licence: none is stated, so use the data but do not redistribute them.

J. R. Kwapisz, G. M. Weiss and S. A. Moore, "Activity recognition using cell phone
accelerometers", ACM SIGKDD Explorations 12(2), 2011.
"""


def fetch_wisdm(
    *,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    return_X_y_task: bool = False,
    as_frame: bool = False,
    n_retries: int = 3,
    delay: float = 1.0,
) -> Bunch | tuple[Any, Any, Any]:
    """Load the WISDM activity data (shared classes, a task per user).

    ==============   ===================
    Tasks            36 users
    Rows             5,418 (60 to 273 per user)
    Features         43, with missing values (NaN)
    Classes          6 activities, 18 users show all
    ==============   ===================

    The file is looked for in ``$SKLMETA_DATA/wisdm`` (a copy of your own, not checked),
    then in the cache, then downloaded from the WISDM lab. No checksum of the original
    is known: that of the downloaded file is recorded beside it and compared at every
    later load (trust on first use).

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of the cache; None is ``~/sklmeta_data``.
    download_if_missing : bool, default=True
        If False, raise an error instead of downloading.
    return_X_y_task : bool, default=False
        Return ``(data, target, task)`` instead of a Bunch.
    as_frame : bool, default=False
        Give pandas objects instead of NumPy arrays.
    n_retries : int, default=3
        Further attempts after a failed download.
    delay : float, default=1.0
        Seconds between attempts.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With the attributes

        data : ndarray or DataFrame of shape (5418, 43)
            Features of ten seconds each.
        target : ndarray or Series of shape (5418,)
            Name of the activity.
        task : ndarray or Series of shape (5418,)
            Number of the user, 1 to 36; rows are in the order of the file.
        frame : DataFrame or None
            Features, target and task, with `as_frame`.
        feature_names, target_names : list of str
            Names of the features and of the targets.
        task_name : str
            Name of the tasks' column.
        DESCR : str
            What the data are, and where they come from.

    Raises
    ------
    DatasetNotFoundError
        If the data are nowhere to be had.
    ChecksumError
        If the cached file is not the one that was downloaded.

    References
    ----------
    .. [1] J. R. Kwapisz, G. M. Weiss and S. A. Moore, "Activity recognition using cell
       phone accelerometers", ACM SIGKDD Explorations 12(2), 2011.

    Examples
    --------
    >>> from sklmeta.datasets import fetch_wisdm
    >>> X, y, user = fetch_wisdm(return_X_y_task=True)  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (5418, 43)
    """
    paths = locate(SOURCE, data_home, download_if_missing, n_retries, delay)
    frame = read_wisdm(paths[FILE])
    return make_bunch(
        frame,
        feature_names=[str(name) for name in frame if name not in ("user", "class")],
        target_name="class",
        task_name="user",
        descr=DESCR,
        as_frame=as_frame,
        return_X_y_task=return_X_y_task,
    )


def read_wisdm(path: Path) -> pd.DataFrame:
    """Read the ARFF file; ``?`` is a missing value."""
    # scipy's reader refuses the blanks within the file's nominal attribute "user".
    names: list[str] = []
    with open(path, encoding="ascii") as file:
        for line in file:
            words = line.split()
            keyword = words[0].lower() if words else ""
            if keyword == "@attribute":
                names.append(words[1].strip("\"'"))
            elif keyword == "@data":
                break
        frame = pd.read_csv(file, names=names, na_values="?", comment="%")
    # UNIQUE_ID numbers the windows, though not uniquely; it is no feature.
    frame = frame.drop(columns="UNIQUE_ID")
    dtypes = {"user": "int64", "class": "str"}
    return frame.astype({name: dtypes.get(name, "float64") for name in frame.columns})
