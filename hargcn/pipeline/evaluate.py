"""Whether explanations can be trusted: their agreement, the network's answers, and measures.

How well a network classifies asks `pipeline.network.test`, how it answers disturbed windows
`pipeline.perturb`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import xarray as xr

from hargcn.analysis.agreement import agreement, correlation_layers
from hargcn.analysis.agreement import correlate as correlate_layers
from hargcn.analysis.edges import of_edges
from hargcn.analysis.observed import Cells
from hargcn.analysis.ranking import write_csv
from hargcn.checks import at_least, one_of, writable
from hargcn.data.windows import Windows
from hargcn.explainers import GradCAM
from hargcn.explanation import Explanation
from hargcn.files import locked, track
from hargcn.metrics.registry import METRICS, Case, expect_defined
from hargcn.metrics.table import (
    MetricTable,
    forecast,
    metric_samples,
    pooled,
    raters_file,
    samples_file,
    table_seconds,
)
from hargcn.networks.network import SkeletonNetwork
from hargcn.outputs import outputs_of
from hargcn.perturbation import InputEdit, parse_edit
from hargcn.pipeline.case import ExplainedWindows, announce_time, check_edit
from hargcn.pipeline.cluster import check_engine
from hargcn.pipeline.explain import layers_of
from hargcn.pipeline.explain_windows import check_target, explain_batch
from hargcn.pipeline.job import code_of
from hargcn.pipeline.located import check_heeded, maps_without_network, noted
from hargcn.pipeline.marks import open_marks
from hargcn.pipeline.measured import Measuring
from hargcn.pipeline.opening import (
    check_preparation,
    open_explanations,
    open_network,
    open_windows,
)
from hargcn.plots import plot_agreement, plot_correlation, save_figure

_BESIDE = 4  # rows of a table beside methods and maps: three random explanations and the truth
USUAL = "pgi,pgu,deletion,insertion,average-drop,increase,add,complexity,localisation"
"""Measures of `evaluate` where none are named; those that are defined for the network's outputs."""


def correlate(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    between: str = "layers",
    reference: str | None = None,
    class_: str = "predicted",
    split: str = "test",
    limit: int | None = None,
    batch: int = 32,
    relu: bool = False,
    other_preparation: bool = False,
    dpi: int = 200,
    device: str = "cpu",
    seed: int = 1234,
    progress: bool = True,
) -> xr.Dataset:
    """Correlate the ranks of Grad-CAM between layers, or of explanations between methods.

    Writes the table, and a picture (.png) beside it.

    Parameters
    ----------
    inputs
        A checkpoint and a windows file; between methods, explanation files.
    out
        The table to write (.csv).
    between
        "layers" (Tempel et al. 2024, table 1) or "methods".
    reference
        Layer that the others are compared with, by default the last.
    class_
        Class to explain: "predicted", "label" or a name.
    split, limit
        Which set of the windows, and how many of it.
    batch
        Windows per pass.
    relu
        Compare positive parts only.
    other_preparation
        Take windows that were prepared otherwise than those the network learned from.
    dpi
        Dots per inch of a PNG.
    device
        "cpu", "cuda" or "cuda:N".
    seed
        Seed of the intervals.
    progress
        Whether to show a progress bar.

    Returns
    -------
    xarray.Dataset
        As `analysis.agreement.correlate` between layers, or `agreement` between methods.

    Raises
    ------
    FileNotFoundError
        Without one of the files.
    ValueError
        For files that do not fit together, an unknown layer, class or set, or an output that
        cannot be written.
    """
    one_of("between", between, ("layers", "methods"))
    at_least("batch", batch, 1)
    out = writable(out, *inputs, suffix=".csv")
    writable(out.with_suffix(".png"), *inputs)
    with locked(out):
        if between == "methods":
            found = agreement(open_explanations(inputs), relu=relu, seed=seed)
            figure, _ = plot_agreement(found)
        else:
            if len(inputs) != 2:
                raise ValueError("Expected a checkpoint and a windows file (or between methods)")
            model = open_network(inputs[0], device, open_windows(inputs[1]))
            windows = open_windows(inputs[1], split, limit, network=model)
            check_preparation(model, windows, other_preparation)
            check_target(model, windows, class_)
            names = layers_of(model, "gradcam", ["all"])
            last = one_of("reference", reference or names[-1], names)
            batches = _gradcams(model, windows, last, class_, batch, progress)
            found = correlate_layers(batches, last, relu=relu, streams=model.streams, seed=seed)
            figure, _ = plot_correlation(found)
        write_csv(found, out)
        save_figure(figure, out.with_suffix(".png"), dpi)
    return found


