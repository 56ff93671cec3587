"""The result of a perturbation experiment: curves with intervals, their areas, their files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from scipy.stats import rankdata

from hargcn import hdf5
from hargcn.analysis.statistics import cluster_bootstrap
from hargcn.files import replacing

if TYPE_CHECKING:
    import pandas as pd

_FORMAT = "hargcn-gap-curve-1"
_MEANS = {"accuracy": "correct", "mae": "error", "score": "score", "gap": "gap"}


@dataclass(frozen=True, eq=False)
class GapCurve:
    """Perturbation curves over (explanation, set, k); the last explanation is "random".

    Parameters
    ----------
    dataset
        `accuracy` (of a regression `mae`, the mean absolute error), `score` (mean p_c, or value)
        and `gap` (mean |p_c(x) - p_c(x')|: PGI@k in the set "important", PGU@k in "complement"),
        with two classes, or one label explained, `auc`; each with a 95% interval
        `<name>_low`, `<name>_high` clustered by subject, and with `<name>_band_low`,
        `<name>_band_high` over (set, k), the 2.5 and 97.5 percentiles of the random orderings.
        `area`, `area_low`, `area_high` (explanation, set) hold the gap's normalised area over k.
        `sample_score`, `sample_gap`, `sample_correct` (explanation, set, k, sample) are the single
        values, for "random" the mean over orderings; `target`, `label`, `group` (sample,).
        A leading axis `segment` where windows were cut.
    """

    dataset: xr.Dataset

    def __post_init__(self) -> None:
        if "gap" not in self.dataset or self.dataset.attrs.get("format") != _FORMAT:
            raise ValueError(
                f"Expected a dataset of format {_FORMAT} (got variables {list(self.dataset)})"
            )

    @classmethod
    def of(cls, curves: xr.Dataset, resamples: int = 1000) -> GapCurve:
        """Summarise single curves.

        Parameters
        ----------
        curves
            `sample_score`, `sample_gap`, `sample_correct` or `sample_error` where anything is known
            (..., explanation, set, k, sample), the same with `random_` (..., ordering, set, k,
            sample), `target`, `label` and optionally `group` (sample,), NaN where not known;
            attribute `classes`, and `outputs` of other outputs.
        resamples
            Resamples of the bootstrap.
        """
        groups = curves["group"].to_numpy() if "group" in curves else None
        seed = int(curves.attrs.get("seed", 1234))

        def interval(name: str, values: xr.DataArray, statistic: Any, n: int) -> xr.Dataset:
            rows = values.transpose("sample", ...)
            known = rows.notnull().all(rows.dims[1:]).to_numpy()
            own = None if groups is None else groups[known]
            found = cluster_bootstrap(rows[known], own, statistic, n=n, seed=seed)
            dims = [dim for dim in rows.dims if dim not in ("sample", "pair")]
            limits = zip(("", "_low", "_high"), found, strict=True)
            return xr.Dataset({name + suffix: (dims, value) for suffix, value in limits})

        results = []
        for name, source in _MEANS.items():
            if not curves.get(f"sample_{source}", xr.DataArray(np.nan)).notnull().any():
                continue
            results.append(interval(name, curves[f"sample_{source}"], np.mean, resamples))
            results.append(_band(name, curves[f"random_{source}"].mean("sample")))
        gap = curves["sample_gap"]
        area = (
            gap.isel(k=slice(1, None)).drop_vars("k") + gap.isel(k=slice(-1)).drop_vars("k")
        ) / 2
        results.append(interval("area", area.mean("k"), np.mean, resamples))
        if _is_ranked(curves):
            # Ranking every resample anew is slow; a third of them is enough for a curve.
            results.append(interval("auc", _pairs(curves, "sample"), _auc, resamples // 3))
            pairs = _pairs(curves, "random").transpose("sample", ...).dropna("sample")
            results.append(_band("auc", xr.DataArray(_auc(pairs), dims=pairs.dims[1:-1])))
        kept = curves.drop_vars([str(v) for v in curves if str(v).startswith("random_")])
        about = {"format": _FORMAT, "n": curves.sizes["sample"]}
        if groups is not None:
            about["groups"] = len(np.unique(groups))
        return cls(xr.merge([kept, *results]).assign_attrs(curves.attrs | about))

    def table(self) -> pd.DataFrame:
        """Return a row per explanation, set and k: every curve with interval and band, and n."""
        summary = self.dataset.drop_dims("sample").drop_vars(["area", "area_low", "area_high"])
        return summary.to_dataframe().reset_index().assign(n=self.dataset.attrs["n"])

    def areas(self) -> pd.DataFrame:
        """Return a row per explanation and set: the gap's normalised area (PGI, PGU), and n."""
        summary = self.dataset[["area", "area_low", "area_high"]]
        return summary.to_dataframe().reset_index().assign(n=self.dataset.attrs["n"])

    def noted(self, **attrs: Any) -> GapCurve:
        """Return the curves with more attributes."""
        return GapCurve(self.dataset.assign_attrs(attrs))

    def save(self, path: str | Path) -> None:
        """Write an HDF5 file and, beside it under the same name, the table as CSV."""
        path = Path(path)
        with replacing(path) as temporary, hdf5.writing(temporary) as sink:
            self.dataset.to_netcdf(sink, engine="h5netcdf")
        with replacing(path.with_suffix(".csv")) as temporary:
            self.table().to_csv(temporary, index=False)

    @classmethod
    def open(cls, path: str | Path) -> GapCurve:
        """Read curves written by `save`.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it holds something else; names the file.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path}: no such file of perturbation curves")
        try:
            return cls(xr.load_dataset(path, engine="h5netcdf"))
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"{path}: expected perturbation curves ({str(error).splitlines()[0]})"
            ) from error


def _band(name: str, orderings: xr.DataArray) -> xr.Dataset:
    """Return the percentiles of random orderings."""
    axis = orderings.dims.index("ordering")
    low, high = np.quantile(orderings.to_numpy(), [0.025, 0.975], axis=axis)
    dims = [dim for dim in orderings.dims if dim != "ordering"]
    return xr.Dataset({f"{name}_band_low": (dims, low), f"{name}_band_high": (dims, high)})


def _is_ranked(curves: xr.Dataset) -> bool:
    """Whether there is one probability to rank the samples by, and samples of both answers."""
    kind = curves.attrs.get("outputs", "classes")
    one = (
        curves.attrs["classes"] == 2
        if kind == "classes"
        else np.ptp(curves["target"].to_numpy()) == 0
    )
    both = "label" in curves and len(np.unique(curves["label"].dropna("sample"))) == 2
    return kind in ("classes", "multi-label") and bool(one) and both


def _pairs(curves: xr.Dataset, of: str) -> xr.DataArray:
    """Return (..., sample, pair): the probability of class 1, and whether it is the label.

    Of several labels that of the explained one.
    """
    p, label = curves[f"{of}_score"], curves["label"]
    if "outputs" not in curves.attrs:
        p = xr.where(curves["target"] == 1, p, 1 - p)
        label = (label == 1).astype(float)
    return xr.concat([p, label.broadcast_like(p)], "pair").transpose(..., "pair")


def _auc(rows: Any, axis: int = 0) -> np.ndarray:
    """Return the ROC-AUC of (sample, ..., 2) pairs of score and label; NaN with one class only."""
    rows = np.asarray(rows)
    score, label = rows[..., 0], rows[..., 1]
    positive = label.sum(axis)
    negative = len(rows) - positive
    above = (rankdata(score, axis=axis) * label).sum(axis) - positive * (positive + 1) / 2
    pairs = positive * negative
    return np.where(pairs > 0, above / np.where(pairs > 0, pairs, 1), np.nan)
