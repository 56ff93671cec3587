"""Opening what a user names: a network, windows, explanations."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hargcn.checks import at_least, checked, one_of
from hargcn.data.folds import Fold
from hargcn.data.preprocess import PRESETS, PreprocessConfig
from hargcn.data.windows import Windows
from hargcn.explanation import Explanation
from hargcn.networks.checkpoint import load_model
from hargcn.networks.factory import build_network
from hargcn.networks.network import SkeletonNetwork
from hargcn.outputs import outputs_of
from hargcn.pipeline.config import read_config


def open_network(
    checkpoint: str | Path, device: str = "cpu", windows: Windows | None = None
) -> SkeletonNetwork:
    """Open a network on a device.

    Parameters
    ----------
    checkpoint
        A checkpoint, or an experiment file (.yaml) whose section `network` names a factory.
    device
        "cpu", "cuda" or "cuda:N".
    windows
        Say what an experiment file without `windows` leaves open about its network.

    Raises
    ------
    ValueError
        For a device that is not there, and for what `load_model` or `build_network` refuses.
    """
    named = re.fullmatch(r"cuda(?::(\d+))?", device)
    there = torch.cuda.device_count()
    if device != "cpu" and (named is None or int(named[1] or 0) >= there):
        raise ValueError(
            f"Expected device cpu, cuda or cuda:N; {there} CUDA devices are here (got {device!r})"
        )
    if Path(checkpoint).suffix in (".yaml", ".yml"):
        return _own_network(checkpoint, windows).to(device)
    return load_model(checkpoint, device)


def _own_network(path: str | Path, windows: Windows | None) -> SkeletonNetwork:
    """Make the network of an experiment file; its own windows count more than others."""
    config = read_config(path)
    if config.network is None:
        raise ValueError(
            f"{path}: expected the section 'network', which names a factory (got none); hargcn "
            "train makes a checkpoint of the section 'model'"
        )
    own = windows if config.windows is None else Windows.open(config.windows)
    return build_network(config.network, path, own)


def open_windows(
    path: str | Path,
    split: str = "all",
    limit: int | None = None,
    *,
    of: Sequence[str] = (),
    limit_seed: int | None = None,
    network: SkeletonNetwork | None = None,
) -> Windows:
    """Open a windows file, or some of its windows.

    Parameters
    ----------
    path
        The file.
    split
        A set ("train", "val", "test"), "all", or a file (.txt) with names of windows, one a line.
    limit
        So many windows only: the first ones.
    of
        Only windows whose true class is one of these.
    limit_seed
        Draw the `limit` windows with this seed instead of taking the first ones; in their order.
    network
        One of a cross-fitting brings its own sets: "test" is what it never saw (`own_sets`).

    Raises
    ------
    FileNotFoundError
        Without the file of names.
    ValueError
        For a set or classes that no window belongs to, names of other windows, and for what
        `Windows.open` refuses.
    """
    at_least("limit", limit, 1)
    windows = Windows.open(path)
    windows = windows if network is None else own_sets(network, windows)
    windows = windows if split == "all" else windows.subset(_rows(windows, split))
    windows = of_classes(windows, of) if of else windows
    return windows if limit is None else windows.subset(some_of(len(windows), limit, limit_seed))


def _rows(windows: Windows, split: str) -> str | list[int]:
    """Return the windows that a file names, in its order, or the set as it is."""
    if not split.endswith(".txt"):
        return split
    names = Path(split).read_text(encoding="utf-8").split("\n")
    rows = {name: row for row, name in enumerate(windows.names)}
    wanted = [name for name in names if name]
    if lost := [name for name in wanted if name not in rows]:
        raise ValueError(f"{split}: expected windows of {windows.path} (it has no {lost[0]!r})")
    return [rows[name] for name in wanted]


def some_of(count: int, limit: int, limit_seed: int | None = None) -> np.ndarray:
    """Return the numbers of the first so many of a count, or of so many drawn with a seed."""
    if limit_seed is None:
        return np.arange(min(limit, count))
    return np.sort(np.random.default_rng(limit_seed).permutation(count)[:limit])


def own_sets(model: SkeletonNetwork, windows: Windows) -> Windows:
    """Return windows with the sets that a network of a cross-fitting was trained with.

    The file's own sets would test it on what it has seen. Other networks, and a cross-fitting's on
    another file, get the file's.
    """
    said = model.card.get("crossfit")
    if said is None or (model.card.get("data") or {}).get("digest") != windows.digest:
        return windows
    fold = checked(Fold, said, "crossfit of the network's card")
    columns = {name: getattr(windows, name) for name in ("group", "camera", "setup")}
    return replace(windows, split=fold.sets(columns))


def of_one_network(path: str | Path, explanation: Explanation) -> None:
    """Refuse the joined explanations of a cross-fitting, for what asks one network again.

    Raises
    ------
    ValueError
        Names the explanations of a single fold, which do.
    """
    if "crossfit" in explanation.dataset.attrs:
        path, folds = Path(path), json.loads(explanation.dataset.attrs["crossfit"])["folds"]
        one = path.parent / "fold-1"
        raise ValueError(
            f"{path}: expected explanations of one network (got those of the {folds} of a "
            f"cross-fitting): take one fold at a time, {one / path.name} with "
            f"{one / 'model.safetensors'}, and so on"
        )


def of_classes(windows: Windows, names: Sequence[str]) -> Windows:
    """Return the windows whose true class is one of these.

    Raises
    ------
    ValueError
        For an unknown class, or where no window is left.
    """
    known = list(windows.classes)
    if not known:
        kind = windows.outputs.kind
        raise ValueError(f"{windows.path}: expected windows with classes (got {kind} outcomes)")
    wanted = [known.index(one_of("class", name, known)) for name in names]
    kept = np.flatnonzero(np.isin(windows.label, wanted))
    if not len(kept):
        raise ValueError(f"{windows.path}: expected windows of class {', '.join(names)} (got none)")
    return windows.subset(kept)


def check_preparation(model: SkeletonNetwork, windows: Windows, other: bool = False) -> None:
    """Refuse windows that were not prepared as those the network learned from.

    Parameters
    ----------
    model
        Its card says how; what the card does not say is not compared.
    windows
        Prepared somehow.
    other
        Take them all the same.

    Warns
    -----
    UserWarning
        Where the card says nothing of it, as for a converted network: `save_model` takes it as the
        entry `input` of a card.

    Raises
    ------
    ValueError
        For another length, rate or preprocessing; names everything that differs, and the preset
        that asks for the right one.
    """
    said, own = model.card.get("input") or {}, windows.preparation
    if not any(said.get(name) for name in own):
        warnings.warn(
            f"{windows.path}: nobody can say whether its windows are prepared like those the "
            "network learned from (neither its card tells, see `input` of hargcn.save_model, nor "
            "the section `network` of an experiment file)",
            stacklevel=2,
        )
    pairs = {name: (said.get(name), own[name]) for name in ("frames", "fps")}
    chain, theirs = (_steps(each.get("preprocessing")) for each in (said, own))
    if chain and theirs:
        steps = sorted({*chain, *theirs})
        pairs |= {f"preprocess.{step}": (chain.get(step), theirs.get(step)) for step in steps}
    differing = [
        f"{name} {mine} (got {found})"
        for name, (mine, found) in pairs.items()
        if mine != found and (name.startswith("preprocess") or None not in (mine, found))
    ]
    if differing and not other:
        named = [name for name, each in PRESETS.items() if _steps(each.model_dump()) == chain]
        remedy = f"`hargcn prepare --set preprocess={named[0]}` makes such; " if named else ""
        raise ValueError(
            f"{windows.path}: expected windows prepared like those the network learned from: "
            f"{'; '.join(differing)}. {remedy}--other-preparation takes them all the same"
        )


def _steps(chain: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a chain of preprocessing without its seed; a step that it does not know was none."""
    if not chain:
        return {}
    steps = {**PreprocessConfig().model_dump(mode="json"), **chain}
    return {step: value for step, value in steps.items() if step != "seed"}


