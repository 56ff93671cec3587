"""Faithfulness: whether the model reacts to the joints, or edges, that are called important."""

from __future__ import annotations

import numpy as np
import xarray as xr
from torch import Tensor, nn

from hargcn.explanation import Explanation
from hargcn.metrics.maps import Order, ordering
from hargcn.metrics.runner import Runner, probability
from hargcn.metrics.units import Units
from hargcn.outputs import outputs_of
from hargcn.perturbation import Edit


def per_sample(values: np.ndarray, explanation: Explanation, name: str) -> xr.DataArray:
    """Name a measure's (sample,) values."""
    coords = {"sample": explanation.values["sample"].to_numpy()}
    return xr.DataArray(values, coords, ("sample",), name=name)


def gap_curve(
    model: nn.Module,
    x: Tensor,
    explanation: Explanation,
    edit: Edit,
    *,
    complement: bool = False,
    top: int | None = None,
    order: Order = "signed",
    draws: int = 1,
    run: Runner | None = None,
) -> np.ndarray:
    """Return |p_c(x) - p_c(x')| with the k most important joints, or edges, edited, k = 0..top.

    The prediction gap of Dai et al. 2022 (OpenXAI); c is the explained class. Of a regression it is
    the change of the value, in its units.

    Parameters
    ----------
    explanation, edit
        Of joints; or of edges, with an edit of "single" ones.
    complement
        Edit everything except those instead.
    top
        The largest k; default all.

    Returns
    -------
    numpy.ndarray
        (sample, top + 1), the mean over draws.
    """
    run = run or Runner()
    units = Units.of(model, x, [explanation], edit, run)
    scores = units.scores(explanation, order)
    ranks = np.argsort(ordering(scores, order, run.seed, run.start), axis=1)
    k = np.arange((len(units) if top is None else top) + 1)[:, None]
    chosen = ranks[:, None] >= k if complement else ranks[:, None] < k
    target, outputs = explanation.target.to_numpy(), outputs_of(model)
    before = probability(run.logits(model, x), target, outputs)
    after = probability(run.edited(model, x, edit, units.sets(chosen), draws), target, outputs)
    return np.abs(before[:, None, None] - after).mean(-1)


def pgi(
    model: nn.Module,
    x: Tensor,
    explanation: Explanation,
    edit: Edit,
    *,
    top: int | None = None,
    order: Order = "signed",
    draws: int = 1,
    run: Runner | None = None,
) -> xr.DataArray:
    """Prediction gap on important features: area under `gap_curve` over k, divided by top.

    PGI of Dai et al. 2022 (OpenXAI), which Tempel et al. 2024, section 6, name without defining it.
    Higher is better. Trapezoids, k = 0..top (default all joints, or edges).
    """
    gaps = gap_curve(model, x, explanation, edit, top=top, order=order, draws=draws, run=run)
    return per_sample(area(gaps), explanation, "pgi")


def pgu(
    model: nn.Module,
    x: Tensor,
    explanation: Explanation,
    edit: Edit,
    *,
    top: int | None = None,
    order: Order = "signed",
    draws: int = 1,
    run: Runner | None = None,
) -> xr.DataArray:
    """Prediction gap on unimportant features: as `pgi` with everything but the k edited.

    PGU of Dai et al. 2022 (OpenXAI). Lower is better.
    """
    gaps = gap_curve(
        model, x, explanation, edit, complement=True, top=top, order=order, draws=draws, run=run
    )
    return per_sample(area(gaps), explanation, "pgu")


def area(curves: np.ndarray) -> np.ndarray:
    """Return the trapezoid area under curves (..., steps), the last axis spanning 1."""
    return (curves[..., 1:] + curves[..., :-1]).mean(-1) / 2


