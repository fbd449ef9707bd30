"""Covariances of classes of few rows."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import torch
from torch import Tensor

from sklmeta.learners.losses import or_one


def class_covariances(
    features: Tensor,  # shape: (n_tasks, n_members, n_rows, d)
    members: Tensor,  # shape: (n_tasks, 1, n_rows, n_classes)
    means: Tensor,  # shape: (n_tasks, n_members, n_classes, d)
    ridge: Tensor,  # shape: ()
) -> Tensor:  # shape: (n_tasks, n_members, n_classes, d, d)
    """Regularised class covariances, equation 2 of Bateni et al. (2020).

    Each is shrunk towards the covariance of the whole task and `ridge` times the
    identity; `members` is one, or a weight, where a row belongs to a class.

    References
    ----------
    Bateni, Goyal, Masrani, Wood and Sigal, "Improved Few-Shot Visual Classification",
    CVPR 2020.
    """
    counts = members.sum(2)  # (n_tasks, 1, n_classes)
    deviations = features - (members > 0).to(members.dtype) @ means
    weighted = members.mT[..., None] * deviations[:, :, None]
    scatter = weighted.mT @ deviations[:, :, None]
    within = scatter / (counts - 1).clamp(min=1)[..., None, None]
    mask = members.sum(3)  # (n_tasks, 1, n_rows)
    n_rows = mask.sum(2)[..., None, None]
    centre = (mask[:, :, None] @ features) / or_one(n_rows)
    centred = (features - centre) * mask.sqrt()[..., None]
    task = centred.mT @ centred / (n_rows - 1).clamp(min=1)
    weight = (counts / (counts + 1))[..., None, None]
    mixed = weight * within + (1 - weight) * task[:, :, None]
    # Rounding errors grow with the features: the ridge must not drown in them.
    rounding = mixed.shape[-1] * torch.finfo(mixed.dtype).eps
    trace = mixed.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    return mixed + (ridge + rounding * trace) * torch.eye(mixed.shape[-1]).to(mixed)
