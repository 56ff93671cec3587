"""`explain`, `rank`, `show`: from a network and windows to explanations and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hargcn.cli.options import Checkpoint, Device, Explanations, Seed, Split, WindowsFile, table

if TYPE_CHECKING:
    import numpy as np

    from hargcn.explanation import Explanation
    from hargcn.model import MultiBranchSTGCN
    from hargcn.windows import Windows

Picture = Annotated[Path, typer.Option("--out", "-o", help="Picture to write (.png, .svg).")]


def explain(
    checkpoint: Checkpoint,
    windows: WindowsFile,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Explanation file (.h5); one per layer where several."),
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
    limit: Annotated[int | None, typer.Option(help="Explain the first N windows only.")] = None,
    utility: Annotated[
        str, typer.Option(help="Score explained: logit, prob, logprob, rest.")
    ] = "logit",
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
    shard: Annotated[int, typer.Option(help="Windows per shard; a killed run resumes.")] = 32,
) -> None:
    """Explain what a network decides about windows.

    Works in shards: the same command given again after a kill goes on where it stopped.

    Example: hargcn explain model.safetensors windows.h5 --method gradcam --layer main.1.tcn
    --layer main.1.attention --out gradcam.h5

    Example: hargcn explain model.safetensors windows.h5 --method shap --background 100 --chunk 20
    --class label --out shap.h5
    """
    import torch

    from hargcn import Windows, load_model
    from hargcn.allocator import keep_freed_memory
    from hargcn.explainers import DeepSHAP
    from hargcn.features import PositionModel
    from hargcn.jobs import explain_windows

    _one_of("on", on, ("branches", "positions"))
    keep_freed_memory()
    model = load_model(checkpoint, device)
    data = Windows.open(windows)
    chosen = data if split == "all" else data.subset(split)
    chosen = chosen if limit is None else chosen.subset(slice(0, limit))
    network = PositionModel(model) if on == "positions" else None
    settings: dict[str, Any] = {"method": method, "utility": utility}
    if method == "shap":
        shap_settings = {
            "background": background, "background_by": background_by, "seed": seed,
            "chunk": chunk, "engine": engine, "on": on, "float64": double,
        }  # fmt: skip
        settings |= shap_settings
        rows, weights = _background(data, background, background_by, seed)
        x = _inputs(model, rows, raw=network is not None)
        explainer: Any = DeepSHAP(
            x,
            chunk=chunk,
            memory_limit=None if memory is None else int(memory * 2**30),
            weights=weights,
            dtype=torch.float64 if double else None,
            allow_gap=allow_gap,
            engine=_one_of("engine", engine, ("hargcn", "library")),
            utility=_one_of("utility", utility, ("logit", "prob", "logprob")),
            settings=shap_settings,
        )
        typer.echo(str(explainer.forecast(network or model, x[:1], len(chosen))), err=True)
    else:
        layers = _layers(model, layer)
        settings["layers"] = layers
        explainer = _cam(method, layers, utility, seed)
    written = explain_windows(
        model, chosen, explainer, out, target=class_, description=settings, shard=shard,
        on_positions=network,
    )  # fmt: skip
    for path in written:
        typer.echo(str(path))
    if convergence is not None:
        _convergence(written[0], convergence)


def rank(
    explanations: Explanations,
    out: Picture,
    class_: Annotated[
        str | None, typer.Option("--class", help="Only windows explained for this class.")
    ] = None,
    top: Annotated[int, typer.Option(help="Rows of the printed table.")] = 10,
) -> None:
    """Rank the joints: box plots side by side, and a table of the medians.

    Example: hargcn rank shap.h5 gradcam.h5 --class wave --out ranking.png
    """
    from hargcn.plots import plot_ranking, save_figure
    from hargcn.ranking import Ranking

    loaded = {e.name: _of_class(e, class_) for e in _open(explanations)}
    fig, _ = plot_ranking(loaded)
    save_figure(fig, out)
    columns = [Ranking.of(e) for e in loaded.values()]
    rows = [
        [str(i + 1), *(f"{r.joints[i]} {r.medians[i]:+.3g}" for r in columns)]
        for i in range(min(top, len(columns[0].joints)))
    ]
    table("joints by median score", ["rank", *loaded], rows)
    typer.echo(str(out))


def show(
    explanation: Annotated[Path, typer.Argument(metavar="EXPLANATION", help="Explanation file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Strip (.png, .svg), clip (.gif).")],
    sample: Annotated[
        str | None, typer.Option(help="Name of a window (recording@start); default the first.")
    ] = None,
    frames: Annotated[
        str | None, typer.Option(help="Frames of the strip, e.g. 0,15,30; default evenly spaced.")
    ] = None,
    heatmap: Annotated[
        bool, typer.Option("--heatmap", help="Draw the time x joint map instead.")
    ] = False,
) -> None:
    """Draw one explained window: a strip of skeletons, a clip, or a map.

    Example: hargcn show shap.h5 --sample a3_s2_t1@0 --frames 0,20,40,60 --out strip.png
    """
    from hargcn import Explanation
    from hargcn.plots import plot_heatmap, plot_strip, save_figure, save_gif

    loaded = Explanation.open(explanation)
    names = [str(name) for name in loaded.dataset["sample"].to_numpy()]
    name = names[0] if sample is None else _name(sample, names, explanation)
    if "positions" not in loaded.dataset:
        raise ValueError(f"{explanation}: expected stored positions to draw (got none)")
    positions = _positions(loaded, names.index(name))
    wanted = None if frames is None else _frames(frames, positions.shape[1])
    if out.suffix == ".gif":
        save_gif(loaded, name, positions, out, progress=True)
    else:
        figure = (
            plot_heatmap(loaded, name)
            if heatmap
            else plot_strip(loaded, name, positions, frames=wanted)
        )[0]
        save_figure(figure, out)
    typer.echo(str(out))


def _layers(model: MultiBranchSTGCN, wanted: list[str] | None) -> list[str]:
    if wanted == ["all"]:
        return list(model.layer_names())
    layers = wanted or [f"main.{model.config.main.blocks - 1}.attention"]
    for name in layers:
        model.get_layer(name)
    return layers


def _cam(method: str, layers: list[str], utility: str, seed: int) -> Any:
    from hargcn.explainers import cam_explainer

    return cam_explainer(method, layers, utility=utility, seed=seed)


def _background(
    data: Windows, wanted: str, how: str, seed: int
) -> tuple[Windows, np.ndarray | None]:
    """Return the background, drawn from the training set or a file's, and its weights."""
    from hargcn import Windows
    from hargcn.explainers.background import choose, shares

    if not wanted.isdigit():
        return Windows.open(wanted), None
    ways = ("random", "balanced", "medoids")
    method = _one_of("background-by", how, ways)
    train = data.subset("train")
    rows = choose(train.positions, train.label, int(wanted), method, seed)
    weights = shares(train.positions(), rows) if method == "medoids" else None
    return train.subset(rows), weights


