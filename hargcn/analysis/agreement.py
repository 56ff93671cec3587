"""How far explanations agree: between methods, and between the layers of one network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from hargcn.analysis.asked import class_name
from hargcn.analysis.grid import common_grid
from hargcn.analysis.ranking import Order, sample_groups, top_k_overlap
from hargcn.analysis.statistics import Correlation, cluster_bootstrap, rank_correlation
from hargcn.explanation import Explanation, titles

Measure = Literal["spearman", "kendall", "overlap"]


def agreement(
    explanations: Mapping[str, Explanation],
    measures: Sequence[Measure] = ("spearman", "kendall", "overlap"),
    *,
    over: Literal["cells", "joints"] = "cells",
    k: int = 5,
    by: Order = "signed",
    relu: bool = False,
    groups: ArrayLike | None = None,
    n: int = 1000,
    seed: int = 1234,
) -> xr.Dataset:
    """Measure how far explanations of the same samples agree, for all pairs and by class.

    Parameters
    ----------
    explanations
        By name; at least two, of the same samples and targets.
    measures
        "spearman" and "kendall" correlate ranks, "overlap" is the shared part of the top k joints.
    over
        What the correlations run over: all cells of a map on the common grid (persons apart, then
        averaged), or the joint scores.
    k, by
        Size of the top sets, and the order they are taken by.
    relu
        Compare positive parts only, as the papers draw class activation maps; this ties zeros.
    groups
        (sample,) subjects, for the intervals; by default the variable `group`, where stored.
    n, seed
        Resamples of the bootstrap and its seed.

    Returns
    -------
    xarray.Dataset
        Each measure over (class, method, other) as mean over the samples with its 95% interval
        `<measure>_low`, `<measure>_high`; class "all" and then every explained class; `n` (class,)
        samples. Undefined correlations (constant maps) are left out of the means.
    """
    if len(explanations) < 2:
        raise ValueError(f"Expected at least two explanations (got {list(explanations)})")
    names, first = list(explanations), next(iter(explanations.values()))
    grid = _rectified(common_grid(explanations), relu)
    targets, groups = first.target.to_numpy(), sample_groups(first, groups)
    classes: dict[str, np.ndarray] = {"all": np.ones(len(first), bool)}
    classes |= {class_name(first, c): targets == c for c in np.unique(targets)}

    data: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    for measure in measures:
        matrix = np.empty((len(first), len(names), len(names)))
        for i, j in combinations_with_replacement(range(len(names)), 2):
            pair = grid[names[i]], grid[names[j]]
            value = _agree(pair, measure, over, k, by, _present(first))
            matrix[:, i, j] = matrix[:, j, i] = value
        rows = [
            cluster_bootstrap(
                matrix[chosen], None if groups is None else groups[chosen], n=n, seed=seed
            )
            for chosen in classes.values()
        ]
        for suffix, limits in zip(("", "_low", "_high"), zip(*rows, strict=True), strict=True):
            data[measure + suffix] = (("class", "method", "other"), np.stack(limits))
    data["n"] = (("class",), np.array([chosen.sum() for chosen in classes.values()]))
    coords = {"class": list(classes), "method": names, "other": names}
    about = {"over": over, "k": k, "by": by, "relu": int(relu)}
    return xr.Dataset(data, coords, {**about, "titles": json.dumps(titles(explanations))})


def correlate(
    batches: Iterable[Mapping[str, Explanation]],
    reference: str,
    *,
    kind: Correlation = "spearman",
    relu: bool = False,
    streams: Sequence[str] | None = None,
    scale_sums: bool = True,
    groups: ArrayLike | None = None,
    n: int = 1000,
    seed: int = 1234,
) -> xr.Dataset:
    """Correlate the maps of many layers with those of one (Tempel et al. 2024, table 1).

    Besides the given layers there is one row for each sum over branches: "sum.0.tcn" adds the maps
    of "J.0.tcn", "V.0.tcn" and so on, that is of all layers called alike in two streams or more.

    Parameters
    ----------
    batches
        Mappings from layer name to Explanation, batch after batch; only one is held at a time.
    reference
        Name of the layer that the others are compared with.
    kind
        "spearman" or "kendall", per sample and person over the cells of the common grid.
    relu
        Compare positive parts only, as the paper draws the maps; this ties zeros.
    streams
        What the names of layers to add up begin with; by default anything but "main".
    scale_sums
        Bring every map to [0, 1] before adding branches up, as the paper does, so that branches
        count alike; otherwise the raw maps are added.
    groups
        (sample,) subjects over all batches; by default the variable `group`, where stored.
    n, seed
        Resamples of the bootstrap and its seed.

    Returns
    -------
    xarray.Dataset
        Over (layer,): `mean` with its 95% interval `low`, `high`, and `n`, the samples whose
        correlation is defined; `pooled`, the one correlation of the cells of all samples and
        persons, every map brought to [0, 1] before (the paper does not say which of the two its
        table shows; this one holds all maps, 4 bytes per cell); `branch` and `stage` split the
        layer's name. `rho` (sample, layer) holds the single values.
    """
    parts = []
    cells: dict[str, list[np.ndarray]] = {}
    for batch in batches:
        if reference not in batch:
            raise ValueError(f"Expected the reference layer {reference!r} (got {sorted(batch)})")
        grid = _with_sums(_rectified(common_grid(batch), relu), streams, scale_sums)
        first = batch[reference]
        rows = {
            layer: _correlated(grid[layer], grid[reference], kind, _present(first))
            for layer in grid
            if layer != reference
        }
        for layer, values in grid.items():
            cells.setdefault(layer, []).append(_cells(_unit(values), _present(first)))
        names = list(rows)
        part = xr.Dataset({"rho": (("sample", "layer"), np.stack(list(rows.values()), axis=1))})
        part = part.assign_coords(layer=names, sample=first.values["sample"].to_numpy())
        parts.append(
            part.assign(group=first.dataset["group"]) if "group" in first.dataset else part
        )
    if not parts:
        raise ValueError("Expected at least one batch of explanations (got none)")
    table = xr.concat(parts, "sample", data_vars="all", join="exact")
    if groups is None and "group" in table:
        groups = table["group"].to_numpy()
    found = cluster_bootstrap(table["rho"], groups, n=n, seed=seed)
    whole = {layer: np.concatenate(each) for layer, each in cells.items()}
    pooled = [
        float(rank_correlation(whole[str(layer)], whole[reference], kind))
        for layer in table["layer"].to_numpy()
    ]
    split = [str(layer).split(".", 1) for layer in table["layer"].to_numpy()]
    return (
        table.assign(
            {
                **found.columns("layer"),
                "n": table["rho"].notnull().sum("sample"),
                "pooled": ("layer", pooled),
            }
        )
        .assign_coords(
            branch=("layer", [each[0] for each in split]),
            stage=("layer", [each[-1] for each in split]),
        )
        .assign_attrs(reference=reference, kind=kind, relu=int(relu), scale_sums=int(scale_sums))
    )


def correlation_layers(names: Iterable[str], reference: str | None = None) -> list[str]:
    """Choose the layers of the paper's table 1 from a model's layer names.

    Parameters
    ----------
    names
        Layer names "J.init", "J.0.tcn", "main.1.attention" in the order of the network.
    reference
        The layer compared with; default the last attention of the main stream.

    Returns
    -------
    list of str
        Init, last TCN and last attention of every branch, the last main TCN, and the reference
        as the last entry.
    """
    last: dict[tuple[str, str], str] = {}
    for name in names:
        branch, _, stage = name.partition(".")
        kind = stage.rpartition(".")[2]
        if kind in ("init", "tcn", "attention"):
            last[branch, kind] = name
    reference = reference or last.get(("main", "attention")) or last.get(("main", "tcn"))
    if reference is None:
        raise ValueError(f"Expected layers of a main stream (got {sorted(last.values())})")
    return [name for name in last.values() if name != reference] + [reference]


def _rectified(grid: dict[str, xr.DataArray], relu: bool) -> dict[str, xr.DataArray]:
    return {name: values.clip(min=0) if relu else values for name, values in grid.items()}


def _with_sums(
    grid: dict[str, xr.DataArray], streams: Sequence[str] | None, scaled: bool
) -> dict[str, xr.DataArray]:
    """Add "sum.<stage>" for every stage that two or more streams have."""
    stages: dict[str, list[xr.DataArray]] = {}
    for name, values in grid.items():
        branch, _, stage = name.partition(".")
        if stage and (branch != "main" if streams is None else branch in streams):
            stages.setdefault(stage, []).append(_unit(values) if scaled else values)
    sums = {
        f"sum.{stage}": sum(maps[1:], maps[0]) for stage, maps in stages.items() if len(maps) > 1
    }
    return grid | sums


def _unit(values: xr.DataArray) -> xr.DataArray:
    """Bring each sample's map of each person to [0, 1]; a constant map becomes 0."""
    axes = [dim for dim in values.dims if dim not in ("sample", "person")]
    low = values.min(axes)
    spread = values.max(axes) - low
    return (values - low) / spread.where(spread > 0, 1)


