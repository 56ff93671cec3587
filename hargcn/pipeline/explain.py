"""Explaining many windows: in shards that are whole or absent, so that a killed run goes on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hargcn.checks import nearest, one_of
from hargcn.data.windows import Batch, Windows
from hargcn.explainers.deepshap.background import choose, shares
from hargcn.explainers.deepshap.explainer import DeepSHAP
from hargcn.explanation import Explanation
from hargcn.files import replacing, track
from hargcn.networks.branches import PositionModel
from hargcn.networks.stgcn import MultiBranchSTGCN

Explainer = Callable[..., Explanation | Mapping[str, Explanation]]


def explain_windows(
    model: MultiBranchSTGCN,
    windows: Windows,
    explainer: Explainer,
    out: str | Path,
    *,
    target: str = "predicted",
    description: Mapping[str, Any] | None = None,
    shard: int = 32,
    on_positions: PositionModel | None = None,
    progress: bool = True,
) -> list[Path]:
    """Explain windows shard by shard and join the shards into one file per layer.

    Parameters
    ----------
    model
        The network.
    windows
        What to explain.
    explainer
        Called as `explainer(model, x, target)`.
    out
        The explanation file; with several layers their names are put before its suffix.
    target
        "predicted", "label", or the name of a class.
    description
        Everything that shapes the result. Shards of a killed run are used again only where it is
        the same.
    shard
        Windows per shard.
    on_positions
        The network on raw coordinates, explained instead of the one on branches.
    progress
        Whether to show a progress bar.

    Returns
    -------
    list of Path
        The files written.
    """
    same_skeleton(model, windows)
    if not len(windows):
        raise ValueError(f"{windows.path}: expected windows to explain (got none)")
    out = Path(out)
    job = {"model": model.card.get("weights", ""), "data": windows.digest, "target": target,
           "windows": windows.names, "shard": shard, **(description or {})}  # fmt: skip
    parts = Parts(out.with_name(f"{out.name}.parts"), job)
    index = np.arange(len(windows))
    shards = [index[i : i + shard] for i in range(0, len(index), shard)]
    for number, rows in enumerate(track(shards, "explaining", progress=progress)):
        if not parts.done(number):
            subset = windows.subset(rows)
            parts.add(number, explained(model, subset, explainer, target, on_positions))
    return parts.join(out)


def same_skeleton(model: MultiBranchSTGCN, windows: Windows) -> None:
    """Refuse windows of another skeleton than the network's."""
    if windows.skeleton != model.skeleton:
        raise ValueError(
            f"{windows.path}: expected windows of the network's skeleton {model.skeleton.name} "
            f"(got {windows.skeleton.name})"
        )


def targets(model: MultiBranchSTGCN, windows: Windows, target: str, x: torch.Tensor) -> np.ndarray:
    """Return the class (N,) to explain for every window.

    Raises
    ------
    ValueError
        For an unknown class name, or "label" where a label is missing.
    """
    if target == "predicted":
        with torch.inference_mode():
            return model(x).argmax(dim=1).cpu().numpy()
    if target == "label":
        of_model = labels(model, windows)
        if (of_model < 0).any():
            raise ValueError(
                f"{windows.path}: expected labels among the network's classes to explain "
                f"(missing for {windows.names[int(of_model.argmin())]})"
            )
        return of_model
    if target not in model.classes:
        hint = nearest(target, model.classes)
        raise ValueError(
            f"Expected predicted, label or the name of a class to explain (got {target!r}{hint})"
        )
    return np.full(len(windows), model.classes.index(target))


def labels(model: MultiBranchSTGCN, windows: Windows) -> np.ndarray:
    """Return the windows' labels (N,) among the network's classes, -1 where it has no such."""
    known = {name: number for number, name in enumerate(model.classes)}
    return np.array([known.get(name, -1) for name in windows.classes] + [-1])[windows.label]


def described(
    explanation: Explanation, model: MultiBranchSTGCN, windows: Windows, batch: Batch
) -> Explanation:
    """Add what the pictures and measures need: names, labels, groups, movement, planted truth."""
    variables: dict[str, Any] = {
        "label": labels(model, windows),
        "group": batch.group.astype(str),
        "recording": batch.sample.astype(str),
        "fps": batch.fps,
        "seconds": (("sample", "frame"), batch.time),
        "present": (("sample", "person"), batch.valid.any(axis=1)),
        "positions": (("sample", "space", "frame", "joint", "person"), batch.positions),
        "state": (("sample", "frame", "joint", "person"), batch.state),
    }
    for name in ("truth", "distractor"):
        mask = getattr(batch, name)
        if mask is not None:
            variables[name] = (("sample", "frame", "joint"), mask)
    return explanation.assign(
        variables,
        {"sample": batch.names},
        skeleton=json.dumps(model.skeleton.to_dict()),
        classes=json.dumps(list(model.classes)),
        model=model.card.get("weights", ""),
        data=windows.digest,
        frames=windows.frames,
    )


