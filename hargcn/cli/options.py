"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

Checkpoint = Annotated[Path, typer.Argument(help="Checkpoint (.safetensors, card beside it).")]
WindowsFile = Annotated[Path, typer.Argument(metavar="WINDOWS", help="Windows file (.h5).")]
Explanations = Annotated[
    list[Path], typer.Argument(metavar="EXPLANATION...", help="Explanation files (.h5).")
]
Split = Annotated[str, typer.Option(help="Which set: train, val, test or all.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Device = Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first column is left-aligned, numbers to the right."""
    from rich.console import Console
    from rich.table import Table

    grid = Table(title=title, title_justify="left")
    for i, name in enumerate(header):
        grid.add_column(name, justify="left" if i == 0 else "right")
    for row in rows:
        grid.add_row(*row)
    Console().print(grid)
