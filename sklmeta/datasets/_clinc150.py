"""CLINC150: sentences to a voice assistant, own classes per domain."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from sklmeta.datasets._base import Remote, Source, locate

SENTENCES, DOMAINS = "data_full.json", "domains.json"
SPLITS = ("train", "val", "test")
#: The last commit to these files; an address with a commit in it cannot change.
COMMIT = "828f8093932c8fe6ca7936c3d2e52903b1c523de"
HOME = f"https://raw.githubusercontent.com/clinc/oos-eval/{COMMIT}/data"

SOURCE = Source(
    folder="clinc150",
    remotes=(
        Remote(f"{HOME}/{SENTENCES}", (SENTENCES,)),
        Remote(f"{HOME}/{DOMAINS}", (DOMAINS,)),
    ),
    # As several independent downloaders of this commit record them.
    checksums={
        SENTENCES: "36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0",
        DOMAINS: "b947b579d3b8e74b06f93b01083d8efaff2888b43a3e362533bd88a6e1211b3a",
    },
)

DESCR = """\
CLINC150 (Larson et al. 2019)

22,500 English sentences to a voice assistant: 150 intents, 150 sentences each (100 for
training, 20 for validation, 30 for testing), in 10 domains of 15 intents. Target: the
intent. Task: its domain; an intent belongs to one domain, so classes are a task's own.
The 1,200 sentences out of scope are left out.

Source: https://github.com/clinc/oos-eval
Licence: CC BY 3.0.

S. Larson et al., "An Evaluation Dataset for Intent Classification and Out-of-Scope
Prediction", EMNLP-IJCNLP 2019.
"""


def fetch_clinc150(
    *,
    subset: str = "all",
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    return_X_y_task: bool = False,
    as_frame: bool = False,
    n_retries: int = 3,
    delay: float = 1.0,
) -> Bunch | tuple[Any, Any, Any]:
    """Load the CLINC150 sentences (own classes, a task per domain).

    ==============   ===================
    Tasks            10 domains
    Rows             22,500 sentences (150 per intent)
    Features         raw text
    Classes          150 intents, 15 per domain
    ==============   ===================

    The files are looked for in ``$SKLMETA_DATA/clinc150`` (a copy of your own, not
    checked), then in the cache, then downloaded from the authors' repository and
    verified.

    Parameters
    ----------
    subset : {"all", "train", "val", "test"}, default="all"
        The authors' split of each intent's sentences: 100, 20 and 30.
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
            Sentences, as scikit-learn's text vectorisers take them.
        target : ndarray or Series of shape (n_samples,)
            Name of the intent.
        task : ndarray or Series of shape (n_samples,)
            Name of the domain.
        split : ndarray or Series of shape (n_samples,)
            "train", "val" or "test", in this order.
        frame : DataFrame or None
            The columns sentence, intent, domain and split, with `as_frame`.
        domains : dict of str to list of str
            The intents of each domain.
        feature_names, target_names : list of str
            Names of the features and of the targets.
        task_name : str
            Name of the tasks' column.
        DESCR : str
            What the data are, and where they come from.

    Raises
    ------
    ValueError
        If `subset` is none of these.
    DatasetNotFoundError
        If the data are nowhere to be had.
    ChecksumError
        If a cached or downloaded file is not the original.

    References
    ----------
    .. [1] S. Larson et al., "An Evaluation Dataset for Intent Classification and
       Out-of-Scope Prediction", EMNLP-IJCNLP 2019.

    Examples
    --------
    >>> from sklmeta.datasets import fetch_clinc150
    >>> X, y, domain = fetch_clinc150(return_X_y_task=True)  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (22500,)
    """
    if subset not in ("all", *SPLITS):
        raise ValueError(f"subset must be 'all' or one of {SPLITS}, got {subset!r}.")
    paths = locate(SOURCE, data_home, download_if_missing, n_retries, delay)
    frame, domains = read_clinc150(paths[SENTENCES], paths[DOMAINS])
    if subset != "all":
        frame = frame[frame["split"] == subset].reset_index(drop=True)
    columns: dict[str, Any] = {
        name: frame[name] for name in ("sentence", "intent", "domain", "split")
    }
    if not as_frame:
        dtypes = {"sentence": object}
        columns = {
            name: column.to_numpy(dtype=dtypes.get(name, str))
            for name, column in columns.items()
        }
    data, target, task, split = columns.values()
    if return_X_y_task:
        return data, target, task
    return Bunch(
        data=data,
        target=target,
        task=task,
        split=split,
        frame=frame if as_frame else None,
        domains=domains,
        feature_names=["sentence"],
        target_names=["intent"],
        task_name="domain",
        DESCR=DESCR,
    )


def read_clinc150(
    sentences: Path, domains: Path
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Read the in-scope sentences of all splits, and the intents of each domain."""
    rows = json.loads(sentences.read_text(encoding="utf-8"))
    intents = json.loads(domains.read_text(encoding="utf-8"))
    domain_of = {name: domain for domain, names in intents.items() for name in names}
    frame = pd.DataFrame(
        [row for split in SPLITS for row in rows[split]], columns=["sentence", "intent"]
    )
    frame["domain"] = frame["intent"].map(domain_of)
    frame["split"] = np.repeat(SPLITS, [len(rows[split]) for split in SPLITS])
    return frame, intents
