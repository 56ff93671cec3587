"""`axioms`: which axioms methods keep on a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hargcn.cli.options import (
    Checkpoint,
    Device,
    OtherPreparation,
    Seed,
    Split,
    Table,
    WindowsFile,
    say,
    table,
)

if TYPE_CHECKING:
    import pandas as pd

_TITLES = {
    "theorem": "axioms: kept or not, and the figure",
    "criterion": "criteria, without a threshold in theory: ours, and the figure",
}
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", "-m", help="A method (again for more); by default all that apply."),
]
Layer = Annotated[str, typer.Option("--layer", "-l", help="Layer of CAMs; by default the last.")]
Few = Annotated[int, typer.Option(min=1, help="The first N windows only.")]
Drawing = Annotated[
    Path | None, typer.Option("--picture", "-p", help="Also draw the matrix (.png, .svg, .pdf).")
]
Rows = Annotated[int, typer.Option(min=1, help="SHAP: number of training windows.")]


def axioms(
    checkpoint: Checkpoint,
    windows: WindowsFile,
    out: Table,
    method: Methods = None,
    layer: Layer = "",
    split: Split = "test",
    limit: Few = 4,
    background: Rows = 10,
    picture: Drawing = None,
    other_preparation: OtherPreparation = False,
    device: Device = "cpu",
    seed: Seed = 1234,
) -> None:
    """Check the axioms of attribution: methods x axioms, with the reason of what does not pass.

    Exit code 1 if a method broke; what it broke with stands in the table, and the rest is judged.

    Example: hargcn axioms model.safetensors windows.h5 --method shap --method gradcam
    --out axioms.csv --picture axioms.png
    """
    from hargcn.pipeline.axioms import axioms

    found = axioms(
        checkpoint, windows, out, method=method or (), layer=layer, split=split, limit=limit,
        background=background, other_preparation=other_preparation, device=device, seed=seed,
        picture=picture, progress=True, say=say,
    )  # fmt: skip
    for kind, title in _TITLES.items():
        _print(title, found[found["kind"] == kind])
    _explain(found)
    typer.echo("\n".join(str(path) for path in (out, picture) if path is not None))
    if (found["verdict"] == "error").any():
        raise typer.Exit(1)


def _print(title: str, found: pd.DataFrame) -> None:
    """Print methods x axioms, and how long each method took."""
    from hargcn.plots.axioms import cell_text

    shown = found.assign(cell=[cell_text(*row) for row in found[["verdict", "figure"]].to_numpy()])
    header = ["", *found["axiom"].unique(), "seconds"]
    rows = [
        [str(method), *group["cell"], f"{group['seconds'].sum():.1f}"]
        for method, group in shown.groupby("method", sort=False)
    ]
    table(title, header, rows)


def _explain(found: pd.DataFrame) -> None:
    """Print the reason of whatever does not pass once, with the methods that it holds for."""
    rest = found[found["verdict"] != "pass"]
    for (axiom, verdict, why), group in rest.groupby(["axiom", "verdict", "why"], sort=False):
        typer.echo(f"{axiom}: {verdict}: {why}: {', '.join(group['method'])}")


COMMANDS = (axioms,)
