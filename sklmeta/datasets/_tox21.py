"""Tox21 toxicity assays: one task per assay, shared classes, raw SMILES."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch, check_random_state

from sklmeta.datasets._base import Remote, Source, locate

FILE = "tox21.csv.gz"
ASSAYS = (
    "NR-AR",
    "NR-AR-LBD",
    "NR-AhR",
    "NR-Aromatase",
    "NR-ER",
    "NR-ER-LBD",
    "NR-PPAR-gamma",
    "SR-ARE",
    "SR-ATAD5",
    "SR-HSE",
    "SR-MMP",
    "SR-p53",
)

SOURCE = Source(
    folder="tox21",
    remotes=(
        Remote(
            "https://deepchemdata.s3-us-west-1.amazonaws.com/datasets/tox21.csv.gz",
            (FILE,),
        ),
    ),
    # No SHA-256 of the original is known: trusted on first use.
    checksums={},
)

DESCR = """\
Tox21 (Tox21 Data Challenge 2014, as MoleculeNet publishes it)

7,831 molecules in 12 assays of nuclear receptors (NR) and stress responses (SR); not
every molecule was measured in every assay. Task: the assay. Target: "active" (3 to
16 % of the rows) or "inactive". Feature: the molecule's SMILES string.

Rows of one SMILES string in one assay are one row; where they disagree, they are left
out. By default no molecule is in two assays: the label of a molecule in one assay tells
much of that in another, so that a model may know an assay's labels from the training
assays without having learned anything of use for new molecules.

Source: https://tripod.nih.gov/tox21/challenge/ through https://moleculenet.org
Licence: public domain (United States government).

R. Huang et al., "Tox21Challenge to build predictive models of nuclear receptor and
stress response pathways as mediated by exposure to environmental chemicals and drugs",
Frontiers in Environmental Science 3, 2016.
Z. Wu et al., "MoleculeNet: a benchmark for molecular machine learning", Chemical
Science 9, 2018.
"""


def fetch_tox21(
    *,
    disjoint: bool = True,
    new_assay: str | None = None,
    new_fraction: float = 0.4,
    random_state: int | np.random.RandomState | None = 0,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    return_X_y_task: bool = False,
    as_frame: bool = False,
    n_retries: int = 3,
    delay: float = 1.0,
) -> Bunch | tuple[Any, Any, Any]:
    """Load the Tox21 assays (shared classes, a task per assay).

    ==============   ===================
    Tasks            12 assays
    Rows             7,831 (disjoint) or 77,883
    Features         SMILES string
    Classes          "active", "inactive"
    ==============   ===================

    The file is looked for in ``$SKLMETA_DATA/tox21`` (a copy of your own, not
    checked), then in the cache, then downloaded from MoleculeNet's store. No SHA-256
    checksum of the original is known: that of the downloaded file is recorded beside
    it and compared at every later load (trust on first use).

    Parameters
    ----------
    disjoint : bool, default=True
        Whether every molecule is in the rows of one assay alone, drawn at random of
        those that measured it. So whichever assays are held out, their molecules are
        new. False gives every measurement: then hold out molecules as well, or the
        evaluation measures what the other assays' labels of the same molecule tell.
    new_assay : str, default=None
        An assay that will be held out. With `disjoint` it alone gets `new_fraction`
        of the molecules, and the others share the rest of them, each molecule with
        every assay that measured it. None treats all assays alike.
    new_fraction : float, default=0.4
        Fraction of the molecules that `new_assay` gets.
    random_state : int, RandomState instance or None, default=0
        Seeds the dealing of the molecules.
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

        data : ndarray of object or Series, of shape (n_samples,)
            SMILES strings, as scikit-learn's text vectorisers take them.
        target : ndarray or Series of shape (n_samples,)
            "active" or "inactive".
        task : ndarray or Series of shape (n_samples,)
            Name of the assay.
        frame : DataFrame or None
            The columns smiles, activity and assay, with `as_frame`.
        feature_names, target_names : list of str
            Names of the features and of the targets.
        task_name : str
            Name of the tasks' column.
        DESCR : str
            What the data are, and where they come from.

    Raises
    ------
    ValueError
        If `new_assay` or `new_fraction` is not valid.
    DatasetNotFoundError
        If the data are nowhere to be had.
    ChecksumError
        If the cached file is not the one that was downloaded.

    References
    ----------
    .. [1] Z. Wu et al., "MoleculeNet: a benchmark for molecular machine learning",
       Chemical Science 9, 2018.

    Examples
    --------
    >>> from sklmeta.datasets import fetch_tox21
    >>> X, y, assay = fetch_tox21(return_X_y_task=True)  # doctest: +SKIP
    >>> X[0]  # doctest: +SKIP
    'CCOc1ccc2nc(S(N)(=O)=O)sc2c1'
    """
    if new_assay is not None and new_assay not in ASSAYS:
        raise ValueError(
            f"new_assay must be one of {', '.join(ASSAYS)}, got {new_assay!r}."
        )
    if not 0 < new_fraction < 1:
        raise ValueError(f"new_fraction must lie in (0, 1), got {new_fraction}.")
    paths = locate(SOURCE, data_home, download_if_missing, n_retries, delay)
    frame = read_tox21(paths[FILE])
    if disjoint:
        rng = check_random_state(random_state)
        frame = deal_molecules(frame, new_assay, new_fraction, rng)
    columns: dict[str, Any] = {str(name): frame[name] for name in frame}
    if not as_frame:
        columns = {
            "smiles": frame["smiles"].to_numpy(dtype=object),
            "activity": frame["activity"].to_numpy(dtype=str),
            "assay": frame["assay"].to_numpy(dtype=str),
        }
    data, target, task = columns.values()
    if return_X_y_task:
        return data, target, task
    return Bunch(
        data=data,
        target=target,
        task=task,
        frame=frame if as_frame else None,
        feature_names=["smiles"],
        target_names=["activity"],
        task_name="assay",
        DESCR=DESCR,
    )


def read_tox21(path: Path) -> pd.DataFrame:
    """Read every measurement as a row: smiles, activity and assay."""
    table = pd.read_csv(path)
    long = table.melt(
        id_vars="smiles",
        value_vars=list(ASSAYS),
        var_name="assay",
        value_name="active",
    ).dropna()
    # The file has molecules twice under different names, at times with two results.
    means = long.groupby(["assay", "smiles"], sort=False).active.mean().reset_index()
    means = means[means.active.isin([0, 1])].reset_index(drop=True)
    means["activity"] = np.where(means.active == 1, "active", "inactive")
    return means[["smiles", "activity", "assay"]]


def deal_molecules(
    frame: pd.DataFrame,
    new_assay: str | None,
    new_fraction: float,
    rng: np.random.RandomState,
) -> pd.DataFrame:
    """Choose rows such that no held-out assay shares a molecule with the others."""
    if new_assay is None:
        order = rng.permutation(len(frame))
        first = ~frame["smiles"].iloc[order].duplicated()
        rows = np.sort(order[first.to_numpy()])
    else:
        codes, molecules = pd.factorize(frame["smiles"])
        chosen = rng.permutation(len(molecules)) < round(new_fraction * len(molecules))
        is_new = (frame["assay"] == new_assay).to_numpy()
        rows = np.flatnonzero(chosen[codes] == is_new)
    return frame.iloc[rows].reset_index(drop=True)
