"""The Cholesky factor that adds as little to a matrix as it can."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import torch

from sklmeta.closed_form._cholesky import JITTERS, _least_jitter, jittered_cholesky


def test_cholesky_mends_only_the_matrices_that_need_it():
    good = torch.tensor([[4.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
    singular = torch.tensor([[1.0, 1.0], [1.0, 1.0 - 1e-9]], dtype=torch.float64)
    both, mask = torch.stack([good, singular]), torch.ones(2, 2).double()
    factor = jittered_cholesky(both, mask)
    torch.testing.assert_close(factor[0], torch.linalg.cholesky(good), rtol=0, atol=0)
    torch.testing.assert_close(factor[1] @ factor[1].T, singular, rtol=0, atol=1e-7)
    torch.testing.assert_close(
        _least_jitter(both, mask), torch.tensor([[0.0, 0.0], [1e-8, 1e-8]]).double()
    )
    assert JITTERS[0] == 0


def test_cholesky_of_a_singular_matrix_has_a_finite_gradient():
    rows = torch.ones(1, 5, 2, dtype=torch.float64, requires_grad=True)
    gram = rows @ rows.mT
    mask = torch.ones(1, 5).double()
    jittered_cholesky(gram, mask).square().sum().backward()
    assert torch.isfinite(rows.grad).all()
