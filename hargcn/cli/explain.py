"""`explain`: from a network and windows to explanations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hargcn.cli.options import Checkpoint, Device, Seed, Split, WindowsFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hargcn.networks.stgcn import MultiBranchSTGCN


def explain(
    checkpoint: Checkpoint,
    windows: WindowsFile,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            dir_okay=False,
            help="Explanation file (.h5); one per layer where several.",
        ),
    ],
    method: Annotated[
        str, typer.Option("--method", "-m", help="shap, or a class activation map: gradcam, ...")
    ] = "gradcam",
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
    utility: Annotated[
        str | None,
        typer.Option(
            help="Score explained: logit, prob, logprob, rest; by default the method's own."
        ),
    ] = None,
    relu: Annotated[bool, typer.Option("--relu", help="CAM: keep positive parts only.")] = False,
    players: Annotated[
        str | None, typer.Option(help="shapcam: cells, joints, joints-time or parts.")
    ] = None,
    permutations: Annotated[
        int | None, typer.Option(help="shapcam: most orders of the players per window.")
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="shapcam: stop at this standard error of the score.")
    ] = None,
    background: Annotated[
        str, typer.Option(help="SHAP: number of training windows, or a windows file.")
    ] = "100",
    background_by: Annotated[
        str, typer.Option(help="SHAP: how to choose them: random, balanced, medoids.")
    ] = "random",
    chunk: Annotated[int, typer.Option(help="SHAP: background windows per pass.")] = 20,
    memory: Annotated[float | None, typer.Option(help="SHAP: memory limit in GiB.")] = None,
    engine: Annotated[str, typer.Option(help="SHAP: hargcn, or the shap library.")] = "hargcn",
    on: Annotated[
        str, typer.Option(help="SHAP: explain branches (J, V, B, A) or raw positions.")
    ] = "branches",
    double: Annotated[bool, typer.Option("--float64", help="SHAP: in double precision.")] = False,
    allow_gap: Annotated[
        bool, typer.Option("--allow-gap", help="SHAP: keep values that do not add up.")
    ] = False,
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

    Example: hargcn explain model.safetensors windows.h5 --method shap --background 100 --chunk 20
    --class label --out shap.h5
    """
    from hargcn import Windows
    from hargcn.checks import one_of, writable
    from hargcn.explainers import METHODS, cam_explainer
    from hargcn.networks.branches import PositionModel
    from hargcn.pipeline.explain import explain_windows, model_inputs, same_skeleton, shap_explainer
    from hargcn.pipeline.opening import open_network

    one_of("--on", on, ("branches", "positions"))
    one_of("--method", method, ("shap", *METHODS))
    if convergence is not None and (method, engine) != ("shap", "hargcn"):
        raise ValueError("--convergence: expected --method shap with --engine hargcn")
    others = [] if background.isdigit() else [Path(background)]
    writable(out, checkpoint, windows, *others)
    model = open_network(checkpoint, device)
    data = Windows.open(windows)
    same_skeleton(model, data)
    chosen = data if split == "all" else data.subset(split)
    chosen = chosen if limit is None else chosen.subset(slice(0, limit))
    network = PositionModel(model) if on == "positions" else None
    settings: dict[str, Any] = {"method": method, "utility": utility}
    own = {"relu": relu or None, "players": players, "permutations": permutations,
           "tolerance": tolerance}  # fmt: skip
    _meant_for(method, own)
    if method == "shap":
        settings["utility"] = utility or "logit"
        settings |= {
            "background": background, "background_by": background_by, "seed": seed,
            "chunk": chunk, "engine": engine, "on": on, "float64": double,
        }  # fmt: skip
        explainer: Any = shap_explainer(model, data, settings, memory, allow_gap)
        if engine == "hargcn":
            x = model_inputs(model, chosen.subset([0]), raw=network is not None)
            typer.echo(str(explainer.forecast(network or model, x, len(chosen))), err=True)
    else:
        layers = _layers(model, layer)
        settings["layers"] = layers
        settings |= {"seed": seed, **{k: v for k, v in own.items() if v is not None}}
        explainer = cam_explainer(method, layers, utility=utility, seed=seed, **own)
    # The contents of a background file, too, say which shards of a killed run serve.
    job = {**settings, "backgrounds": [Windows.open(path).digest for path in others]}
    written = explain_windows(
        model, chosen, explainer, out, target=class_, description=job, shard=shard,
        on_positions=network,
    )  # fmt: skip
    for path in written:
        typer.echo(str(path))
    if convergence is not None:
        _convergence(written[0], convergence)


def combine(
    shap: Annotated[Path, typer.Argument(metavar="SHAP", help="Explanation of features.")],
    cam: Annotated[Path, typer.Argument(metavar="CAM", help="Class activation map.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", dir_okay=False, help="Explanation file to write (.h5).")
    ],
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


def _layers(model: MultiBranchSTGCN, wanted: list[str] | None) -> list[str]:
    from hargcn.checks import one_of

    names = model.layer_names()
    if wanted == ["all"]:
        return list(names)
    if not wanted:
        return [names[-1]]
    return [one_of("--layer", name, names) for name in wanted]


def _meant_for(method: str, own: Mapping[str, Any]) -> None:
    """Refuse options of another method."""
    for name, value in own.items():
        wanted = "a class activation map" if name == "relu" else "shapcam"
        if value is not None and (method == "shap" if name == "relu" else method != "shapcam"):
            raise ValueError(f"--{name}: expected --method {wanted} (got {method})")


def _convergence(explanation: Path, out: Path) -> None:
    from hargcn import Explanation
    from hargcn.analysis.ranking import convergence
    from hargcn.explainers.deepshap.background import by_size
    from hargcn.plots import plot_convergence, save_figure

    fig, _ = plot_convergence(convergence(by_size(Explanation.open(explanation))))
    save_figure(fig, out)
    typer.echo(str(out))


COMMANDS = (explain, combine)
