"""Three tables that ship with the package: shops, machines, patients."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Collection
from importlib import resources
from typing import Any, Literal

import pandas as pd
from sklearn.utils import Bunch

from sklmeta._compat import StrOptions, validate_params
from sklmeta.datasets._base import make_bunch

STORES = """\
Weekly sales of one product in 35 shops (generated, examples/data/make_tables.py)

A task is a shop. Its level of sales, and what price, promotions and warm weather do
to it, are its own, drawn about a common mean; they act on the logarithm of the sales.
Shops have 14 to 39 weeks, not the same ones; a temperature in fourteen is missing.

week         date of the Monday
price        of one unit
promotion    none, leaflet or display
temperature  mean of the week in degrees Celsius
sales        units sold in the week, in hundreds: the target
"""

MACHINES = """\
States of 30 machines by three sensors (generated, examples/data/make_tables.py)

A task is a machine. Each sensor of each machine has an offset and a gain of its own,
as large as the difference between two states; how often a state occurs is a machine's
own too. Machines have 24 to 47 rows, and some have not been in every state; a sensor's
value in thirty-three is missing.

temperature, vibration, current    of the sensors
shift        early, late or night: says nothing of the state
state        idle, normal, worn or jammed: the target
"""

PATIENTS = """\
Visits of 48 patients (generated, examples/data/make_tables.py)

A task is a patient. What a drug relieves and what inflammation hurts are a patient's
own. Patients have 8 to 17 visits, between two and six weeks apart; a value of crp in
ten is missing. There are two outcomes.

visit        date
age, sex     of the patient
drug         methotrexate, sulfasalazine or placebo, newly drawn for each visit
dose_mg      of the drug
crp          C-reactive protein in mg/l
pain         0 to 10: a target
flare        yes or no: whether there was one since the last visit: the other target
"""


def load_store_sales(
    *, return_X_y_task: bool = False, as_frame: bool = True
) -> Bunch | tuple[pd.DataFrame, pd.Series[Any], pd.Series[Any]]:
    """Load weekly sales of 35 shops: dates, categories, gaps; regression.

    ==============   ===================
    Tasks            35 shops
    Rows             933 (14 to 39 per shop)
    Features         4: a date, a category, two numbers, one with gaps
    Target           sales, a positive number
    ==============   ===================

    The table is generated and ships with the package.

    Parameters
    ----------
    return_X_y_task : bool, default=False
        Return ``(data, target, task)`` instead of a Bunch.
    as_frame : bool, default=True
        Whether data, target and task are a DataFrame and Series, since columns are of
        several kinds; else they are arrays, data of objects.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With the attributes

        data : DataFrame or ndarray
            The features, as a csv file gives them.
        target : Series or ndarray
            What to predict.
        task : Series or ndarray
            The group of each row.
        frame : DataFrame
            All columns, with `as_frame`.
        feature_names, target_names : list of str
            Names of the features and of the targets.
        task_name : str
            Name of the tasks' column.
        filename : str
            Path of the csv file.
        DESCR : str
            What the data are, and where they come from.

    See Also
    --------
    load_machine_states : Four classes that all tasks share.
    load_patient_outcomes : Two outcomes, one of them a class.

    Examples
    --------
    >>> from sklmeta.datasets import load_store_sales
    >>> stores = load_store_sales()
    >>> stores.frame.columns.tolist()
    ['store', 'week', 'price', 'promotion', 'temperature', 'sales']
    >>> stores.task.nunique()
    35
    """
    return _load("store_sales", "store", "sales", STORES, return_X_y_task, as_frame)


def load_machine_states(
    *, return_X_y_task: bool = False, as_frame: bool = True
) -> Bunch | tuple[pd.DataFrame, pd.Series[Any], pd.Series[Any]]:
    """Load sensor readings of 30 machines: four shared classes.

    ==============   ===================
    Tasks            30 machines
    Rows             1,050 (24 to 47 per machine)
    Features         4: three numbers with gaps, a category
    Classes          "idle", "jammed", "normal", "worn"
    ==============   ===================

    The table is generated and ships with the package.

    Parameters
    ----------
    return_X_y_task : bool, default=False
        Return ``(data, target, task)`` instead of a Bunch.
    as_frame : bool, default=True
        Whether data, target and task are a DataFrame and Series, since columns are of
        several kinds; else they are arrays, data of objects.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        As of :func:`load_store_sales`.

    See Also
    --------
    load_store_sales : Regression.
    load_patient_outcomes : Two outcomes, one of them a class.

    Examples
    --------
    >>> from sklmeta.datasets import load_machine_states
    >>> X, y, task = load_machine_states(return_X_y_task=True)
    >>> sorted(y.unique())
    ['idle', 'jammed', 'normal', 'worn']
    """
    return _load(
        "machine_states", "machine", "state", MACHINES, return_X_y_task, as_frame
    )


@validate_params(
    {"target": [StrOptions({"pain", "flare"})]}, prefer_skip_nested_validation=True
)
def load_patient_outcomes(
    *,
    target: Literal["pain", "flare"] = "pain",
    return_X_y_task: bool = False,
    as_frame: bool = True,
) -> Bunch | tuple[pd.DataFrame, pd.Series[Any], pd.Series[Any]]:
    """Load visits of 48 patients: a score and an event.

    ==============   ===================
    Tasks            48 patients
    Rows             615 (8 to 17 per patient)
    Features         6: a date, two categories, three numbers, one with gaps
    Targets          pain (0 to 10), flare ("no", "yes")
    ==============   ===================

    The table is generated and ships with the package.

    Parameters
    ----------
    target : {"pain", "flare"}, default="pain"
        Which outcome to predict; the other is not among the features.
    return_X_y_task : bool, default=False
        Return ``(data, target, task)`` instead of a Bunch.
    as_frame : bool, default=True
        Whether data, target and task are a DataFrame and Series, since columns are of
        several kinds; else they are arrays, data of objects.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        As of :func:`load_store_sales`; `frame` has both outcomes.

    See Also
    --------
    load_store_sales : Regression.
    load_machine_states : Four classes that all tasks share.

    Examples
    --------
    >>> from sklmeta.datasets import load_patient_outcomes
    >>> X, y, task = load_patient_outcomes(target="flare", return_X_y_task=True)
    >>> X.columns.tolist()
    ['visit', 'age', 'sex', 'drug', 'dose_mg', 'crp']
    """
    other = {"pain", "flare"} - {target}
    answer = (return_X_y_task, as_frame)
    return _load("patient_outcomes", "patient", target, PATIENTS, *answer, other)


def _load(
    name: str,
    task: str,
    target: str,
    descr: str,
    return_X_y_task: bool,
    as_frame: bool,
    left_out: Collection[str] = (),
) -> Any:
    path = resources.files("sklmeta.datasets") / "tables" / f"{name}.csv"
    frame = pd.read_csv(str(path))
    features = [c for c in map(str, frame) if c not in {task, target, *left_out}]
    return make_bunch(
        frame,
        feature_names=features,
        target_name=target,
        task_name=task,
        descr=descr,
        as_frame=as_frame,
        return_X_y_task=return_X_y_task,
        filename=str(path),
    )
