"""Pickles of NumPy arrays and plain containers, read without running them.

A pickle is a program, and Python's unpickler calls what it names. Here `pickletools` takes it to
pieces, the instructions that build containers are carried out, and what NumPy writes for an array
is understood: nothing is imported or called, no size is believed, and no name but NumPy's is known.
"""

from __future__ import annotations

import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hargcn.checks import shortened
from hargcn.data.readers.arrays import Stored, stored, view

_MOST_STEPS = 2**25
_NUMBERS = re.compile(r"[<>|=]?([biuf][1248]|c8|c16|[SU][1-9]\d{0,8}|O[48]?)")
_DEPTH = 64  # axes of an array


def unpickled(given: Path | BinaryIO | bytes | memoryview, source: str | Path) -> Any:
    """Return what a pickle holds: arrays, containers, numbers, text and bytes.

    Parameters
    ----------
    given
        A file, whose arrays stay in it until somebody looks at them; a stream; or the bytes.
    source
        Where it comes from, for messages.

    Returns
    -------
    Any
        list, tuple, dict, set, frozenset, str, bytes, int (of 64 bits), float, bool, None, NumPy
        arrays and numbers. An OrderedDict or defaultdict comes as dict, long bytes and bytearrays
        as memoryview. Containers may hold themselves: look only at what you expect.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        For any other name or instruction, and for a pickle that is cut off, damaged, followed by
        something else, or larger in memory than in its bytes; names the source.
    """
    try:
        if isinstance(given, Path):
            content = view(given)
        else:
            content = memoryview(given if isinstance(given, bytes | memoryview) else given.read())
        return _Machine(content).run()
    except (ValueError, TypeError, LookupError, OverflowError, AttributeError) as error:
        said = shortened(str(error)) or type(error).__name__
        raise ValueError(
            f"{source}: expected a whole pickle of arrays and plain containers ({said})"
        ) from error


def object_array(path: Path, member: str | None = None) -> np.ndarray:
    """Return an array of a `.npy` file or of a `.npz`, also one of objects (see `unpickled`).

    Parameters
    ----------
    path
        The file.
    member
        The array's name in a `.npz`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        For another file, a damaged one, or objects that are neither arrays nor plain containers.
    """
    found, place = stored(path, member), path if member is None else f"{path}: {member}"
    if found.dtype.kind != "O":
        try:
            return found.array()
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    array = unpickled(found.data, place)
    if not isinstance(array, np.ndarray) or array.shape != found.shape:
        raise ValueError(f"{place}: expected objects of shape {found.shape} (got another pickle)")
    return array


@dataclass(frozen=True)
class _Name:
    """Something that a pickle names; it is never looked up."""

    name: str


@dataclass(eq=False)
class _Begun:
    """An array or its type before the state that fills it; places are those of the memo."""

    finish: Callable[[Any], Any]
    places: list[int] = field(default_factory=list)


