"""`explain`, `reproduce`, `combine`, `methods`: from a network and windows to explanations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hargcn import remote
from hargcn.cli.options import (
    Address,
    Checkpoint,
    Device,
    Engine,
    Json,
    OtherPreparation,
    Seed,
    Split,
    WindowsFile,
    next_command,
    say,
    table,
)

Out = Annotated[
    Path,
    typer.Option(
        "--out", "-o", dir_okay=False, help="Explanation file (.h5); one per layer where several."
    ),
]


Method = Annotated[
    str, typer.Option("--method", "-m", help="See hargcn methods: shap, gradcam, ...")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="Change a setting of the method, e.g. -s relu=true."),
]
Layers = Annotated[
    list[str] | None,
    typer.Option("--layer", "-l", help="Layer of a CAM (again for more; `all`). See layers."),
]
Class = Annotated[
    str,
    typer.Option(
        "--class",
        help="Class (or output) to explain: predicted, second, least (probable), label, or a name.",
    ),
]
Versus = Annotated[
    str,
    typer.Option(help="Explain why the --class and not this one: a difference of their logits."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Explain the first N windows only.")]
Of = Annotated[
    list[str] | None, typer.Option(help="Only windows whose true class is this (again for more).")
]
LimitSeed = Annotated[
    int | None, typer.Option(help="Draw the --limit windows with this seed, not the first ones.")
]
Background = Annotated[
    str,
    typer.Option(
        help="SHAP: number of training windows, auto (as many as --tolerance needs), or a windows "
        "file."
    ),
]
BackgroundBy = Annotated[
    str,
    typer.Option(
        help="SHAP: how to choose them: random (the default), balanced, herding (spread as all of "
        "them are; the default of auto), medoids."
    ),
]
Tolerance = Annotated[
    float | None,
    typer.Option(
        help="SHAP, --background auto: largest relative error of joint x time attributions. "
        "[default: 0.1]"
    ),
]
BackgroundClass = Annotated[
    list[str] | None, typer.Option(help="SHAP: choose them of this class only (again for more).")
]
BackgroundGroup = Annotated[
    list[str] | None, typer.Option(help="SHAP: choose them of this subject only (again for more).")
]
On = Annotated[str, typer.Option(help="Explain branches (J, V, B, A) or raw positions.")]
Convergence = Annotated[
    Path | None, typer.Option(help="SHAP: plot ranking stability against background size.")
]
Keep = Annotated[
    str,
    typer.Option(
        help="Keep full attributions, or sums: joint-time (over branches, channels), joint (over "
        "time too)."
    ),
]
Part = Annotated[
    str,
    typer.Option(help="K/N: only every N-th shard from the K-th on (from 0); nothing is joined."),
]
FittingShard = Annotated[
    int | None,
    typer.Option(
        "--shard",
        min=1,
        help="Windows per shard, by default about 256 for methods of a few passes, else 32; a "
        "killed run resumes.",
    ),
]

_SEVERAL = ("settings", "layer", "of", "background_class", "background_group")


def explain(
    checkpoint: Checkpoint,
    windows: WindowsFile,
    out: Out,
    method: Method = "gradcam",
    set_: Set = None,
    layer: Layers = None,
    target: Class = "predicted",
    versus: Versus = "",
    split: Split = "test",
    of: Of = None,
    limit: Limit = None,
    limit_seed: LimitSeed = None,
    background: Background = "100",
    background_by: BackgroundBy = "",
    background_class: BackgroundClass = None,
    background_group: BackgroundGroup = None,
    tolerance: Tolerance = None,
    on: On = "branches",
    convergence: Convergence = None,
    other_preparation: OtherPreparation = False,
    keep: Keep = "full",
    seed: Seed = 1234,
    device: Device = "cpu",
    shard: FittingShard = None,
    part: Part = "",
    engine: Engine = "local",
    address: Address = None,
) -> None:
    """Explain what a network decides about windows; the same command after a kill goes on.

    Example: hargcn explain model.safetensors windows.h5 --method shap --background auto -o shap.h5
    """
    _explained(
        checkpoint, windows, out, other_preparation=other_preparation, background_by=background_by,
        background_class=background_class, background_group=background_group, limit_seed=limit_seed,
        convergence=convergence, background=background, tolerance=tolerance, address=address, of=of,
        method=method, settings=set_, target=target, versus=versus, device=device, engine=engine,
        layer=layer, split=split, limit=limit, shard=shard, keep=keep, seed=seed, part=part, on=on,
    )  # fmt: skip


def _explained(*files: Path, **asked: Any) -> None:
    from hargcn.pipeline.explain import explain

    asked |= {name: asked[name] or () for name in _SEVERAL}
    made = explain(*files, **asked, progress=True, say=say)
    written = [remote.url(path) or path for path in made]
    if not written:
        say("the part is done; the same command without --part joins them")
        return
    typer.echo("\n".join(map(str, written)))
    next_command("hargcn", "rank", *written, "--out", "ranking.png", "--strip", "strip.png")


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


def reproduce(
    explanation: Annotated[Path, typer.Argument(metavar="EXPLANATION", help="File to make again.")],
    checkpoint: Annotated[Path, typer.Option("--checkpoint", "-c", help="Its network.")],
    windows: Annotated[Path, typer.Option("--windows", "-w", help="Its windows file.")],
    device: Device = "cpu",
) -> None:
    """Explain again as a file says, and compare with it; another result is an error.

    Example: hargcn reproduce shap.h5 --checkpoint model.safetensors --windows windows.h5
    """
    from hargcn.pipeline.reproduce import reproduce

    found = reproduce(explanation, checkpoint, windows, device=device, progress=True)
    typer.echo(
        f"{explanation}: the same for {found.samples} windows (largest difference "
        f"{found.difference:.1e} of the largest attribution)"
    )


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
            [key, c.label, " ".join(c.needs), c.promise, " ".join(c.kinds), c.cost]
            for key, c in METHODS.all().items()
        ]
        header = ["name", "method", "needs", "promise", "outputs", "cost"]
        table("methods of explanation", header, rows)
        return
    said = about(METHODS.find(name))
    for key in ("label", "summary", "source", "needs", "promise", "outputs", "cost"):
        listed = isinstance(said[key], list)
        typer.echo(f"{key}: {', '.join(said[key]) if listed else said[key]}")
    rows = [[row["name"], row["type"], row["default"], row["meaning"]] for row in said["settings"]]
    if rows:
        table("settings (--set NAME=VALUE)", ["name", "type", "default", "meaning"], rows)


COMMANDS = (explain, reproduce, combine, methods)
