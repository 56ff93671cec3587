"""The explained outputs of a model."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hargcn.explainers.hooks import undisturbed
from hargcn.explanation import DIMS
from hargcn.skeleton import Skeleton


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
        if self.utility != "logit" and out.shape[1] == 1:
            raise ValueError(
                f"Expected utility 'logit' for a model of one output (got {self.utility!r})"
            )
        if self.utility == "prob":
            return out.softmax(1)
        return out.log_softmax(1) if self.utility == "logprob" else out


@contextmanager
def frozen(
    model: nn.Module, utility: str, x: Tensor, rows: Tensor, dtype: torch.dtype | None = None
) -> Iterator[tuple[Score, Tensor, Tensor]]:
    """Give a model's score, samples and background in one precision, by default the model's.

    The model is frozen and in evaluation mode meanwhile; another precision works on a copy of it.
    """
    if x.ndim < 1 or len(x) == 0 or x.shape[1:] != rows.shape[1:]:
        raise ValueError(
            f"Expected samples shaped like the background {tuple(rows.shape[1:])} "
            f"(got {tuple(x.shape)})"
        )
    first = next(iter(model.parameters()), x)
    wanted = dtype or (first.dtype if first.is_floating_point() else x.dtype)
    with undisturbed(model):
        model = model if wanted == first.dtype else copy.deepcopy(model).to(wanted)
        score = Score(model, utility).eval()
        yield score, x.detach().to(first.device, wanted), rows.to(wanted)


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


def labels(model: nn.Module, x: Tensor, dims: Sequence[str]) -> dict[str, Any]:
    """Return what a model knows of its input's axes, as `Explanation.build` takes it."""
    names: Mapping[str, Sequence[str]] = getattr(model, "axis_names", {})
    sizes = dict(zip(dims, x.shape, strict=True))
    skeleton = getattr(model, "skeleton", None)
    coords: dict[str, Any] = {
        d: v for d, v in names.items() if d in dims[1:] and len(v) == sizes[d]
    }
    by_branch: Mapping[str, Sequence[str]] = getattr(model, "channel_names", {})
    if by_branch and {"branch", "channel"} <= coords.keys():
        table = [list(by_branch[branch]) for branch in coords["branch"]]
        coords["channel_name"] = (("branch", "channel"), table)
    return {
        "coords": coords,
        "skeleton": skeleton if isinstance(skeleton, Skeleton) else None,
        "frames": sizes.get("time"),
    }
