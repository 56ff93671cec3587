"""`correlate`, `perturb`, `evaluate`: whether explanations can be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hargcn.cli.options import Device, Seed, Split, table

if TYPE_CHECKING:
    from hargcn.explanation import Explanation
    from hargcn.model import MultiBranchSTGCN
    from hargcn.windows import Windows


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
    limit: Annotated[int | None, typer.Option(help="The first N windows only.")] = None,
    batch: Annotated[int, typer.Option(help="Windows per pass.")] = 32,
    relu: Annotated[bool, typer.Option("--relu", help="Compare positive parts only.")] = False,
    device: Device = "cpu",
    seed: Seed = 1234,
) -> None:
    """Rank correlation of Grad-CAM between layers (the paper's table 1), or between methods.

    Example: hargcn correlate model.safetensors windows.h5 --reference main.1.attention
    --out correlation.csv

    Example: hargcn correlate shap.h5 gradcam.h5 --between methods --out agreement.csv
    """
    from hargcn.agreement import agreement
    from hargcn.agreement import correlate as between_layers
    from hargcn.plots import plot_agreement, plot_correlation, save_figure
    from hargcn.ranking import write_csv

    if between not in ("layers", "methods"):
        raise ValueError(f"--between: expected layers or methods (got {between!r})")
    if between == "methods":
        from hargcn import Explanation

        named = {e.name: e for e in map(Explanation.open, inputs)}
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
    from hargcn.agreement import correlation_layers
    from hargcn.explainers import GradCAM
    from hargcn.files import track
    from hargcn.jobs import explained

    method = GradCAM(correlation_layers(model.layer_names(), reference))
    starts = range(0, len(windows), batch)
    for start in track(starts, "explaining"):
        yield explained(model, windows.subset(slice(start, start + batch)), method, target)


COMMANDS = (correlate,)
