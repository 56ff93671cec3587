"""Checks of arguments that many functions share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


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
    close = difflib.get_close_matches(word, [str(name) for name in known], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