class _Machine:
    """The stack and the memo of a pickle."""

    def __init__(self, content: memoryview) -> None:
        self.content = content
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.left = len(content)  # values that may be copied: more than there are bytes is a bomb

    def run(self) -> Any:
        stream: Any = _Stream(self.content)
        for step, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            name = opcode.name
            if name == "STOP":
                if stream.at != len(self.content):
                    raise ValueError(f"{len(self.content) - stream.at} bytes behind its end")
                found = self.pop()
                if self.stack or self.marks or isinstance(found, _Name):
                    raise ValueError("more or less than one value at its end")
                return found
            if step >= _MOST_STEPS:
                raise ValueError(f"more than {_MOST_STEPS} instructions")
            if name in _PLAIN:
                self.stack.append(argument)
            elif name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name]())
            elif name in _VIEWS:
                size = len(argument or b"")
                self.stack.append(self.content[stream.at - size : stream.at])
            elif name in _STEPS:
                _STEPS[name](self, argument)
            else:
                raise ValueError(f"the instruction {name}")
        raise ValueError("no end")

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("a value that is not there")
        value = self.stack.pop()
        if isinstance(value, _Begun):
            raise ValueError("an array without its content")
        return value

    def pop_mark(self) -> list[Any]:
        if not self.marks:
            raise ValueError("the end of a list that never began")
        start = self.marks.pop()
        found = self.stack[start:]
        del self.stack[start:]
        if any(isinstance(value, _Begun) for value in found):
            raise ValueError("an array without its content")
        return found

    def top(self, kind: type) -> Any:
        """Return the container that the instruction changes."""
        if not self.stack or type(self.stack[-1]) is not kind:
            raise ValueError(f"no {kind.__name__} where one is filled")
        return self.stack[-1]

    def pay(self, values: Any) -> Any:
        """Return what is going to be copied, while the copies are no more than the file."""
        self.left -= len(values)
        if self.left < 0:
            raise ValueError("more copies than it has bytes")
        return values

    def mark(self, _: None) -> None:
        self.marks.append(len(self.stack))

    def put(self, place: int | None) -> None:
        place = len(self.memo) if place is None else place
        value = self.stack[-1]
        if isinstance(value, _Begun):
            value.places.append(place)
        self.memo[place] = value

    def get(self, place: int) -> None:
        if place not in self.memo:
            raise ValueError(f"a value that is not there, {place} of its memo")
        value = self.memo[place]
        if isinstance(value, _Begun):
            raise ValueError("an array without its content")
        self.stack.append(value)

    def drop(self, _: None) -> None:
        self.pop()

    def drop_mark(self, _: None) -> None:
        self.pop_mark()

    def name(self, named: str) -> None:
        name = ".".join(named.split(" ", 1)).replace("__builtin__.", "builtins.", 1)
        if name not in _MADE and name != "numpy.ndarray":
            raise ValueError(f"the name {name}")
        self.stack.append(_Name(name))

    def stack_name(self, _: None) -> None:
        name, module = self.pop(), self.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise ValueError("a name that is no text")
        self.name(f"{module} {name}")

    def reduce(self, _: None) -> None:
        given, made = self.pop(), self.pop()
        if not (isinstance(made, _Name) and made.name in _MADE and isinstance(given, tuple)):
            raise ValueError("a call of something else than a name")
        self.stack.append(_MADE[made.name](self, *given))

    def build(self, _: None) -> None:
        state = self.pop()
        if not (self.stack and isinstance(self.stack[-1], _Begun)):
            raise ValueError("a state of something else than an array")
        begun = self.stack.pop()
        whole = begun.finish(state)
        self.stack.append(whole)
        for place in begun.places:
            self.memo[place] = whole

    def number(self, value: int) -> None:
        if not -(2**63) <= value < 2**64:
            raise ValueError("a number of more than 64 bits")
        self.stack.append(value)

    def put_tuple(self, _: None) -> None:
        self.stack.append(tuple(self.pop_mark()))

    def tuple_of(self, count: int) -> None:
        self.stack.append(tuple(reversed([self.pop() for _ in range(count)])))

    def put_list(self, _: None) -> None:
        self.stack.append(self.pop_mark())

    def put_frozenset(self, _: None) -> None:
        self.stack.append(frozenset(map(_key, self.pop_mark())))

    def put_dict(self, _: None) -> None:
        self.stack.append(_paired(self.pop_mark()))

    def append(self, _: None) -> None:
        value = self.pop()
        self.top(list).append(value)

    def appends(self, _: None) -> None:
        values = self.pop_mark()
        self.top(list).extend(values)

    def set_item(self, _: None) -> None:
        value, key = self.pop(), self.pop()
        self.top(dict)[_key(key)] = value

    def set_items(self, _: None) -> None:
        values = self.pop_mark()
        self.top(dict).update(_paired(values))

    def add_items(self, _: None) -> None:
        values = self.pop_mark()
        self.top(set).update(map(_key, values))


class _Stream:
    """What `pickletools` reads from: as much as there is, whatever a pickle says."""

    def __init__(self, content: memoryview) -> None:
        self.content, self.at = content, 0

    def tell(self) -> int:
        return self.at

    def read(self, count: int) -> bytes:
        found = self.content[self.at : self.at + count].tobytes()
        self.at += len(found)
        return found

    def readline(self) -> bytes:
        start = self.at
        while piece := self.read(256):
            if (end := piece.find(b"\n")) >= 0:
                self.at += end + 1 - len(piece)
                break
        return self.content[start : self.at].tobytes()


def _paired(values: list[Any]) -> dict[Any, Any]:
    return {_key(key): value for key, value in zip(values[::2], values[1::2], strict=True)}


def _key(value: Any) -> Any:
    """Return a key; tuples of tuples could be hashed for ever."""
    parts = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(part, str | int | float | bytes | None | np.generic) for part in parts):
        raise ValueError("a key that is neither text nor number")
    return value