def explained(
    model: MultiBranchSTGCN,
    windows: Windows,
    explainer: Explainer,
    target: str,
    on_positions: PositionModel | None = None,
) -> dict[str, Explanation]:
    """Explain windows at once; return explanations, described, by layer ("" for the input)."""
    batch = windows.read()
    x = model.inputs(batch)
    wanted = torch.as_tensor(targets(model, windows, target, x))
    network = model if on_positions is None else on_positions
    inputs = x if on_positions is None else on_positions.inputs(batch)
    result = explainer(network, inputs, wanted)
    by_layer = {result.layer: result} if isinstance(result, Explanation) else result
    return {layer: described(one, model, windows, batch) for layer, one in by_layer.items()}


class Parts:
    """The shards of a job in a folder beside its result.

    Nothing is written, and another job's shards stay, until the first shard of this job is made.

    Parameters
    ----------
    folder
        Where they lie.
    job
        What shapes the result; shards of another job are not used.
    """

    def __init__(self, folder: Path, job: Mapping[str, Any]) -> None:
        self.folder = folder
        self.mark = hashlib.sha256(
            json.dumps(job, sort_keys=True, default=str).encode()
        ).hexdigest()
        mine = folder / "job"
        self.ours = mine.is_file() and mine.read_text(encoding="utf-8") == self.mark

    def done(self, number: int) -> bool:
        """Whether a shard is whole: it is marked when the files of all layers are there."""
        return self.ours and (self.folder / f"{number:05d}.done").is_file()

    def add(self, number: int, made: Mapping[str, Explanation]) -> None:
        """Write a shard, a file per layer."""
        if not self.ours:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            with replacing(self.folder / "job") as temporary:
                temporary.write_text(self.mark, encoding="utf-8")
            self.ours = True
        for layer, explanation in made.items():
            suffix = f".{layer}" if len(made) > 1 else ""
            explanation.save(self.folder / f"{number:05d}{suffix}.h5")
        (self.folder / f"{number:05d}.done").touch()

    def join(self, out: Path) -> list[Path]:
        """Join the shards layer by layer, remove them, and return the files written."""
        by_layer: dict[str, list[Path]] = {}
        for file in sorted(self.folder.glob("[0-9]*.h5")):  # a kill leaves ".00000.tmp.h5" too
            by_layer.setdefault(file.name[5:-3], []).append(file)
        written = []
        for layer, files in by_layer.items():
            path = out.with_name(f"{out.stem}{layer}{out.suffix}")
            Explanation.concat([Explanation.open(file) for file in files]).save(path)
            written.append(path)
        shutil.rmtree(self.folder)
        return written


def shap_explainer(
    model: MultiBranchSTGCN,
    data: Windows,
    settings: Mapping[str, Any],
    memory: float | None = None,
    allow_gap: bool = False,
) -> DeepSHAP:
    """Build DeepSHAP from the settings that its explanations store.

    Parameters
    ----------
    model, data
        The network, and the windows whose training set gives the background.
    settings
        `background`, `background_by`, `seed`, `chunk`, `engine`, `on`, `float64`, `utility`.
    memory
        Limit in GiB.
    allow_gap
        Accept values that do not add up.
    """
    rows, weights = _background(
        data, str(settings["background"]), settings["background_by"], settings["seed"]
    )
    return DeepSHAP(
        model_inputs(model, rows, raw=settings["on"] == "positions"),
        chunk=settings["chunk"],
        memory_limit=None if memory is None else int(memory * 2**30),
        weights=weights,
        dtype=torch.float64 if settings["float64"] else None,
        allow_gap=allow_gap,
        engine=one_of("--engine", settings["engine"], ("hargcn", "library")),
        utility=one_of("utility", settings["utility"], ("logit", "prob", "logprob")),
        settings=dict(settings),
    )


def _background(
    data: Windows, wanted: str, how: str, seed: int
) -> tuple[Windows, np.ndarray | None]:
    """Return the background, drawn from the training set or a file's, and its weights."""
    if not wanted.isdigit():
        given = Windows.open(wanted)
        if (given.skeleton, given.shape) != (data.skeleton, data.shape):
            raise ValueError(
                f"--background: expected windows like those of {data.path}, {data.skeleton.name} "
                f"{data.shape} (got {given.skeleton.name} {given.shape})"
            )
        return given, None
    ways = ("random", "balanced", "medoids")
    method = one_of("--background-by", how, ways)
    train = data.subset("train")
    rows = choose(train.positions, train.label, int(wanted), method, seed)
    weights = shares(train.positions(), rows) if method == "medoids" else None
    return train.subset(rows), weights


def model_inputs(model: MultiBranchSTGCN, windows: Windows, raw: bool) -> torch.Tensor:
    """Return what a network takes for windows: branches, or raw positions."""
    return (PositionModel(model) if raw else model).inputs(windows.read())
