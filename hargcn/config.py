"""Experiment files: one YAML for data, model and training, checked before anything runs."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from hargcn.cutting import WindowConfig
from hargcn.model import ModelConfig
from hargcn.planting import PlantConfig
from hargcn.preprocess import PRESETS, PreprocessConfig
from hargcn.splits import SplitConfig
from hargcn.synthetic import SyntheticConfig
from hargcn.train import TrainConfig

Settings = TypeVar("Settings", bound=BaseModel)


class PrepareConfig(BaseModel):
    """How recordings become windows.

    `preprocess` is the name of a published chain or its settings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    preprocess: str | PreprocessConfig = "none"
    windows: WindowConfig = WindowConfig()
    split: SplitConfig | None = None
    synthetic: SyntheticConfig = SyntheticConfig()
    plant: PlantConfig = PlantConfig()

    @property
    def chain(self) -> PreprocessConfig:
        """The preprocessing, looked up by name where it has one."""
        if isinstance(self.preprocess, PreprocessConfig):
            return self.preprocess
        if self.preprocess not in PRESETS:
            raise ValueError(
                f"Expected a preprocessing of {', '.join(PRESETS)} or its settings "
                f"(got {self.preprocess!r})"
            )
        return PRESETS[self.preprocess]


class ExperimentConfig(BaseModel):
    """A whole experiment.

    Parameters
    ----------
    windows
        The windows file; a relative path is relative to where hargcn runs.
    prepare
        How `hargcn prepare --config` makes it.
    model, train
        The network and its training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    windows: Path | None = None
    prepare: PrepareConfig = PrepareConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()


def read_config(path: str | Path | None, changes: Sequence[str] = ()) -> ExperimentConfig:
    """Read an experiment file and apply `key.sub=value` changes.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        In one line: the file, every key that is unknown (with the nearest valid one) or holds a
        wrong value.
    """
    content = {} if path is None else _load(Path(path))
    source = "settings" if path is None else str(path)
    for change in changes:
        key, separator, value = change.partition("=")
        if not separator or not key:
            raise ValueError(f"--set: expected key.sub=value (got {change!r})")
        _put(content, key.split("."), yaml.safe_load(value), change)
    return checked(ExperimentConfig, content, source)


def checked(kind: type[Settings], content: Mapping[str, Any], source: str) -> Settings:
    """Validate settings; all defects come in one line that names the source."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        defects = "; ".join(_defect(kind, item) for item in error.errors(include_url=False))
        raise ValueError(f"{source}: {defects}") from error


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such experiment file")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0]
        raise ValueError(f"{path}: expected a YAML file ({first})") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected keys and values (got a {type(content).__name__})")  # noqa: TRY004 a file's content
    return content


def _put(content: dict[str, Any], keys: list[str], value: Any, change: str) -> None:
    for key in keys[:-1]:
        inner = content.setdefault(key, {})
        if not isinstance(inner, dict):
            raise ValueError(f"--set {change}: {key} holds a value, not further keys")  # noqa: TRY004 a user's text
        content = inner
    content[keys[-1]] = value


def _defect(kind: type[BaseModel], item: Any) -> str:
    where = [str(part) for part in item["loc"]]
    name = ".".join(where)
    if item["type"] == "extra_forbidden":
        valid = _keys(kind, where[:-1])
        close = difflib.get_close_matches(where[-1], valid, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"valid are {', '.join(valid)}"
        return f"unknown key {name!r}, {hint}"
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{name}: {message} (got {item['input']!r})" if name else message


def _keys(kind: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Return the valid keys at a place inside nested settings."""
    for part in path:
        fields = kind.model_fields.get(part)
        if fields is None:  # the name of a union's member, not a key
            continue
        inner = _model_in(fields.annotation)
        if inner is None:
            return []
        kind = inner
    return list(kind.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
