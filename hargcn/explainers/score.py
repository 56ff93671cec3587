"""The explained outputs of a model."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hargcn.explanation import DIMS


class Score(nn.Module):
    """The explained outputs of a model: (n, classes) logits, probabilities or their logarithms."""

    def __init__(self, model: nn.Module, utility: str) -> None:
        super().__init__()
        self.model = model
        self.utility = utility

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, ...) to (n, classes); a model of one output per sample has one class."""
        out = self.model(x)
        if not isinstance(out, Tensor) or out.ndim not in (1, 2):
            found = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise ValueError(f"Expected the model to return (n, classes) (got {found})")
        out = out.unsqueeze(1) if out.ndim == 1 else out
        if self.utility == "prob":
            return out.softmax(1)
        return out.log_softmax(1) if self.utility == "logprob" else out


def converted(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Copy a model in another precision; the model itself stays as it is."""
    return copy.deepcopy(model).to(dtype)


def axis_names(model: nn.Module, x: Tensor, dims: Sequence[str] | None) -> tuple[str, ...]:
    """Name the axes of ``x``: as given, as the model says, as `DIMS` for six axes, or by number."""
    if dims is not None:
        if len(dims) != x.ndim or dims[0] != "sample":
            raise ValueError(f"Expected {x.ndim} dims, the first 'sample' (got {tuple(dims)})")
        return tuple(dims)
    own = tuple(getattr(model, "input_dims", ()))
    if len(own) == x.ndim:
        return own
    return DIMS if x.ndim == 6 else ("sample", *(f"axis{i}" for i in range(1, x.ndim)))
