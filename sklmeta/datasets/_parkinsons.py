"""Parkinson's telemonitoring: one task per patient, regression."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.utils import Bunch

from sklmeta.datasets._base import Remote, Source, locate, make_bunch

FILE = "parkinsons_updrs.data"
TARGETS = ("total_UPDRS", "motor_UPDRS")
TASK = "subject#"

SOURCE = Source(
    folder="parkinsons",
    remotes=(
        Remote(
            "https://archive.ics.uci.edu/static/public/189/parkinsons+telemonitoring.zip",
            (FILE,),
        ),
    ),
    # Of UCI's member file, as the Julia package UCIData.jl and later downloaders of
    # both the old and the present address record it.
    checksums={
        FILE: "f2c7d5025dec4e92e7feae367a5f7ccf58789a10ac6b54bdf15976c599f9dd39"
    },
)

DESCR = """\
Parkinsons Telemonitoring (Tsanas, Little, McSharry and Ramig 2009)

42 patients with early-stage Parkinson's disease recorded their voices at home for six
months: 5,875 recordings, 101 to 168 of each patient. Task: the patient. Target: the
clinician's total (or motor) UPDRS score. Features: age, sex (0 male, 1 female),
test_time (days since recruitment) and 16 voice measures.

The scores were assessed at three visits and interpolated linearly in between. So rows
of a patient drawn at random surround the rows to be predicted, which flatters every
method; the first rows in time are the honest support. Rows are in time order within
each patient.

Source: https://archive.ics.uci.edu/dataset/189/parkinsons+telemonitoring
Licence: see that page.

A. Tsanas, M. A. Little, P. E. McSharry and L. O. Ramig, "Accurate telemonitoring of
Parkinson's disease progression by non-invasive speech tests", IEEE Transactions on
Biomedical Engineering 57(4), 2010.
"""


def fetch_parkinsons(
    *,
    target: str = "total_UPDRS",
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    return_X_y_task: bool = False,
    as_frame: bool = False,
    n_retries: int = 3,
    delay: float = 1.0,
) -> Bunch | tuple[Any, Any, Any]:
    """Load the Parkinsons Telemonitoring data (regression, a task per patient).

    ==============   ===================
    Tasks            42 patients
    Rows             5,875 (101 to 168 per patient)
    Features         19, no missing value
    Target           UPDRS score, real
    ==============   ===================

    The files are looked for in ``$SKLMETA_DATA/parkinsons`` (a copy of your own, not
    checked), then in the cache, then downloaded from UCI and verified.

    Parameters
    ----------
    target : {"total_UPDRS", "motor_UPDRS"}, default="total_UPDRS"
        Score to predict; the other one is left out.
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

        data : ndarray or DataFrame of shape (5875, 19)
            Features of a recording each.
        target : ndarray or Series of shape (5875,)
            The score that is asked for.
        task : ndarray or Series of shape (5875,)
            Number of the patient, ascending; rows of a patient are in the order of
            `test_time` (ties as in the file).
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
    ValueError
        If `target` is none of these.
    DatasetNotFoundError
        If the data are nowhere to be had.
    ChecksumError
        If a cached or downloaded file is not the original.

    References
    ----------
    .. [1] A. Tsanas et al., "Accurate telemonitoring of Parkinson's disease
       progression by non-invasive speech tests", IEEE Transactions on Biomedical
       Engineering 57(4), 2010.

    Examples
    --------
    >>> from sklmeta.datasets import fetch_parkinsons
    >>> X, y, patient = fetch_parkinsons(return_X_y_task=True)  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (5875, 19)
    """
    if target not in TARGETS:
        raise ValueError(f"target must be one of {TARGETS}, got {target!r}.")
    paths = locate(SOURCE, data_home, download_if_missing, n_retries, delay)
    frame = read_parkinsons(paths[FILE])
    frame = frame.drop(columns=[name for name in TARGETS if name != target])
    features = [str(name) for name in frame if name not in (TASK, target)]
    return make_bunch(
        frame,
        feature_names=features,
        target_name=target,
        task_name=TASK,
        descr=DESCR,
        as_frame=as_frame,
        return_X_y_task=return_X_y_task,
    )


def read_parkinsons(path: Path) -> pd.DataFrame:
    """Read the table, commas as at UCI or tabs as in copies, into time order."""
    with open(path, encoding="ascii") as file:
        separator = "\t" if "\t" in file.readline() else ","
    frame = pd.read_csv(path, sep=separator)
    frame = frame.sort_values([TASK, "test_time"], kind="stable", ignore_index=True)
    integers = {TASK: "int64"}
    return frame.astype({name: integers.get(name, "float64") for name in frame.columns})
