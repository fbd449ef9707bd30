"""Cholesky factors that never fail, and that wait for no device."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import torch
from torch import Tensor

JITTERS = (0.0, 1e-12, 1e-8, 1e-4)
"""What is tried, relative to the largest diagonal element; the last always serves."""


def jittered_cholesky(
    matrix: Tensor,  # shape: (n_matrices, n, n)
    mask: Tensor,  # shape: (n_matrices, n)
) -> Tensor:  # shape: (n_matrices, n, n)
    """Cholesky factors; matrices that round to indefinite get the least jitter needed.

    Parameters
    ----------
    matrix : Tensor of shape (n_matrices, n, n)
        Positive semi-definite but for rounding. Rows of padding are rows of the unit
        matrix: they add nothing to the determinant, nor to any product.

    mask : Tensor of shape (n_matrices, n)
        0 for rows of padding.
    """
    if not matrix.shape[-1]:
        return matrix
    reads_are_free = matrix.device.type == "cpu" and not torch.compiler.is_compiling()
    if reads_are_free:
        factor, info = torch.linalg.cholesky_ex(matrix)
        if not info.any():
            return factor
    # The derivative of a factor that failed is not finite, so that no choice among
    # factors can be differentiated: choose the jitter first, then factorise.
    jitter = _least_jitter(matrix.detach(), mask)
    return torch.linalg.cholesky_ex(matrix + jitter.diag_embed())[0]


def _least_jitter(matrix: Tensor, mask: Tensor) -> Tensor:  # shape: (n_matrices, n)
    largest = (matrix.diagonal(dim1=-2, dim2=-1) * mask).amax(-1, keepdim=True)
    unit = largest * mask  # (n_matrices, n)
    chosen = torch.zeros_like(unit)
    for level in reversed(JITTERS):
        jitter = level * unit
        _, info = torch.linalg.cholesky_ex(matrix + jitter.diag_embed())
        chosen = torch.where((info == 0)[:, None], jitter, chosen)
    return chosen


def stable_cholesky(
    matrix: Tensor,  # shape: (n_matrices, n, n)
    max_tries: int = 10,
) -> Tensor:  # shape: (n_matrices, n, n)
    """Cholesky factors; matrices that round to indefinite get a growing jitter.

    The jitter starts at the rounding error of a matrix's mean diagonal element and
    grows tenfold; the other matrices of the batch are left as they are.
    """
    factor, info = torch.linalg.cholesky_ex(matrix)
    jitter = torch.finfo(matrix.dtype).eps
    for _ in range(max_tries):
        if not info.any():
            break
        scale = matrix.diagonal(dim1=-2, dim2=-1).mean(-1) * (info > 0)
        jittered = matrix + jitter * scale[:, None, None] * eye_like(matrix)
        factor, info = torch.linalg.cholesky_ex(jittered)
        jitter *= 10
    return factor


def eye_like(matrix: Tensor) -> Tensor:  # shape: (n, n)
    """The unit matrix of the same size, dtype and device."""
    size = matrix.shape[-1]
    return torch.eye(size, dtype=matrix.dtype, device=matrix.device)
