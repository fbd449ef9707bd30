"""Several networks side by side, computed together."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sklmeta.learners.encoders import ACTIVATIONS, MLP


class MLPMembers(nn.Module):
    """Independent multi-layer perceptrons of the same widths.

    Parameters
    ----------
    n_features_in : int
        Number of features of a row, counted over all its axes.

    n_members : int
        Number of networks.

    hidden_layer_sizes : sequence of int, default=(64, 64)
        Widths of the layers of each.

    activation : {"relu", "tanh", "gelu", "silu", "elu", "identity"}, default="relu"
        Activation after every layer.

    Examples
    --------
    >>> import torch
    >>> from sklmeta.metric_based._members import MLPMembers
    >>> MLPMembers(3, 4, hidden_layer_sizes=(16, 8))(torch.zeros(5, 3)).shape
    torch.Size([5, 32])
    """

    def __init__(
        self,
        n_features_in: int,
        n_members: int,
        hidden_layer_sizes: int | Sequence[int] = (64, 64),
        activation: str = "relu",
    ):
        super().__init__()
        networks = [
            MLP(n_features_in, hidden_layer_sizes, activation) for _ in range(n_members)
        ]
        layers = zip(*(list(net)[::2] for net in networks), strict=True)
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for layer in layers:
            weights = torch.stack([linear.weight.detach().T for linear in layer])
            self.weights.append(nn.Parameter(weights))  # (n_members, n_in, n_out)
            self.biases.append(nn.Parameter(torch.zeros_like(weights[:, :1])))
        self.activation = ACTIVATIONS[activation]()
        self.n_members = n_members

    def forward(
        self,
        X: Tensor,  # shape: (n_rows, *input)
    ) -> Tensor:  # shape: (n_rows, n_members * n_features_out)
        features = X.flatten(1).expand(self.n_members, -1, -1)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            features = self.activation(torch.baddbmm(bias, features, weight))
        return features.transpose(0, 1).flatten(1)
