"""`interactions`: which players act together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hargcn.cli.options import Dpi, Picture, say, table

File = Annotated[Path, typer.Argument(metavar="EXPLANATION", help="Explanation file (.h5).")]
Window = Annotated[
    str | None, typer.Option("--sample", help="Name of one window; default the mean over all.")
]
Explained = Annotated[
    str | None, typer.Option("--class", help="Only windows explained for this class.")
]
Rows = Annotated[int, typer.Option("--top", min=1, help="Rows of the printed table.")]


def interactions(
    explanation: File,
    out: Picture,
    sample: Window = None,
    class_: Explained = None,
    top: Rows = 10,
    dpi: Dpi = 200,
) -> None:
    """Draw which joints, parts or branches act together: a matrix, and lines on the body.

    Needs an explanation by shapley-groups with --set interactions=k-SII (or STII).

    Example: hargcn interactions groups.h5 --class wave --out together.png
    """
    from hargcn.pipeline.interactions import interactions

    found = interactions(explanation, out, sample=sample, class_=class_, dpi=dpi, say=say)
    rows = [
        [
            f"{found.names[i]} - {found.names[j]}",
            f"{found.matrix[i, j]:+.3g}",
            f"{found.agreeing[i, j]:.0%}",
        ]
        for i, j in found.pairs[:top]
    ]
    title = f"pairs that act together ({found.index}), of {found.windows} windows"
    table(title, ["pair", "mean", "windows of that sign"], rows)
    typer.echo(str(out))


COMMANDS = (interactions,)
