"""`correlate`, `perturb`, `evaluate`: whether explanations can be trusted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hargcn.cli.options import (
    Address,
    Batch,
    Cells,
    Checkpoint,
    Class,
    Device,
    Dpi,
    Engine,
    Explanations,
    Limit,
    OtherPreparation,
    Seed,
    Shard,
    Split,
    Table,
    WindowsFile,
    interval,
    table,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from hargcn.metrics.gap_curve import GapCurve

Inputs = Annotated[
    list[Path],
    typer.Argument(
        metavar="CHECKPOINT WINDOWS",
        help="A network and windows; with --between methods explanation files instead.",
    ),
]
Between = Annotated[str, typer.Option(help="layers, or methods.")]
Reference = Annotated[
    str | None, typer.Option(help="Layer the others are compared with; default the last.")
]
Pass = Annotated[int, typer.Option(help="Windows per pass.")]
Relu = Annotated[bool, typer.Option("--relu", help="Compare positive parts only.")]
Curves = Annotated[Path, typer.Option("--out", "-o", help="Curves (.h5); table and figures too.")]
Edit = Annotated[str, typer.Option(help="edge:WHICH:OP:AMOUNT or input:OP[:AMOUNT][@START-STOP].")]
Top = Annotated[
    int | None, typer.Option(help="Largest number of perturbed joints, parts or edges; default 10.")
]
Amounts = Annotated[
    str, typer.Option(help="With each of these amounts of the edit: 0.1,0.35,1.", metavar="LIST")
]
UnitsBy = Annotated[str, typer.Option(help="Perturb each joint, or each body part.")]
Sets = Annotated[str, typer.Option(help="Which are perturbed, comma-separated.")]
Measures = Annotated[
    str, typer.Option(help="Draw these as rows of one more picture: accuracy,auc,f1.")
]
Orderings = Annotated[int, typer.Option(help="Random orderings behind the band.")]
Draws = Annotated[int, typer.Option(help="Repetitions of an edit that draws numbers.")]
Order = Annotated[str, typer.Option(help="Rank them signed, by positive parts, or by magnitude.")]
Segments = Annotated[
    int, typer.Option(help="Cut windows into so many segments, ranked separately.")
]
Range = Annotated[
    str, typer.Option("--range", help="Of edge edits: original, or recomputed after each joint.")
]
Metrics = Annotated[str, typer.Option(help="Comma-separated; `all` for every one that applies.")]
Disturbing = Annotated[
    str,
    typer.Option(help="Edit that disturbs joints, or edges: pgi, pgu, sensitivity-n, infidelity."),
]
Substrate = Annotated[
    str,
    typer.Option(help="Edit that replaces removed cells: deletion, insertion, average drop, ..."),
]
TopOfAll = Annotated[int | None, typer.Option(help="Joints or edges of pgi, pgu; default all.")]
Remake = Annotated[
    bool, typer.Option("--remake", help="Allow measures that explain again; says how long first.")
]

SomeOf = Annotated[int | None, typer.Option(min=1, help="Only N of the explained windows.")]
LimitSeed = Annotated[
    int | None, typer.Option(help="Draw the --limit windows with this seed, not the first ones.")
]
Marks = Annotated[
    list[Path] | None,
    typer.Option(help="Annotators' marks (ELAN or BORIS export, or a folder); may be repeated."),
]
MarksSettings = Annotated[
    Path | None, typer.Option(help="YAML: joints of each tier, and videos that were looked at.")
]

USUAL = "pgi,pgu,deletion,insertion,average-drop,increase,add,complexity,localisation"


def correlate(
    inputs: Inputs,
    out: Table,
    reference: Reference = None,
    between: Between = "layers",
    class_: Class = "predicted",
    split: Split = "test",
    limit: Limit = None,
    batch: Pass = 32,
    relu: Relu = False,
    other_preparation: OtherPreparation = False,
    dpi: Dpi = 200,
    device: Device = "cpu",
    seed: Seed = 1234,
) -> None:
    """Rank correlation of Grad-CAM between layers (the paper's table 1), or between methods.

    Example: hargcn correlate model.safetensors windows.h5 --reference main.1.attention
    --out correlation.csv

    Example: hargcn correlate shap.h5 gradcam.h5 --between methods --out agreement.csv
    """
    from hargcn.pipeline.evaluate import correlate

    found = correlate(
        inputs, out, between=between, reference=reference, class_=class_, split=split, limit=limit,
        batch=batch, relu=relu, other_preparation=other_preparation, dpi=dpi, device=device,
        seed=seed,
    )  # fmt: skip
    (_methods if between == "methods" else _layers)(found)
    typer.echo(f"{out}\n{out.with_suffix('.png')}")


def perturb(
    checkpoint: Checkpoint,
    windows: WindowsFile,
    explanations: Explanations,
    out: Curves,
    edit: Edit = "edge:self:away:0.35",
    amounts: Amounts = "",
    by: UnitsBy = "joint",
    top: Top = None,
    random: Orderings = 20,
    draws: Draws = 1,
    order: Order = "signed",
    sets: Sets = "important,unimportant,complement",
    segments: Segments = 1,
    range_: Range = "original",
    measures: Measures = "",
    dpi: Dpi = 200,
    batch: Batch = None,
    shard: Shard = 16,
    engine: Engine = "local",
    address: Address = None,
    limit: SomeOf = None,
    limit_seed: LimitSeed = None,
    other_preparation: OtherPreparation = False,
    device: Device = "cpu",
    seed: Seed = 1234,
) -> None:
    """Perturb the joints, parts or edges that explanations call important, not, or random ones.

    Edits: edge:self|incident|all:away|towards|zero|noise:AMOUNT, edge:single:zero|towards:AMOUNT of
    edges' explanations, input:noise|shift|speed|angle:AMOUNT|freeze|mean|interpolate|origin|parent.

    Example: hargcn perturb model.safetensors windows.h5 shap.h5 gradcam.h5 --out perturb.h5
    """
    from hargcn.pipeline.perturb import curve_pictures, perturb

    curves = perturb(
        checkpoint, windows, explanations, out, edit=edit, amounts=amounts, by=by, top=top,
        random=random, draws=draws, order=order, sets=sets, segments=segments, range_=range_,
        measures=measures, dpi=dpi, batch=batch, shard=shard, engine=engine, address=address,
        limit=limit, limit_seed=limit_seed, other_preparation=other_preparation, device=device,
        seed=seed, announce=_say,
    )  # fmt: skip
    _tell(curves, edit, out, curve_pictures(curves, out, measures))


def _tell(curves: GapCurve, edit: str, out: Path, pictures: Iterable[Path]) -> None:
    _areas(curves, f"over k = 0..{curves.dataset['k'].to_numpy().max()}, {edit}")
    typer.echo("\n".join(map(str, (out, out.with_suffix(".csv"), *pictures))))


def evaluate(
    checkpoint: Checkpoint,
    windows: WindowsFile,
    explanations: Explanations,
    out: Table,
    metrics: Metrics = USUAL,
    edit: Disturbing = "edge:self:away:0.35",
    substrate: Substrate = "input:freeze",
    top: TopOfAll = None,
    cells: Cells = "all",
    marks: Marks = None,
    marks_settings: MarksSettings = None,
    remake: Remake = False,
    batch: Batch = None,
    shard: Shard = 16,
    engine: Engine = "local",
    address: Address = None,
    limit: SomeOf = None,
    limit_seed: LimitSeed = None,
    other_preparation: OtherPreparation = False,
    device: Device = "cpu",
    seed: Seed = 1234,
) -> None:
    """Evaluate explanations: methods x metrics, beside chance and, where planted, the truth.

    Example: hargcn evaluate model.safetensors windows.h5 shap.h5 gradcam.h5
    --metrics pgi,pgu,deletion,insertion,localisation --out table.csv
    """
    from hargcn.pipeline.evaluate import evaluate

    found = evaluate(
        checkpoint, windows, explanations, out, metrics=metrics, edit=edit, substrate=substrate,
        top=top, cells=cells, marks=marks or (), marks_settings=marks_settings, remake=remake,
        batch=batch, shard=shard, engine=engine, address=address, limit=limit,
        limit_seed=limit_seed, other_preparation=other_preparation, device=device, seed=seed,
        announce=_say,
    )  # fmt: skip
    _measures(found.rows)
    if found.raters is not None:
        _raters(found.raters)
    typer.echo(str(out))


def _areas(curves: GapCurve, over: str) -> None:
    rows = [
        [" ".join(map(str, names)), interval(value, low, high, ".4f")]
        for *names, value, low, high, _ in curves.areas().itertuples(index=False)
    ]
    of = "the value" if curves.dataset.attrs.get("outputs") == "regression" else "p"
    table(f"mean |change of {of}| {over}", ["", "area [95% interval]"], rows)


def _measures(found: pd.DataFrame) -> None:
    cells = [
        interval(row.estimate, row.low, row.high) if row.n else "-" for row in found.itertuples()
    ]
    shown = found.assign(cell=cells)
    said = ["better", "cells"] if "cells" in found else ["better"]
    rows = [
        [str(metric), *group["cell"], *group[said].iloc[0]]
        for metric, group in shown.groupby("metric", sort=False)
    ]
    header = ["", *found["method"].unique(), *said]
    table("mean [95% interval, clustered by subject]", header, rows)


def _raters(found: pd.DataFrame) -> None:
    rows = [
        [f"{row.a}, {row.b}", str(row.windows), f"{row.kappa:.2f}", f"{row.iou:.2f}"]
        for row in found.itertuples()
    ]
    if rows:
        title = "annotators among themselves, cell by cell"
        table(title, ["", "windows", "Cohen's kappa", "overlap (IoU)"], rows)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _methods(found: xr.Dataset) -> None:
    rho = found["spearman"].sel({"class": "all"})
    names = [str(name) for name in rho["method"].to_numpy()]
    rows = [
        [name, *(f"{v:+.2f}" for v in row)] for name, row in zip(names, rho.to_numpy(), strict=True)
    ]
    table("Spearman rho between methods", ["", *names], rows)


def _layers(found: xr.Dataset) -> None:
    columns = [found[name].to_numpy().tolist() for name in ("layer", "mean", "low", "high", "n")]
    rows = [
        [layer, interval(mean, low, high, "+.3f"), str(n)]
        for layer, mean, low, high, n in zip(*columns, strict=True)
    ]
    title = f"Spearman rho of Grad-CAM with {found.attrs['reference']}"
    table(title, ["layer", "mean [95% interval]", "n"], rows)


COMMANDS = (correlate, perturb, evaluate)
