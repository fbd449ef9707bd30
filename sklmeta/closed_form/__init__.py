"""Learners that adapt by solving."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from sklmeta.closed_form.bayesian_linear import BayesianLinearRegressor

__all__ = ["BayesianLinearRegressor"]
