"""Methods compared on the same windows: differences to a reference, not overlap of intervals.

Intervals of two methods overlap easily where every window of one is above that of the other: what
windows have in common, how hard they are, is in both. The difference per window is without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from hargcn.analysis.statistics import cluster_bootstrap
from hargcn.metrics.registry import METRICS

if TYPE_CHECKING:
    import pandas as pd


def paired(
    runs: Mapping[str, xr.Dataset],
    references: Sequence[str],
    figures: Sequence[str],
    seed: int = 1234,
) -> pd.DataFrame:
    """Compare methods with references, window by window.

    Parameters
    ----------
    runs
        By name, such as the seed of a training: the single values of a table (`MetricTable`), over
        (explanation, sample) with the coordinate `group`. Windows are matched by name; a run may
        lack some. What every run says of a window is averaged before anything is resampled.
    references
        Methods that all others are compared with.
    figures
        Which measures, as the tables call them.
    seed
        Seed of the resampling.

    Returns
    -------
    pandas.DataFrame
        A row per figure, reference and other method: `metric`, `reference`, `method`, `difference`
        (method less reference), `low`, `high` (95%, whole subjects resampled), `better` ("higher"
        or "lower"), `windows`, `subjects` and `runs` that were compared.

    Raises
    ------
    ValueError
        For a reference or figure that a run lacks.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for figure in figures:
        values, groups, count = _averaged(runs, figure)
        for reference in references:
            if reference not in values:
                raise ValueError(f"Expected a method of {', '.join(values)} (got {reference!r})")
            for method in (name for name in values if name != reference):
                found = _difference(values[method] - values[reference], groups, seed)
                better = METRICS[figure.partition(":")[0]].better
                rows.append({"metric": figure, "reference": reference, "method": method, **found,
                             "better": better, "runs": count})  # fmt: skip
    return pd.DataFrame(rows)


def _averaged(
    runs: Mapping[str, xr.Dataset], figure: str
) -> tuple[dict[str, np.ndarray], np.ndarray, int]:
    """Return each method's values per window, averaged over the runs that have it, and groups."""
    for name, samples in runs.items():
        if figure not in samples:
            raise ValueError(f"{name}: expected the figure {figure!r} (it has {list(samples)})")
    joined = xr.concat(
        [samples[figure] for samples in runs.values()], "run", join="outer", coords="minimal",
        compat="override", fill_value=np.nan,
    )  # fmt: skip
    groups = {
        str(sample): str(group)
        for samples in runs.values()
        for sample, group in zip(
            samples["sample"].to_numpy(), samples["group"].to_numpy(), strict=True
        )
    }
    known = joined.notnull()
    mean = joined.where(known, 0.0).sum("run") / known.sum("run").where(known.any("run"))
    table = mean.transpose("explanation", "sample")
    ordered = np.array([groups[str(name)] for name in table["sample"].to_numpy()])
    methods = map(str, table["explanation"].to_numpy())
    return dict(zip(methods, table.to_numpy(), strict=True)), ordered, len(runs)


def _difference(values: np.ndarray, groups: np.ndarray, seed: int) -> dict[str, float]:
    kept = np.isfinite(values)
    found: Sequence[Any] = (np.nan, np.nan, np.nan)
    if kept.any():
        found = cluster_bootstrap(values[kept], groups[kept], seed=seed)
    named = dict(zip(("difference", "low", "high"), map(float, found), strict=True))
    return {**named, "windows": int(kept.sum()), "subjects": len(np.unique(groups[kept]))}
