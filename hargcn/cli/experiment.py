"""`experiment`: run one of the checkout's experiments, or list them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hargcn.cli.options import Set, table

Name = Annotated[str | None, typer.Argument(help="Its folder in experiments/; default list them.")]
Quick = Annotated[bool, typer.Option("--quick", help="Run all of it in small, in a minute or two.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", file_okay=False, help="Folder; default results/ or quick/ in it."),
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Train anew, even where a checkpoint comes with it.")
]


def experiment(
    name: Name = None,
    quick: Quick = False,
    out: Out = None,
    set_: Set = None,
    fresh: Fresh = False,
) -> None:
    """Run an experiment of a checkout: from recordings to the tables and pictures of its page.

    Example: hargcn experiment utd_mhad --quick --out out/utd_mhad
    """
    from hargcn.pipeline import experiment as pipeline

    if name is None:
        found = pipeline.experiments().items()
        rows = [[each, pipeline.read_experiment(path).question] for each, path in found]
        table("experiments", ["name", "question"], rows, text=True)
        return
    made = pipeline.experiment(name, quick=quick, out=out, set_=set_ or (), fresh=fresh, say=_say)
    typer.echo(str(made))


def _say(line: str) -> None:
    typer.echo(line, err=True)


COMMANDS = (experiment,)
