"""Opening what a user names: a network, windows, explanations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import torch

from hargcn.checks import at_least
from hargcn.data.windows import Windows
from hargcn.explanation import Explanation
from hargcn.networks.checkpoint import load_model
from hargcn.networks.stgcn import MultiBranchSTGCN


def open_network(checkpoint: str | Path, device: str = "cpu") -> MultiBranchSTGCN:
    """Read a checkpoint onto a device: "cpu", "cuda" or "cuda:N".

    Raises
    ------
    ValueError
        For a device that is not there, and for what `load_model` refuses.
    """
    named = re.fullmatch(r"cuda(?::(\d+))?", device)
    there = torch.cuda.device_count()
    if device != "cpu" and (named is None or int(named[1] or 0) >= there):
        raise ValueError(
            f"Expected device cpu, cuda or cuda:N; {there} CUDA devices are here (got {device!r})"
        )
    return load_model(checkpoint, device)


def open_windows(path: str | Path, split: str = "all", limit: int | None = None) -> Windows:
    """Open a windows file, or of it a set ("train", "val", "test"), or that set's first windows.

    Raises
    ------
    ValueError
        For a set that no window belongs to, and for what `Windows.open` refuses.
    """
    at_least("limit", limit, 1)
    windows = Windows.open(path)
    windows = windows if split == "all" else windows.subset(split)
    return windows if limit is None else windows.subset(slice(0, limit))


def open_explanations(paths: Sequence[str | Path]) -> dict[str, Explanation]:
    """Open explanation files by method and layer, or by file name where these are the same.

    Raises
    ------
    TypeError
        For a single name instead of a list.
    ValueError
        For no file, and for what `Explanation.open` refuses.
    """
    if isinstance(paths, str | Path):
        raise TypeError(f"Expected a list of explanation files (got {str(paths)!r})")
    if not paths:
        raise ValueError("Expected at least one explanation file (got none)")
    read = [Explanation.open(path) for path in paths]
    for names in ([e.name for e in read], [Path(path).stem for path in paths]):
        if len(set(names)) == len(names):
            return dict(zip(names, read, strict=True))
    return dict(zip(map(str, paths), read, strict=True))
