"""Collections of related tasks: generators of synthetic ones, loaders of real ones."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from sklmeta.datasets._base import (
    ChecksumError,
    DatasetNotFoundError,
    get_data_home,
)
from sklmeta.datasets._classification import (
    make_classification_tasks,
    make_sensor_arrays,
)
from sklmeta.datasets._clinc150 import fetch_clinc150
from sklmeta.datasets._heart_disease import fetch_heart_disease
from sklmeta.datasets._mixed_models import fetch_mixed_model_data
from sklmeta.datasets._omniglot import fetch_omniglot
from sklmeta.datasets._parkinsons import fetch_parkinsons
from sklmeta.datasets._regression import (
    make_linear_tasks,
    make_pharmacokinetics,
    make_sinusoids,
    pharmacokinetic_curve,
)
from sklmeta.datasets._tables import (
    load_machine_states,
    load_patient_outcomes,
    load_store_sales,
)
from sklmeta.datasets._tox21 import fetch_tox21
from sklmeta.datasets._wisdm import fetch_wisdm

__all__ = [
    "ChecksumError",
    "DatasetNotFoundError",
    "fetch_clinc150",
    "fetch_heart_disease",
    "fetch_mixed_model_data",
    "fetch_omniglot",
    "fetch_parkinsons",
    "fetch_tox21",
    "fetch_wisdm",
    "get_data_home",
    "load_machine_states",
    "load_patient_outcomes",
    "load_store_sales",
    "make_classification_tasks",
    "make_linear_tasks",
    "make_pharmacokinetics",
    "make_sensor_arrays",
    "make_sinusoids",
    "pharmacokinetic_curve",
]
