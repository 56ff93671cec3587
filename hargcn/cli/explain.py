"""`explain`, `combine`, `methods`: from a network and windows to explanations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hargcn.cli.options import Checkpoint, Device, Json, Seed, Split, WindowsFile, table

Out = Annotated[
    Path,
    typer.Option(
        "--out", "-o", dir_okay=False, help="Explanation file (.h5); one per layer where several."
    ),
]


def explain(
    checkpoint: Checkpoint,
    windows: WindowsFile,
    out: Out,
    method: Annotated[
        str, typer.Option("--method", "-m", help="See hargcn methods: shap, gradcam, ...")
    ] = "gradcam",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="Change a setting of the method, e.g. -s relu=true."),
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option("--layer", "-l", help="Layer of a CAM (again for more; `all`). See layers."),
    ] = None,
    class_: Annotated[
        str, typer.Option("--class", help="Class to explain: predicted, label, or its name.")
    ] = "predicted",
    split: Split = "test",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Explain the first N windows only.")
    ] = None,
    background: Annotated[
        str, typer.Option(help="SHAP: number of training windows, or a windows file.")
    ] = "100",
    background_by: Annotated[
        str, typer.Option(help="SHAP: how to choose them: random, balanced, medoids.")
    ] = "random",
    on: Annotated[
        str, typer.Option(help="Explain branches (J, V, B, A) or raw positions.")
    ] = "branches",
    convergence: Annotated[
        Path | None, typer.Option(help="SHAP: plot ranking stability against background size.")
    ] = None,
    seed: Seed = 1234,
    device: Device = "cpu",
    shard: Annotated[
        int, typer.Option(min=1, help="Windows per shard; a killed run resumes.")
    ] = 32,
) -> None:
    """Explain what a network decides about windows.

    Works in shards: the same command given again after a kill goes on where it stopped.

    Example: hargcn explain model.safetensors windows.h5 --method gradcam --layer main.1.tcn
    --layer main.1.attention --out gradcam.h5

    Example: hargcn explain model.safetensors windows.h5 --method shap --background 100
    --set chunk=20 --class label --out shap.h5
    """
    from hargcn.pipeline import explain as pipeline
    from hargcn.pipeline.config import read_content

    if convergence is not None and method != "shap":
        raise ValueError(f"--convergence: expected --method shap (got {method})")
    written = pipeline.explain(
        checkpoint, windows, out, method=method, settings=read_content(None, set_ or ()),
        layer=layer or (), target=class_, split=split, limit=limit, background=background,
        background_by=background_by, on=on, seed=seed, device=device, shard=shard, progress=True,
        say=lambda text: typer.echo(text, err=True),
    )  # fmt: skip
    if convergence is not None:
        pipeline.draw_convergence(written[0], convergence)
        written = [*written, convergence]
    typer.echo("\n".join(map(str, written)))


def combine(
    shap: Annotated[Path, typer.Argument(metavar="SHAP", help="Explanation of features.")],
    cam: Annotated[Path, typer.Argument(metavar="CAM", help="Class activation map.")],
    out: Out,
    form: Annotated[
        str, typer.Option(help="product: SHAP where the map is positive; rank: mean of ranks.")
    ] = "product",
) -> None:
    """Combine two explanations of the same windows and classes into a hybrid one.

    Example: hargcn combine shap.h5 gradcam.h5 --form product --out hybrid.h5
    """
    from hargcn.pipeline.combine import combine

    combine(shap, cam, out, form=form)
    typer.echo(str(out))


def methods(
    name: Annotated[str | None, typer.Argument(help="One method, with its settings.")] = None,
    as_json: Json = False,
) -> None:
    """List the methods of explanation, or say everything about one.

    Example: hargcn methods

    Example: hargcn methods shapcam
    """
    import json

    from hargcn.explainers.base import METHODS, about

    if as_json:
        chosen = METHODS.all() if name is None else {name: METHODS.find(name)}
        typer.echo(json.dumps({key: about(cls) for key, cls in chosen.items()}, indent=1))
        return
    if name is None:
        rows = [
            [key, c.label, " ".join(c.needs), c.promise, c.cost] for key, c in METHODS.all().items()
        ]
        table("methods of explanation", ["name", "method", "needs", "promise", "cost"], rows)
        return
    said = about(METHODS.find(name))
    for key in ("label", "summary", "source", "needs", "promise", "cost"):
        typer.echo(f"{key}: {said[key]}")
    rows = [[row["name"], row["type"], row["default"], row["meaning"]] for row in said["settings"]]
    if rows:
        table("settings (--set NAME=VALUE)", ["name", "type", "default", "meaning"], rows)


COMMANDS = (explain, combine, methods)
