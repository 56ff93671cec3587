"""`train`, `test`, `layers`, `convert`: everything about networks and nothing about explaining."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hargcn.cli import figures
from hargcn.cli.options import (
    Checkpoint,
    Device,
    Json,
    OtherPreparation,
    Set,
    Split,
    WindowsFile,
    next_command,
    table,
)

Run = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder of the run; default runs/<config>.")
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Start anew instead of resuming a killed run.")
]
Aggregate = Annotated[
    str, typer.Option(help="A recording's score from its windows: mean or median.")
]
Threshold = Annotated[
    str | None,
    typer.Option(
        help="Probability of the second of two classes to predict it, or youden: the best one of "
        "another set."
    ),
]
ThresholdFrom = Annotated[str, typer.Option(help="The set that --threshold youden is chosen on.")]


Figures = Annotated[
    Path | None, typer.Option("--out", "-o", help="Write the figures, too (.json).")
]


def train(
    config: Annotated[Path, typer.Argument(help="Experiment file (YAML), see configs/.")],
    set_: Set = None,
    out: Run = None,
    fresh: Fresh = False,
) -> None:
    """Train a network on a windows file.

    Writes log.csv, model.safetensors and its card into the run's folder; a killed run goes on
    where it stopped when the same command is given again. Where standard error is no terminal, a
    line per epoch takes the place of the progress bar.

    Several processes, or GPUs, train together: torchrun --nproc-per-node 2 -m hargcn train ...

    Example: hargcn train configs/utd_mhad.yaml -s train.seed=1 --out runs/utd_1
    """
    from hargcn.pipeline.train import train
    from hargcn.training.processes import is_first

    result = train(config, set_=set_ or (), out=out, fresh=fresh)
    if not is_first():
        return
    typer.echo(f"{result.path}: epoch {result.epoch}")
    if result.validation is not None:
        figures.summary("validation", result.validation.to_dict())
    windows, classes = result.windows, result.model.classes
    next_command("hargcn", "test", result.path, windows)
    of = ("--class", classes[-1], "--of", classes[-1]) if len(classes) == 2 else ()
    next_command(
        "hargcn", "explain", result.path, windows, "--method", "shap", *of, "--out", "shap.h5"
    )


def test(
    checkpoint: Checkpoint,
    windows: WindowsFile,
    split: Split = "test",
    as_json: Json = False,
    device: Device = "cpu",
    aggregate: Aggregate = "mean",
    threshold: Threshold = None,
    threshold_from: ThresholdFrom = "val",
    out: Figures = None,
    other_preparation: OtherPreparation = False,
) -> None:
    """Test a network: how well it classifies windows and recordings, or says other outcomes.

    Prints the figures, those of accuracy and ROC-AUC with 95% intervals clustered by subject, a
    table of the classes and the confusion (of more than 12 classes the largest; all with --json).

    Example: hargcn test checkpoints/utd_mhad.safetensors data/utd_mhad.h5 --split test --json
    """
    from hargcn.pipeline import network

    found = network.test(
        checkpoint, windows, split=split, device=device, aggregate=aggregate, threshold=threshold,
        threshold_from=threshold_from, out=out, other_preparation=other_preparation,
        progress=not as_json,
    )  # fmt: skip
    if as_json:
        typer.echo(found.to_json())
    else:
        figures.summary(f"{split} ({windows})", found.to_dict())
        figures.classes(found.to_dict())


def layers(checkpoint: Checkpoint, as_json: Json = False) -> None:
    """List the layers that can be explained, with the shapes of their activations.

    Example: hargcn layers checkpoints/utd_mhad.safetensors
    """
    from hargcn.pipeline import network

    shapes = network.layers(checkpoint)
    if as_json:
        typer.echo(json.dumps(shapes, indent=1))
    else:
        rows = [[name, *map(str, shape)] for name, shape in shapes.items()]
        table(str(checkpoint), ["layer", "features", "time", "joints"], rows)


def convert(
    source: Annotated[str, typer.Argument(help="Which code wrote the file: shapgcn.")],
    file: Annotated[Path, typer.Argument(help="Its checkpoint (.pth.tar).")],
    skeleton: Annotated[str, typer.Option(help="Layout it was trained on: inmotion29, ntu25.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Checkpoint to write (.safetensors).")],
    classes: Annotated[
        Path | None, typer.Option(help="Text file with one class name per line.")
    ] = None,
    windows: Annotated[
        Path | None,
        typer.Option(help="Windows prepared as those it learned from; else nobody can tell."),
    ] = None,
) -> None:
    """Convert a trained network of the published code into a hargcn checkpoint.

    Example: hargcn convert shapgcn cp29.pth.tar --skeleton inmotion29 --out cp29.safetensors
    """
    from hargcn.pipeline import network

    model = network.convert(source, file, skeleton, out, classes=classes, windows=windows)
    typer.echo(f"{out}: {len(model.classes)} classes, {len(model.layer_names())} layers")


COMMANDS = (train, test, layers, convert)