def sensitivity_n(
    model: nn.Module,
    x: Tensor,
    explanation: Explanation,
    edit: Edit,
    *,
    size: int | None = None,
    subsets: int = 50,
    run: Runner | None = None,
) -> xr.DataArray:
    """Pearson correlation of attribution and effect over random sets of n joints, or edges.

    Sensitivity-n (Ancona et al. 2018, section 4): within each sample, between the sum of the
    attributions of n joints and p_c(x) - p_c(x without them). Higher is better; 0 where the
    attributions of all sets are equal, NaN where the effects are.

    Parameters
    ----------
    size
        n; default a quarter of all, at least 1.
    subsets
        Random sets per sample.
    """
    run = run or Runner()
    units = Units.of(model, x, [explanation], edit, run)
    size = size or max(1, len(units) // 4)
    chosen, effect = set_effects(model, x, explanation, edit, subsets, size, units, run)
    rho = foretold(units.scores(explanation), chosen, effect)
    return per_sample(rho, explanation, "sensitivity-n")


def foretold(scores: np.ndarray, chosen: np.ndarray, effect: np.ndarray) -> np.ndarray:
    """Return the correlation (N,) of summed scores with the effects of sets (see `set_effects`).

    Explanations of the same classes share the effects, so that they are asked for once.
    """
    attributed = (chosen * scores[:, None]).sum(-1)
    a, b = (each - each.mean(1, keepdims=True) for each in (attributed, effect))
    norms = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    rho = (a * b).sum(1) / np.where(norms > 0, norms, 1)
    return np.where((b**2).sum(1) > 0, rho, np.nan)


def infidelity(
    model: nn.Module,
    x: Tensor,
    explanation: Explanation,
    edit: Edit,
    *,
    subsets: int = 50,
    run: Runner | None = None,
) -> xr.DataArray:
    """Mean squared error of predicting the effect of removing random joints, or edges, scaled.

    Infidelity (Yeh et al. 2019, eq. 1) for perturbations that remove random sets S of joints:
    sum_S (b a_S - y_S)^2 / sum_S y_S^2, a_S the summed attributions, y_S = p_c(x) - p_c(x without
    S) and b >= 0 the best scale, since maps have no unit in common. 0 is perfect, 1 is a map that
    says nothing (or the opposite). NaN where no set has any effect. Lower is better.
    """
    run = run or Runner()
    units = Units.of(model, x, [explanation], edit, run)
    chosen, effect = set_effects(model, x, explanation, edit, subsets, None, units, run)
    attributed = (chosen * units.scores(explanation)[:, None]).sum(-1)
    power = (attributed**2).sum(1, keepdims=True)
    scale = (attributed * effect).sum(1, keepdims=True) / np.where(power > 0, power, 1)
    error = ((np.maximum(scale, 0) * attributed - effect) ** 2).sum(1)
    total = (effect**2).sum(1)
    relative = error / np.where(total > 0, total, 1)
    return per_sample(np.where(total > 0, relative, np.nan), explanation, "infidelity")


def set_effects(
    model: nn.Module,
    x: Tensor,
    explanation: Explanation,
    edit: Edit,
    subsets: int,
    size: int | None,
    units: Units,
    run: Runner,
) -> tuple[np.ndarray, np.ndarray]:
    """Return random sets of `size` units, or of any, and p_c(x) - p_c(x without them).

    Returns
    -------
    chosen
        (sample, subsets, unit) bool.
    effect
        (sample, subsets).
    """
    shape, whole = (len(x), subsets, len(units)), run.whole or len(x)
    order = run.uniform(1, len(x), subsets * len(units)).reshape(shape).argsort(-1)
    sizes: int | np.ndarray
    if size is None:
        rng = run.generator(whole * subsets * len(units))
        sizes = rng.integers(1, len(units), (whole, subsets, 1))[run.start :][: len(x)]
    else:
        sizes = size
    chosen = order < sizes
    target, outputs = explanation.target.to_numpy(), outputs_of(model)
    before = probability(run.logits(model, x), target, outputs)
    after = probability(run.edited(model, x, edit, units.sets(chosen)), target, outputs).mean(-1)
    return chosen, before[:, None] - after


def efficiency_gap(explanation: Explanation) -> xr.DataArray:
    """|sum of attributions + base value - score| relative to |score - base value|, as stored.

    Only methods that promise a sum store it; others are NaN. 0 is exact.
    """
    if "relative_gap" not in explanation.dataset:
        return per_sample(np.full(len(explanation), np.nan), explanation, "efficiency-gap")
    return per_sample(explanation.relative_gap.to_numpy(), explanation, "efficiency-gap")
