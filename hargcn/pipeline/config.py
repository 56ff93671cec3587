"""Experiment files: one YAML for data, model and training, checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from hargcn.checks import checked, complete, plain_yaml, read_yaml, shortened
from hargcn.data.cutting import WindowConfig
from hargcn.data.planted.planting import PlantConfig
from hargcn.data.planted.synthetic import SyntheticConfig
from hargcn.data.preprocess import PRESETS, PreprocessConfig, named_chain
from hargcn.data.readers import READERS
from hargcn.data.splits import SplitConfig
from hargcn.networks.factory import NetworkConfig
from hargcn.networks.stgcn import ModelConfig
from hargcn.registry import build
from hargcn.training.fit import TrainConfig

Settings = TypeVar("Settings", bound=BaseModel)

_LEVELS = 16  # of keys in a change; the deepest setting has four


class PrepareConfig(BaseModel):
    """How recordings become windows.

    Parameters
    ----------
    format
        The reader's name; None to find it by a look at the files.
    reader
        Its options, see `hargcn formats NAME`.
    preprocess
        The name of a preset, or settings of one's own.
    windows
        How windows are cut.
    split
        Which recordings train, validate and test. The name of a published split is short for
        `{published: NAME}`.
    synthetic
        What is generated, where nothing is read.
    plant
        What is planted into recordings, where that is asked for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str | None = None
    reader: Mapping[str, Any] = {}
    preprocess: PreprocessConfig = PRESETS["none"]
    windows: WindowConfig = WindowConfig()
    split: SplitConfig | None = None
    synthetic: SyntheticConfig = SyntheticConfig()
    plant: PlantConfig = PlantConfig()

    @field_validator("reader")
    @classmethod
    def _fits(cls, given: Mapping[str, Any], info: ValidationInfo) -> Mapping[str, Any]:
        if info.data.get("format"):
            build(READERS.find(info.data["format"]), given, info.data["format"])
        return given

    @field_validator("format")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        return name if name is None else READERS.find(name).name

    @field_validator("split", mode="before")
    @classmethod
    def _published(cls, value: Any) -> Any:
        return {"published": value} if isinstance(value, str) else value

    @field_validator("preprocess", mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return named_chain(value)


class ExperimentConfig(BaseModel):
    """A whole experiment: what a YAML file in `configs/` holds.

    Parameters
    ----------
    windows
        The windows file; a relative path is relative to where hargcn runs.
    prepare
        How `hargcn prepare --config` makes it.
    model
        The network.
    train
        Its training.
    network
        A network of one's own, made by a Python function, to test and explain in place of a
        checkpoint. The function is imported when a command opens this file: a file from somebody
        else can run their code.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    windows: Path | None = None
    prepare: PrepareConfig = PrepareConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    network: NetworkConfig | None = None


def read_config(
    path: str | Path | Mapping[str, Any] | None,
    changes: Sequence[str] = (),
    defaults: Mapping[str, Any] | None = None,
) -> ExperimentConfig:
    """Read an experiment file and apply `key.sub=value` changes.

    Parameters
    ----------
    path
        The file, or its content; None for an empty one.
    changes
        They win over the file.
    defaults
        Settings, nested as in a file, that hold where neither file nor changes say otherwise.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        In one line: the file, every key that is unknown (with the nearest valid one), holds a
        wrong value, or is still to complete.
    """
    content = read_content(path, changes)
    sources = ([str(path)] if isinstance(path, str | Path) else []) + (["--set"] if changes else [])
    source = " with ".join(sources) or "settings"
    complete(content, source)
    return checked(ExperimentConfig, _over(defaults or {}, content), source)


def read_content(
    path: str | Path | Mapping[str, Any] | None, changes: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what an experiment file and changes say, as `read_config` does before its checks."""
    content = _load(Path(path)) if isinstance(path, str | Path) else deepcopy(dict(path or {}))
    for change in changes:
        _put(content, change)
    return content


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such experiment file")
    content = read_yaml(path)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected keys and values (got a {type(content).__name__})")
    return content


def _put(content: dict[str, Any], change: str) -> None:
    """Apply one `key.sub=value`."""
    name, separator, text = change.partition("=")
    *outer, last = name.split(".")
    if not separator or not name or len(outer) > _LEVELS:
        raise ValueError(f"--set: expected key.sub=value (got {shortened(change)!r})")
    value = plain_yaml(text, f"--set {shortened(change)}")
    for key in outer:
        if content.get(key) is None:
            content[key] = {}
        elif key == "split" and isinstance(content[key], str):
            content[key] = {"published": content[key]}
        content = content[key]
        if not isinstance(content, dict):
            raise ValueError(f"--set {shortened(change)}: {key} holds a value, not further keys")
    content[last] = value


def _over(defaults: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """Lay settings over defaults, key by key at every depth."""
    merged = {**defaults, **content}
    for key in defaults.keys() & content.keys():
        if isinstance(defaults[key], Mapping) and isinstance(content[key], Mapping):
            merged[key] = _over(defaults[key], content[key])
    return merged
