"""`train`, `test`, `layers`, `convert`: everything about networks and nothing about explaining."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hargcn.cli.options import Checkpoint, Device, Json, Split, WindowsFile, table

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHOWN = (
    "n", "accuracy", "top5", "balanced_accuracy", "roc_auc", "sensitivity", "specificity", "ppv",
    "npv", "f1",
)  # fmt: skip


def train(
    config: Annotated[Path, typer.Argument(help="Experiment file (YAML), see configs/.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="Change a setting, e.g. -s train.epochs=20."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the run; default runs/<config>.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start anew instead of resuming a killed run.")
    ] = False,
) -> None:
    """Train a network on a windows file.

    Writes log.csv, model.safetensors and its card into the run's folder; a killed run goes on
    where it stopped when the same command is given again.

    Example: hargcn train configs/utd_mhad.yaml -s train.seed=1 --out runs/utd_1
    """
    from hargcn.allocator import keep_freed_memory
    from hargcn.data.windows import Windows
    from hargcn.pipeline.config import read_config
    from hargcn.training.fit import fit

    settings = read_config(config, set_ or ())
    if settings.windows is None:
        raise ValueError(f"{config}: expected the key 'windows', the windows file to train on")
    keep_freed_memory()
    folder = out or Path("runs") / config.stem
    windows = Windows.open(settings.windows)
    result = fit(
        settings.model, windows, settings.train, folder, resume=not fresh,
        card={"experiment": config.name},
    )  # fmt: skip
    typer.echo(f"{result.path}: epoch {result.epoch}")
    if result.validation is not None:
        _show("validation", result.validation.to_dict())


def test(
    checkpoint: Checkpoint,
    windows: WindowsFile,
    split: Split = "test",
    as_json: Json = False,
    device: Device = "cpu",
    aggregate: Annotated[
        str, typer.Option(help="A recording's score from its windows: mean or median.")
    ] = "mean",
    threshold: Annotated[
        float | None, typer.Option(help="Probability of the second of two classes to predict it.")
    ] = None,
) -> None:
    """Judge a network: window- and recording-level metrics.

    Example: hargcn test checkpoints/utd_mhad.safetensors data/utd_mhad.h5 --split test --json
    """
    from hargcn import Windows, load_model
    from hargcn.allocator import keep_freed_memory
    from hargcn.training.classification import classification_report

    if aggregate not in ("mean", "median"):
        raise ValueError(f"--aggregate: expected mean or median (got {aggregate!r})")
    keep_freed_memory()
    model = load_model(checkpoint, device)
    data = Windows.open(windows)
    data = data if split == "all" else data.subset(split)
    found = classification_report(
        model, data, device=device, aggregate="median" if aggregate == "median" else "mean",
        threshold=threshold, progress=not as_json,
    )  # fmt: skip
    if as_json:
        typer.echo(found.to_json())
    else:
        _show(f"{split} ({data.path})", found.to_dict())


def layers(checkpoint: Checkpoint, as_json: Json = False) -> None:
    """List the layers that can be explained, with the shapes of their activations.

    Example: hargcn layers checkpoints/utd_mhad.safetensors
    """
    import torch

    from hargcn import load_model

    model = load_model(checkpoint)
    frames = model.card["input"]["frames"] or 64
    shape = (1, model.skeleton.ndim, frames, model.skeleton.n_joints, 1)
    shapes: dict[str, list[int]] = {}

    def note(name: str) -> Any:
        return lambda _module, _inputs, output: shapes.update({name: list(output.shape[1:])})

    hooks = [
        model.get_layer(name).register_forward_hook(note(name)) for name in model.layer_names()
    ]
    with torch.inference_mode():
        model(model.features(torch.zeros(shape)))
    for hook in hooks:
        hook.remove()
    if as_json:
        typer.echo(json.dumps(shapes, indent=1))
        return
    rows = [[name, *map(str, shapes[name])] for name in model.layer_names()]
    title = f"{checkpoint}: {model.skeleton.name}, input of {frames} frames"
    table(title, ["layer", "features", "time", "joints"], rows)


def convert(
    source: Annotated[str, typer.Argument(help="Which code wrote the file: shapgcn.")],
    file: Annotated[Path, typer.Argument(help="Its checkpoint (.pth.tar).")],
    skeleton: Annotated[str, typer.Option(help="Layout it was trained on: inmotion29, ntu25.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Checkpoint to write (.safetensors).")],
    classes: Annotated[
        Path | None, typer.Option(help="Text file with one class name per line.")
    ] = None,
) -> None:
    """Convert a trained network of the published code into a hargcn checkpoint.

    Example: hargcn convert shapgcn cp29.pth.tar --skeleton inmotion29 --out cp29.safetensors
    """
    from hargcn import save_model
    from hargcn import skeleton as layout
    from hargcn.networks.convert import convert as convert_file

    if source != "shapgcn":
        raise ValueError(f"Expected the source shapgcn (got {source!r})")
    model = convert_file(file, layout(skeleton))
    if classes is not None:
        names = classes.read_text(encoding="utf-8").split("\n")
        names = [name.strip() for name in names if name.strip()]
        if len(names) != len(model.classes):
            raise ValueError(
                f"{classes}: expected {len(model.classes)} class names, one per line "
                f"(got {len(names)})"
            )
        model.classes = tuple(names)
    save_model(model, out, {"converted_from": file.name})
    typer.echo(f"{out}: {len(model.classes)} classes, {len(model.layer_names())} layers")


def _show(title: str, figures: Mapping[str, Any]) -> None:
    levels = [level for level in ("windows", "recordings") if level in figures]
    rows = [
        [name, *(_figure(figures[level].get(name)) for level in levels)]
        for name in _SHOWN
        if any(figures[level].get(name) is not None for level in levels)
    ]
    table(title, ["", *levels], rows)


def _figure(value: Any) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.4f}"


COMMANDS = (train, test, layers, convert)