def evaluate(
    checkpoint: str | Path,
    windows: str | Path,
    explanations: Sequence[str | Path],
    out: str | Path,
    *,
    metrics: str | Sequence[str] = USUAL,
    edit: str = "edge:self:away:0.35",
    substrate: str = "input:freeze",
    top: int | None = None,
    cells: str = "all",
    evidence: str = "sign",
    marks: Sequence[str | Path] = (),
    marks_settings: str | Path | None = None,
    remake: bool = False,
    batch: int | None = None,
    shard: int = 16,
    engine: str = "local",
    address: str | None = None,
    limit: int | None = None,
    limit_seed: int | None = None,
    other_preparation: bool = False,
    device: str = "cpu",
    seed: int = 1234,
    progress: bool = True,
    announce: Callable[[str], Any] | None = None,
) -> MetricTable:
    """Evaluate explanations: methods x measures, beside chance and, where planted, the truth.

    The same call after a kill goes on where it stopped.

    Parameters
    ----------
    checkpoint, windows, explanations
        The network, a windows file, and explanation files of the same windows and classes.
    out
        The table to write (.csv); beside it go the single values (.samples.h5).
    metrics
        Names of `metrics.registry.METRICS`, as a list or separated by commas; "all" for every one
        that applies.
    edit
        Disturbs joints, or edges (`edge:single:OP`): pgi, pgu, sensitivity-n, infidelity. No other
        measure but efficiency-gap is of edges.
    substrate
        Input edit that replaces removed cells: deletion, insertion, average drop, and so on.
    top
        Joints, or edges, of pgi and pgu, by default all.
    cells
        "all", or only what was "observed": of localisation, the one measure that looks at cells by
        themselves; the others disturb whole joints or cover whole maps and stay as they are, which
        the table's column `cells` says.
    evidence
        What localisation looks for: the planted "sign", with the decoys as distractors, or the
        "decoys", such as a planted shortcut, with the sign as distractor.
    marks
        Files or folders of annotators' marks (see `hargcn.data.marks`): localisation compares with
        each of them, too. How far they agree goes beside the table (.marks.csv); the ceiling of
        their rows is what the others' marks score. Windows of videos that an annotator did not
        look at are left out.
    marks_settings
        A YAML file: `joints`, what tiers are about, `videos` that all annotators looked at, and
        `starts`, when recordings begin in theirs.
    remake
        Allow measures that explain again.
    batch
        Rows per forward pass; by default what runs fastest.
    shard, engine, address
        Windows per shard, and where shards are worked on, as for `explain`.
    limit, limit_seed
        Of the explained windows the first so many, or so many drawn with a seed.
    other_preparation
        Take windows that were prepared otherwise than those the network learned from; the result
        records it.
    device
        "cpu", "cuda" or "cuda:N".
    seed
        Seed of everything random.
    progress
        Whether to show progress bars.
    announce
        Called with a line that says how long it will take here, where that is over some seconds;
        with `remake`, and for every method how long explaining again will take.

    Raises
    ------
    FileNotFoundError
        Without one of the files.
    ValueError
        For explanations of another network or other windows, an unknown measure, an edit that
        makes no sense, marks that do not fit the windows, or an output that cannot be written.
    """
    check_engine(engine, address)
    one_of("--cells", cells, get_args(Cells))
    one_of("evidence", evidence, ("sign", "decoys"))
    asked = _named(metrics)
    disturbing, removing = parse_edit(edit), parse_edit(substrate)
    if not isinstance(removing, InputEdit):
        raise ValueError(f"Expected an input edit as substrate (got {substrate!r})")
    inputs = (checkpoint, windows, *explanations, *marks)
    out = writable(out, *inputs, suffix=".csv")
    for beside in (samples_file(out), raters_file(out)):
        writable(beside, *inputs)
    with locked(out):
        opened = ExplainedWindows.open(
            checkpoint, windows, explanations, device=device, batch=batch, seed=seed,
            other_preparation=other_preparation, limit=limit, limit_seed=limit_seed,
            progress=progress,
        )  # fmt: skip
        marked = open_marks(marks, marks_settings, opened.data, opened.windows)
        planted = opened.windows.truth(), opened.windows.distractor()
        truth, distractor = planted if evidence == "sign" else planted[::-1]
        case = Case(
            opened.model,
            opened.positions,
            next(iter(opened.explanations.values())),
            edit=disturbing,
            substrate=removing,
            truth=truth,
            distractor=distractor,
            marks=marked.masks,
            seen=opened.windows.observed() if cells == "observed" else None,
            layer=next(reversed(opened.model.layer_names()), ""),
            top=top,
            run=opened.run,
        )
        wanted = list(METRICS) if asked is None else asked
        if metrics in ("all", USUAL):
            wanted = _applying(case, wanted, remake)
        expect_defined(wanted, case.model)
        check_heeded(wanted, case)
        if any(METRICS[name].disturbs for name in wanted):
            check_edit(opened.model, disturbing)
        explainers = opened.explainers() if remake else {}
        located = any(METRICS[name].truth for name in wanted)
        maps = maps_without_network(opened, case) if located else {}
        measure = _Values(case, opened.explanations, wanted, explainers, maps, opened.windows.group)
        about = {
            "metrics": wanted, "edit": disturbing, "substrate": removing, "top": top,
            "cells": cells, "evidence": evidence,
            "marks": {name: _told(mask) for name, mask in marked.masks.items()},
            "remade": {name: code_of(each) for name, each in explainers.items()},
        }  # fmt: skip
        job = Measuring.of(measure, opened, explanations, out, asked=about, shard=shard)
        if announce is not None and engine == "local" and job.left:
            measure.announce(announce, job.left)
        single = job.found("evaluating", engine=engine, address=address, progress=progress)
        found = noted(MetricTable.of(single, seed), case, marked)
        if other_preparation:
            found = replace(found, rows=found.rows.assign(other_preparation=True))
        found.save(out)
        job.end()
    return found


