"""Methods x measures: every explanation judged by every measure, beside chance and ceiling."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xarray as xr

from hargcn import hdf5
from hargcn.analysis.edges import of_edges
from hargcn.analysis.statistics import cluster_bootstrap
from hargcn.explainers.baselines import Given, Random, Truth
from hargcn.explanation import Explanation
from hargcn.files import replacing
from hargcn.metrics.faithfulness import per_sample
from hargcn.metrics.masking import Explainer, harmonic_of_means
from hargcn.metrics.registry import METRICS, Case, Metric, expect_defined

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class MetricTable:
    """What every measure says of every method.

    Parameters
    ----------
    rows
        One row per measure and method: `metric`, `method`, `estimate`, `low`, `high` (95%,
        clustered by subject), `n` samples measured, `chance` (the random explanation), `ceiling`
        (the truth as explanation), `better`, `source`.
    samples
        The single values: one variable per measure over (explanation, sample), and over (part,)
        where a figure is made of means of parts; with the coordinates `group` and, pooled, `run`.
    raters
        How far annotators agree, a row per pair; None without marks.
    """

    rows: pd.DataFrame
    samples: xr.Dataset
    raters: pd.DataFrame | None = None

    @classmethod
    def of(cls, samples: xr.Dataset, seed: int = 1234) -> MetricTable:
        """Sum up the single values, with intervals that are drawn by a seed."""
        return _table(samples, seed)

    def text(self) -> str:
        """Return a plain-text table, methods down and measures across, a line per source below."""
        shown = self.rows.assign(
            cell=[
                "-" if row.n == 0 else f"{row.estimate:.3f} [{row.low:.3f}, {row.high:.3f}]"
                for row in self.rows.itertuples()
            ]
        )
        wide = shown.pivot(index="metric", columns="method", values="cell")
        methods, metrics = shown["method"].unique(), shown["metric"].unique()
        about = shown.drop_duplicates("metric").set_index("metric")
        wide = wide.loc[metrics, methods].assign(better=about["better"], definition=about["source"])
        return wide.rename_axis(columns=None).to_string()

    def save(self, path: str | Path) -> None:
        """Write the rows as CSV and, beside it (`samples_file`), the single values.

        Where annotators are compared, also how far they agree (`raters_file`).
        """
        if self.raters is not None:
            with replacing(raters_file(path)) as temporary:
                self.raters.to_csv(temporary, index=False)
        with replacing(samples_file(path)) as temporary, hdf5.writing(temporary) as sink:
            self.samples.to_netcdf(sink, engine="h5netcdf")
        with replacing(path) as temporary:
            self.rows.to_csv(temporary, index=False)


def samples_file(table: str | Path) -> Path:
    """Return where the single values of a table (.csv) lie."""
    return Path(table).with_suffix(".samples.h5")


def raters_file(table: str | Path) -> Path:
    """Return where the agreement of annotators lies beside a table (.csv)."""
    return Path(table).with_suffix(".marks.csv")


def pooled(runs: Mapping[str, xr.Dataset], seed: int = 1234) -> MetricTable:
    """Join the tables of several runs: of networks that were trained with several seeds.

    Parameters
    ----------
    runs
        By name the single values of each; of the same methods and measures.
    seed
        Seed of the intervals.

    Returns
    -------
    MetricTable
        Means over everything, whose intervals know that the samples of a run are alike, and those
        of a subject.

    Raises
    ------
    ValueError
        For runs of different methods or measures.
    """
    first = next(iter(runs.values()))
    for name, samples in runs.items():
        if list(samples) != list(first) or not samples["explanation"].equals(first["explanation"]):
            raise ValueError(f"Expected the same methods and measures in every run (not in {name})")
    joined = xr.concat(
        [
            samples.assign_coords(
                run=("sample", [name] * samples.sizes["sample"]),
                sample=[f"{name} {sample}" for sample in samples["sample"].to_numpy()],
            )
            for name, samples in runs.items()
        ],
        "sample",
    )
    return _table(joined, seed)


def metric_table(
    case: Case,
    explanations: Mapping[str, Explanation],
    metrics: Sequence[str],
    *,
    explainers: Mapping[str, Explainer] | None = None,
    model_free: Mapping[str, np.ndarray] | None = None,
    groups: Sequence[str] | np.ndarray | None = None,
    random: int = 3,
) -> MetricTable:
    """Judge explanations by measures, beside the random explanation and, where known, the truth.

    Parameters
    ----------
    case
        Model, windows and settings; its explanation stands for samples and classes only.
    explanations
        By name; of the same samples and classes.
    metrics
        Names of `METRICS`.
    explainers
        What made them, by the same names; without, measures that explain again are left out (n 0).
    model_free
        Maps (N, T, V) by name that no network was asked for, e.g. `metrics.model_free`.
    groups
        (N,) subjects, for the intervals.
    random
        Random explanations, averaged per sample.

    Returns
    -------
    MetricTable
        The methods as given, the model-free maps, then "random" and "truth".
    """
    found = metric_samples(
        case, explanations, metrics, explainers=explainers, model_free=model_free, groups=groups,
        random=random,
    )  # fmt: skip
    return MetricTable.of(found, case.run.seed)


def metric_samples(
    case: Case,
    explanations: Mapping[str, Explanation],
    metrics: Sequence[str],
    *,
    explainers: Mapping[str, Explainer] | None = None,
    model_free: Mapping[str, np.ndarray] | None = None,
    groups: Sequence[str] | np.ndarray | None = None,
    random: int = 3,
) -> xr.Dataset:
    """Return the single values of a `metric_table`, which has these arguments.

    Parts of many windows, whose `case.run` says which they are, are joined along `sample`.
    """
    _known(metrics)
    expect_defined(metrics, case.model)
    if "rrs" in metrics and not case.layer:
        raise ValueError("Expected a layer whose output is the representation of rrs (got none)")
    model_free, explainers = model_free or {}, explainers or {}
    if taken := {"random", "truth", *model_free} & set(explanations):
        raise ValueError(f"Expected other names than {sorted(taken)}: the table adds these")
    cases = {
        name: [replace(case, explanation=each, explainer=explainers.get(name))]
        for name, each in explanations.items()
    }
    for name, maps in model_free.items():
        made = _explained(case, maps, Given)
        cases[name] = [replace(case, explanation=made, explainer=None)]
    edges = of_edges(case.explanation)
    cases["random"] = [
        replace(case, explanation=_random_edges(case, each.seed), explainer=None)
        if edges
        else replace(case, explanation=_explained(case, each), explainer=each)
        for each in (Random(case.run.seed + draw) for draw in range(random))
    ]
    if case.truth is not None and not edges:  # it is of joints
        made = _explained(case, case.truth, Truth)
        cases["truth"] = [replace(case, explanation=made, explainer=None)]
    measured = {
        method: [_measure(each, metrics) for each in repeated] for method, repeated in cases.items()
    }
    samples = _samples(measured)
    if groups is not None:
        samples = samples.assign_coords(group=("sample", np.asarray(groups).astype(str)))
    return samples


def forecast(
    case: Case, explainers: Mapping[str, Explainer], metrics: Sequence[str]
) -> dict[str, float]:
    """Return the seconds that measures will spend on explaining again, by method.

    From one timed explanation of one sample; RIS, RRS and ROS share their explanations.
    """
    _known(metrics)
    shared = {METRICS[name].compute: METRICS[name].calls(case) for name in metrics}
    calls = sum(shared.values())
    first = np.arange(1)
    ready = case.run.prepare(case.x[first], first)
    target = torch.as_tensor(case.explanation.target.to_numpy()[first])
    seconds = {}
    for name, explainer in explainers.items():
        start = time.perf_counter()
        explainer(case.model, ready, target)
        seconds[name] = (time.perf_counter() - start) * calls * len(case.x)
    return seconds


def table_seconds(case: Case, metrics: Sequence[str], methods: int) -> float:
    """Return about how many seconds `metric_table` takes, apart from explaining again.

    From the first windows, as many as a batch of rows needs.

    Parameters
    ----------
    case
        As for `metric_table`.
    metrics
        Names of `METRICS`.
    methods
        How many rows of the table each measure has: those of the truth and of the random
        explanations count as well.
    """
    some = slice(0, min(len(case.x), -(-case.run.rows(case.x) // case.steps)))
    few = replace(case.part(some), explainer=None)
    few.run.logits(few.model, few.x)  # the first pass pays for memory, the others do not
    start = time.perf_counter()
    _measure(few, metrics)
    return (time.perf_counter() - start) * methods * len(case.x) / len(few.x)


def _explained(case: Case, by: Explainer | np.ndarray, kind: type[Given] = Given) -> Explanation:
    """Explain the samples and classes of a case, in batches, by an explainer or by given maps."""
    target = torch.as_tensor(case.explanation.target.to_numpy())
    parts = []
    for block in case.run.batches(case.x, "baseline"):
        explainer = kind(by[block]) if isinstance(by, np.ndarray) else by
        ready = case.run.prepare(case.x[block], block)
        parts.append(explainer(case.model, ready, target[block]))
    names = case.explanation.values["sample"].to_numpy()
    return Explanation.concat(parts).assign(coords={"sample": names})


def _random_edges(case: Case, seed: int) -> Explanation:
    """Return uniform numbers in [-1, 1] for every edge instead, which promise nothing."""
    explanation, run = case.explanation, replace(case.run, seed=seed)
    count, *shape = explanation.values.shape
    drawn = 2 * run.uniform(1, count, math.prod(shape)).reshape(count, *shape) - 1
    rest = explanation.dataset.drop_vars("relative_gap", errors="ignore")
    return Explanation(rest.assign(attribution=explanation.values.copy(data=drawn)))


def _known(metrics: Sequence[str]) -> None:
    unknown = [name for name in metrics if name not in METRICS]
    if unknown or not metrics:
        raise ValueError(f"Expected metrics of {', '.join(METRICS)} (got {unknown})")


def _measure(case: Case, metrics: Sequence[str]) -> dict[str, xr.DataArray]:
    """Return every figure of one explanation; NaN where a measure does not apply to it."""
    done: dict[Any, xr.DataArray | xr.Dataset] = {}
    figures = {}
    for name in metrics:
        metric = METRICS[name]
        if metric.calls(case) and case.explainer is None:
            blank = np.full(len(case.x), np.nan)
            figures[name] = per_sample(blank, case.explanation, name)
            continue
        if metric.compute not in done:
            done[metric.compute] = metric.compute(case)
        found = done[metric.compute]
        if isinstance(found, xr.DataArray):
            figures[name] = found
        elif name in found:
            figures[name] = found[name]
        else:
            figures |= {f"{name}:{part.replace('_', '-')}": found[part] for part in map(str, found)}
    return figures


def _samples(measured: Mapping[str, Sequence[Mapping[str, xr.DataArray]]]) -> xr.Dataset:
    """Return the single values of all methods, each measure over (explanation, sample, ...)."""
    parts = [
        xr.Dataset({name: _centre(name, [each[name] for each in repeated]) for name in repeated[0]})
        for repeated in measured.values()
    ]
    # Samples are matched by position: a baseline does not know their names.
    names = parts[0]["sample"].to_numpy()
    parts = [part.assign_coords(sample=names) for part in parts]
    samples = xr.concat(parts, "explanation", join="exact")
    return samples.assign_coords(explanation=list(measured))


def _table(samples: xr.Dataset, seed: int) -> MetricTable:
    import pandas as pd

    ways = [samples[name].to_numpy() for name in ("run", "group") if name in samples.coords]
    groups = np.column_stack(ways) if ways else None
    rows: list[dict[str, Any]] = []
    for metric in map(str, samples):
        first = len(rows)
        for method in map(str, samples["explanation"].to_numpy()):
            values = samples[metric].sel(explanation=method).transpose("sample", ...).to_numpy()
            rows.append({"metric": metric, "method": method})
            rows[-1] |= _interval(metric, values, groups, seed)
        level = {row["method"]: row["estimate"] for row in rows[first:]}
        known = METRICS[metric.partition(":")[0]]
        for row in rows[first:]:
            row["chance"], row["ceiling"] = level["random"], level.get("truth", np.nan)
            row["better"], row["source"] = _direction(metric, known), known.source
    return MetricTable(pd.DataFrame(rows), samples)


def _interval(
    metric: str, values: np.ndarray, groups: np.ndarray | None, seed: int
) -> dict[str, float]:
    """Return estimate, low, high and n of the samples that a measure is defined for."""
    kept = ~np.isnan(values.reshape(len(values), -1)).any(axis=1)
    found: Sequence[Any] = (np.nan, np.nan, np.nan)
    if kept.any():
        statistic = np.median if _ratio(metric) else np.mean
        of = None if groups is None else groups[kept]
        whole: Any = harmonic_of_means if values.ndim > 1 else statistic
        found = cluster_bootstrap(values[kept], of, whole, seed=seed)
    names = ("estimate", "low", "high")
    return {k: float(v) for k, v in zip(names, found, strict=True)} | {"n": int(kept.sum())}


def _centre(metric: str, draws: Sequence[xr.DataArray]) -> xr.DataArray:
    """Average the repetitions of the random explanation, sample by sample."""
    repeated = xr.concat(draws, "draw")
    return repeated.median("draw") if _ratio(metric) else repeated.mean("draw")


def _ratio(metric: str) -> bool:
    """Tell whether a figure can be infinite: it has a median, but no mean."""
    return metric.endswith("outside-inside")


def _direction(metric: str, known: Metric) -> str:
    if metric.endswith("area"):
        return "chance of energy"
    return "lower" if _ratio(metric) else known.better
