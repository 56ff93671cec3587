"""Which windows a network decides by their planted sign: without it the decision is another one."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from hargcn.checks import at_least, writable
from hargcn.data.windows import Windows
from hargcn.explainers.contrast import expect_classes
from hargcn.files import replacing
from hargcn.networks.network import SkeletonNetwork
from hargcn.outputs import outputs_of
from hargcn.pipeline.opening import check_preparation, open_network, open_windows, some_of


class TooFewWindows(ValueError):
    """So few windows are decided by the sign that nothing can be said of their explanations."""


def decided_by_sign(
    checkpoint: str | Path,
    windows: str | Path,
    out: str | Path,
    names: str | Path,
    *,
    without_sign: str | Path,
    without_decoys: str | Path,
    split: str = "test",
    limit: int | None = None,
    limit_seed: int | None = None,
    fewest: int = 1,
    batch: int = 64,
    device: str = "cpu",
) -> list[str]:
    """Find the windows that a network decides by their sign, and by nothing else that is planted.

    Their class is predicted; it is not without the sign; it still is without the decoys. Of other
    windows it is not known that the network has seen the sign, and an explanation that does not
    point there may well be right.

    Parameters
    ----------
    checkpoint, windows
        The network, and a file of planted windows.
    out
        A table to write (.csv), of one row: windows with a `sign`, how many of these are
        `recognised`, how many of those no longer are without the sign (`flipped`), still are
        without the decoys (`steady`), both (`decided`), and how many are `taken`.
    names
        A file to write (.txt): the names of the windows taken, one a line; `explain` takes it as
        `split`.
    without_sign, without_decoys
        The same windows, planted with `plant.leave_out`.
    split
        Which set of them.
    limit, limit_seed
        Take the first so many, or so many drawn with a seed.
    fewest
        Refuse to go on with fewer.
    batch
        Windows per pass.
    device
        "cpu", "cuda" or "cuda:N".

    Returns
    -------
    list of str
        The names.

    Raises
    ------
    TooFewWindows
        If fewer than `fewest` windows are decided by their sign; `out` and `names` are written.
    ValueError
        For windows without planted evidence, others than the first file's, or other outcomes than
        classes.
    """
    at_least("limit", limit, 1)
    at_least("batch", batch, 1)
    inputs = (checkpoint, windows, without_sign, without_decoys)
    out, names = writable(out, *inputs, suffix=".csv"), writable(names, *inputs, suffix=".txt")
    model = open_network(checkpoint, device, open_windows(windows))
    whole = open_windows(windows, split, network=model)
    check_preparation(model, whole)
    expect_classes(outputs_of(model))
    truth = whole.truth()
    if truth is None:
        raise ValueError(f"{windows}: expected planted windows (they hold no truth)")
    signed = whole.subset(truth.any(axis=(1, 2)))
    said = _said(model, signed, batch)
    gone, calm = (
        _said(model, _same(path, split, signed, model), batch)
        for path in (without_sign, without_decoys)
    )
    recognised = said == signed.label
    flipped, steady = recognised & (gone != said), recognised & (calm == said)
    kept = np.flatnonzero(flipped & steady)
    taken = kept if limit is None else kept[some_of(len(kept), limit, limit_seed)]
    counts = {
        "sign": len(signed), "recognised": int(recognised.sum()), "flipped": int(flipped.sum()),
        "steady": int(steady.sum()), "decided": len(kept), "taken": len(taken),
    }  # fmt: skip
    chosen = [signed.names[at] for at in taken]
    with replacing(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([counts.keys(), counts.values()])
    with replacing(names) as temporary:
        temporary.write_text("".join(f"{name}\n" for name in chosen), encoding="utf-8")
    if len(chosen) < fewest:
        raise TooFewWindows(
            f"{windows}: expected {fewest} windows that {checkpoint} decides by their sign "
            f"(got {len(chosen)} of {len(signed)})"
        )
    return chosen


def _same(path: str | Path, split: str, like: Windows, model: SkeletonNetwork) -> Windows:
    """Open the same windows in another file."""
    other = open_windows(path, split, network=model)
    rows = {name: row for row, name in enumerate(other.names)}
    if lost := [name for name in like.names if name not in rows]:
        raise ValueError(f"{path}: expected the windows of {like.path} (it has no {lost[0]!r})")
    found = other.subset([rows[name] for name in like.names])
    if not np.array_equal(found.label, like.label):
        raise ValueError(f"{path}: expected the classes of {like.path} (got others)")
    return found


def _said(model: SkeletonNetwork, windows: Windows, batch: int) -> np.ndarray:
    """Return the predicted class of every window, (N,)."""
    starts: Sequence[int] = range(0, len(windows), batch)
    model.eval()
    with torch.inference_mode():
        parts = [
            model(model.inputs(windows.subset(slice(at, at + batch)).read())).argmax(1)
            for at in starts
        ]
    return torch.cat(parts).cpu().numpy() if parts else np.zeros(0, int)
