"""Every estimator of the table of instances keeps the contract of estimators."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

import pytest
from instances import ALL, META
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge

from sklmeta import Pooled
from sklmeta.testing import meta_estimator_checks

POOLED = {
    f"pooled_{name}_{support}{'_centred' * center}": Pooled(
        estimator, support=support, center=center
    )
    for name, estimator in (("ridge", Ridge()), ("logistic", LogisticRegression()))
    for support in ("ignore", "append", "offset")
    for center in (False, True)
}


def cases():
    for name, estimator in {**ALL, **POOLED}.items():
        quick = clone(estimator)
        if name in META and "max_iter" in quick.get_params():
            quick.set_params(max_iter=4)  # nothing here asks for accuracy
        # scikit-learn's run one by one beside the table; a wrapped estimator's outputs
        # have the precision that it chooses.
        skip = ["scikit_learn"] if name in META else ["scikit_learn", "dtypes"]
        if name in POOLED:
            skip.append("one_table")  # which would count twice
        for label, check in meta_estimator_checks(quick, skip=skip):
            yield pytest.param(check, id=f"{name}-{label}")


# A blend of one table says that it cannot weigh its members.
@pytest.mark.filterwarnings("ignore:AutoMeta.* was fitted to one table")
@pytest.mark.parametrize("check", list(cases()))
def test_contract(check):
    check()
