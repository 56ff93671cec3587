"""Our methods as other packages call them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from hargcn.explainers.base import Explainer


def explain_func(explainer: Explainer) -> Callable[..., np.ndarray]:
    """Return a method as Quantus calls it: `f(model, inputs, targets, **kwargs)`.

    The function takes arrays or tensors, places them where the network is, and returns the signed
    attributions as a new array, samples first, on the explanation's own axes. Further keyword
    arguments, such as Quantus' `device`, do not change the result. Quantus (Hedström et al. 2023)
    is not needed here.

    Parameters
    ----------
    explainer
        A method with its settings.
    """

    def explain(model: nn.Module, inputs: Any, targets: Any, **kwargs: Any) -> np.ndarray:
        del kwargs
        first = next(model.parameters(), torch.zeros(()))
        x = torch.as_tensor(inputs).to(first.device, first.dtype)
        wanted = torch.as_tensor(targets, device=first.device)
        return explainer(model, x, wanted).values.to_numpy().copy()

    return explain