def _type(_: _Machine, code: Any, *_rest: Any) -> _Begun:
    """Begin the type of an array; its state holds the order of bytes."""
    if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
        raise ValueError(f"an array of the type {shortened(repr(code))}")
    kind = np.dtype(code)

    def finish(state: Any) -> np.dtype:
        if not (isinstance(state, tuple) and len(state) >= 5 and state[2:5] == (None,) * 3):
            raise ValueError("an array of records")
        if state[1] not in ("<", ">", "|", "="):
            raise ValueError("an unknown order of bytes")
        return kind.newbyteorder(state[1]) if state[1] in "<>" else kind

    return _Begun(finish)


def _array(machine: _Machine, base: Any, *_rest: Any) -> _Begun:
    """Begin an array; its state holds shape, type and content."""
    if base != _Name("numpy.ndarray"):
        raise ValueError("an array of a class of its own")

    def finish(state: Any) -> np.ndarray:
        *_, shape, kind, fortran, data = state
        return _filled(machine, data, kind, shape, "F" if fortran is True else "C")

    return _Begun(finish)


def _from_buffer(
    machine: _Machine, data: Any, kind: Any, shape: Any, order: Any, axes: Any = None
) -> np.ndarray:
    """Make an array as NumPy writes it into pickles of protocol 5."""
    if order not in ("C", "F", "K"):
        raise ValueError("an array of unknown order")
    whole = _filled(machine, data, kind, shape, "F" if order == "F" else "C")
    return whole if order != "K" or axes is None else whole.transpose(axes)


def _number(machine: _Machine, kind: Any, data: Any) -> Any:
    return _filled(machine, data, kind, (1,), "C")[0]


def _filled(machine: _Machine, data: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
    if not isinstance(kind, np.dtype) or not isinstance(shape, tuple) or len(shape) > _DEPTH:
        raise ValueError("an array without type or shape")
    if not all(type(size) is int and 0 <= size < 2**62 for size in shape):
        raise ValueError("an array without a shape")
    if isinstance(data, str):  # as Python 2 wrote bytes
        data = machine.pay(data).encode("latin-1")
    if kind.kind != "O":
        return Stored(kind, shape, order == "F", memoryview(data)).array()
    if not isinstance(data, list) or len(data) != math.prod(shape):
        raise ValueError("an array of more or fewer objects than its shape says")
    objects = np.empty(len(data), dtype=object)
    for place, value in enumerate(machine.pay(data)):
        objects[place] = value
    return objects.reshape(shape, order=order)


def _encoded(machine: _Machine, text: Any, encoding: Any) -> bytes:
    """Return bytes that protocols before 3 write as text."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes that are no text in latin-1")
    return machine.pay(text).encode("latin-1")


def _dict(machine: _Machine, pairs: Any = ()) -> dict[Any, Any]:
    if isinstance(pairs, _Name):  # the default of a defaultdict
        return {}
    if not isinstance(pairs, list | tuple):
        raise ValueError("a dict of something else than pairs")
    return {_key(key): value for key, value in machine.pay(pairs)}


def _container(kind: Callable[[Any], Any]) -> Callable[..., Any]:
    def make(machine: _Machine, values: Any = ()) -> Any:
        if not isinstance(values, list | tuple | bytes | memoryview):
            raise ValueError("a container of something else than a list")
        return kind(machine.pay(values))

    return make


_MADE: dict[str, Callable[..., Any]] = {
    **{f"numpy.{core}.multiarray._reconstruct": _array for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _number for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _from_buffer for core in ("core", "_core")},
    "numpy.dtype": _type,
    "_codecs.encode": _encoded,
    "collections.OrderedDict": _dict,
    "collections.defaultdict": _dict,
    "builtins.dict": _dict,
    "builtins.list": _container(list),
    "builtins.tuple": _container(tuple),
    "builtins.set": _container(lambda values: set(map(_key, values))),
    "builtins.frozenset": _container(lambda values: frozenset(map(_key, values))),
    "builtins.bytes": _container(bytes),
    "builtins.bytearray": _container(bytes),
}
_PLAIN = {
    "SHORT_BINBYTES", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE",
    "BINUNICODE", "BINUNICODE8", "FLOAT", "BINFLOAT", "BININT", "BININT1", "BININT2",
}  # fmt: skip
_VIEWS = {"BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict, "EMPTY_SET": set,
}  # fmt: skip
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda *_: None),
    "MARK": _Machine.mark,
    "POP": _Machine.drop,
    "POP_MARK": _Machine.drop_mark,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    **dict.fromkeys(("INT", "LONG", "LONG1", "LONG4"), _Machine.number),
    "TUPLE": _Machine.put_tuple,
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "LIST": _Machine.put_list,
    "DICT": _Machine.put_dict,
    "FROZENSET": _Machine.put_frozenset,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "ADDITEMS": _Machine.add_items,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.stack_name,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
}
