"""The result of a perturbation experiment: curves with intervals, their areas, their files."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from hargcn import hdf5
from hargcn.analysis.statistics import Interval, cluster_bootstrap
from hargcn.files import replacing
from hargcn.metrics.answers import RATES, auc, concordance, counts, numbered, rates

if TYPE_CHECKING:
    import pandas as pd

_FORMAT = "hargcn-gap-curve-1"
_MEANS = {"accuracy": "correct", "mae": "error", "score": "score", "gap": "gap"}
MEASURES = (*_MEANS, "auc", *RATES)
"""What may have curves; which of them have, the outputs and what is known decide."""
_MANY = 60  # groups, up to which the ROC-AUC of several classes compares all pairs of them


@dataclass(frozen=True, eq=False)
class GapCurve:
    """Perturbation curves over (explanation, set, k); the last explanation is "random".

    Parameters
    ----------
    dataset
        `accuracy` (of a regression `mae`, the mean absolute error), `score` (mean p_c, or value)
        and `gap` (mean |p_c(x) - p_c(x')|: PGI@k in the set "important", PGU@k in "complement");
        of classes, or one label explained, `sensitivity`, `specificity`, `ppv`, `npv`, `f1` and
        `auc`: of the second of two classes, of more the means over the classes, each against the
        rest, in which they are defined (macro averages; `auc` of at most 60 subjects). Each with a
        95% interval `<name>_low`, `<name>_high` clustered by subject, and with `<name>_band_low`,
        `<name>_band_high` over (set, k), the 2.5 and 97.5 percentiles of the random orderings.
        `area`, `area_low`, `area_high` (explanation, set) hold the gap's normalised area over k.
        `sample_score`, `sample_gap`, `sample_correct` (explanation, set, k, sample) are the single
        values, for "random" the mean over orderings; `target`, `label`, `group` (sample,). The
        rates of "random" are those of the answers in all orderings together, its `auc` is the mean
        of theirs. Leading axes `amount` and `segment` where there are several.
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
            attribute `classes`, and `outputs` of other outputs. For rates `method_answer` (...,
            method, set, k, sample, draw) and `random_answer` (..., ordering, ...), and for the
            ROC-AUC of several classes `method_p` and `random_p` (..., set, k, sample, class).
        resamples
            Resamples of the bootstrap.
        """
        groups = curves["group"].to_numpy() if "group" in curves else None

        values = curves.attrs.get("outputs") == "regression"  # in their units

        def interval(name: str, source: xr.DataArray, statistic: Any, n: int) -> xr.Dataset:
            rows = source.transpose("sample", ...)
            known = rows.notnull().all(rows.dims[1:]).to_numpy()
            own = None if groups is None else groups[known]
            found = cluster_bootstrap(rows[known], own, statistic, n=n, seed=_seed(curves))
            dims = [dim for dim in rows.dims if dim != "sample"]
            bounds = (-np.inf if values and name == "score" else 0, np.inf if values else 1)
            return _limits(name, dims, found, bounds)

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
        if _has_rates(curves):
            results.append(_rates(curves, resamples // 3))
        if _is_ranked(curves):
            # Ranking every resample anew is slow; a third of them is enough for a curve.
            results.append(_aucs(curves, resamples // 3))
        kept = curves.drop_vars([v for v in curves if str(v).startswith(("random_", "method_"))])
        kept = kept.drop_vars("class", errors="ignore")
        about = {"format": _FORMAT, "n": curves.sizes["sample"]}
        if groups is not None:
            about["groups"] = len(np.unique(groups))
        return cls(xr.merge([kept, *results]).assign_attrs(curves.attrs | about))

    def table(self) -> pd.DataFrame:
        """Return a row per explanation, set and k: every curve with interval and band, and n.

        `area`, of the gap over all k, is the same in all rows of a set.
        """
        summary = self.dataset.drop_dims("sample")
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
            self.table().to_csv(temporary, index=False, float_format="%.6g")

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


def _limits(
    name: str, dims: Sequence[Hashable], found: Interval, bounds: tuple[float, float] = (0, 1)
) -> xr.Dataset:
    """Name a figure and its interval, which ends where the figure does."""
    low, high = (np.clip(limit, *bounds) for limit in (found.low, found.high))
    limits = zip(("", "_low", "_high"), (found.estimate, low, high), strict=True)
    return xr.Dataset({name + suffix: (dims, value) for suffix, value in limits})


def _band(name: str, orderings: xr.DataArray) -> xr.Dataset:
    """Return the percentiles of random orderings."""
    axis = orderings.dims.index("ordering")
    low, high = np.quantile(orderings.to_numpy(), [0.025, 0.975], axis=axis)
    dims = [dim for dim in orderings.dims if dim != "ordering"]
    return xr.Dataset({f"{name}_band_low": (dims, low), f"{name}_band_high": (dims, high)})


def _has_rates(curves: xr.Dataset) -> bool:
    """Whether answers are known, and what they should have been, of one question."""
    if "method_answer" not in curves:
        return False
    labels = "outputs" in curves.attrs  # of single labels
    return not labels or _of_one_label(curves)


def _of_one_label(curves: xr.Dataset) -> bool:
    """Whether one label, of which some windows have it and some have not, was explained in all."""
    both = len(np.unique(curves["label"].dropna("sample"))) == 2
    return both and np.ptp(curves["target"].to_numpy()) == 0


def _is_ranked(curves: xr.Dataset) -> bool:
    """Whether there are probabilities to rank the samples by, and samples of several answers."""
    kind = curves.attrs.get("outputs", "classes")
    if "label" not in curves or kind not in ("classes", "multi-label"):
        return False
    if kind == "multi-label":
        return _of_one_label(curves)
    if len(np.unique(curves["label"])) < 2:
        return False
    few = "group" in curves and len(np.unique(curves["group"])) <= _MANY
    return curves.attrs["classes"] == 2 or (few and "random_p" in curves)


def _known(curves: xr.Dataset) -> tuple[xr.Dataset, np.ndarray, np.ndarray]:
    """Return the curves of samples of known labels, these, and the numbers of their groups."""
    known = curves.isel(sample=curves["label"].notnull().to_numpy())
    groups = known["group"].to_numpy() if "group" in known else None
    return known, known["label"].to_numpy().astype(int), numbered(groups, known.sizes["sample"])


def _rates(curves: xr.Dataset, resamples: int) -> xr.Dataset:
    """Return the rates of answers, their intervals and the bands of random orderings."""
    known, labels, groups = _known(curves)
    classes = 2 if "outputs" in curves.attrs else int(curves.attrs["classes"])

    def counted(name: str) -> xr.DataArray:
        answers = known[name].transpose(..., "sample", "draw")
        dims = ("group", *answers.dims[:-2], "class", "count")
        return xr.DataArray(counts(answers.to_numpy(), labels, classes, groups), dims=dims)

    random = counted("random_answer")
    both = _beside(counted("method_answer"), random.sum("ordering"), curves)
    found = cluster_bootstrap(both, None, rates, n=resamples, seed=_seed(curves))
    single = rates(random.to_numpy())
    results = []
    for number, name in enumerate(RATES):
        own = Interval(*(value[..., number] for value in found))
        results.append(_limits(name, both.dims[1:-2], own))
        results.append(_band(name, xr.DataArray(single[..., number], dims=random.dims[1:-2])))
    return xr.merge(results)


def _aucs(curves: xr.Dataset, resamples: int) -> xr.Dataset:
    """Return the ROC-AUC, its intervals and the band of random orderings."""
    known, labels, groups = _known(curves)
    random = concordance(_scores(known, "random"), labels, groups)
    own = concordance(_scores(known, "method"), labels, groups)
    both = _beside(own, random.mean("ordering"), curves)
    found = cluster_bootstrap(both, None, auc, n=resamples, seed=_seed(curves))
    values = _limits("auc", both.dims[1:-2], found)
    single = xr.DataArray(auc(random.to_numpy()), dims=random.dims[1:-2])
    return xr.merge([values, _band("auc", single)])


def _beside(own: xr.DataArray, random: xr.DataArray, curves: xr.Dataset) -> xr.DataArray:
    """Put the figures of random orderings beside those of methods, over (group, ...)."""
    both = xr.concat([own, random.expand_dims("method")], "method").rename(method="explanation")
    dims = [d for d in curves["sample_score"].dims if d != "sample"]
    return both.transpose("group", *dims, ...)


def _scores(curves: xr.Dataset, of: str) -> xr.DataArray:
    """Return (..., sample, class) probabilities: of class 1, of each of several, or of a label."""
    if f"{of}_p" in curves and curves.attrs["classes"] != 2:
        return curves[f"{of}_p"]
    if of == "method":
        own = curves["sample_score"].isel(explanation=slice(-1)).drop_vars("explanation")
        p = own.rename(explanation="method")
    else:
        p = curves["random_score"]
    if "outputs" not in curves.attrs:
        p = xr.where(curves["target"] == 1, p, 1 - p)
    return p.expand_dims({"class": [1]}, -1)


def _seed(curves: xr.Dataset) -> int:
    return int(curves.attrs.get("seed", 1234))
