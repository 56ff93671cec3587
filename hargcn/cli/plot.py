"""`rank`, `show`: from explanations to tables and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hargcn.cli.options import Dpi, Explanations, Picture, table

OfClass = Annotated[
    str | None, typer.Option("--class", help="Only windows explained for this class.")
]
OtherData = Annotated[
    bool, typer.Option("--other-data", help="Also explanations of different windows or skeletons.")
]
Top = Annotated[int, typer.Option(min=1, help="Rows of the printed table.")]
Drawing = Annotated[
    Path, typer.Option("--out", "-o", help="Strip (.png, .svg) or clip (.gif) to write.")
]
Sample = Annotated[
    str | None, typer.Option(help="Name of a window (recording@start); default the first.")
]
Frames = Annotated[
    str | None, typer.Option(help="Frames of the strip, e.g. 0,15,30; default evenly spaced.")
]
Heatmap = Annotated[bool, typer.Option("--heatmap", help="Draw the time x joint map instead.")]


def rank(
    explanations: Explanations,
    out: Picture,
    class_: OfClass = None,
    other_data: OtherData = False,
    top: Top = 10,
    dpi: Dpi = 200,
) -> None:
    """Rank the joints: box plots side by side, and a table of the medians.

    Example: hargcn rank shap.h5 gradcam.h5 --class wave --out ranking.png
    """
    from hargcn.pipeline.pictures import rank

    found = rank(explanations, out, class_=class_, other_data=other_data, dpi=dpi)
    medians = [
        [f"{joint} {median:+.3g}" for joint, median in zip(r.joints, r.medians, strict=True)]
        for r in found.values()
    ]
    rows = [[str(i), *row] for i, row in enumerate(zip(*medians, strict=False), 1)]
    table("joints by median score", ["rank", *found], rows[:top])
    typer.echo(str(out))


def show(
    explanation: Annotated[Path, typer.Argument(metavar="EXPLANATION", help="Explanation file.")],
    out: Drawing,
    sample: Sample = None,
    frames: Frames = None,
    heatmap: Heatmap = False,
    dpi: Dpi = 200,
) -> None:
    """Draw one explained window: a strip of skeletons, a clip, or a map.

    Example: hargcn show shap.h5 --sample a3_s2_t1@0 --frames 0,20,40,60 --out strip.png
    """
    from hargcn.pipeline.pictures import show

    drawn = show(explanation, out, sample=sample, frames=frames, heatmap=heatmap, dpi=dpi)
    typer.echo(str(drawn))


COMMANDS = (rank, show)