def _inputs(model: MultiBranchSTGCN, windows: Windows, raw: bool) -> Any:
    import torch

    device = next(model.parameters()).device
    positions = torch.from_numpy(windows.positions()).to(device)
    valid = torch.from_numpy(windows.valid()).to(device)
    return positions if raw else model.features(positions, valid)


def _one_of(option: str, value: str, known: tuple[str, ...]) -> Any:
    if value not in known:
        raise ValueError(f"--{option}: expected {', '.join(known)} (got {value!r})")
    return value


def _convergence(explanation: Path, out: Path) -> None:
    from hargcn import Explanation
    from hargcn.explainers.background import by_size
    from hargcn.plots import plot_convergence, save_figure
    from hargcn.ranking import convergence

    fig, _ = plot_convergence(convergence(by_size(Explanation.open(explanation))))
    save_figure(fig, out)
    typer.echo(str(out))


def _open(paths: list[Path]) -> list[Explanation]:
    from hargcn import Explanation

    return [Explanation.open(path) for path in paths]


def _of_class(explanation: Explanation, name: str | None) -> Explanation:
    """Keep the windows that were explained for a class."""
    import json

    if name is None:
        return explanation
    classes = json.loads(explanation.dataset.attrs.get("classes", "[]"))
    if name not in classes:
        raise ValueError(f"--class: expected a class of {', '.join(classes)} (got {name!r})")
    kept = (explanation.target == classes.index(name)).to_numpy()
    if not kept.any():
        raise ValueError(f"--class: no window of {explanation.name} was explained for {name!r}")
    return explanation.isel(sample=kept.nonzero()[0])


def _name(wanted: str, names: list[str], path: Path) -> str:
    import difflib

    if wanted in names:
        return wanted
    of_recording = [name for name in names if name.rsplit("@", 1)[0] == wanted]
    if of_recording:
        return of_recording[0]
    close = difflib.get_close_matches(wanted, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"{path}: expected a window's name (got {wanted!r}{hint})")


def _positions(explanation: Explanation, row: int) -> np.ndarray:
    return explanation.dataset["positions"].to_numpy()[row]


def _frames(text: str, available: int) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdigit() and int(part) < available for part in parts):
        raise ValueError(f"--frames: expected numbers 0..{available - 1} (got {text!r})")
    return [int(part) for part in parts]


COMMANDS = (explain, rank, show)
