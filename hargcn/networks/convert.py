"""Convert checkpoints of the published code (AutoGCN, AutoCP) into ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from hargcn.checks import shortened
from hargcn.data.preprocess import PRESETS
from hargcn.networks.checkpoint import fitted
from hargcn.networks.stgcn import ModelConfig, MultiBranchSTGCN, StreamConfig, Temporal
from hargcn.networks.torch_file import is_stored, read_torch
from hargcn.skeleton import Skeleton

_TEMPORAL: dict[str, Temporal] = {
    "basic": "basic",
    "bottleneck": "bottleneck",
    "sep": "separable",
    "sg": "sandglass",
    "v3": "inverted",
    "shuffle": "shuffle",
}
_ACTIVATION = {"swish": "silu"}
_STREAMS = {"0": "J", "1": "V", "2": "B", "3": "A"}

PREPARED: Mapping[str, Mapping[str, Any]] = {
    "ntu25": {
        "frames": 150,
        "fps": 30.0,
        "preprocessing": PRESETS["ntu-published"].model_dump(mode="json"),
    }
}
"""How the published code prepares what its networks see, by layout, where that is known."""

# Their module names -> ours, tried in order on the part behind the block's name.
_RENAMES: tuple[tuple[str, str], ...] = (
    (r"\.conv\.gcn\.", ".conv."),
    (r"\.conv\.edge$", ".edge"),
    (r"\.conv\.A$", ".adjacency"),
    (r"\.reduct_conv\.", ".reduce."),
    (r"\.expand_conv\.", ".expand."),
    (r"\.point_conv_expand\.", ".expand."),
    (r"\.depth_conv(\d?)\.", r".depth\1."),
    (r"\.point_conv(\d?)\.", r".point\1."),
    (r"\.squeez_excite\.", ".squeeze."),
    (r"\.att\.conv_t\.", ".gate.time."),
    (r"\.att\.conv_v\.", ".gate.joint."),
    (r"\.att\.conv\.", ".gate.conv."),
)


def model_config(choices: Mapping[str, Any]) -> ModelConfig:
    """Translate the architecture dictionary of the published code.

    Raises
    ------
    ValueError
        Naming the choice that is missing or unknown.
    """
    try:
        single = int(choices["depth_main"]) == 1
        return ModelConfig(
            width=int(choices["init_lay"]),
            activation=_ACTIVATION.get(choices["act"], choices["act"]),
            attention=cast("Any", str(choices["att_lay"]).lower()),
            bounded=False,
            temporal=_TEMPORAL[str(choices["conv_lay"]).lower()],
            expand=float(choices["expand_ratio"]),
            reduce=float(choices["reduct_ratio"]) or 1,
            squeeze="replace",
            dropout=float(choices["drop_prob"]),
            reach=3,
            input_norm="channel",
            branch=StreamConfig(
                blocks=int(choices["blocks_in"]),
                depth=int(choices["depth_in"]),
                stride=int(choices["stride_in"]),
                scale=float(choices["scale_in"]),
                window=int(choices["temp_win_in"]),
                hops=int(choices["graph_dist_in"]),
            ),
            # Their later temporal layers replace the first under the same name, its stride with it.
            main=StreamConfig(
                blocks=int(choices["blocks_main"]),
                depth=1,
                stride=int(choices["stride_main"]) if single else 1,
                scale=float(choices["scale_main"]),
                window=int(choices["temp_win_main"]),
                hops=int(choices["graph_dist_main"]),
            ),
        )
    except KeyError as error:
        named = sorted(key for key in choices if isinstance(key, str))
        raise ValueError(f"Expected the architecture choice {error} (got {named[:30]})") from error
    except (TypeError, OverflowError) as error:
        said = shortened(str(error))
        raise ValueError(f"Expected architecture choices in words and numbers ({said})") from error


def from_state(
    state: Mapping[str, Tensor], choices: Mapping[str, Any], skeleton: Skeleton
) -> MultiBranchSTGCN:
    """Build our network with the weights of a published one.

    Parameters
    ----------
    state
        Full key names, `input_stream.0...`, `main_stream...`, `classifier...`.
    choices
        The architecture dictionary.
    skeleton
        The layout it was trained on.
    """
    config = model_config(choices)  # first: names depend on a choice
    renamed = {rename(key, choices): value for key, value in state.items()}
    weights = {key: value for key, value in renamed.items() if key}
    if "head.weight" not in weights or weights["head.weight"].ndim < 2:
        raise ValueError("Expected the published classifier 'classifier.fc.weight' (got none)")
    weights["head.weight"] = weights["head.weight"].flatten(1)
    classes = [str(i) for i in range(len(weights["head.weight"]))]
    return fitted(config, skeleton, classes, weights).eval()


def rename(key: str, choices: Mapping[str, Any]) -> str:
    """Return our name of a published weight, or "" for one we compute from the skeleton."""
    if key.startswith("classifier.fc."):
        return key.replace("classifier.fc.", "head.")
    if key.endswith(".att.joints"):
        return ""
    stream = re.match(r"input_stream\.(\d)\.|main_stream\.", key)
    if stream is None:
        return key
    ours = _STREAMS.get(stream.group(1) or "", "main")
    rest = key[stream.end() :]
    rest = re.sub(r"^init_bn\.", "init.bn.", rest)
    rest = re.sub(r"^stem_scn\.", "stem.gcn.", rest)
    rest = re.sub(r"^stem_tcn\.", "stem.tcn.", rest)
    rest = re.sub(r"^block-(\d+)_scn(_main)?\.", r"\1.gcn.", rest)
    rest = re.sub(r"^block-(\d+)_tcn_main\.", r"\1.tcn.0.", rest)
    rest = re.sub(r"^block-(\d+)_tcn-(\d+)\.", r"\1.tcn.\2.", rest)
    rest = re.sub(r"^block-(\d+)_att(_main)?\.", r"\1.attention.", rest)
    for pattern, ours_name in _RENAMES:
        rest = re.sub(pattern, ours_name, rest)
    return f"{ours}.{_gate(rest, str(choices['att_lay']).lower())}"


def read_published(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a `.pth.tar` of the published code without running any code in it.

    Returns
    -------
    tuple
        The state dict with full key names and the architecture choices.

    Raises
    ------
    ValueError
        If it is no such checkpoint; names the file and what was found.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    content = read_torch(path)
    parts = content.get("model") if isinstance(content, Mapping) else None
    choices = content.get("actions") if isinstance(content, Mapping) else None
    if not (isinstance(parts, Mapping) and isinstance(choices, Mapping)):
        found: Any = type(content).__name__
        if isinstance(content, Mapping):
            found = sorted(key for key in content if isinstance(key, str))[:8]
        raise ValueError(f"{path}: expected the entries 'model' and 'actions' (got {found})")
    state: dict[str, Tensor] = {}
    for name, values in parts.items():
        if not isinstance(values, Mapping):
            raise ValueError(f"{path}: expected weights by name in 'model' (got none in {name!r})")
        for key, value in values.items():
            if not (isinstance(key, str) and is_stored(value, path)):
                raise ValueError(f"{path}: expected a whole tensor as weight {key!r} (got another)")
            state[key if key.startswith(f"{name}.") else f"{name}.{key}"] = value
    return state, dict(choices)


def convert(path: str | Path, skeleton: Skeleton) -> MultiBranchSTGCN:
    """Read a published checkpoint and return it as our network.

    Raises
    ------
    ValueError
        Naming the file, if its weights do not fit its choices and the skeleton.
    """
    state, choices = read_published(path)
    try:
        return from_state(state, choices, skeleton)
    except ValueError as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())[:500]}") from error


def _gate(rest: str, kind: str) -> str:
    """Name the layers of their gates; `fcn` starts with a pooling that has no weights."""
    match = re.match(r"(.*\.attention)\.att\.fcn\.(\d+)\.(.*)", rest)
    if match is None:
        return rest
    block, index, name = match.groups()
    if kind == "stja":
        return f"{block}.gate.squeeze.{index}.{name}"
    return f"{block}.gate.net.{int(index) - 1}.{name}"
