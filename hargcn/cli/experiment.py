"""`experiment`: run one of the checkout's experiments, or list them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hargcn.cli.options import Address, Engine, Set, table

Name = Annotated[str | None, typer.Argument(help="Its folder in experiments/; default list them.")]
Quick = Annotated[bool, typer.Option("--quick", help="Run all of it in small, in a minute or two.")]
Case = Annotated[
    list[str] | None, typer.Option("--case", help="Only this case of it; can be given again.")
]
Windows = Annotated[
    Path | None,
    typer.Option("--windows", help="Your windows file: run it on these, nothing is prepared."),
]
Config = Annotated[
    Path | None, typer.Option("--config", help="The recipe to train with on --windows.")
]
Checkpoint = Annotated[
    Path | None, typer.Option("--checkpoint", help="A network trained on --windows.")
]
Networks = Annotated[
    Path | None,
    typer.Option(
        "--networks",
        file_okay=False,
        help="Where networks are kept, trained once for all experiments; default "
        "experiments/networks.",
    ),
]
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
    case: Case = None,
    windows: Windows = None,
    config: Config = None,
    checkpoint: Checkpoint = None,
    networks: Networks = None,
    set_: Set = None,
    fresh: Fresh = False,
    engine: Engine = "local",
    address: Address = None,
) -> None:
    """Run an experiment of a checkout: from recordings to the tables and pictures of its page.

    A run that was interrupted goes on at the step where it stopped.

    Example: hargcn experiment utd_mhad --quick --out out/utd_mhad
    Example: hargcn experiment layer_correlation --windows data/ntu60_xview.h5 --out out/ntu
    """
    from hargcn.pipeline.experiment import experiment as run
    from hargcn.pipeline.experiment_file import experiments, read_experiment

    if name is None:
        found = experiments().items()
        rows = [[each, read_experiment(path).question] for each, path in found]
        table("experiments", ["name", "question"], rows, text=True)
        return
    made = run(
        name, quick=quick, out=out, cases=case or (), windows=windows, config=config,
        checkpoint=checkpoint, networks=networks, set_=set_ or (), fresh=fresh, engine=engine,
        address=address, say=_say,
    )  # fmt: skip
    typer.echo(str(made))


def _say(line: str) -> None:
    typer.echo(line, err=True)


COMMANDS = (experiment,)
