"""Checkpoints: weights as safetensors, and a JSON card that says what they are."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from hargcn.checks import shortened
from hargcn.files import digest, replacing
from hargcn.networks.stgcn import ModelConfig, MultiBranchSTGCN
from hargcn.outputs import Outputs
from hargcn.skeleton import Skeleton

_FORMAT = "hargcn-model-2"
_MOST_CARD, _MOST_FRAMES = 2**24, 10**6


def save_model(
    model: MultiBranchSTGCN, path: str | Path, card: Mapping[str, Any] | None = None
) -> Path:
    """Write a checkpoint: weights as `path` (safetensors) and a card beside it (`.json`).

    The network carries the card from then on.

    Parameters
    ----------
    model
        The network.
    path
        File name ending in `.safetensors`.
    card
        What else to record: metrics, data digest, training settings. Its entry `input` may say what
        the network was trained to take: `frames`, `fps` (None where windows differ) and
        `preprocessing`; the layout and the branches are added.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"{path}: expected a checkpoint name ending in .safetensors")
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    with replacing(path) as temporary:
        temporary.write_bytes(save(state, metadata={"format": _FORMAT}))
    card = card or {}
    said = {} if model.outputs.kind == "classes" else {"outputs": model.outputs.to_dict()}
    expected = {"layout": model.skeleton.name, "branches": list(model.config.branches)}
    unknown = dict.fromkeys(("frames", "fps", "preprocessing"))
    full = {
        "format": _FORMAT,
        **card,
        "input": {**expected, **unknown, **card.get("input", {})},
        "config": model.config.model_dump(mode="json"),
        "skeleton": model.skeleton.to_dict(),
        "classes": list(model.classes),
        **said,
        "parameters": sum(p.numel() for p in model.parameters()),
        "weights": digest(path),
        "versions": {"hargcn": version("hargcn"), "torch": torch.__version__.split("+")[0]},
    }
    with replacing(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(full, indent=1) + "\n", encoding="utf-8")
    model.card = full
    return path


def load_model(path: str | Path, device: str | torch.device = "cpu") -> MultiBranchSTGCN:
    """Read a checkpoint written by `save_model`; the network comes in evaluation mode.

    Raises
    ------
    FileNotFoundError
        If the weights or their card are missing.
    ValueError
        If either is foreign or damaged, or the two do not belong together.
    """
    path = Path(path)
    card = _read_card(path)
    try:
        state = load_file(path, device=str(device))
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path}: expected a safetensors checkpoint, found something else ({error})"
        ) from error
    if card.get("weights") != digest(path):
        raise ValueError(
            f"{path}: expected the weights its card describes (card {card.get('weights')}, "
            f"file {digest(path)}); was one of the two replaced?"
        )
    try:
        skeleton = Skeleton.from_dict(card["skeleton"], str(path))
        outputs = (
            Outputs.from_dict(card["outputs"], "card") if "outputs" in card else card["classes"]
        )
        model = fitted(ModelConfig(**card["config"]), skeleton, outputs, state)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())[:300]
        raise ValueError(
            f"{path}: weights and card describe different networks ({said})"
        ) from error
    model.card = card
    return model.to(device).eval()


def fitted(
    config: ModelConfig,
    skeleton: Skeleton,
    classes: Sequence[str] | Outputs,
    weights: Mapping[str, Tensor],
) -> MultiBranchSTGCN:
    """Build the network that weights belong to, after a look at all of their shapes and numbers.

    Parameters
    ----------
    config, skeleton, classes
        As for the network.
    weights
        By the names of its `state_dict`.

    Raises
    ------
    ValueError
        Naming weights that are missing, unknown, of another shape or not finite. Nothing as large
        as the settings say is built before.
    """
    with torch.device("meta"):
        shapes = MultiBranchSTGCN(config, skeleton, classes).state_dict()
    if lost := misfits(shapes, weights):
        raise ValueError(
            f"Expected the weights of the network described, on skeleton {skeleton.name} ({lost})"
        )
    expect_finite(weights)
    model = MultiBranchSTGCN(config, skeleton, classes)
    model.load_state_dict(weights)
    return model


def misfits(shapes: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str:
    """Say which weights do not fit a network's `state_dict`, and how many; "" where all do."""
    found = [
        f"{name} {tuple(weights[name].shape) if name in weights else 'missing'}"
        for name, wanted in shapes.items()
        if name not in weights or weights[name].shape != wanted.shape or weights[name].is_complex()
    ] + [f"{name} unknown" for name in weights if name not in shapes]
    listed = ", ".join(map(shortened, found[:3]))
    return f"{len(found)} do not fit: {listed}" if found else ""


def expect_finite(weights: Mapping[str, Tensor]) -> None:
    """Refuse weights with NaN or infinity."""
    for name, value in weights.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"Expected finite weights (got NaN or infinity in {name})")


def fingerprint(network: nn.Module, *about: str) -> str:
    """Return the digest of the weights that a network holds, and of what is said about it."""
    whole = hashlib.sha256("\n".join(about).encode())
    for name, value in network.state_dict().items():
        numbers = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        whole.update(name.encode() + numbers.numpy().tobytes())
    return whole.hexdigest()


def _read_card(path: Path) -> dict[str, Any]:
    beside = path.with_suffix(".json")
    for file in (path, beside):
        if not file.is_file():
            what = "checkpoint" if file == path else "card of the checkpoint"
            raise FileNotFoundError(f"{file}: no such {what}")
    if beside.stat().st_size > _MOST_CARD:
        raise ValueError(f"{beside}: expected a model card of at most {_MOST_CARD} bytes")
    try:
        card = json.loads(beside.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{beside}: expected a JSON model card ({error})") from error
    if not isinstance(card, dict) or card.get("format") != _FORMAT:
        found = card.get("format") if isinstance(card, dict) else type(card).__name__
        ours = str(found).startswith(_FORMAT.rpartition("-")[0])
        hint = ": make it anew with `hargcn train`" if ours else ""
        raise ValueError(f"{beside}: expected a model card of format {_FORMAT} (got {found}){hint}")
    taken = card.get("input", {})
    if not isinstance(taken, dict) or not (_is_frames(taken) and _is_rate(taken)):
        found = shortened(repr(taken))
        raise ValueError(f"{beside}: expected frames from 1 and finite fps as input (got {found})")
    return card


def _is_frames(taken: Mapping[str, Any]) -> bool:
    frames = taken.get("frames")
    return frames is None or (type(frames) is int and 1 <= frames <= _MOST_FRAMES)


def _is_rate(taken: Mapping[str, Any]) -> bool:
    fps = taken.get("fps")
    return fps is None or (type(fps) in (int, float) and 0 < fps < math.inf)