def _present(explanation: Explanation) -> xr.DataArray | None:
    """Return the variable `present` (sample, person), where stored: who is there at all."""
    return explanation.dataset.get("present")


def _cells(values: xr.DataArray, present: xr.DataArray | None) -> np.ndarray:
    """Return (cell,) the cells of all samples and persons that are there, one after another."""
    if "person" not in values.dims:
        values = values.expand_dims(person=1)
    rest = [dim for dim in values.dims if dim not in ("sample", "person")]
    rows = values.transpose("sample", "person", *rest).to_numpy()
    if present is not None and present.shape == rows.shape[:2]:
        rows = rows[present.to_numpy()]
    return rows.astype(np.float32).ravel()


def _correlated(
    a: xr.DataArray, b: xr.DataArray, kind: Correlation, present: xr.DataArray | None
) -> np.ndarray:
    """Correlate per sample and person over the other axes; the mean over persons, (sample,)."""
    if "person" not in a.dims:
        a, b = a.expand_dims(person=1), b.expand_dims(person=1)
    cells = [dim for dim in a.dims if dim not in ("sample", "person")]
    rows = [each.transpose("sample", "person", *cells).to_numpy() for each in (a, b)]
    x, y = (row.reshape(*row.shape[:2], -1) for row in rows)
    rho = rank_correlation(x, y, kind)
    if present is not None and present.shape == rho.shape:
        rho = np.where(present, rho, np.nan)
    defined = np.isfinite(rho)
    counted = np.maximum(defined.sum(axis=1), 1)
    return np.where(defined.any(axis=1), np.where(defined, rho, 0).sum(axis=1) / counted, np.nan)


def _agree(
    pair: tuple[xr.DataArray, xr.DataArray],
    measure: Measure,
    over: str,
    k: int,
    by: Order,
    present: xr.DataArray | None,
) -> np.ndarray:
    """Return (sample,) agreement of two arrays on one grid."""
    if measure != "overlap" and over == "cells":
        return _correlated(*pair, measure, present)
    axes = [dim for dim in pair[0].dims if dim not in ("sample", "joint")]
    a, b = (each.mean(axes).to_numpy() for each in pair)
    return top_k_overlap(a, b, k, by) if measure == "overlap" else rank_correlation(a, b, measure)
