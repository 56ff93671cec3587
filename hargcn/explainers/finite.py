"""No explanation of what is no number: inputs and results that are not finite are refused."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hargcn.explanation import Explanation


def finite_input(x: Tensor, name: str = "sample") -> None:
    """Refuse samples that are not finite everywhere.

    Raises
    ------
    ValueError
        Names the first sample.
    """
    good = torch.isfinite(x)
    if x.ndim and not bool(good.all()):
        sample = int((~good).flatten(1).any(dim=1).int().argmax()) if x.ndim > 1 else 0
        raise ValueError(f"{name} {sample}: expected finite input (got {x[~good][0].item()})")


def finite_result(found: Explanation) -> Explanation:
    """Return an explanation whose scores and attributions are finite.

    Raises
    ------
    ValueError
        Names the first sample that has others.
    """
    finite_values(found.method, "score", found.score.to_numpy())
    finite_values(found.method, "attributions", found.values.to_numpy())
    return found


def finite_values(method: str, what: str, values: np.ndarray) -> None:
    """Refuse values (N, ...) of a method that are not finite; name the first sample."""
    bad = ~np.isfinite(values)
    if bad.any():
        sample = int(bad.reshape(len(bad), -1).any(axis=1).argmax())
        raise ValueError(
            f"sample {sample}: {method}: expected finite {what} (got {values[bad][0]}); is every "
            "weight of the network finite?"
        )
