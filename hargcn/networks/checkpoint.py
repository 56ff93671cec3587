"""Checkpoints: weights as safetensors, and a JSON card that says what they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from hargcn.files import digest, replacing
from hargcn.networks.stgcn import ModelConfig, MultiBranchSTGCN
from hargcn.skeleton import Skeleton

_FORMAT = "hargcn-model-2"


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
        save_file(state, temporary, metadata={"format": _FORMAT})
        temporary.chmod(0o644)  # safetensors keeps files to their owner
    card = card or {}
    expected = {"layout": model.skeleton.name, "branches": list(model.config.branches)}
    unknown = dict.fromkeys(("frames", "fps", "preprocessing"))
    full = {
        "format": _FORMAT,
        **card,
        "input": {**expected, **unknown, **card.get("input", {})},
        "config": model.config.model_dump(mode="json"),
        "skeleton": model.skeleton.to_dict(),
        "classes": list(model.classes),
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
        model = MultiBranchSTGCN(ModelConfig(**card["config"]), skeleton, card["classes"])
        model.load_state_dict(state)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{path}: weights and card describe different networks ({str(error).splitlines()[0]})"
        ) from error
    model.card = card
    return model.to(device).eval()


def _read_card(path: Path) -> dict[str, Any]:
    beside = path.with_suffix(".json")
    for file in (path, beside):
        if not file.is_file():
            what = "checkpoint" if file == path else "card of the checkpoint"
            raise FileNotFoundError(f"{file}: no such {what}")
    try:
        card = json.loads(beside.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{beside}: expected a JSON model card ({error})") from error
    if not isinstance(card, dict) or card.get("format") != _FORMAT:
        found = card.get("format") if isinstance(card, dict) else type(card).__name__
        ours = str(found).startswith(_FORMAT.rpartition("-")[0])
        hint = ": make it anew with `hargcn train`" if ours else ""
        raise ValueError(f"{beside}: expected a model card of format {_FORMAT} (got {found}){hint}")
    return card
