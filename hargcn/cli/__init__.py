"""The command line: a command parses, calls its function of `hargcn.pipeline`, and prints.

Every command imports what it needs when it runs, so that `hargcn --help` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import cast

import typer

from hargcn.allocator import keep_freed_memory
from hargcn.cli import (
    axioms,
    bench,
    crossfit,
    demo,
    evaluate,
    experiment,
    explain,
    init,
    interactions,
    job,
    network,
    plot,
    prepare,
    report,
    settings,
    verify,
)

# Typer brings its own copy of click, or uses the installed one: its errors lead to either.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)

app = typer.Typer(
    name="hargcn",
    help="Skeleton-based activity-recognition networks that explain themselves.",
    epilog="Start with: hargcn demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_MODULES = (
    demo, init, prepare, network, explain, plot, report, interactions, evaluate, axioms, bench,
    crossfit, experiment, job, settings, verify,
)  # fmt: skip
for module in _MODULES:
    for command in module.COMMANDS:
        app.command()(command)


def _version(wanted: bool) -> None:
    if wanted:
        from hargcn import __version__

        typer.echo(f"hargcn {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    pass


def _warning(message: Warning | str, *_where: object, **_more: object) -> str:
    """Say a warning in one line, without the place in the code."""
    return f"hargcn: warning: {' '.join(str(message).split())}\n"


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Note every Ctrl-C, also one that a library swallows: no interrupted command ends in 0.

    Where HDF5 is writing, which no exception may end, it comes again in a moment.
    """
    seen: list[int] = []
    again = threading.Timer(0, bool)

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        hdf5 = sys.modules.get("hargcn.hdf5")
        if hdf5 is None or not hdf5.is_inside(frame):
            raise KeyboardInterrupt
        nonlocal again
        again.cancel()
        again = threading.Timer(0.02, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()

    usual = signal.getsignal(signal.SIGINT)
    if usual is not signal.default_int_handler:  # ignored by whoever started us, or not ours
        yield seen
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        again.cancel()
        signal.signal(signal.SIGINT, usual)


def main() -> None:
    """Run the command line; bad input ends in one line on standard error and exit code 2.

    With HARGCN_DEBUG set, the whole traceback is shown.
    """
    keep_freed_memory()
    warnings.formatwarning = _warning
    try:
        with _interruptible() as interrupted:
            code = app(standalone_mode=False, prog_name="hargcn") or 0
        code = 130 if interrupted else code
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except (ValueError, OSError, _UsageError) as error:
        if os.environ.get("HARGCN_DEBUG"):
            raise
        said = error.format_message() if isinstance(error, _UsageError) else str(error)
        if said:  # nothing where the help was shown
            typer.secho(f"hargcn: {' '.join(said.split())}", fg="red", err=True)
        code = 2
    if code == 130:
        typer.echo("hargcn: interrupted; what was finished is kept", err=True)
    sys.exit(code)
