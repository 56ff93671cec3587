"""`correlate`, `perturb`, `evaluate`: whether explanations can be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hargcn.checks import one_of
from hargcn.cli.options import (
    Checkpoint,
    Device,
    Explanations,
    Seed,
    Split,
    WindowsFile,
    table,
    writable,
)

if TYPE_CHECKING:
    import pandas as pd

    from hargcn.data.windows import Windows
    from hargcn.explanation import Explanation
    from hargcn.networks.stgcn import MultiBranchSTGCN


def correlate(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="CHECKPOINT WINDOWS",
            help="A network and windows; with --between methods explanation files instead.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Table (.csv); a picture beside it.")],
    reference: Annotated[
        str | None, typer.Option(help="Layer the others are compared with; default the last.")
    ] = None,
    between: Annotated[str, typer.Option(help="layers, or methods.")] = "layers",
    class_: Annotated[
        str, typer.Option("--class", help="Class to explain: predicted, label, or its name.")
    ] = "predicted",
    split: Split = "test",
    limit: Annotated[int | None, typer.Option(min=1, help="The first N windows only.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Windows per pass.")] = 32,
    relu: Annotated[bool, typer.Option("--relu", help="Compare positive parts only.")] = False,
    device: Device = "cpu",
    seed: Seed = 1234,
) -> None:
    """Rank correlation of Grad-CAM between layers (the paper's table 1), or between methods.

    Example: hargcn correlate model.safetensors windows.h5 --reference main.1.attention
    --out correlation.csv

    Example: hargcn correlate shap.h5 gradcam.h5 --between methods --out agreement.csv
    """
    from hargcn.analysis.agreement import agreement
    from hargcn.analysis.agreement import correlate as between_layers
    from hargcn.analysis.ranking import write_csv
    from hargcn.plots import plot_agreement, plot_correlation, save_figure

    one_of("--between", between, ("layers", "methods"))
    writable(out, *inputs, suffix=".csv")
    if between == "methods":
        from hargcn.pipeline.case import open_explanations

        named = open_explanations(inputs)
        found = agreement(named, relu=relu, seed=seed)
        figure, _ = plot_agreement(found)
        names = list(named)
        rho = found["spearman"].sel({"class": "all"}).to_numpy()
        rows = [[a, *(f"{v:+.2f}" for v in row)] for a, row in zip(names, rho, strict=True)]
        table("Spearman rho between methods", ["", *names], rows)
    else:
        if len(inputs) != 2:
            raise ValueError("Expected a checkpoint and a windows file (or --between methods)")
        model, chosen = _opened(inputs[0], inputs[1], split, limit, device)
        last = reference or f"main.{model.config.main.blocks - 1}.attention"
        batches = _gradcams(model, chosen, last, class_, batch)
        found = between_layers(batches, last, relu=relu, seed=seed)
        figure, _ = plot_correlation(found)
        rows = [
            [
                str(row["layer"].item()),
                f"{row['mean'].item():+.3f}",
                f"[{row['low'].item():+.3f}, {row['high'].item():+.3f}]",
                str(row["n"].item()),
            ]
            for row in (found.sel(layer=layer) for layer in found["layer"].to_numpy())
        ]
        title = f"Spearman rho of Grad-CAM with {last}"
        table(title, ["layer", "mean", "95% interval", "n"], rows)
    write_csv(found, out)
    save_figure(figure, out.with_suffix(".png"))
    typer.echo(f"{out}\n{out.with_suffix('.png')}")


def perturb(
    checkpoint: Checkpoint,
    windows: WindowsFile,
    explanations: Explanations,
    out: Annotated[Path, typer.Option("--out", "-o", help="Curves (.h5); table and figures too.")],
    edit: Annotated[
        str, typer.Option(help="edge:WHICH:OP:AMOUNT or input:OP[:AMOUNT][@START-STOP].")
    ] = "edge:self:away:0.35",
    top: Annotated[int, typer.Option(help="Largest number of perturbed joints.")] = 10,
    random: Annotated[int, typer.Option(help="Random orderings behind the band.")] = 20,
    draws: Annotated[int, typer.Option(help="Repetitions of an edit that draws numbers.")] = 1,
    order: Annotated[str, typer.Option(help="Rank joints signed, or by magnitude.")] = "signed",
    segments: Annotated[
        int, typer.Option(help="Cut windows into so many segments, ranked separately.")
    ] = 1,
    batch: Annotated[
        int | None, typer.Option(help="Rows per forward pass; by default what runs fastest.")
    ] = None,
    device: Device = "cpu",
    seed: Seed = 1234,
) -> None:
    """Perturb the joints an explanation calls important, unimportant, or random ones.

    Edge edits: edge:self|incident|all:away|towards|zero|noise:AMOUNT. Input edits:
    input:noise|shift|speed|angle:AMOUNT, input:freeze|mean|interpolate|parent.

    Example: hargcn perturb model.safetensors windows.h5 shap.h5 gradcam.h5
    --edit edge:self:away:0.35 --top 10 --random 20 --out perturb.h5
    """
    from hargcn.metrics.curves import perturbation_curves
    from hargcn.perturbation import parse_edit
    from hargcn.pipeline.case import Bench
    from hargcn.plots import plot_curves, save_figure

    change = parse_edit(edit)
    writable(out, checkpoint, windows, *explanations, suffix=".h5")
    bench = Bench.open(checkpoint, windows, explanations, device, batch, seed)
    curves = perturbation_curves(
        bench.model,
        bench.positions,
        bench.explanations,
        change,
        labels=bench.chosen.label,
        groups=bench.chosen.group,
        top=top,
        random=random,
        draws=draws,
        order=one_of("--order", order, ("signed", "magnitude")),
        segments=segments,
        run=bench.run,
    )
    curves.save(out)
    pieces = curves.dataset["segment"].to_numpy().tolist() if segments > 1 else [None]
    measure = "auc" if "auc" in curves.dataset else "accuracy"
    written = [out, out.with_suffix(".csv")]
    for segment in pieces:
        for name in (measure, "gap"):
            figure, _ = plot_curves(curves.dataset, name, segment=segment)
            part = f".{segment}" if segment else ""
            written.append(out.with_name(f"{out.stem}{part}.{name}.png"))
            save_figure(figure, written[-1])
    areas = curves.areas()
    columns = [c for c in areas.columns if c not in ("area", "area_low", "area_high", "n")]
    rows = [
        [
            " ".join(str(row[c]) for c in columns),
            f"{row['area']:.4f}",
            f"[{row['area_low']:.4f}, {row['area_high']:.4f}]",
        ]
        for _, row in areas.iterrows()
    ]
    table(f"mean |change of p| over k = 0..{top}, {edit}", ["", "area", "95% interval"], rows)
    typer.echo("\n".join(map(str, written)))


def evaluate(
    checkpoint: Checkpoint,
    windows: WindowsFile,
    explanations: Explanations,
    out: Annotated[Path, typer.Option("--out", "-o", help="Table (.csv).")],
    metrics: Annotated[
        str, typer.Option(help="Comma-separated; `all` for every one that applies.")
    ] = "pgi,pgu,deletion,insertion,average-drop,increase,add,complexity,localisation",
    edit: Annotated[
        str, typer.Option(help="Disturbs joints: pgi, pgu, sensitivity-n, infidelity.")
    ] = "edge:self:away:0.35",
    substrate: Annotated[
        str, typer.Option(help="Replaces removed cells: deletion, insertion, average drop, ...")
    ] = "input:freeze",
    top: Annotated[int | None, typer.Option(help="Joints of pgi and pgu; default all.")] = None,
    remake: Annotated[
        bool, typer.Option("--remake", help="Allow measures that explain again (see forecast).")
    ] = False,
    batch: Annotated[
        int | None, typer.Option(help="Rows per forward pass; by default what runs fastest.")
    ] = None,
    device: Device = "cpu",
    seed: Seed = 1234,
) -> None:
    """Judge explanations: methods x metrics, beside chance and, where planted, the truth.

    Example: hargcn evaluate model.safetensors windows.h5 shap.h5 gradcam.h5
    --metrics pgi,pgu,deletion,insertion,localisation --out table.csv
    """
    from hargcn.metrics.registry import METRICS, Case
    from hargcn.metrics.table import forecast, metric_table
    from hargcn.perturbation import InputEdit, parse_edit
    from hargcn.pipeline.case import Bench

    writable(out, checkpoint, windows, *explanations)
    bench = Bench.open(checkpoint, windows, explanations, device, batch, seed)
    replacing = parse_edit(substrate)
    if not isinstance(replacing, InputEdit):
        raise ValueError(f"--substrate: expected an input edit (got {substrate!r})")
    first = next(iter(bench.explanations.values()))
    case = Case(
        bench.model,
        bench.positions,
        first,
        edit=parse_edit(edit),
        substrate=replacing,
        truth=bench.chosen.truth(),
        distractor=bench.chosen.distractor(),
        layer=f"main.{bench.model.config.main.blocks - 1}.attention",
        top=top,
        run=bench.run,
    )
    wanted = list(METRICS) if metrics == "all" else metrics.split(",")
    if metrics == "all":
        wanted = [
            name
            for name in wanted
            if (remake or not METRICS[name].calls(case))
            and (case.truth is not None or not METRICS[name].truth)
        ]
    explainers = bench.explainers() if remake else {}
    if remake:
        for name, seconds in forecast(case, explainers, wanted).items():
            typer.echo(f"{name}: explaining again takes about {seconds:.0f} s", err=True)
    found = metric_table(
        case, bench.explanations, wanted, explainers=explainers, groups=bench.chosen.group
    )
    found.save(out)
    methods = list(found.rows["method"].unique())
    rows = [
        [str(metric), *(_cell(group, method) for method in methods), str(group["better"].iloc[0])]
        for metric, group in found.rows.groupby("metric", sort=False)
    ]
    table("mean [95% interval, clustered by subject]", ["", *methods, "better"], rows)
    typer.echo(str(out))


def _cell(rows: pd.DataFrame, method: str) -> str:
    row = rows[rows["method"] == method]
    if row.empty or not row["n"].iloc[0]:
        return "-"
    value, low, high = (row[name].iloc[0] for name in ("estimate", "low", "high"))
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _opened(
    checkpoint: Path, windows: Path, split: str, limit: int | None, device: str
) -> tuple[MultiBranchSTGCN, Windows]:
    from hargcn import Windows, load_model
    from hargcn.allocator import keep_freed_memory

    keep_freed_memory()
    data = Windows.open(windows)
    chosen = data if split == "all" else data.subset(split)
    return load_model(checkpoint, device), chosen.subset(slice(0, limit))


def _gradcams(
    model: MultiBranchSTGCN, windows: Windows, reference: str, target: str, batch: int
) -> Iterator[Mapping[str, Explanation]]:
    """Explain batch after batch at every layer of the table."""
    from hargcn.analysis.agreement import correlation_layers
    from hargcn.explainers import GradCAM
    from hargcn.files import track
    from hargcn.pipeline.explain import explain_batch

    layers = correlation_layers(model.layer_names(), reference)
    method = GradCAM(reference)
    starts = range(0, len(windows), batch)
    for start in track(starts, "explaining"):
        some = windows.subset(slice(start, start + batch))
        yield explain_batch(model, some, method, target, layers)


COMMANDS = (correlate, perturb, evaluate)
