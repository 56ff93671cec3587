"""`axioms`: which axioms methods keep on a network."""

from __future__ import annotations

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
    table,
)

if TYPE_CHECKING:
    import pandas as pd

Methods = Annotated[
    list[str] | None,
    typer.Option("--method", "-m", help="A method (again for more); by default all that apply."),
]
Layer = Annotated[str, typer.Option("--layer", "-l", help="Layer of CAMs; by default the last.")]
Few = Annotated[int, typer.Option(min=1, help="The first N windows only.")]
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
    other_preparation: OtherPreparation = False,
    device: Device = "cpu",
    seed: Seed = 1234,
) -> None:
    """Check the axioms of attribution, a row per axiom and a column per method.

    Example: hargcn axioms model.safetensors windows.h5 --method shap --method gradcam
    --out axioms.csv
    """
    from hargcn.pipeline.axioms import axioms

    found = axioms(
        checkpoint, windows, out, method=method or (), layer=layer, split=split, limit=limit,
        background=background, other_preparation=other_preparation, device=device, seed=seed,
        progress=True,
    )  # fmt: skip
    _print(found)
    typer.echo(str(out))


def _print(found: pd.DataFrame) -> None:
    shown = found.assign(cell=[_cell(*row) for row in found[["verdict", "figure"]].to_numpy()])
    rows = [[str(axiom), *group["cell"]] for axiom, group in shown.groupby("axiom", sort=False)]
    table("pass or fail, and the figure", ["", *found["method"].unique()], rows)
    for row in found[found["why"] != ""].itertuples():
        typer.echo(f"{row.method}, {row.axiom}: {row.verdict}: {row.why}")


def _cell(verdict: str, figure: float) -> str:
    return "-" if verdict == "not applicable" else f"{verdict} {figure:.2g}"


COMMANDS = (axioms,)
