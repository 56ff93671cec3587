"""Checks of arguments and settings: one set of errors, each in one line, with the nearest word."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hargcn import remote

if TYPE_CHECKING:  # `import hargcn` does without pydantic
    from pydantic import BaseModel, ValidationError

Settings = TypeVar("Settings", bound="BaseModel")

OPEN = "???"
"""Stands in a file for what its user must give."""

_YAML_BYTES, _YAML_DEPTH, _YAML_VALUES = 2**16, 32, 20_000
_SAID, _DEFECTS = 120, 10  # characters of a value, and defects, that a message repeats


def one_of(name: str, value: str, known: Iterable[str]) -> Any:
    """Return a value, refused where it is none of the known ones.

    Parameters
    ----------
    name
        What it is the value of, as the message says it.
    value
        What was given.
    known
        What is possible.

    Raises
    ------
    ValueError
        Names the argument, the choices and what was given.
    """
    choices = list(known)
    if value not in choices:
        near = nearest(value, choices)
        raise ValueError(f"Expected {name} of {', '.join(choices)} (got {value!r}{near})")
    return value


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" where a known word is like this one, else nothing."""
    names = [str(name) for name in known]
    same = [name for name in names if name.casefold() == word.casefold()]
    close = same or difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def complete(content: Any, source: str) -> None:
    """Refuse content in which keys are still open, as `hargcn init` leaves what a user must give.

    Raises
    ------
    ValueError
        Names the source and every such key.
    """
    keys = _open_keys(content, "")
    if keys:
        raise ValueError(f"{source}: complete {listed(keys)} (now {OPEN})")


def _open_keys(content: Any, at: str) -> list[str]:
    if content == OPEN:
        return [at]
    if isinstance(content, Mapping):
        below = [(f"{at}.{key}".lstrip("."), value) for key, value in content.items()]
    elif isinstance(content, list) and OPEN in content:
        others = ", ".join(str(each) for each in content if each != OPEN)
        return [f"{at} ({others})" if others else at]
    elif isinstance(content, list):
        below = [(at, value) for value in content]
    else:
        below = []
    return [key for name, value in below for key in _open_keys(value, name)]


def listed(names: Iterable[object], most: int = 8) -> str:
    """Return the first names, and how many more there are: "a, b and 3 more"."""
    said = [str(name) for name in names]
    more = f" and {len(said) - most} more" if len(said) > most else ""
    return ", ".join(said[:most]) + more


def at_least(name: str, value: int | None, least: int) -> None:
    """Refuse a number below the least that makes sense; None stands for no number."""
    if value is not None and value < least:
        raise ValueError(f"Expected {name} of at least {least} (got {value})")


def plain_yaml(text: str, source: str) -> Any:
    """Return what a text in YAML says, as plain Python; nothing large is ever built.

    Parameters
    ----------
    text
        At most 64 KiB, 32 levels deep, of 20,000 values; an alias counts as all that it stands for.
    source
        Where it comes from, for messages.

    Raises
    ------
    ValueError
        If it is larger, or no YAML; names the source.
    """
    import yaml

    try:
        small = _bounded(text)
        found = yaml.safe_load(text) if small else None
    # For tags and numbers that are wrong, PyYAML raises whatever its code stumbles over.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        said = str(error).splitlines() or [type(error).__name__]
        raise ValueError(f"{source}: expected YAML ({shortened(said[0])})") from error
    if not small:
        raise ValueError(
            f"{source}: expected YAML of at most {_YAML_BYTES} bytes, {_YAML_DEPTH} levels and "
            f"{_YAML_VALUES} values, those of aliases counted in (got more)"
        )
    return found


def read_yaml(path: str | Path) -> Any:
    """Return what a YAML file says, as `plain_yaml` does.

    Raises
    ------
    ValueError
        If it is too large, or no YAML.
    """
    with Path(path).open("rb") as stream:
        content = stream.read(_YAML_BYTES + 1)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected YAML ({error})") from error
    return plain_yaml(text, str(path))


def _bounded(text: str) -> bool:
    """Whether YAML is small when its aliases are written out; it is parsed, but nothing built."""
    import yaml

    values = 0
    held: dict[str | None, int] = {}
    begun: list[tuple[str | None, int]] = []
    if len(text.encode()) > _YAML_BYTES:
        return False
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            values += held.get(event.anchor, 0)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = begun.pop()
            held[anchor] = values - before
        elif isinstance(event, yaml.NodeEvent):
            values += 1
            held[event.anchor] = 1
            if isinstance(event, yaml.CollectionStartEvent):
                held[event.anchor] = _YAML_VALUES  # an alias of it inside of it never ends
                begun.append((event.anchor, values - 1))
        if values > _YAML_VALUES or len(begun) > _YAML_DEPTH:
            return False
    return True


