"""Heart disease in four hospitals: one task per hospital, shared classes."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from sklmeta.datasets._base import Remote, Source, locate, make_bunch

HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")
FEATURES = (
    "age",
    "sex",
    "cp",
    "trestbps",
    "chol",
    "fbs",
    "restecg",
    "thalach",
    "exang",
    "oldpeak",
    "slope",
    "ca",
    "thal",
)

SOURCE = Source(
    folder="heart_disease",
    remotes=(
        Remote(
            "https://archive.ics.uci.edu/static/public/45/heart+disease.zip",
            tuple(f"processed.{hospital}.data" for hospital in HOSPITALS),
        ),
    ),
    # Of UCI's member files, as the FLamby benchmark and other downloaders record them.
    checksums={
        "processed.cleveland.data": (
            "a74b7efa387bc9d108d7d0115d831fe9b414b29ae7124f331b622b4efa0427c8"
        ),
        "processed.hungarian.data": (
            "d1ad108f785768cd3d7e82dc522e6f5a61eea93cccfb3a46ee8076f73fc3d796"
        ),
        "processed.switzerland.data": (
            "834a405ccf5b66ab4056bb77794adc8df0b7125186454c0a1d002d33c6c3b314"
        ),
        "processed.va.data": (
            "e7c93d8d0d2acdadfa4c5e8de768e2191e7f618b952e29623f1f0d5949ff6b8f"
        ),
    },
)

DESCR = """\
Heart Disease (Janosi, Steinbrunn, Pfisterer and Detrano 1988)

920 patients of four hospitals: Cleveland (303), Budapest ("hungarian", 294), Zurich and
Basel ("switzerland", 123) and Long Beach ("va", 200). Task: the hospital. Target:
"disease" where the angiographic diagnosis `num` is greater than 0, else "healthy".
Features: the 13 that publications use; categories are coded as numbers, and missing
values, which are many outside Cleveland, are NaN. Zeros in chol and trestbps are in the
original and mean, most likely, missing too; they are left as they are.

Source: https://archive.ics.uci.edu/dataset/45/heart+disease
Licence: see that page.

R. Detrano et al., "International application of a new probability algorithm for the
diagnosis of coronary artery disease", American Journal of Cardiology 64, 1989.
"""


def fetch_heart_disease(
    *,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    return_X_y_task: bool = False,
    as_frame: bool = False,
    n_retries: int = 3,
    delay: float = 1.0,
) -> Bunch | tuple[Any, Any, Any]:
    """Load the Heart Disease data (shared classes, a task per hospital).

    ==============   ===================
    Tasks            4 hospitals
    Rows             920 (303, 294, 123 and 200)
    Features         13, with missing values (NaN)
    Classes          "disease", "healthy"
    ==============   ===================

    The files are looked for in ``$SKLMETA_DATA/heart_disease`` (a copy of your own,
    not checked), then in the cache, then downloaded from UCI and verified.

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

        data : ndarray or DataFrame of shape (920, 13)
            The patients.
        target : ndarray or Series of shape (920,)
            "disease" or "healthy".
        task : ndarray or Series of shape (920,)
            Name of the hospital, in the order cleveland, hungarian, switzerland, va.
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
        If a cached or downloaded file is not the original.

    References
    ----------
    .. [1] R. Detrano et al., "International application of a new probability algorithm
       for the diagnosis of coronary artery disease", American Journal of Cardiology 64,
       1989.

    Examples
    --------
    >>> from sklmeta.datasets import fetch_heart_disease
    >>> X, y, hospital = fetch_heart_disease(return_X_y_task=True)  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (920, 13)
    """
    paths = locate(SOURCE, data_home, download_if_missing, n_retries, delay)
    tables = [
        read_hospital(paths[f"processed.{hospital}.data"]).assign(hospital=hospital)
        for hospital in HOSPITALS
    ]
    return make_bunch(
        pd.concat(tables, ignore_index=True),
        feature_names=list(FEATURES),
        target_name="diagnosis",
        task_name="hospital",
        descr=DESCR,
        as_frame=as_frame,
        return_X_y_task=return_X_y_task,
    )


def read_hospital(path: Path) -> pd.DataFrame:
    """Read one table; missing values are ``?`` at UCI and ``NaN`` in some copies."""
    columns = [*FEATURES, "num"]
    frame = pd.read_csv(
        path, header=None, names=columns, na_values=["?", "NaN"], dtype=np.float64
    )
    frame["diagnosis"] = np.where(frame.pop("num") > 0, "disease", "healthy")
    return frame
