"""Measures that keep or remove the evidence a map points at.

Removed cells take the value of a substrate (an input edit of every joint, e.g. the frozen first
frame) instead of being multiplied to 0, which would shrink a skeleton to the origin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from hargcn.explanation import Explanation
from hargcn.metrics.faithfulness import area, per_sample
from hargcn.metrics.maps import cells, check, unit
from hargcn.metrics.runner import Runner, blend, probability, substrate
from hargcn.outputs import outputs_of
from hargcn.perturbation import InputEdit

Explainer = Callable[[nn.Module, Tensor, Tensor], Explanation]
"""(model, x, target) -> Explanation."""

FROZEN = InputEdit("freeze")


def deletion(
    model: nn.Module,
    x: Tensor,
    explanation: Explanation,
    edit: InputEdit = FROZEN,
    *,
    steps: int = 20,
    run: Runner | None = None,
) -> xr.DataArray:
    """Area under p_c while cells are replaced by the substrate, the highest of the map first.

    Petsiuk et al. 2018 (RISE), section 4.1; Zheng et al. 2022, section 4.3. Cells are (frame,
    joint), replaced in `steps` equal shares; the area is over the share, 0 to 1. Lower is better.
    """
    values = area(removal_curve(model, x, explanation, edit, steps=steps, run=run))
    return per_sample(values, explanation, "deletion")


def insertion(
    model: nn.Module,
    x: Tensor,
    explanation: Explanation,
    edit: InputEdit = FROZEN,
    *,
    steps: int = 20,
    run: Runner | None = None,
) -> xr.DataArray:
    """Area under p_c while the substrate's cells are replaced by the input's, the highest first.

    Petsiuk et al. 2018 (RISE), section 4.1; Zheng et al. 2022, section 4.3. Higher is better.
    """
    curve = removal_curve(model, x, explanation, edit, steps=steps, insert=True, run=run)
    return per_sample(area(curve), explanation, "insertion")


def removal_curve(
    model: nn.Module,
    x: Tensor,
    explanation: Explanation,
    edit: InputEdit = FROZEN,
    *,
    steps: int = 20,
    shares: Sequence[float] = (),
    insert: bool = False,
    run: Runner | None = None,
) -> np.ndarray:
    """Return p_c (sample, share) against the share of cells removed (or inserted).

    Shares are `steps` equal ones from 0 to 1 where none are given.
    """
    check(x, explanation)
    run = run or Runner()
    maps = cells(explanation, x.shape[-3])
    parts = np.reshape(list(shares) or np.arange(steps + 1) / steps, (-1, 1))

    def keep(block: np.ndarray) -> np.ndarray:
        place = places(maps[block], run.start + block, run.seed)[:, None]
        taken = place < np.round(parts * place.shape[-1])
        return (taken if insert else ~taken).reshape(len(block), len(parts), *maps.shape[1:])

    still = substrate(x, edit, run)
    logits = run.blended(model, x, still, keep, len(parts), "insert" if insert else "delete")
    return probability(logits, explanation.target.to_numpy(), outputs_of(model))


def places(maps: np.ndarray, samples: np.ndarray, seed: int) -> np.ndarray:
    """Return each cell's place (N, cells) in maps (N, T, V), the highest first, ties by chance.

    The numbers of the samples (N,) say which chance.
    """
    flat = maps.reshape(len(maps), -1)
    rngs = [np.random.default_rng([seed, sample]) for sample in samples]
    chance = np.stack([rng.random(flat.shape[1]) for rng in rngs])
    return np.lexsort((chance, -flat), axis=1).argsort(1)


def strongest(maps: np.ndarray, share: float, seed: int = 1234) -> np.ndarray:
    """Return maps (N, T, V) of which only a share of each one's positive cells is left.

    The highest stay as they are, ties by chance; all others are 0 (Zheng et al. 2022, table 2,
    limit the positive cells of a map before they keep what it shows).
    """
    flat = maps.reshape(len(maps), -1)
    count = np.round(share * (flat > 0).sum(1, keepdims=True))
    kept = places(maps, np.arange(len(maps)), seed) < count
    return np.where(kept, flat, 0.0).reshape(maps.shape)


def masked(
    model: nn.Module,
    x: Tensor,
    explanation: Explanation,
    edit: InputEdit = FROZEN,
    *,
    run: Runner | None = None,
) -> xr.Dataset:
    """Ask once what `average_drop`, `increase` and `add` tell of.

    Returns
    -------
    xarray.Dataset
        (sample,) `average-drop`, `increase`, `add`.
    """
    before, kept, removed = _masked(model, x, explanation, edit, run)
    figures = {
        "average-drop": np.maximum(0, before - kept) / before,
        "increase": (kept > before + 1e-6).astype(float),
        "add": np.maximum(0, before - removed) / before,
    }
    return xr.Dataset(
        {name: per_sample(values, explanation, name) for name, values in figures.items()}
    )


def average_drop(
    model: nn.Module,
    x: Tensor,
    explanation: Explanation,
    edit: InputEdit = FROZEN,
    *,
    run: Runner | None = None,
) -> xr.DataArray:
    """max(0, Y - O) / Y, Y = p_c of the input, O = p_c with only the map's evidence kept.

    Average Drop (Cai 2025, eq. 18, after Chattopadhay et al. 2018). Lower is better.
    """
    return masked(model, x, explanation, edit, run=run)["average-drop"]


def increase(
    model: nn.Module,
    x: Tensor,
    explanation: Explanation,
    edit: InputEdit = FROZEN,
    *,
    run: Runner | None = None,
) -> xr.DataArray:
    """1 where O > Y (see `average_drop`), else 0: Increase in Confidence (Cai 2025, eq. 22).

    Higher is better. A rise below 1e-6 is rounding: a map of ones gives O = Y, hence 0.
    """
    return masked(model, x, explanation, edit, run=run)["increase"]


def add(
    model: nn.Module,
    x: Tensor,
    explanation: Explanation,
    edit: InputEdit = FROZEN,
    *,
    run: Runner | None = None,
) -> xr.DataArray:
    """max(0, Y - D) / Y, D = p_c with the map's evidence removed: ADD (Cai 2025, eq. 23).

    Average Drop in Deletion (Jung & Oh 2021). Higher is better.
    """
    return masked(model, x, explanation, edit, run=run)["add"]


def complexity(explanation: Explanation, frames: int) -> xr.DataArray:
    """Mean of the map in [0, 1] (Cai 2025, eq. 20, after Poppi et al. 2021). Lower is better."""
    return per_sample(unit(cells(explanation, frames)).mean((1, 2)), explanation, "complexity")


def coherency(
    model: nn.Module,
    x: Tensor,
    explanation: Explanation,
    explainer: Explainer,
    edit: InputEdit = FROZEN,
    *,
    run: Runner | None = None,
) -> xr.DataArray:
    """(1 + rho) / 2, rho the Pearson correlation with the map of what the map keeps.

    Coherency (Cai 2025, eq. 19, after Poppi et al. 2021). Higher is better; 0.5 where either map
    has no contrast. Explains every sample once more.
    """
    check(x, explanation)
    run = run or Runner()
    maps = unit(cells(explanation, x.shape[-3]))
    kept = blend(x, substrate(x, edit, run), torch.from_numpy(maps).to(x))
    again = unit(explain_again(explainer, model, kept, explanation.target.to_numpy(), run))
    a, b = (each.reshape(len(each), -1) for each in (maps, again))
    a, b = (each - each.mean(1, keepdims=True) for each in (a, b))
    norms = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    rho = (a * b).sum(1) / np.where(norms > 1e-12, norms, 1)
    return per_sample((1 + rho) / 2, explanation, "coherency")


def adcc(
    model: nn.Module,
    x: Tensor,
    explanation: Explanation,
    explainer: Explainer,
    edit: InputEdit = FROZEN,
    *,
    run: Runner | None = None,
) -> xr.Dataset:
    """3 / (1 / coherency + 1 / (1 - complexity) + 1 / (1 - average drop)), 0 where a part is 0.

    ADCC (Cai 2025, eq. 21, after Poppi et al. 2021, eq. 5). Higher is better.

    Returns
    -------
    xarray.Dataset
        `adcc` (sample,), of every sample's own parts; `adcc-of-means` (sample, part) the parts,
        whose means over a data set `harmonic_of_means` makes the papers' figure of.
    """
    return adcc_of(
        coherency(model, x, explanation, explainer, edit, run=run),
        complexity(explanation, x.shape[-3]),
        average_drop(model, x, explanation, edit, run=run),
    )


def adcc_of(alike: xr.DataArray, complex_: xr.DataArray, drop: xr.DataArray) -> xr.Dataset:
    """Return what `adcc` does of its parts: coherency, complexity and average drop."""
    parts = [alike, 1 - complex_, 1 - drop]
    each = xr.concat(parts, "part", coords="minimal", compat="override").transpose("sample", "part")
    single = harmonic_of_means(each.to_numpy()[None])
    made = alike.copy(data=single).rename("adcc")
    return xr.Dataset({"adcc": made, "adcc-of-means": each})


def harmonic_of_means(parts: np.ndarray, axis: int = 0) -> np.ndarray:
    """Return the harmonic mean over the last axis of parts averaged over another; 0 with a 0."""
    means = np.mean(parts, axis=axis)
    whole = means.min(-1) > 0
    harmonic = means.shape[-1] / (1 / np.where(whole[..., None], means, 1)).sum(-1)
    return np.where(whole, harmonic, 0)


def explain_again(
    explainer: Explainer, model: nn.Module, x: Tensor, target: np.ndarray, run: Runner
) -> np.ndarray:
    """Explain edited windows in batches and return their maps (sample, time, joint)."""
    parts = []
    for block in run.batches(x, "explain again"):
        ready = run.prepare(x[block], block).detach()
        explanation = explainer(model, ready, torch.as_tensor(target[block]))
        parts.append(cells(explanation, x.shape[-3]))
    return np.concatenate(parts)


def _masked(
    model: nn.Module, x: Tensor, explanation: Explanation, edit: InputEdit, run: Runner | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return p_c of the input, of what the map keeps, and of what it leaves: (sample,) each."""
    check(x, explanation)
    run = run or Runner()
    maps = unit(cells(explanation, x.shape[-3]))

    def keep(block: np.ndarray) -> np.ndarray:
        return np.stack([np.ones_like(maps[block]), maps[block], 1 - maps[block]], axis=1)

    logits = run.blended(model, x, substrate(x, edit, run), keep, 3, "mask")
    p = probability(logits, explanation.target.to_numpy(), outputs_of(model))
    return p[:, 0], p[:, 1], p[:, 2]
