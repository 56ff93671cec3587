"""`perturb`: what a network says as the joints, parts or edges that explanations rank go."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import xarray as xr
from torch import Tensor

from hargcn.checks import at_least, one_of, writable
from hargcn.explanation import Explanation
from hargcn.files import locked
from hargcn.metrics.curves import SETS, curves_seconds, single_curves
from hargcn.metrics.gap_curve import MEASURES, GapCurve
from hargcn.metrics.maps import Order
from hargcn.metrics.runner import Runner
from hargcn.metrics.units import By
from hargcn.networks.network import SkeletonNetwork
from hargcn.outputs import outputs_of
from hargcn.perturbation import EdgeEdit, Edit, parse_edit
from hargcn.perturbation.edges import Range
from hargcn.pipeline.case import ExplainedWindows, announce_time, check_edit
from hargcn.pipeline.cluster import check_engine
from hargcn.pipeline.measured import Measuring
from hargcn.plots import plot_curves, plot_sweep, save_figure

_AREA = "area"


def perturb(
    checkpoint: str | Path,
    windows: str | Path,
    explanations: Sequence[str | Path],
    out: str | Path,
    *,
    edit: str = "edge:self:away:0.35",
    amounts: str | Sequence[float] = (),
    by: str = "joint",
    top: int | None = None,
    random: int = 20,
    draws: int = 1,
    order: str = "signed",
    sets: str | Sequence[str] = SETS,
    segments: int = 1,
    range_: str = "original",
    measures: str | Sequence[str] = (),
    dpi: int = 200,
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
) -> GapCurve:
    """Perturb the joints, parts or edges that explanations call important, not, or random ones.

    Writes the curves, beside them a table (.csv) and the pictures of `curve_pictures`. The same
    call after a kill goes on where it stopped.

    Parameters
    ----------
    checkpoint, windows, explanations
        The network, a windows file, and explanation files of the same windows and classes.
    out
        The curves to write (.h5).
    edit
        `edge:WHICH:OP:AMOUNT` or `input:OP[:AMOUNT][@START-STOP]` (see `perturbation.parse_edit`);
        of explanations of edges `edge:single:OP:AMOUNT`.
    amounts
        Do it with each of these amounts of the edit, a list or "0.1,0.35,1"; the picture is that of
        the gap's area against the amount then (.area.png).
    by
        Perturb single joints, or all joints of a body "part" at once.
    top
        Largest number of perturbed joints, parts or edges; by default 10, or all.
    random
        Random orderings behind the band.
    draws
        Repetitions of an edit that draws numbers.
    order
        Rank them "signed", by "positive" parts only (what has none is in random order), or by
        "magnitude".
    sets
        Which are perturbed: a list of "important", "unimportant" and "complement", or separated by
        commas.
    segments
        Cut windows into so many stretches, ranked and perturbed by themselves.
    range_
        Of an edge edit: "original", or "recomputed" after each joint, as published code does.
    measures
        Draw these measures of `GapCurve`, a list or "accuracy,auc,f1", as rows of one picture
        (.measures.png) besides; those that these windows have no curves of are left out.
    dpi
        Dots per inch of a PNG.
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
        Whether to show a progress bar.
    announce
        Called with a line that says how long it will take here, where that is over some seconds.

    Raises
    ------
    FileNotFoundError
        Without one of the files.
    ValueError
        For explanations of another network or other windows, for an edit, a number or an order
        that makes no sense, or an output that cannot be written.
    """
    check_engine(engine, address)
    change = parse_edit(edit)
    if one_of("range", range_, get_args(Range)) == "recomputed":
        if not isinstance(change, EdgeEdit):
            raise ValueError(f"Expected an edge edit with a recomputed range (got {edit!r})")
        change = replace(change, range="recomputed")
    options: dict[str, Any] = {
        "top": top, "random": random, "draws": draws, "segments": segments,
        "by": one_of("by", by, get_args(By)),
        "order": one_of("order", order, get_args(Order)),
        "sets": [one_of("sets", each, SETS) for each in _listed(sets)],
        "amounts": _numbers(amounts),
    }  # fmt: skip
    for each in _listed(measures):
        one_of("measures", each, MEASURES)
    at_least("draws", draws, 1)
    inputs = (checkpoint, windows, *explanations)
    out = writable(out, *inputs, suffix=".h5")
    for beside in (out.with_suffix(".csv"), *out.parent.glob(f"{glob.escape(out.stem)}.*png")):
        writable(beside, *inputs)
    with locked(out):
        case = ExplainedWindows.open(
            checkpoint, windows, explanations, device=device, batch=batch, seed=seed,
            other_preparation=other_preparation, limit=limit, limit_seed=limit_seed,
            progress=progress,
        )  # fmt: skip
        check_edit(case.model, change)
        work = _Curves(
            case.model, case.positions, case.explanations, change, case.run, _truth(case),
            case.windows.group, options,
        )  # fmt: skip
        asked = {"edit": change, "options": options}
        job = Measuring.of(work, case, explanations, out, asked=asked, shard=shard)
        if announce is not None and engine == "local" and job.left:
            announce_time(announce, job.left * work.seconds())
        single = job.found("perturbing", engine=engine, address=address, progress=progress)
        curves = GapCurve.of(single).noted(other_preparation=int(other_preparation))
        curves.save(out)
        for path, (measure, segment) in curve_pictures(curves, out, measures).items():
            if measure == _AREA:
                figure, _ = plot_sweep(curves.dataset, segment=segment)
            else:
                figure, _ = plot_curves(curves.dataset, measure, segment=segment)
            save_figure(figure, path, dpi)
        job.end()
    return curves


@dataclass(frozen=True, eq=False)
class _Curves:
    """What it takes to perturb some of the windows, here or in another process."""

    model: SkeletonNetwork
    positions: Tensor
    explanations: Mapping[str, Explanation]
    edit: Edit
    run: Runner
    truth: np.ndarray | None
    groups: np.ndarray
    options: Mapping[str, Any]

    def __call__(self, some: slice) -> xr.Dataset:
        """Return the curves of some windows."""
        classes = outputs_of(self.model).kind == "classes"
        return single_curves(
            self.model,
            self.positions[some],
            {name: each.isel(sample=some) for name, each in self.explanations.items()},
            self.edit,
            labels=None if self.truth is None else self.truth[some],
            groups=self.groups[some],
            classes=self.truth if classes else None,
            run=self.run.part(some, len(self.positions)),
            **self.options,
        )

    def seconds(self) -> float:
        """Return about how many seconds all windows take."""
        asked = (self.model, self.positions, self.explanations, self.edit)
        return curves_seconds(*asked, run=self.run, **self.options)


def curve_pictures(
    curves: GapCurve, out: str | Path, measures: str | Sequence[str] = ()
) -> dict[Path, tuple[str | Sequence[str], str | None]]:
    """Return the pictures that `perturb` draws beside `out`: of which measures and segment.

    One of the gap, one of the ROC-AUC (two classes, one label), accuracy or error of values, and
    one of `measures` together; of several amounts that of the area; of every segment, where there
    are several.
    """
    found, out = curves.dataset, Path(out)
    segments = found["segment"].to_numpy().tolist() if "segment" in found.dims else [None]
    two = found.attrs["classes"] == 2 or "outputs" in found.attrs
    main = [name for name in ("auc", "accuracy", "mae") if name in found and (two or name != "auc")]
    pictures: dict[str, str | Sequence[str]] = {each: each for each in (*main[:1], "gap")}
    if together := [each for each in _listed(measures) if each in found]:
        pictures["measures"] = together
    if "amount" in found.dims:
        pictures = {_AREA: _AREA}
    return {
        out.with_name(".".join(filter(None, (out.stem, segment, name, "png")))): (drawn, segment)
        for segment in segments
        for name, drawn in pictures.items()
    }


def _truth(case: ExplainedWindows) -> np.ndarray | None:
    """Return what the network should say of the windows, None where nobody knows that."""
    kind = outputs_of(case.model).kind
    return case.windows.wanted if kind in ("classes", case.windows.outputs.kind) else None


def _listed(given: str | Sequence[Any]) -> list[Any]:
    """Return what is given as a list, or separated by commas."""
    if not isinstance(given, str):
        return [*given]
    return [each.strip() for each in given.split(",") if each.strip()]


def _numbers(given: str | Sequence[float]) -> list[float]:
    """Return amounts as numbers."""
    try:
        return [float(each) for each in _listed(given)]
    except ValueError:
        raise ValueError(f"Expected amounts in numbers (got {given!r})") from None
