"""Stability: how far an explanation moves when the window hardly does (Agarwal et al. 2022)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from hargcn.explainers.adapter import adapted
from hargcn.explainers.hooks import undisturbed
from hargcn.explanation import Explanation
from hargcn.metrics.faithfulness import per_sample
from hargcn.metrics.maps import check
from hargcn.metrics.masking import Explainer
from hargcn.metrics.runner import Runner, same_answer
from hargcn.outputs import outputs_of
from hargcn.perturbation import InputEdit

Relative = Literal["element", "norm"]
TREMBLE = InputEdit("noise", 0.5, tracker=True)


def stability(
    model: nn.Module,
    x: Tensor,
    explanation: Explanation,
    explainer: Explainer,
    edit: InputEdit = TREMBLE,
    *,
    neighbours: int = 5,
    layer: str = "",
    relative: Relative = "element",
    run: Runner | None = None,
) -> xr.Dataset:
    """Relative stability to the input, to a representation and to the logits.

    Per sample the maximum over neighbours x' of the same predicted class (or level, or labels) of
    |(e - e') / e| / max(|(d - d') / d|, 1e-6), e the explanation's values and d the window (RIS,
    Agarwal et al. 2022, eq. 2), a layer's output (RRS, eq. 3) or the logits (ROS, eq. 5). Lower is
    better. Norms are root mean squares, so that maps of different size compare. Explains every
    sample `neighbours` times; a sample all of whose neighbours change class is NaN.

    Parameters
    ----------
    explainer
        What made `explanation`.
    edit
        Makes a neighbour, of all joints; must draw random numbers.
    layer
        Submodule whose output is the representation; "" leaves RRS out.
    relative
        "element" divides element by element as the definition says, where an element near zero
        (below a thousandth of the sample's largest) counts as that thousandth; "norm" divides the
        norm of the difference by the norm: another quantity, named `ris-norm` and so on.

    Returns
    -------
    xarray.Dataset
        `ris`, `rrs` (with a layer) and `ros`, each (sample,).
    """
    check(x, explanation)
    if not edit.drawn:
        raise ValueError(f"Expected an edit that draws neighbours, noise or shift (got {edit})")
    run = run or Runner()
    suffix = "-norm" if relative == "norm" else ""
    names = ["ris", *(["rrs"] if layer else []), "ros"]
    worst = {name: np.full(len(x), np.nan) for name in names}
    values = explanation.values.to_numpy().astype(float)
    target = explanation.target.to_numpy()
    for block in run.batches(x, "stability"):
        ready = run.prepare(x[block], block)
        base = _observe(model, x[block], ready, layer)
        joints = torch.ones(len(block), x.shape[-2], dtype=torch.bool)
        for draw in range(neighbours):
            seeds = run.seeds(block, block * 0 + draw)
            valid = None if run.valid is None else run.valid[block]
            moved = edit.apply(x[block], joints, skeleton=run.skeleton, valid=valid, seeds=seeds)
            near = run.prepare(moved, block).detach()
            seen = _observe(model, moved, near, layer)
            again = explainer(model, near, torch.as_tensor(target[block])).values.to_numpy()
            same = same_answer(base["ros"], seen["ros"], outputs_of(model))
            change = _change(values[block], again.astype(float), relative)
            for name in names:
                ratio = change / np.maximum(_change(base[name], seen[name], relative), 1e-6)
                kept = np.where(same, ratio, np.nan)
                worst[name][block] = np.fmax(worst[name][block], kept)
    return xr.Dataset(
        {name: per_sample(found, explanation, name + suffix) for name, found in worst.items()}
    )


def _observe(model: nn.Module, x: Tensor, ready: Tensor, layer: str) -> dict[str, np.ndarray]:
    """Return window, representation and logits of a batch, (rows, numbers) each."""
    kept: list[Tensor] = []
    handle = None
    if layer:
        module = adapted(model, ready).get_layer(layer)
        handle = module.register_forward_hook(lambda *seen: kept.append(seen[2]))
    try:
        with undisturbed(model), torch.inference_mode():
            logits = model(ready)
    finally:
        if handle is not None:
            handle.remove()
    seen = {"ris": x, "ros": logits}
    if kept:
        seen["rrs"] = kept[-1]
    return {
        name: value.detach().double().cpu().numpy().reshape(len(x), -1)
        for name, value in seen.items()
    }


def _change(a: np.ndarray, b: np.ndarray, relative: Relative) -> np.ndarray:
    """Return the relative change from a to b per sample, (rows,)."""
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    if relative == "norm":
        size = np.sqrt((a**2).mean(1))
        return np.sqrt(((a - b) ** 2).mean(1)) / np.maximum(size, 1e-12)
    least = np.maximum(1e-3 * np.abs(a).max(1, keepdims=True), 1e-12)
    return np.sqrt((((a - b) / np.maximum(np.abs(a), least)) ** 2).mean(1))
