"""What keeps meta-training through many steps stable (MAML++).

References
----------
Antoniou, Edwards and Storkey, "How to train your MAML", ICLR 2019; where the paper
leaves a number open, it is that of the authors' code.
"""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sklmeta.learners.descent import Rates

LEAST_WEIGHT = 0.03
"""Share of its first weight that a step before the last keeps to the end."""


def step_weights(n_steps: int, progress: float) -> list[float]:
    """Weights of the query losses after each step, which sum to one.

    They start equal, and those of all steps but the last fall linearly.

    Parameters
    ----------
    n_steps : int
        Number of steps.

    progress : float
        Between 0 and 1, the share of the annealing that is done.

    Returns
    -------
    list of float
    """
    early = max(1 - progress, LEAST_WEIGHT) / n_steps
    return [early] * (n_steps - 1) + [1 - (n_steps - 1) * early]


class StepSizes(nn.Module):
    """Learned step sizes, of parameters whose names may have dots.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Shape of every parameter's step sizes, without the axis of the steps.

    n_rates : int
        1 for the same in all steps, or the number of steps.

    lr : float
        What they start from.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], n_rates: int, lr: float):
        super().__init__()
        self._keys = {name: name.replace(".", "/") for name in shapes}
        for name, shape in shapes.items():
            value = torch.full((n_rates, *shape), lr)
            self.register_parameter(self._keys[name], nn.Parameter(value))

    def forward(self) -> Rates:
        own: Mapping[str, Tensor | None] = self._parameters
        return {name: own[key] for name, key in self._keys.items()}  # type: ignore[misc]
