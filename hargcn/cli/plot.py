"""`rank`, `show`: from explanations to tables and pictures."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hargcn.cli.options import Cells, Dpi, Explanations, Picture, say, table

if TYPE_CHECKING:
    from hargcn.analysis.ranking import Ranking

OfClass = Annotated[
    list[str] | None,
    typer.Option("--class", help="Only windows explained for this class; again: a row for each."),
]
OfSubject = Annotated[str | None, typer.Option("--subject", help="Only windows of this person.")]
By = Annotated[
    str,
    typer.Option(
        help="Rank by joint, part, branch, channel, branch,channel; of shap-rhythm also by "
        "frequency, branch,frequency or joint,frequency."
    ),
]
Kind = Annotated[
    str, typer.Option("--picture", help="boxes, beeswarm (a dot per window) or bar (mean sizes).")
]
Sort = Annotated[
    str, typer.Option(help="Order of the picture: mean rank over the files, or as NAME has it.")
]
OfRecording = Annotated[
    str | None, typer.Option("--recording", help="A recording's mean over its windows instead.")
]
OtherData = Annotated[
    bool, typer.Option("--other-data", help="Also explanations of different windows or skeletons.")
]
Strip = Annotated[
    Path | None,
    typer.Option("--strip", help="Also draw the first window of the first explanation, as show."),
]
Top = Annotated[int, typer.Option(min=1, help="Rows of the printed table.")]
Drawing = Annotated[
    Path,
    typer.Option("--out", "-o", help="Strip (.png, .svg) or clip (.gif, .webp, .mp4) to write."),
]
Sample = Annotated[
    str | None, typer.Option(help="Name of a window (recording@start); default the first.")
]
Frames = Annotated[
    str | None, typer.Option(help="Frames of the strip, e.g. 0,15,30; default evenly spaced.")
]
Heatmap = Annotated[bool, typer.Option("--heatmap", help="Draw the time x joint map instead.")]
TimeStep = Annotated[
    int | None,
    typer.Option(min=1, help="Frames a cell adds up, 1 for frames; default the network's step."),
]
Video = Annotated[Path | None, typer.Option(help="Draw on this video's frames; needs --points.")]
Points = Annotated[
    Path | None, typer.Option(help="The recording of the window, in pixels of the video.")
]
Format = Annotated[str | None, typer.Option("--format", "-f", help="Format of --points.")]
ReaderSet = Annotated[
    list[str] | None, typer.Option("--set", "-s", help="Option of its reader: reader.fps=30.")
]
Start = Annotated[float, typer.Option(min=0, help="Second of the video when the recording begins.")]


def rank(
    explanations: Explanations,
    out: Picture,
    by: By = "joint",
    picture: Kind = "boxes",
    sort: Sort = "mean",
    class_: OfClass = None,
    subject: OfSubject = None,
    recording: OfRecording = None,
    other_data: OtherData = False,
    cells: Cells = "all",
    strip: Strip = None,
    top: Top = 10,
    dpi: Dpi = 200,
) -> None:
    """Rank joints, body parts, branches, channels or bands: a picture and a table of median sums.

    With --cells observed of means, and it says how much of each feature was seen.

    Example: hargcn rank shap.h5 gradcam.h5 --class wave --out ranking.png --strip strip.png

    Example: hargcn rank shap.h5 gradcam.h5 --class wave --class squat --subject s2 --out s2.png

    Example: hargcn rank shap.h5 --by branch,channel --picture beeswarm --out channels.png

    Example: hargcn rank shap.h5 gradcam.h5 --sort shap --out ranking.png

    Example: hargcn rank rhythm.h5 --by joint,frequency --out rhythm.png
    """
    from hargcn.analysis.features import FEATURES
    from hargcn.pipeline.pictures import rank

    found = rank(
        explanations, out, by=by, picture=picture, sort=sort, class_=class_ or (), subject=subject,
        recording=recording, other_data=other_data, cells=cells, strip=strip, dpi=dpi, say=say,
    )  # fmt: skip
    columns = map(_medians, found.values())
    rows = [[str(i), *row] for i, row in enumerate(zip(*columns, strict=False), 1)]
    of = "sum" if cells == "all" else "mean per observed cell (share seen)"
    edges = any(each.feature == "edge" for each in found.values())
    table(f"{'edges' if edges else FEATURES[by]} by median {of}", ["rank", *found], rows[:top])
    typer.echo("\n".join(str(path) for path in (out, strip) if path is not None))


def show(
    explanations: Explanations,
    out: Drawing,
    sample: Sample = None,
    recording: OfRecording = None,
    frames: Frames = None,
    heatmap: Heatmap = False,
    time_step: TimeStep = None,
    video: Video = None,
    points: Points = None,
    format_: Format = None,
    set_: ReaderSet = None,
    video_start: Start = 0.0,
    dpi: Dpi = 200,
) -> None:
    """Draw an explained window or recording: a strip, a clip, or a map; also on its video.

    Several explanations are strips below each other, on the same frames.

    Example: hargcn show shap.h5 --sample a3_s2_t1@0 --frames 0,20,40,60 --out strip.png

    Example: hargcn show shap.h5 gradcam.h5 --sample a3_s2_t1 --out strips.png

    Example: hargcn show shap.h5 --recording a3_s2_t1 --heatmap --out map.png

    Example: hargcn show shap.h5 --sample v001@0 --video v001.mp4 --points poses/v001.csv
    --set reader.layout=skeleton.yaml --set reader.fps=30 --out strip.mp4
    """
    from hargcn.pipeline.pictures import Source, show

    footage = None
    if video is not None and points is not None:
        footage = Source(video, points, format_, set_ or (), video_start)
    elif (video, points) != (None, None):
        raise typer.BadParameter("expected --video and --points together")
    drawn = show(
        explanations, out, sample=sample, recording=recording, frames=frames, heatmap=heatmap,
        time_step=time_step, footage=footage, dpi=dpi, say=say,
    )  # fmt: skip
    typer.echo(str(drawn))


def _medians(ranking: Ranking) -> list[str]:
    """Return a column of the printed table: features, medians, and how much was seen."""
    pairs = zip(ranking.features, ranking.medians.tolist(), strict=True)
    named = [f"{each} {'-' if isnan(median) else f'{median:+.3g}'}" for each, median in pairs]
    if ranking.seen is None:
        return named
    shares = ranking.seen.sel({ranking.feature: list(ranking.features)}).to_numpy()
    return [f"{said} ({share:.0%})" for said, share in zip(named, shares, strict=True)]


COMMANDS = (rank, show)
