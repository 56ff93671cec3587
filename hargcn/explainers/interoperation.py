"""Our methods as other packages call them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from hargcn.explainers.adapter import input_axes
from hargcn.explainers.base import Explainer


def explain_func(explainer: Explainer) -> Callable[..., np.ndarray]:
    """Return a method as Quantus calls it: `f(model=, inputs=, targets=, **kwargs)`.

    Quantus (Hedström et al. 2023) is not needed here. Its metrics hand over arrays (a sample alone
    as a batch of one) and further keywords such as `device`, which do not change the result; they
    take back an array of the input's axes, for they know axes by their sizes. So a map's time is
    brought to the input's frames, and its values are repeated along axes that it has none of.
    Quantus wants `channel_first=True` for inputs of other than three or four axes, and no axes of
    size one at both ends of them.

    Parameters
    ----------
    explainer
        A method with its settings.

    Returns
    -------
    callable
        Takes arrays or tensors, places them where the network is, and returns the signed
        attributions as a new array of the shape of the inputs. It raises ValueError for a map with
        axes that the input does not have.
    """

    def explain(model: nn.Module, inputs: Any, targets: Any, **kwargs: Any) -> np.ndarray:
        del kwargs
        first = next(model.parameters(), torch.zeros(()))
        x = torch.as_tensor(inputs).to(first.device, first.dtype)
        made = explainer(model, x, torch.as_tensor(targets, device=first.device))
        dims = input_axes(model, x)
        if alien := [dim for dim in made.dims if dim not in dims]:
            raise ValueError(
                f"{explainer.name}: expected a map of the input's axes {', '.join(dims)} "
                f"(got {', '.join(alien)})"
            )
        frames = x.shape[dims.index("time")] if "time" in dims else 0
        if "time" in made.dims and made.values.sizes["time"] != frames:
            made = made.upsample(frames)
        values = made.values.transpose(*(dim for dim in dims if dim in made.dims)).to_numpy()
        missing = tuple(place for place, dim in enumerate(dims) if dim not in made.dims)
        return np.broadcast_to(np.expand_dims(values, missing), x.shape).copy()

    return explain
