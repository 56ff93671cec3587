"""`crossfit`: every subject scored and explained by networks that never saw it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hargcn.cli import figures
from hargcn.cli.explain import BackgroundBy, Keep
from hargcn.cli.network import Aggregate
from hargcn.cli.options import Class, Device, Json, Seed, table

_MEAN = "mean over folds (ROC-AUC and correlations of one network at a time)"
_POOLED = "pooled over all subjects (ROC-AUC and correlations compare several networks)"
_OF_FOLDS = {
    "classes": ("accuracy", "roc_auc"),
    "regression": ("mae", "spearman"),
    "ordinal": ("accuracy", "mae"),
    "multi-label": ("roc_auc", "f1"),
}

Folds = Annotated[
    int, typer.Option(min=2, help="How many; the number of subjects leaves one out at a time.")
]
By = Annotated[str, typer.Option(help="What is held out as a whole: subject, camera, setup.")]
ValShare = Annotated[
    float | None,
    typer.Option(min=0, max=0.9, help="Share of the other subjects that choose the epoch."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", "-s", help="Change the experiment (train.epochs=9) or a method (shap.chunk=4)."
    ),
]
Run = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder; default runs/<config>_crossfit.")
]
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", "-m", help="Explain everybody, too (again for more methods)."),
]
Layers = Annotated[
    list[str] | None, typer.Option("--layer", "-l", help="Layer of a CAM (again for more; `all`).")
]
Background = Annotated[
    int, typer.Option(min=1, help="SHAP: number of windows of the fold's training subjects.")
]


def crossfit(
    config: Annotated[Path, typer.Argument(help="Experiment file (YAML), see configs/.")],
    folds: Folds = 5,
    by: By = "subject",
    val_share: ValShare = None,
    set_: Set = None,
    out: Run = None,
    method: Methods = None,
    layer: Layers = None,
    target: Class = "predicted",
    background: Background = 100,
    background_by: BackgroundBy = "random",
    keep: Keep = "full",
    aggregate: Aggregate = "mean",
    device: Device = "cpu",
    seed: Seed = 1234,
    as_json: Json = False,
) -> None:
    """Score and explain every subject by networks that never saw it.

    Example: hargcn crossfit configs/utd_mhad.yaml --folds 4 --method gradcam --out runs/utd_4
    """
    from hargcn.pipeline.crossfit import crossfit

    found = crossfit(
        config, folds=folds, by=by, val_share=val_share, seed=seed, set_=set_ or (), out=out,
        methods=method or (), layer=layer or (), target=target, background=background,
        background_by=background_by, keep=keep, aggregate=aggregate, device=device,
        progress=not as_json, say=lambda line: typer.echo(line, err=True),
    )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(found.figures, indent=1))
        return
    figures.classes(found.figures["pooled"])
    outputs = found.figures["pooled"].get("outputs", {"kind": "classes"})
    _folds(found.figures["folds"], _OF_FOLDS[outputs["kind"]])
    figures.summary(_MEAN, found.figures["mean_over_folds"])
    figures.summary(_POOLED, found.figures["pooled"])
    typer.echo("\n".join(map(str, [found.path, *found.explanations])))


def _folds(parts: list[dict[str, Any]], shown: tuple[str, ...]) -> None:
    header = ["fold", "held out", "epoch", "recordings", *shown]
    rows = []
    for part in parts:
        bare = {**part["recordings"], "interval": {}}
        some = ", ".join(part["test"][:4]) + (", ..." if len(part["test"]) > 4 else "")
        values = [figures.figure(bare, name) for name in ("n", *shown)]
        rows.append([str(part["number"]), some, str(part["epoch"]), *values])
    table("folds", header, rows)


COMMANDS = (crossfit,)
