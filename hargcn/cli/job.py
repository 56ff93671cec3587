"""`job`: a command for many machines, as a script for their scheduler."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hargcn.cli.options import next_command


def job(
    words: Annotated[
        list[str], typer.Argument(metavar="COMMAND...", help="explain and its arguments, behind --")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Script to write (.sh).")],
    slurm: Annotated[bool, typer.Option("--slurm", help="For Slurm.")] = False,
    parts: Annotated[int, typer.Option(min=2, help="Jobs of the array.")] = 8,
    option: Annotated[
        list[str] | None, typer.Option(help="Of sbatch, e.g. --option=--time=2:00:00 (again).")
    ] = None,
) -> None:
    """Write an array job over the shards of an explanation, and the job that joins them.

    Example: hargcn job --slurm --parts 8 --out shap.sh -- explain model.safetensors windows.h5
    --method shap --out shap.h5
    """
    import typer.main

    from hargcn.cli import app
    from hargcn.pipeline.slurm import write_array_job

    if not slurm:
        raise ValueError("Expected --slurm: hargcn writes scripts of no other scheduler")
    if words[0] == "explain":  # refused now rather than on the cluster
        known: Any = typer.main.get_command(app)
        known.commands["explain"].make_context("hargcn explain", words[1:])
    script = write_array_job(words, out, parts, option or ())
    typer.echo(str(script))
    next_command("sh", script)


COMMANDS = (job,)
