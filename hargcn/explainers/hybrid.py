"""Hybrid explanations: what SHAP says of features together with where Grad-CAM looks."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr
from scipy.stats import rankdata
from torch import Tensor, nn

from hargcn.explainers.base import Explainer
from hargcn.explainers.passes import Passes
from hargcn.explanation import DIMS, Explanation
from hargcn.registry import settings

Form = Literal["rank", "product"]
_OWN = ("attribution", "target", "score", "predicted")


def rank_average(shap: Explanation, cam: Explanation) -> Explanation:
    """Average the ranks of two maps, cell by cell.

    Both are brought to the axes they share and to input frames; within a sample each cell's rank
    is scaled to [-1, 1] (ties share their mean rank), and the two are averaged. No scale of either
    method enters. (The hybrid score that Tempel et al. 2024, section 6, look out to.)

    Parameters
    ----------
    shap, cam
        Explanations of the same samples and classes.

    Returns
    -------
    Explanation
        Over the shared axes; 0 is the middle rank.
    """
    a, b = _aligned(shap, cam)
    shared = [dim for dim in DIMS if dim in a.dims and dim in b.dims]
    a, b = (
        each.mean([d for d in each.dims if d not in shared]).transpose(*shared) for each in (a, b)
    )
    a, b = xr.align(a, b, join="override")
    return _built(shap, cam, a.copy(data=(_ranks(a) + _ranks(b)) / 2), "rank")


def product(shap: Explanation, cam: Explanation) -> Explanation:
    """Weigh every feature's attribution by the positive part of a spatial map, scaled to [0, 1].

    SHAP keeps its sign and its axes (branch, channel); the map, which has none, holds for all of
    them. Where Grad-CAM sees nothing, nothing is left.

    Parameters
    ----------
    shap, cam
        Explanations of the same samples and classes.

    Returns
    -------
    Explanation
        With the axes of `shap`.
    """
    a, b = _aligned(shap, cam)
    b = b.mean([dim for dim in b.dims if dim not in a.dims]).clip(min=0)
    top = b.max([dim for dim in b.dims if dim != "sample"])
    weight = b / top.where(top > 0, 1)
    a, weight = xr.align(a, weight, join="override")
    return _built(shap, cam, (a * weight).transpose(*a.dims).astype(a.dtype), "product")


@settings
class HybridRank(Explainer):
    """Run two explainers and average the ranks of their maps (`rank_average`).

    Parameters
    ----------
    shap, cam
        The explainers.
    """

    name = "hybrid-rank"
    label = "hybrid (ranks)"
    source = "outlook of Tempel et al. 2024, section 6"
    needs = ("shap", "cam")
    cost = "that of both"

    shap: Explainer
    cam: Explainer

    def supports(self, model: nn.Module, x: Tensor) -> str:
        """Return why one of the two does not."""
        return self.shap.supports(model, x) or self.cam.supports(model, x)

    def passes(self, model: nn.Module, x: Tensor) -> Passes | None:
        """Return those of both, where they are known."""
        first, second = self.shap.passes(model, x), self.cam.passes(model, x)
        return None if first is None or second is None else first + second

    def explain(self, model: nn.Module, x: Tensor, target: Any) -> Explanation:
        """Explain with both and combine."""
        return rank_average(self.shap(model, x, target), self.cam(model, x, target))


class HybridProduct(HybridRank):
    """Run two explainers and keep the first where the second's map is positive (`product`)."""

    name = "hybrid-product"
    label = "hybrid (product)"

    def explain(self, model: nn.Module, x: Tensor, target: Any) -> Explanation:
        """Explain with both and combine."""
        return product(self.shap(model, x, target), self.cam(model, x, target))


def _aligned(shap: Explanation, cam: Explanation) -> tuple[xr.DataArray, xr.DataArray]:
    """Bring both to the frames of the finer one; refuse different samples, classes, joints."""
    for each in (shap, cam):
        each.expect_axes("hybrid")
    names = [each.dataset["sample"].to_numpy().astype(str) for each in (shap, cam)]
    if len(names[0]) == len(names[1]) and (names[0] != names[1]).any():
        raise ValueError(
            f"Expected explanations of the same windows (got {shap.name!r} and {cam.name!r} "
            "of others, or in another order)"
        )
    for name in ("sample", "joint"):
        if shap.values.sizes.get(name) != cam.values.sizes.get(name):
            raise ValueError(
                f"Expected explanations of as many {name}s (got {dict(shap.values.sizes)} "
                f"and {dict(cam.values.sizes)})"
            )
    joints = [each.dataset.get("joint") for each in (shap, cam)]
    named = [list(each.data) for each in joints if each is not None]
    if len(named) == 2 and named[0] != named[1]:
        raise ValueError("Expected explanations of the same joints, in the same order")
    if not np.array_equal(shap.asked, cam.asked):
        raise ValueError(
            f"Expected explanations of the same classes (got {shap.name!r} and {cam.name!r})"
        )
    sizes = [each.values.sizes.get("time", 0) for each in (shap, cam)]
    if 0 in sizes:
        return shap.values, cam.values
    frames = max(sizes)
    a, b = (
        each if each.values.sizes["time"] == frames else each.upsample(frames)
        for each in (shap, cam)
    )
    return a.values, b.values


def _ranks(values: xr.DataArray) -> np.ndarray:
    """Return ranks within each sample, scaled to [-1, 1]."""
    flat = values.to_numpy().reshape(len(values), -1)
    ranks = rankdata(flat, axis=1) - 1
    return (2 * ranks / max(flat.shape[1] - 1, 1) - 1).reshape(values.shape).astype(np.float32)


def _built(shap: Explanation, cam: Explanation, values: xr.DataArray, form: Form) -> Explanation:
    """Wrap the values with whatever both explanations say alike: labels, movement, truth."""
    alike = {
        str(name): (variable.dims, variable.to_numpy())
        for name, variable in shap.dataset.data_vars.items()
        if name not in _OWN and name in cam.dataset and variable.equals(cam.dataset[name])
    }
    made = Explanation.build(
        values.to_numpy(),
        [str(dim) for dim in values.dims],
        method=f"hybrid-{form}",
        label={"rank": HybridRank, "product": HybridProduct}[form].label,
        layer=cam.layer,
        target=shap.target.to_numpy(),
        score=shap.score.to_numpy(),
        predicted=shap.dataset.get("predicted"),
        utility=shap.utility,
        settings={"shap": shap.name, "cam": cam.name},
        coords={str(dim): values[dim].to_numpy() for dim in values.dims if dim in values.coords},
        skeleton=shap.skeleton or cam.skeleton,
        frames=values.sizes.get("time"),
        variables=alike,
    )
    ours, theirs = made.dataset.attrs, cam.dataset.attrs
    both = {k: v for k, v in shap.dataset.attrs.items() if theirs.get(k) == v and k not in ours}
    return made.assign(**both)
