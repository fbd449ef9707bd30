"""Every estimator of the table of instances keeps the contract of estimators."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import pytest
from instances import ALL, META
from sklearn.base import clone

from sklmeta.testing import meta_estimator_checks


def cases():
    for name, of_table in ALL.items():
        estimator = clone(of_table)
        if "max_iter" in estimator.get_params():
            estimator.set_params(max_iter=4)  # nothing here asks for accuracy
        # scikit-learn's run one by one beside the table; a wrapped estimator's outputs
        # have the precision that it chooses.
        skip = ["scikit_learn"] if name in META else ["scikit_learn", "dtypes"]
        for label, check in meta_estimator_checks(estimator, skip=skip):
            yield pytest.param(check, id=f"{name}-{label}")


@pytest.mark.parametrize("check", list(cases()))
def test_contract(check):
    check()
