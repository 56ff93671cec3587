"""The reference of all settings, generated from the classes that hold them."""

from __future__ import annotations

import inspect
import re
import textwrap
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hargcn.checks import nearest
from hargcn.data.preprocess import PRESETS, PreprocessConfig
from hargcn.data.readers import READERS
from hargcn.explainers.base import METHODS
from hargcn.pipeline.config import ExperimentConfig
from hargcn.registry import fields_of, meanings

NAME = "NAME"
"""Stands in a key for a name that the user chooses."""

_WORDS = {int: "integer", float: "number", bool: "true or false", str: "text", Any: "anything"}
_LIMITS = {"ge": "from", "gt": "above", "le": "up to", "lt": "below"}

_INTRODUCTION = """\
# Settings

Every key of an experiment file: its type, its default and what it means. This page is printed by
`hargcn settings --markdown`; `hargcn settings KEY` explains one key or one section.

`hargcn train` changes settings by `--set KEY=VALUE`. `hargcn prepare` takes the keys of the section
`prepare` without that word (`--set windows.overlap=50`), and starts from settings that suit what it
reads; the options of a format below follow `reader.` there (`--set reader.missing=FILE`).
`hargcn explain --method NAME` takes the settings of the method by their last word (`--set
relu=true`). A section that is given in part has the defaults below for the rest of it."""


def roots() -> dict[str, type]:
    """Return classes of settings by the prefix of their keys: experiments, formats, methods."""
    formats = {f"format.{name}": cls for name, cls in READERS.all().items()}
    methods = {f"method.{name}": cls for name, cls in METHODS.all().items()}
    chosen = {key: cls for key, cls in {**formats, **methods}.items() if fields(cls)}
    return {"": ExperimentConfig, **chosen}


@dataclass(frozen=True)
class Setting:
    """One key: its type, its default as YAML, what it means, and the settings inside it, if any."""

    key: str
    kind: str
    default: str
    meaning: str
    inner: type | None

    def text(self) -> str:
        """Return it as plain text, for a terminal."""
        default = f", default {self.default}" if self.default else ""
        return f"{self.key} ({self.kind}{default})\n{_indented(self.meaning)}"

    def markdown(self) -> str:
        """Return it as a Markdown table."""
        return _table([self])


@dataclass(frozen=True)
class Section:
    """The settings of one class, and every key that leads to such settings."""

    keys: list[str]
    cls: type

    @property
    def about(self) -> str:
        """The first paragraph of the class."""
        return inspect.cleandoc(self.cls.__doc__ or "").partition("\n\n")[0]

    @property
    def settings(self) -> list[Setting]:
        """The settings, under the first of the keys."""
        return settings_of(self.cls, self.keys[0])

    @property
    def presets(self) -> dict[str, dict[str, str]]:
        """Settings that have a name, in full."""
        if self.cls is not PreprocessConfig:
            return {}
        return {
            name: {field: _yaml(getattr(preset, field)) for field in fields(self.cls)}
            for name, preset in PRESETS.items()
        }

    def text(self) -> str:
        """Return the section as plain text, for a terminal."""
        title = ", ".join(filter(None, self.keys)) or "Experiment file"
        blocks = [f"--- {title} ---\n{self.about}", *(each.text() for each in self.settings)]
        for name, preset in self.presets.items():
            whole = ", ".join(f"{field}: {value}" for field, value in preset.items())
            blocks.append(f"{self.keys[0]}={name}\n{_indented(whole)}")
        return "\n\n".join(blocks)

    def markdown(self) -> str:
        """Return the section as Markdown."""
        title = ", ".join(f"`{key}`" for key in self.keys if key) or "Experiment file"
        blocks = [f"## {title}", self.about, _table(self.settings)]
        if self.presets:
            blocks.append(f"Presets: `{self.keys[0]}: NAME` stands for a column of this table.")
            rows = [["", *(f"`{name}`" for name in self.presets)]]
            rows += [
                [f"`{field}`", *(preset[field] for preset in self.presets.values())]
                for field in fields(self.cls)
            ]
            blocks.append(_grid(rows))
        return "\n\n".join(blocks)


def settings_reference(key: str | None = None, *, markdown: bool = False) -> str:
    """Return the reference of all settings, of a section, or of one key.

    Parameters
    ----------
    key
        "train" for a section, "train.epochs" for one setting; None for everything.
    markdown
        Return Markdown (of everything: the page docs/settings.md) instead of plain text.

    Raises
    ------
    ValueError
        For a key that is none; offers the nearest.
    """
    chosen = list(sections(roots())) if key is None else _found(key)
    parts = [each.markdown() if markdown else each.text() for each in chosen]
    head = [_INTRODUCTION] if markdown and key is None else []
    return "\n\n".join([*head, *parts]) + "\n"


