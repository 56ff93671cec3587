"""Runs `hargcn` in this process, and says what a shell would see."""

from __future__ import annotations

import contextlib
import io
import sys
from dataclasses import dataclass
from unittest import mock

import hargcn.cli

TINY = (
    "model.width=8",
    "model.min_width=8",
    "model.max_width=8",
    "model.last_width=8",
    "model.branch={blocks: 1, depth: 1, stride: 2, window: 3}",
    "model.main={blocks: 1, window: 3}",
    "train.epochs=1",
    "train.batch_size=8",
    "train.device=cpu",
)
"""Changes that make a network and its training as small as can be."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def run(*arguments: object) -> Ended:
    """Run a command; whatever `main` does not catch is raised."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["hargcn", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            hargcn.cli.main()
        except SystemExit as end:
            return Ended(int(end.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("main returned without an exit code")


def done(*arguments: object) -> str:
    """Run a command that must succeed and return what it printed."""
    ended = run(*arguments)
    assert ended.code == 0, ended.err
    return ended.out


def refused(*arguments: object) -> str:
    """Run a command that must end in one line and exit code 2; return the line."""
    ended = run(*arguments)
    assert ended.code == 2, (ended.code, ended.out, ended.err)
    said = [line for line in ended.err.splitlines() if "hargcn: " in line]
    # A progress bar that had begun may come before.
    assert len(said) == 1, ended.err
    assert ended.err.rstrip().endswith(said[0]), ended.err
    return said[0].removeprefix("hargcn: ")


def sets(changes: tuple[str, ...] = TINY) -> list[str]:
    """Return changes as options."""
    return [part for change in changes for part in ("--set", change)]