@dataclass(frozen=True, eq=False)
class _Values:
    """What it takes to judge some of the windows, here or in another process."""

    case: Case
    explanations: Mapping[str, Explanation]
    metrics: Sequence[str]
    explainers: Mapping[str, Any]
    maps: Mapping[str, np.ndarray]
    groups: np.ndarray

    def __call__(self, some: slice) -> xr.Dataset:
        """Return the single values of some windows."""
        return metric_samples(
            self.case.part(some),
            {name: each.isel(sample=some) for name, each in self.explanations.items()},
            self.metrics,
            explainers=self.explainers,
            model_free={name: each[some] for name, each in self.maps.items()},
            groups=self.groups[some],
        )

    def announce(self, announce: Callable[[str], Any], share: float) -> None:
        """Say how long a share of the windows will take."""
        rows = len(self.explanations) + len(self.maps) + _BESIDE
        announce_time(announce, share * table_seconds(self.case, self.metrics, rows))
        for name, seconds in forecast(self.case, self.explainers, self.metrics).items():
            announce(f"{name}: explaining again takes about {share * seconds:.0f} s")


def _told(mask: np.ndarray) -> str:
    """Return a digest of a mask."""
    return hashlib.sha256(mask.tobytes()).hexdigest()


def pool(tables: Mapping[str, str | Path], out: str | Path) -> MetricTable:
    """Join tables of `evaluate` over several runs, such as trainings with several seeds.

    Parameters
    ----------
    tables
        By name of the run; the single values lie beside them.
    out
        The table to write (.csv).

    Raises
    ------
    FileNotFoundError
        Without a file of single values.
    ValueError
        For runs of different methods or measures, or an output that cannot be written.
    """
    files = {name: samples_file(table) for name, table in tables.items()}
    out = writable(out, *tables.values(), *files.values(), suffix=".csv")
    found = pooled({name: xr.load_dataset(file) for name, file in files.items()})
    found.save(out)
    return found


def _named(metrics: str | Sequence[str]) -> list[str] | None:
    """Return the names of measures; None for "all"."""
    names = metrics.split(",") if isinstance(metrics, str) else metrics
    return None if metrics == "all" else [one_of("metrics", n.strip(), METRICS) for n in names]


def _applying(case: Case, names: Sequence[str], remake: bool) -> list[str]:
    """Return those measures that apply to what the network says and to what is known."""
    kind = outputs_of(case.model).kind
    return [
        name
        for name in names
        if (remake or not METRICS[name].calls(case))
        and (case.truth is not None or case.marks or not METRICS[name].truth)
        and (METRICS[name].edges or not of_edges(case.explanation))
        and kind in METRICS[name].kinds
    ]


def _gradcams(
    model: SkeletonNetwork,
    windows: Windows,
    reference: str,
    target: str,
    batch: int,
    progress: bool,
) -> Iterator[Mapping[str, Explanation]]:
    """Explain batch after batch at every layer of the table."""
    method, layers = GradCAM(reference), list(model.layer_names())
    if model.streams:
        layers = correlation_layers(layers, reference)
    starts = range(0, len(windows), batch)
    for start in track(starts, "explaining", progress=progress):
        some = windows.subset(slice(start, start + batch))
        yield explain_batch(model, some, method, target, layers)
