"""Networks that are trained once, however many experiments ask for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hargcn.checks import writable
from hargcn.data.windows import Windows
from hargcn.files import digest, locked, replacing
from hargcn.pipeline.config import ExperimentConfig
from hargcn.pipeline.job import package
from hargcn.pipeline.train import read_recipe, train

_KEPT = ("model.safetensors", "model.json", "log.csv")
_ROOMS = ("data", "networks", "training")
# Settings that change no bit of a network on a CPU; a teacher counts by its content.
_EQUIVALENT: Any = {"device": True, "workers": True, "distil": {"teacher"}}


def train_once(
    config: str | Path | ExperimentConfig,
    *,
    out: str | Path,
    networks: str | Path,
    set_: Sequence[str] = (),
    windows: str | Path | None = None,
    teacher: str | Path | None = None,
    fresh: bool = False,
    progress: bool = True,
) -> Path:
    """Train a network, unless one of the same recipe, seed, windows and code was trained before.

    Parameters
    ----------
    config, set_
        As of `train`.
    out
        Folder for copies of the network, its card and the log of its training.
    networks
        Where networks are kept, a folder each; a training that was killed goes on there.
    windows
        The windows to train on, instead of those that the recipe names.
    teacher
        Whom it learns from, instead of the `train.distil.teacher` that the recipe names.
    fresh
        Train it anyway.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Path
        The copied checkpoint.

    Raises
    ------
    FileNotFoundError, ValueError
        As `train`.
    """
    if windows is not None:
        set_ = [*set_, f"windows={json.dumps(str(windows))}"]
    if teacher is not None:
        set_ = [*set_, f"train.distil.teacher={json.dumps(str(teacher))}"]
    own = read_recipe(config, set_, out)
    for name in _KEPT:
        writable(Path(out) / name, *own.inputs)
    home = Path(networks) / _same(own.settings, Windows.open(own.windows))
    with locked(home, patience=-1):  # tasks of a cluster may want the same network
        if fresh or not (home / _KEPT[0]).is_file():
            train(config, set_=set_, out=home, fresh=fresh, progress=progress)
        for name in _KEPT:
            with replacing(Path(out) / name) as temporary:
                temporary.write_bytes((home / name).read_bytes())
    return Path(out) / _KEPT[0]


def _same(settings: ExperimentConfig, windows: Windows) -> str:
    """Return the digest of all that makes a network what it is."""
    distil = settings.train.distil
    sets = [name for name in ("train", "val") if name in windows.split]
    about = {
        "model": settings.model.model_dump(mode="json"),
        "train": settings.train.model_dump(mode="json", exclude=_EQUIVALENT),
        "teacher": None if distil is None else digest(distil.teacher),
        "windows": windows.digest,
        "sets": {name: windows.subset(name).names for name in sets},
        "code": [package(*_ROOMS), version("torch")],
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
