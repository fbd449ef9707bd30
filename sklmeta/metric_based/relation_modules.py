"""Torch modules for relation networks: feature maps, and how two of them relate."""

# Authors: The sklmeta developers
# SPDX-License-Identifier: BSD-3-Clause

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvMaps(nn.Sequential):
    """Encoder of small images that keeps maps of features: the paper's for Omniglot.

    Four blocks of a 3 x 3 convolution, batch normalisation and ReLU; the first two have
    no padding and 2 x 2 max-pooling behind them. The maps are flattened, and
    `ConvRelation` folds them up again.

    Parameters
    ----------
    n_channels : int, default=1
        Channels of the images, which have shape (n_channels, height, width).

    n_filters : int, default=64
        Filters of every convolution.

    References
    ----------
    Sung et al., "Learning to Compare: Relation Network for Few-Shot Learning",
    CVPR 2018.

    Examples
    --------
    >>> import torch
    >>> from sklmeta.metric_based.relation_modules import ConvMaps
    >>> ConvMaps(n_filters=8)(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 200])
    """

    def __init__(self, n_channels: int = 1, n_filters: int = 64):
        layers: list[nn.Module] = []
        for i in range(4):
            layers += [
                nn.Conv2d(
                    n_filters if i else n_channels, n_filters, 3, padding=int(i > 1)
                ),
                nn.BatchNorm2d(n_filters),
                nn.ReLU(),
            ]
            if i < 2:
                layers.append(nn.MaxPool2d(2))
        super().__init__(*layers, nn.Flatten())
        # The layout that CPU kernels prefer, as in `Conv4`.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class ConvRelation(nn.Sequential):
    """Relation of two stacks of square feature maps, laid on one another.

    Two blocks of a 3 x 3 convolution, normalisation, ReLU and 2 x 2 max-pooling (where
    the maps are that large), then two linear layers. Each pair is normalised by itself,
    over all its maps, where the paper's batch normalisation would let pairs look at one
    another.

    Parameters
    ----------
    n_features_in : int
        Features of a pair: twice what the encoder returns.

    n_filters : int, default=64
        Maps that the encoder returns, and filters of the convolutions.

    n_hidden : int, default=8
        Width of the hidden linear layer.

    Raises
    ------
    ValueError
        If the features are not `n_filters` square maps of each row.

    References
    ----------
    Sung et al., "Learning to Compare: Relation Network for Few-Shot Learning",
    CVPR 2018.

    Examples
    --------
    >>> import torch
    >>> from sklmeta.metric_based.relation_modules import ConvRelation
    >>> ConvRelation(2 * 8 * 25, n_filters=8)(torch.zeros(5, 2 * 8 * 25)).shape
    torch.Size([5, 1])
    """

    def __init__(self, n_features_in: int, n_filters: int = 64, n_hidden: int = 8):
        side = math.isqrt(n_features_in // (2 * n_filters))
        if not side or 2 * n_filters * side**2 != n_features_in:
            raise ValueError(
                f"{n_features_in // 2} features of a row are not n_filters={n_filters} "
                "square maps; give the encoder's number of maps."
            )
        layers: list[nn.Module] = [nn.Unflatten(1, (2 * n_filters, side, side))]
        for i in range(2):
            n_maps = n_filters if i else 2 * n_filters
            layers += [
                nn.Conv2d(n_maps, n_filters, 3, padding=1),
                nn.GroupNorm(1, n_filters),
                nn.ReLU(),
            ]
            if side >= 2:
                layers.append(nn.MaxPool2d(2))
                side //= 2
        layers += [
            nn.Flatten(),
            nn.Linear(n_filters * side**2, n_hidden),
            nn.ReLU(),
            nn.Linear(n_hidden, 1),
        ]
        super().__init__(*layers)


def relate(
    module: nn.Module,
    first: Tensor,  # shape: (n_tasks, n_first, d)
    second: Tensor,  # shape: (n_tasks, n_second, d)
) -> Tensor:  # shape: (n_tasks, n_first, n_second)
    """Apply `module`, which maps (n, 2 d) to (n, 1), to every pair of rows of a task.

    Where it begins with a linear map, that is applied to the rows and not to the pairs:
    ``W [q; c] + b = (W_q q + b) + W_c c``.
    """
    n_layers = _linear_beginning(module)
    if not n_layers:
        shape = (*first.shape[:2], *second.shape[1:])
        pairs = [first[:, :, None].expand(shape), second[:, None].expand(shape)]
        return module(torch.cat(pairs, dim=-1).flatten(0, 2)).view(shape[:3])
    layers = list(cast(nn.Sequential, module))
    from_first, from_second = _halves(layers[:n_layers], first, second)
    hidden = from_first[:, :, None] + from_second[:, None]
    shape = hidden.shape
    hidden = hidden.flatten(0, 2)
    for layer in layers[n_layers:]:
        hidden = layer(hidden)
    return hidden.view(shape[:3])


def _linear_beginning(module: nn.Module) -> int:
    """Count the layers at the beginning that `_halves` knows; 0 if there are none."""
    if type(module).forward is not nn.Sequential.forward:
        return 0
    layers = list(cast(nn.Sequential, module))
    if type(layers[0]) is nn.Linear:
        return 1
    conv = layers[1] if len(layers) > 1 else None
    if type(layers[0]) is nn.Unflatten and type(conv) is nn.Conv2d:
        known = conv.groups == 1 and conv.padding_mode == "zeros"
        even = layers[0].dim == 1 and layers[0].unflattened_size[0] % 2 == 0
        return 2 if known and even else 0
    return 0


def _halves(
    layers: list[nn.Module],
    first: Tensor,  # shape: (n_tasks, n_first, d)
    second: Tensor,  # shape: (n_tasks, n_second, d)
) -> tuple[Tensor, Tensor]:  # shape: (n_tasks, n_first or n_second, *hidden)
    """Apply each half of a linear map to the rows it is for."""
    if len(layers) == 1:
        linear = cast(nn.Linear, layers[0])
        for_first, for_second = linear.weight.chunk(2, dim=1)
        return F.linear(first, for_first, linear.bias), F.linear(second, for_second)
    size = list(cast(nn.Unflatten, layers[0]).unflattened_size)
    conv = cast(nn.Conv2d, layers[1])
    weights, biases = conv.weight.chunk(2, dim=1), (conv.bias, None)
    maps = []
    for rows, weight, bias in zip((first, second), weights, biases, strict=True):
        folded = rows.flatten(0, 1).unflatten(1, [size[0] // 2, *size[1:]])
        out = F.conv2d(folded, weight, bias, conv.stride, conv.padding, conv.dilation)
        maps.append(out.unflatten(0, rows.shape[:2]))
    return maps[0], maps[1]