def shortened(text: str) -> str:
    """Return the start of a text that is too long to be repeated in a message."""
    return text if len(text) <= _SAID else f"{text[: _SAID - 3]}..."


def writable(out: str | Path, *inputs: str | Path, suffix: str | tuple[str, ...] = "") -> Path:
    """Return an output as a path, refused before anything is computed where it cannot be written.

    Parameters
    ----------
    out
        The file to write; an earlier result may be there.
    inputs
        Files that must stay as they are, a checkpoint together with its card.
    suffix
        What the name must end in, or one of several.

    Returns
    -------
    pathlib.Path
        Of a URL too: `remote.url` returns it.

    Raises
    ------
    ValueError
        For another ending, a folder or a device, a name below a file, or one of the inputs.
    """
    out = Path(out)
    endings = (suffix,) if isinstance(suffix, str) else suffix
    if any(endings) and out.suffix not in endings:
        raise ValueError(f"{out}: expected a name ending in {' or '.join(endings)} to write")
    if remote.url(out):
        if out in map(Path, inputs):
            raise ValueError(f"{remote.url(out)}: expected another file to write than an input")
        return out
    if out.exists() and not out.is_file():
        what = "a folder" if out.is_dir() else "neither file nor folder"
        raise ValueError(f"{out}: expected a file to write (it is {what})")
    above = next(parent for parent in out.absolute().parents if parent.exists())
    if not above.is_dir():
        raise ValueError(f"{out}: expected a file in a folder ({above} is a file)")
    given = [Path(each) for each in inputs]
    # A checkpoint is two files: its card lies beside it.
    given += [each.with_suffix(".json") for each in given if each.suffix == ".safetensors"]
    if any(out.exists() and each.exists() and out.samefile(each) for each in given):
        raise ValueError(f"{out}: expected another file to write than an input")
    return out


def checked(kind: type[Settings], content: Mapping[str, Any], source: str) -> Settings:
    """Validate settings; all defects come in one line that names the source.

    Raises
    ------
    ValueError
        Every key that is unknown (with the nearest valid one) or holds a wrong value.
    """
    from pydantic import ValidationError

    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{source}: {defects(error, lambda path: _keys(kind, path))}") from error


def defects(error: ValidationError, keys: Callable[[Sequence[str]], Iterable[str]]) -> str:
    """Say everything that pydantic found wrong in one line.

    Parameters
    ----------
    error
        What it raised.
    keys
        From the path of a setting to the valid keys there.
    """
    found = error.errors(include_url=False)
    more = [f"and {len(found) - _DEFECTS} more"] if len(found) > _DEFECTS else []
    return "; ".join([*(_defect(item, keys) for item in found[:_DEFECTS]), *more])


def _defect(item: Any, keys: Callable[[Sequence[str]], Iterable[str]]) -> str:
    # Where a setting has several types, pydantic adds the one it tried: "tuple[float, ...]".
    where = [str(part) for part in item["loc"] if "[" not in str(part)]
    if item["type"] == "invalid_key":
        return f"{shortened('.'.join(where))}: expected a text as key (got {item['input']!r})"
    if item["loc"] and isinstance(item["loc"][0], int):  # an argument without its name
        where[0] = list(keys([]))[item["loc"][0]]
    name = shortened(".".join(where))
    if item["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        valid = list(keys(where[:-1]))
        known = f"valid are {', '.join(valid)}" if valid else "there are no settings"
        return f"unknown key {name!r}{nearest(where[-1], valid) or f'; {known}'}"
    if item["type"] in ("missing", "missing_argument"):
        return f"expected a value for {name!r} (got none)"
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{name}: {message} (got {shortened(repr(item['input']))})" if name else message


def _keys(kind: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Return the valid keys at a place inside nested settings."""
    for part in path:
        fields = kind.model_fields.get(part)
        if fields is None:  # a name that the user chose, such as a class of `plant`
            continue
        inner = _model_in(fields.annotation)
        if inner is None:
            return []
        kind = inner
    return list(kind.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
