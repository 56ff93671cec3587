"""What declares itself: classes found by being a file in a folder, or an entry point outside.

Methods and readers register by subclassing, and their fields are their settings. Nothing else in
hargcn lists them.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Mapping
from functools import wraps
from importlib import import_module
from importlib.metadata import entry_points
from types import UnionType
from typing import (
    Any,
    Generic,
    Literal,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
)

import pydantic
from pydantic import ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from hargcn.checks import defects, one_of

Kind = TypeVar("Kind")
Class = TypeVar("Class", bound=type)


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(pydantic.Field,))
def settings(cls: Class) -> Class:
    """Make a class's annotated fields its settings: typed, checked when it is built, frozen.

    `top: Annotated[int, Field(ge=1)] = 10` says what a setting may be, the section "Parameters" of
    the docstring what it means (see `meanings`). A subclass that adds fields is decorated as well.
    """
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    make: Any = pydantic.dataclasses.dataclass(frozen=True, eq=False, config=config)
    made = make(cls)
    checked_init = made.__init__

    @wraps(checked_init)
    def init(self: Any, *args: Any, **given: Any) -> None:
        try:
            checked_init(self, *args, **given)
        except ValidationError as error:
            said = defects(error, lambda _: fields_of(type(self)))
            raise SettingsError(type(self).__name__, said) from error

    made.__init__ = init
    return made


class SettingsError(ValueError):
    """Settings that do not fit: whose they are, and everything that is wrong."""

    def __init__(self, source: str, said: str) -> None:
        super().__init__(f"{source}: {said}")
        self.said = said


class Registry(Generic[Kind]):
    """Classes of one kind by their names.

    Parameters
    ----------
    kind
        What they are, for messages: "method".
    package
        Every module below this package is imported before anything is looked up.
    group
        Entry points of this group are loaded as well: classes, or modules that define them.
    """

    def __init__(self, kind: str, package: str, group: str) -> None:
        self.kind, self.package, self.group = kind, package, group
        self._known: dict[str, type[Kind]] = {}
        self._complete = False

    def add(self, cls: type[Kind]) -> None:
        """Register a class under its own `name`, when it is subclassed; one without is abstract.

        Raises
        ------
        ValueError
            If another class has the name.
        """
        if "name" not in vars(cls):
            return
        name = str(vars(cls)["name"])
        places = [f"{c.__module__}.{c.__qualname__}" for c in (self._known.get(name, cls), cls)]
        if places[0] != places[1]:
            raise ValueError(f"Expected one {self.kind} {name!r} (got {' and '.join(places)})")
        self._known[name] = cls

    def all(self) -> dict[str, type[Kind]]:
        """Return every class by its name, sorted."""
        if not self._complete:
            root = import_module(self.package)
            for module in pkgutil.walk_packages(root.__path__, f"{self.package}."):
                import_module(module.name)
            for point in entry_points(group=self.group):
                point.load()
            self._complete = True
        return dict(sorted(self._known.items()))

    def find(self, name: str) -> type[Kind]:
        """Return the class of a name.

        Raises
        ------
        ValueError
            For an unknown name; offers the nearest.
        """
        known = self.all()
        return known[one_of(self.kind, name, known)]


def build(cls: type[Kind], given: Mapping[str, Any], source: str) -> Kind:
    """Build an object of named settings; all defects come in one line that names the source.

    Parameters
    ----------
    cls
        A class of `settings`.
    given
        Its fields by name; values are converted where the type says so.
    source
        Where the settings come from, for the message.

    Raises
    ------
    ValueError
        For unknown settings (offers the nearest), wrong or missing ones.
    """
    try:
        return cls(**given)
    except SettingsError as error:
        raise SettingsError(source, error.said) from error


def fields_of(cls: type) -> dict[str, FieldInfo]:
    """Return the settings of a class by name: their type, limits and default."""
    return dict(getattr(cls, "__pydantic_fields__", {}))


def meanings(cls: type) -> dict[str, str]:
    """Return what the settings of a class mean, by name.

    Read from the sections "Parameters" of the docstrings (numpydoc) of the class and its bases; the
    class has the last word.
    """
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        found |= _parameters(vars(each).get("__doc__") or "")
    return found


def _parameters(docstring: str) -> dict[str, str]:
    """Return the texts of a docstring's section "Parameters", each in one line."""
    section = re.search(
        r"^Parameters\n-+\n(.*?)(?=^[^\n]+\n-+$|\Z)", inspect.cleandoc(docstring), re.M | re.S
    )
    entries = re.findall(r"^(\S.*)\n((?:[ \t]+.*\n?|\n)*)", section[1] if section else "", re.M)
    return {
        name.strip(): " ".join(text.split())
        for names, text in entries
        for name in names.partition(" : ")[0].split(",")
    }


def written_type(annotation: Any) -> str:
    """Return a type as people write it: "int", "logit, prob", "float or None"."""
    parts = get_args(annotation)
    if get_origin(annotation) is Literal:
        return ", ".join(map(str, parts))
    if parts and get_origin(annotation) in (Union, UnionType):
        return " or ".join("none" if part is type(None) else written_type(part) for part in parts)
    return getattr(annotation, "__name__", str(annotation))
