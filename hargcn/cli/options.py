"""Arguments and options that several commands share, and how they print."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table as Grid

Checkpoint = Annotated[
    Path,
    typer.Argument(
        metavar="NETWORK",
        help="Checkpoint (.safetensors, card beside it), or an experiment file (.yaml) that names "
        "a factory of one.",
    ),
]
WindowsFile = Annotated[Path, typer.Argument(metavar="WINDOWS", help="Windows file (.h5).")]
Explanations = Annotated[
    list[Path], typer.Argument(metavar="EXPLANATION...", help="Explanation files (.h5).")
]
Class = Annotated[
    str, typer.Option("--class", help="Class to explain: predicted, label, or its name.")
]
Split = Annotated[str, typer.Option(help="Which set: train, val, test, all, or a .txt of names.")]
Limit = Annotated[int | None, typer.Option(help="The first N windows only.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
OtherPreparation = Annotated[
    bool,
    typer.Option("--other-preparation", help="Take windows prepared otherwise than the network's."),
]
Device = Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="Change a setting (see `hargcn settings`): key.sub=value."),
]
Batch = Annotated[
    int | None, typer.Option(help="Rows per forward pass; by default what runs fastest.")
]
Shard = Annotated[int, typer.Option(min=1, help="Windows per shard; a killed run resumes.")]
Engine = Annotated[
    str, typer.Option(help="local, or ray: work in tasks of a Ray cluster (see docs/scale.md).")
]
Address = Annotated[
    str | None,
    typer.Option(help="Ray: the cluster, auto or HOST:PORT; by default one of this machine alone."),
]
Cells = Annotated[
    str, typer.Option(help="all, or observed: without what was interpolated or absent.")
]
Table = Annotated[Path, typer.Option("--out", "-o", help="Table (.csv).")]
Dpi = Annotated[int, typer.Option(min=1, help="Dots per inch of a PNG.")]
Picture = Annotated[Path, typer.Option("--out", "-o", help="Picture to write (.png, .svg).")]


def table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str]], text: bool = False
) -> None:
    """Print a table; the first column is left-aligned, the rest to the right (text to the left).

    Figures are never cut: where they do not fit, columns become rows, and what still does not fit
    is wider than the terminal.
    """
    from rich.console import Console

    console, grid = Console(), _grid(title, header, rows, text)
    if not text:
        first, *others = zip(header, *rows, strict=True)
        both = (title, header, rows), (title, first, others)
        ways = [make(*each) for make in (_grid, _narrow) for each in both]
        fitting = (each for each in ways if _width(each) <= console.width)
        grid = next(fitting, min(ways, key=_width))
        console.width = max(console.width, _width(grid))
    console.print(grid)


def _grid(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str]], text: bool = False
) -> Grid:
    from rich.table import Table

    grid = Table(title=title, title_justify="left")
    for i, name in enumerate(header):
        grid.add_column(name, justify="left" if text or i == 0 else "right", no_wrap=i == 0)
    for row in rows:
        grid.add_row(*row)
    return grid


def _narrow(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Grid:
    """Return a table as narrow as its longest words: rich would cut some to leave others space."""
    grid = _grid(title, header, rows)
    for column in grid.columns[1:]:
        texts = " ".join([str(column.header), *map(str, column.cells)])
        column.width = max(map(len, texts.split()), default=1)
    return grid


def _width(grid: Grid) -> int:
    from rich.console import Console

    return Console(width=1 << 16).measure(grid).maximum


def say(text: str) -> None:
    """Say something beside the result, on standard error."""
    typer.echo(text, err=True)


def next_command(*words: object) -> None:
    """Say what to go on with; on standard error, for what is printed may be read by a program."""
    typer.echo(f"next: {' '.join(shlex.quote(str(word)) for word in words)}", err=True)


def interval(value: float, low: float, high: float, form: str = ".3f") -> str:
    """Return an estimate with its interval as text."""
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"
