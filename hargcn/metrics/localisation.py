"""Localisation: whether a map lies where the evidence was planted.

Every figure has a chance level, the share of cells that are evidence, and three controls. Evidence
against distractors only, cells of the same kind and size of change without class information: a
large attribution wherever movement is unusual fools the first, not the second. Evidence within its
own joints, over time only: a map that always marks the same joints, whatever happens, is at chance.
Both at once, where distractors fall on the evidence's joints.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.stats import rankdata

from hargcn.explanation import Explanation
from hargcn.metrics.faithfulness import per_sample
from hargcn.metrics.maps import cells


def energy(
    explanation: Explanation,
    truth: np.ndarray,
    *,
    among: np.ndarray | None = None,
    absolute: bool = False,
) -> xr.DataArray:
    """Share of the positive map inside the truth: energy-based pointing game.

    Zheng et al. 2022, eq. 8 (after Wang et al. 2020, Score-CAM). Higher is better; chance is
    `mask_area`. A map without any positive cell points nowhere: 0.

    Parameters
    ----------
    truth
        (sample, time, joint) bool; samples without evidence are NaN.
    among
        (sample, time, joint) bool: the only cells that count; default all.
    absolute
        Take magnitudes instead of the positive part.
    """
    maps, truth, among = checked_cells(explanation, truth, among)
    maps = np.where(among, np.abs(maps) if absolute else np.maximum(maps, 0), 0)
    total = maps.sum(1)
    share = (maps * truth).sum(1) / np.where(total > 0, total, 1)
    return per_sample(np.where(_defined(truth, among), share, np.nan), explanation, "energy")


def auroc(
    explanation: Explanation,
    truth: np.ndarray,
    *,
    among: np.ndarray | None = None,
    absolute: bool = False,
) -> xr.DataArray:
    """Area under the ROC curve of the map's cells as detector of the truth, per sample.

    Probability that an evidence cell lies above another, ties half. Higher is better; chance is
    0.5. Arguments as for `energy`.
    """
    maps, truth, among = checked_cells(explanation, truth, among)
    maps = np.abs(maps) if absolute else maps
    values = [_auroc(m[a], t[a]) for m, t, a in zip(maps, truth, among, strict=True)]
    return per_sample(np.array(values), explanation, "auroc")


def outside_inside(
    explanation: Explanation,
    truth: np.ndarray,
    *,
    among: np.ndarray | None = None,
    absolute: bool = False,
) -> xr.DataArray:
    """Mean positive attribution outside the truth over that inside.

    Outside-inside ratio (Choi, part 1; after Lapuschkin et al. 2016). Lower is better; chance is 1;
    infinite where nothing positive lies inside, so compare medians. Arguments as for `energy`: with
    magnitudes all attributions count, as signed ones cancel to means near 0.
    """
    maps, truth, among = checked_cells(explanation, truth, among)
    maps, other = np.abs(maps) if absolute else np.maximum(maps, 0), among & ~truth
    inside = (maps * truth).sum(1) / np.maximum(truth.sum(1), 1)
    outside = (maps * other).sum(1) / np.maximum(other.sum(1), 1)
    ratio = np.where(inside > 0, outside / np.where(inside > 0, inside, 1), np.inf)
    return per_sample(
        np.where(_defined(truth, among), ratio, np.nan), explanation, "outside-inside"
    )


def ratios(
    explanation: Explanation,
    truth: np.ndarray,
    distractor: np.ndarray | None = None,
    seen: np.ndarray | None = None,
) -> xr.Dataset:
    """Return `outside_inside` of all attributions too, and with distractors alone outside.

    Arguments as for `localisation`.

    Returns
    -------
    xarray.Dataset
        (sample,) `outside_inside` of positive attributions, `absolute_outside_inside` of all; with
        distractors the same as `distractor_...`, where these are all that counts outside.
    """
    controls = {"": seen}
    if distractor is not None:
        only = np.asarray(truth, bool) | np.asarray(distractor, bool)
        controls["distractor_"] = only if seen is None else only & seen
    figures = {
        prefix + sizes + "outside_inside": outside_inside(
            explanation, truth, among=among, absolute=bool(sizes)
        )
        for prefix, among in controls.items()
        for sizes in ("", "absolute_")
    }
    return xr.Dataset({name: figure.rename(name) for name, figure in figures.items()})


def mask_area(truth: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """Return each sample's share of evidence among its cells: the chance level of `energy`."""
    truth = truth.reshape(len(truth), -1).astype(bool)
    among = np.ones_like(truth) if among is None else among.reshape(truth.shape).astype(bool)
    share = (truth & among).sum(1) / np.maximum(among.sum(1), 1)
    return np.where(_defined(truth, among), share, np.nan)


