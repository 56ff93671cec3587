"""What explanations keep of network and input: its time step, and how large the input is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hargcn.analysis.comb import with_comb
from hargcn.data.windows import Batch
from hargcn.explainers.cells import time_step
from hargcn.explanation import Explanation
from hargcn.networks.branches import PositionModel

_KEPT = ("sample", "branch", "channel")


def with_input(
    made: Mapping[str, Explanation],
    network: Any,
    x: Tensor,
    batch: Batch,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Explanation]:
    """Return explanations with the size of the input, the network's time step, and its comb.

    Parameters
    ----------
    made
        Explanations by layer.
    network
        What they explain; it names the axes of its input.
    x
        Its input.
    batch
        The windows that it was made of.
    more
        More variables of theirs.
    """
    known = {**input_size(network.input_dims, x, batch.valid), **(more or {})}
    frames = batch.valid.shape[1]
    on_positions = isinstance(network, PositionModel)
    own: Any = network.model if on_positions else network
    step = time_step(own, own.features(x[:1]) if on_positions else x, own.layer_names())
    return {name: with_comb(each.assign(known, frames=frames), step) for name, each in made.items()}


def input_size(dims: tuple[str, ...], x: Tensor, valid: np.ndarray) -> dict[str, Any]:
    """Return `input_size` (sample, branch, channel): the mean |x| while somebody is there.

    Nothing for an input without named channels or branches.
    """
    kept = [dim for dim in _KEPT if dim in dims]
    if len(dims) != x.ndim or len(kept) < 2:
        return {}
    over = [i for i, dim in enumerate(dims) if dim not in kept]
    size = x.detach().abs().mean(over, dtype=torch.float64)
    there = valid.reshape(len(valid), -1).mean(axis=1).clip(min=1 / valid[0].size)
    order = [dim for dim in dims if dim in kept]
    size = size.permute([order.index(dim) for dim in kept])
    share = there.reshape(-1, *(1,) * (len(kept) - 1))
    return {"input_size": (tuple(kept), size.cpu().numpy() / share)}
