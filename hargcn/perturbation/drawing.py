"""What edge and input edits share: reproducible random numbers and checks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def as_keys(seeds: Sequence[int] | np.ndarray | None, rows: int) -> np.ndarray:
    """Return one key per row, (rows, n) int: the seeds, by default the row's number."""
    keys = np.arange(rows) if seeds is None else np.asarray(seeds)
    if len(keys) != rows:
        raise ValueError(f"Expected one seed for each of {rows} rows (got {len(keys)})")
    return keys.reshape(rows, -1)


def normal(shape: Sequence[int], keys: np.ndarray, like: Tensor) -> Tensor:
    """Draw standard normal numbers `(rows, *shape)`, the same for rows of the same key.

    A row's numbers depend on its key alone, never on the batch it happens to travel in.
    """
    unique, inverse = np.unique(keys, axis=0, return_inverse=True)
    drawn = [np.random.default_rng(key).standard_normal(shape, np.float32) for key in unique]
    return torch.from_numpy(np.stack(drawn)[inverse.ravel()]).to(like)
