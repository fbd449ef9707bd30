"""The contracts of learners and of estimators as checks, for whoever builds one.

`check_learner` and `check_meta_estimator` run all of them; `learner_checks` and
`meta_estimator_checks` list them, to be run one by one by a test runner.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from sklmeta.testing._contracts import (
    check_learner,
    check_meta_estimator,
    learner_checks,
    meta_estimator_checks,
)
from sklmeta.testing._episodes import random_episodes, random_rows

__all__ = [
    "check_learner",
    "check_meta_estimator",
    "learner_checks",
    "meta_estimator_checks",
    "random_episodes",
    "random_rows",
]