def localisation(
    explanation: Explanation,
    truth: np.ndarray,
    distractor: np.ndarray | None = None,
    seen: np.ndarray | None = None,
) -> xr.Dataset:
    """Return every localisation figure of an explanation, over (sample,).

    Parameters
    ----------
    truth
        (sample, time, joint) bool, where evidence was planted.
    distractor
        (sample, time, joint) bool, where a change without class information was planted.
    seen
        (sample, time, joint) bool: the only cells that count anywhere; default all.

    Returns
    -------
    xarray.Dataset
        `energy`, `energy_absolute`, `auroc`, `auroc_absolute`, `outside_inside`, `area` (chance of
        energy); `within_...` of all but the ratio: only the joints that bear evidence count, at
        all times. With distractors also `distractor_...`: only truth and distractors count; and
        where some lie on joints with evidence `within_distractor_...`: only these and the truth.
    """
    figures = {"outside_inside": outside_inside(explanation, truth, among=seen)}
    own = np.broadcast_to(truth.any(axis=1, keepdims=True), truth.shape)
    controls: dict[str, np.ndarray | None] = {"": None, "within_": own}
    if distractor is not None:
        controls["distractor_"] = truth | distractor
        if (distractor & own).any():
            controls["within_distractor_"] = (truth | distractor) & own
    if seen is not None:
        controls = {key: seen if one is None else one & seen for key, one in controls.items()}
    for prefix, among in controls.items():
        for measure in (energy, auroc):
            name = prefix + measure.__name__
            figures[name] = measure(explanation, truth, among=among)
            figures[f"{name}_absolute"] = measure(explanation, truth, among=among, absolute=True)
        figures[f"{prefix}area"] = per_sample(mask_area(truth, among), explanation, "area")
    return xr.Dataset({name: figure.rename(name) for name, figure in figures.items()})


def checked_cells(
    explanation: Explanation, truth: np.ndarray, among: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return map, truth among what counts, and what counts, as (sample, cell).

    Raises
    ------
    ValueError
        For a truth of other samples or joints.
    """
    truth = np.asarray(truth, bool)
    expected = (len(explanation), explanation.values.sizes.get("joint"))
    if truth.ndim != 3 or (truth.shape[0], truth.shape[2]) != expected:
        raise ValueError(
            f"Expected a truth mask ({expected[0]}, frames, {expected[1]}) for explanation "
            f"{explanation.name!r} (got {truth.shape})"
        )
    maps = cells(explanation, truth.shape[1]).reshape(len(truth), -1)
    flat = truth.reshape(len(truth), -1)
    counted = np.ones_like(flat) if among is None else np.asarray(among, bool).reshape(flat.shape)
    return maps, flat & counted, counted


def _defined(truth: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return which samples have cells both inside and outside the truth."""
    return truth.any(1) & (among & ~truth).any(1)


def _auroc(values: np.ndarray, truth: np.ndarray) -> float:
    positive, negative = int(truth.sum()), int((~truth).sum())
    if not positive or not negative:
        return float("nan")
    ranks = rankdata(values)[truth].sum()
    return float((ranks - positive * (positive + 1) / 2) / (positive * negative))
