"""Learners that adapt by solving."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from sklmeta.closed_form.bayesian_linear import BayesianLinearRegressor
from sklmeta.closed_form.deep_kernel import DeepKernelClassifier, DeepKernelRegressor
from sklmeta.closed_form.mixed_model import MixedModelRegressor
from sklmeta.closed_form.mixed_model_classifier import MixedModelClassifier
from sklmeta.closed_form.ridge_head import RidgeHeadClassifier, RidgeHeadRegressor

__all__ = [
    "BayesianLinearRegressor",
    "DeepKernelClassifier",
    "DeepKernelRegressor",
    "MixedModelClassifier",
    "MixedModelRegressor",
    "RidgeHeadClassifier",
    "RidgeHeadRegressor",
]
