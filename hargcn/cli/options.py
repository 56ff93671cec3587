"""Arguments and options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer


def _usable(device: str) -> str:
    """Refuse a device that is not there, before anything is computed."""
    if device == "cpu":
        return device
    import torch

    named = re.fullmatch(r"cuda(?::(\d+))?", device)
    there = torch.cuda.device_count()
    if named is None or int(named[1] or 0) >= there:
        raise ValueError(
            f"--device: expected cpu, cuda or cuda:N; {there} CUDA devices are here "
            f"(got {device!r})"
        )
    return device


Checkpoint = Annotated[Path, typer.Argument(help="Checkpoint (.safetensors, card beside it).")]
WindowsFile = Annotated[Path, typer.Argument(metavar="WINDOWS", help="Windows file (.h5).")]
Explanations = Annotated[
    list[Path], typer.Argument(metavar="EXPLANATION...", help="Explanation files (.h5).")
]
Split = Annotated[str, typer.Option(help="Which set: train, val, test or all.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Device = Annotated[str, typer.Option(callback=_usable, help="cpu, cuda or cuda:N.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]


def writable(out: Path, *inputs: Path, suffix: str = "") -> None:
    """Refuse an output before anything is computed.

    Raises
    ------
    ValueError
        For a folder, a name below a file, one of the inputs, or another ending than `suffix`.
    """
    if suffix and out.suffix != suffix:
        raise ValueError(f"--out: expected a name ending in {suffix} (got {out})")
    if out.is_dir():
        raise ValueError(f"{out}: expected a file to write (it is a folder)")
    above = next(parent for parent in out.absolute().parents if parent.exists())
    if not above.is_dir():
        raise ValueError(f"{out}: expected a file in a folder ({above} is a file)")
    for given in inputs:
        if out.exists() and given.exists() and out.samefile(given):
            raise ValueError(f"--out: expected another file than the input (got {out})")


def table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str]], text: bool = False
) -> None:
    """Print a table; the first column is left-aligned, the rest to the right (text to the left)."""
    from rich.console import Console
    from rich.table import Table

    grid = Table(title=title, title_justify="left")
    for i, name in enumerate(header):
        grid.add_column(name, justify="left" if text or i == 0 else "right", no_wrap=i == 0)
    for row in rows:
        grid.add_row(*row)
    Console().print(grid)