def open_explanations(paths: Sequence[str | Path]) -> dict[str, Explanation]:
    """Open explanation files by method and layer; those with the same ones by file name.

    Raises
    ------
    TypeError
        For a single name instead of a list.
    ValueError
        For no file, and for what `Explanation.open` refuses.
    """
    if isinstance(paths, str | Path):
        raise TypeError(f"Expected a list of explanation files (got {str(paths)!r})")
    if not paths:
        raise ValueError("Expected at least one explanation file (got none)")
    read = [Explanation.open(path) for path in paths]
    own = [explanation.name for explanation in read]
    for others in ([Path(path).stem for path in paths], list(map(str, paths))):
        pairs = zip(own, others, strict=True)
        names = [name if own.count(name) == 1 else other for name, other in pairs]
        if len(set(names)) == len(names):
            break
    return dict(zip(names, read, strict=True))


def known_outcomes(network: nn.Module, windows: Windows) -> dict[str, Any]:
    """Return what is known of the windows: their classes, or other outcomes of the network's."""
    outputs = outputs_of(network)
    if outputs.kind == "classes":
        return {"label": true_classes(network, windows)}
    if outputs != windows.outputs:
        return {}
    if outputs.listed:
        return {"level": windows.label}
    return {"outcome": (("sample", "output"), windows.outcome)}


def true_classes(network: nn.Module, windows: Windows) -> np.ndarray:
    """Return the windows' labels (N,) among the network's classes, -1 where it has no such."""
    known = {name: number for number, name in enumerate(outputs_of(network).names)}
    return np.array([known.get(name, -1) for name in windows.classes] + [-1])[windows.label]