def sections(roots: Mapping[str, type]) -> Iterator[Section]:
    """Yield every class of settings once, where its shortest key leads to it."""
    keys: dict[type, list[str]] = {cls: [prefix] for prefix, cls in roots.items()}
    for setting in every_setting(roots):
        if setting.inner is not None:
            keys.setdefault(setting.inner, []).append(_inside(setting))

    def below(key: str, cls: type) -> Iterator[Section]:
        if key == keys[cls][0]:
            yield Section(keys[cls], cls)
            for setting in settings_of(cls, key):
                if setting.inner is not None:
                    yield from below(_inside(setting), setting.inner)

    for prefix, cls in roots.items():
        yield from below(prefix, cls)


def every_setting(roots: Mapping[str, type]) -> Iterator[Setting]:
    """Yield the settings of all keys, those with the fewest parts first."""
    waiting = [setting for prefix, cls in roots.items() for setting in settings_of(cls, prefix)]
    while waiting:
        setting = waiting.pop(0)
        yield setting
        if setting.inner is not None:
            waiting += settings_of(setting.inner, _inside(setting))


def settings_of(cls: type, key: str = "") -> list[Setting]:
    """Return the settings of a class, where `key` leads to it."""
    said = meanings(cls)
    return [
        Setting(
            f"{key}.{name}" if key else name,
            _type(field.annotation, field.metadata),
            "" if field.is_required() else _default(field),
            re.sub(r"\bNone\b", "null", said.get(name, "")),
            _class_in(field.annotation),
        )
        for name, field in fields(cls).items()
    ]


def fields(cls: type) -> dict[str, FieldInfo]:
    """Return the fields of a pydantic model, or of a class of `registry.settings`.

    What a method needs, such as a layer, is no setting.
    """
    if issubclass(cls, BaseModel):
        return dict(cls.model_fields)
    needs = getattr(cls, "needs", ())
    return {name: field for name, field in fields_of(cls).items() if name not in needs}


def _found(key: str) -> list[Section | Setting]:
    """Return the setting of a key, and the sections inside it."""
    whole = roots()
    known = {setting.key: setting for setting in every_setting(whole)}
    if key in whole and key:
        return list(sections({key: whole[key]}))
    if key not in known:
        hint = nearest(key, [*known, *whole])
        raise ValueError(f"Expected the key of a setting or section (got {key!r}{hint})")
    setting = known[key]
    return [setting, *(sections({_inside(setting): setting.inner}) if setting.inner else [])]


def _inside(setting: Setting) -> str:
    """Return the key in front of the settings inside a setting."""
    return f"{setting.key}.{NAME}" if setting.kind.startswith(NAME) else setting.key


def _class_in(annotation: Any) -> type | None:
    """Return the class of settings that a type mentions, if any."""
    if isinstance(annotation, type) and (
        issubclass(annotation, BaseModel) or fields_of(annotation)
    ):
        return annotation
    found = (_class_in(argument) for argument in get_args(annotation))
    return next((cls for cls in found if cls is not None), None)


def _type(annotation: Any, limits: Any = ()) -> str:
    """Say in words what a value may be."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(each, limits) for each in inner)
    if annotation is type(None):
        return "null"
    if origin is Literal:
        return ", ".join(_yaml(each) for each in inner)
    if origin is tuple:
        parts = [_type(each) for each in inner if each is not Ellipsis]
        return f"list of {parts[0]}" if Ellipsis in inner else f"[{', '.join(parts)}]"
    if origin in (Mapping, dict):
        return f"{NAME}: {_type(inner[1])}"
    if origin is not None:  # Annotated
        return _type(inner[0], inner[1:])
    if _class_in(annotation) is not None:
        return "section"
    bounds = [
        f"{word} {getattr(limit, name):g}"
        for limit in limits
        for name, word in _LIMITS.items()
        if annotation in (int, float) and getattr(limit, name, None) is not None
    ]
    plain = getattr(annotation, "__name__", str(annotation)).lower()
    return f"{_WORDS.get(annotation, plain)} {', '.join(bounds)}".rstrip()


def _default(field: FieldInfo) -> str:
    """Return a default as YAML; nothing for a section with the defaults of its keys."""
    found = _yaml(field.get_default(call_default_factory=True))
    return "" if found == "{}" else found


def _yaml(value: Any) -> str:
    """Return a value as a line of YAML; of settings only what was set."""

    def plain(value: Any) -> Any:
        if isinstance(value, BaseModel):
            return value.model_dump(mode="json", exclude_unset=True)
        if isinstance(value, Mapping):
            return {name: plain(each) for name, each in value.items()}
        return list(value) if isinstance(value, tuple) else value

    text = yaml.safe_dump(plain(value), default_flow_style=True, sort_keys=False, width=10_000)
    return text.removesuffix("...\n").strip()


def _indented(text: str) -> str:
    return textwrap.fill(text, 96, initial_indent="    ", subsequent_indent="    ")


def _table(settings: Sequence[Setting]) -> str:
    rows = [["key", "type", "default", "meaning"]]
    rows += [
        [f"`{each.key}`", each.kind, f"`{each.default}`" if each.default else "", each.meaning]
        for each in settings
    ]
    return _grid(rows)


def _grid(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; the first row is its head."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])
