"""The standard examples of mixed models: pupils, pigs, wages and drug curves."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import os
from typing import Any, NamedTuple

import pandas as pd
from sklearn.utils import Bunch

from sklmeta.datasets._base import Remote, Source, locate, make_bunch

HOME = "https://raw.githubusercontent.com/vincentarelbundock/Rdatasets"
ROW_NAMES = ("rownames", "Unnamed: 0")


class Study(NamedTuple):
    """Where one set is, and what its columns are."""

    origin: str  # package/file
    commit: str
    task: str
    target: str
    features: str
    order: str | None  # what rows of a task are sorted by
    about: str


STUDIES = {
    "contraception": Study(
        "mlmRev/Contraception",
        "5574ee4133463fdb520ea70a2ff37f0a7826283e",
        "district",
        "use",
        "livch age urban",
        None,
        "1,934 women in 60 districts of Bangladesh, 1989: whether they use "
        'contraception ("Y" or "N"). `age` is centred, `livch` counts living children.',
    ),
    "dietox": Study(
        "geepack/dietox",
        "a44de06f4edac532bcc05deadc560dea870f6173",
        "Pig",
        "Weight",
        "Evit Cu Start Feed Time",
        "Time",
        "Weights (kg) of 72 pigs in 12 weeks, under doses of vitamin E and copper. "
        "`Feed` is cumulated and unknown in the first week. Another task_name: Litter.",
    ),
    "egsingle": Study(
        "mlmRev/egsingle",
        "c65edd84dfff0fbdce02d34828c554aabf017884",
        "childid",
        "math",
        "year grade retained female black hispanic size lowinc mobility",
        "year",
        "7,230 scores in mathematics of 1,721 children of 60 primary schools in the "
        "United States, over six years. Another task_name: schoolid.",
    ),
    "epilepsy": Study(
        "HSAUR/epilepsy",
        "1c97ab8a1df2469762e635481ba27cf4e80e3e51",
        "subject",
        "seizure.rate",
        "treatment base age period",
        "period",
        "Seizures of 59 patients, counted in four periods of two weeks each. `base` "
        "is the count in the eight weeks before treatment.",
    ),
    "exam": Study(
        "mlmRev/Exam",
        "cc03c29690889dbe83089f5206e2422db8c3f71f",
        "school",
        "normexam",
        "schgend schavg vr intake standLRT sex type",
        None,
        "Normalised examination scores of 4,059 pupils of 65 schools of inner London. "
        "`standLRT` is the score of a reading test at intake.",
    ),
    "hsb82": Study(
        "mlmRev/Hsb82",
        "c65edd84dfff0fbdce02d34828c554aabf017884",
        "school",
        "mAch",
        "minrty sx ses meanses sector cses",
        None,
        "Achievement in mathematics of 7,185 pupils of 160 schools: High School and "
        "Beyond, 1982. `ses` is the socio-economic status, `meanses` its mean in the "
        "school, and `cses` the difference.",
    ),
    "produc": Study(
        "plm/Produc",
        "1c97ab8a1df2469762e635481ba27cf4e80e3e51",
        "state",
        "gsp",
        "year region pcap hwy water util pc emp unemp",
        "year",
        "Gross product of 48 of the United States, 1970 to 1986, with public and "
        "private capital, employment and unemployment. Usually modelled in logarithms.",
    ),
    "radon": Study(
        "HLMdiag/radon",
        "aa1ee3f77778e95ac0d8909f2f1cf129f5b49bde",
        "county",
        "log.radon",
        "basement uranium",
        None,
        "Logarithms of radon in 919 houses of 85 counties of Minnesota. `basement` is "
        "0 where that was measured in one, `uranium` the county's level in the soil.",
    ),
    "sleepstudy": Study(
        "lme4/sleepstudy",
        "cc03c29690889dbe83089f5206e2422db8c3f71f",
        "Subject",
        "Reaction",
        "Days",
        "Days",
        "Reaction times (ms) of 18 subjects on ten days, restricted to three hours of "
        "sleep a night.",
    ),
    "theoph": Study(
        "datasets/Theoph",
        "e38552ac3cb40a532941b09d7332b03d19409919",
        "Subject",
        "conc",
        "Wt Dose Time",
        "Time",
        "Concentrations of theophylline (mg/L) in 12 subjects, eleven each in about 24 "
        "hours after one oral dose (mg/kg).",
    ),
    "wages": Study(
        "HLMdiag/wages",
        "1c97ab8a1df2469762e635481ba27cf4e80e3e51",
        "id",
        "lnw",
        "exper ged postexp black hispanic hgc uerate",
        "exper",
        "6,402 log hourly wages of 888 men in the United States who left high school, "
        "over years of work (`exper`). `hgc` is the highest grade completed, `ged` a "
        "diploma earned later, `uerate` the local unemployment rate. The frame also "
        "has columns that are derived from these.",
    ),
}


def fetch_mixed_model_data(
    name: str,
    *,
    task_name: str | None = None,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
    return_X_y_task: bool = False,
    as_frame: bool = True,
    n_retries: int = 3,
    delay: float = 1.0,
) -> Bunch | tuple[Any, Any, Any]:
    """Load one of the standard examples of mixed models (regression, or two classes).

    ================   =====   =====   ===============   ==========================
    name               tasks   rows    target            rows of a task in time
    ================   =====   =====   ===============   ==========================
    "contraception"    60      1,934   "Y" or "N"
    "dietox"           72      861     weight            yes; gaps in one feature
    "egsingle"         1,721   7,230   test score        yes
    "epilepsy"         59      236     count             yes
    "exam"             65      4,059   test score
    "hsb82"            160     7,185   test score
    "produc"           48      816     product           yes
    "radon"            85      919     log radon
    "sleepstudy"       18      180     reaction time     yes
    "theoph"           12      132     concentration     yes
    "wages"            888     6,402   log wage          yes
    ================   =====   =====   ===============   ==========================

    The files are looked for in ``$SKLMETA_DATA/mixed_models`` (a copy of your own, not
    checked), then in the cache, then downloaded from the Rdatasets collection [1]_, at
    a commit that does not change. What is downloaded first is trusted, and compared
    with its SHA-256 checksum at every later load.

    Parameters
    ----------
    name : str
        One of the names above.
    task_name : str, default=None
        Column that tells the task, such as "schoolid" in "egsingle"; None is the one
        that is usual. It is no feature.
    data_home : str or path-like, default=None
        Folder of the cache; None is ``~/sklmeta_data``.
    download_if_missing : bool, default=True
        If False, raise an error instead of downloading.
    return_X_y_task : bool, default=False
        Return ``(data, target, task)`` instead of a Bunch.
    as_frame : bool, default=True
        Give pandas objects instead of NumPy arrays. Without it, features are an array
        of numbers, or of objects where there are categories among them.
    n_retries : int, default=3
        Further attempts after a failed download.
    delay : float, default=1.0
        Seconds between attempts.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With the attributes

        data : DataFrame or ndarray of shape (n_samples, n_features)
            Categories are strings. Where rows have a time, those of a task are sorted
            by it.
        target : Series or ndarray of shape (n_samples,)
            What the set is usually asked for.
        task : Series or ndarray of shape (n_samples,)
            The group of each row.
        frame : DataFrame or None
            All columns of the original, with `as_frame`.
        feature_names, target_names : list of str
            Names of the features and of the targets.
        task_name : str
            Name of the tasks' column.
        DESCR : str
            What the data are, and where they come from.

    Raises
    ------
    ValueError
        If there is no such set, or no such column.
    DatasetNotFoundError
        If the data are nowhere to be had.
    ChecksumError
        If a cached file is not what was downloaded.

    Notes
    -----
    The sets belong to R packages under the GPL; `DESCR` names them.

    References
    ----------
    .. [1] V. Arel-Bundock, "Rdatasets: a collection of datasets originally distributed
       in various R packages", https://vincentarelbundock.github.io/Rdatasets

    Examples
    --------
    >>> from sklmeta.datasets import fetch_mixed_model_data
    >>> X, y, subject = fetch_mixed_model_data(
    ...     "sleepstudy", return_X_y_task=True
    ... )  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (180, 1)
    """
    if name not in STUDIES:
        raise ValueError(f"name must be one of {', '.join(STUDIES)}; got {name!r}.")
    study = STUDIES[name]
    paths = locate(source_of(name), data_home, download_if_missing, n_retries, delay)
    frame = pd.read_csv(paths[f"{name}.csv"])
    frame = frame.drop(columns=[c for c in ROW_NAMES if c in frame])
    task_name = study.task if task_name is None else task_name
    if task_name not in frame or task_name == study.target:
        others = [str(c) for c in frame if c != study.target]
        raise ValueError(
            f"task_name must be one of {', '.join(others)}; got {task_name!r}."
        )
    if study.order is not None:
        frame = frame.sort_values(
            [task_name, study.order], kind="stable", ignore_index=True
        )
    features = [c for c in study.features.split() if c != task_name]
    bunch: Any = make_bunch(
        frame,
        feature_names=features,
        target_name=study.target,
        task_name=task_name,
        descr=describe(study),
        as_frame=True,
        return_X_y_task=False,
    )
    if not as_frame:
        # Of mixed columns pandas makes an array of objects.
        for part in ("data", "target", "task"):
            bunch[part] = bunch[part].to_numpy()
        bunch.frame = None
    if return_X_y_task:
        return bunch.data, bunch.target, bunch.task
    return bunch


def source_of(name: str) -> Source:
    study = STUDIES[name]
    url = f"{HOME}/{study.commit}/csv/{study.origin}.csv"
    # No SHA-256 of the originals is known: trusted on first use.
    return Source("mixed_models", (Remote(url, (f"{name}.csv",)),), checksums={})


def describe(study: Study) -> str:
    package = study.origin.split("/")[0]
    return (
        f"{study.about}\n\n"
        f"Task: {study.task}. Target: {study.target}.\n\n"
        f"From the R package {package}, by way of Rdatasets: "
        f"https://vincentarelbundock.github.io/Rdatasets/doc/{study.origin}.html\n"
        "Licence: that of the package (GPL).\n"
    )
