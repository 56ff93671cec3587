"""`init`: an experiment file to begin with, from a look at recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hargcn.cli.options import next_command

Folder = Annotated[Path, typer.Argument(help="Folder with the recordings.")]
Out = Annotated[
    Path, typer.Option("--out", "-o", dir_okay=False, help="The experiment file to write (.yaml).")
]
Format = Annotated[
    str | None,
    typer.Option("--format", "-f", help="See `hargcn formats`; by default found by a look."),
]


Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="What you know of the files, e.g. -s reader.fps=25."),
]


def init(
    folder: Folder,
    out: Out = Path("experiment.yaml"),
    format_: Format = None,
    set_: Set = None,
) -> None:
    """Look at a folder of recordings, and write a commented experiment file that suits it.

    It finds the format, the layout, a table of outcomes in the folder or beside it and what its
    columns hold, and chooses preparation, windows, sets of people, network and training. What it
    cannot know is marked `complete this`. Where no known layout fits, it begins a skeleton.yaml
    beside the file. Nothing is written over.

    Example: hargcn init videos --set reader.fps=25

    Example: hargcn init poses --format openpose --out configs/poses.yaml
    """
    from hargcn.pipeline.starting import start

    started = start(folder, out, set_ or (), format=format_)
    for file in started.files:
        typer.echo(f"{file}: written")
    for line in started.open:
        typer.echo(line)
    if started.open:
        typer.echo("complete these lines, or name them here with --set")
    next_command("hargcn", "prepare", folder, "--config", out)


COMMANDS = (init,)
