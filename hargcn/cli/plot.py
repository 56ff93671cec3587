"""`rank`, `show`: from explanations to tables and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hargcn.checks import nearest
from hargcn.cli.options import Explanations, table, writable

if TYPE_CHECKING:
    from hargcn.explanation import Explanation

Picture = Annotated[
    Path, typer.Option("--out", "-o", dir_okay=False, help="Picture to write (.png, .svg).")
]


def rank(
    explanations: Explanations,
    out: Picture,
    class_: Annotated[
        str | None, typer.Option("--class", help="Only windows explained for this class.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Rows of the printed table.")] = 10,
) -> None:
    """Rank the joints: box plots side by side, and a table of the medians.

    Example: hargcn rank shap.h5 gradcam.h5 --class wave --out ranking.png
    """
    from hargcn.analysis.ranking import Ranking
    from hargcn.pipeline.case import open_explanations
    from hargcn.plots import plot_ranking, save_figure

    writable(out, *explanations)
    loaded = {name: _of_class(e, class_) for name, e in open_explanations(explanations).items()}
    fig, _ = plot_ranking(loaded)
    save_figure(fig, out)
    columns = [Ranking.of(e) for e in loaded.values()]
    rows = [
        [str(i + 1), *(f"{r.joints[i]} {r.medians[i]:+.3g}" for r in columns)]
        for i in range(min(top, len(columns[0].joints)))
    ]
    table("joints by median score", ["rank", *loaded], rows)
    typer.echo(str(out))


def show(
    explanation: Annotated[Path, typer.Argument(metavar="EXPLANATION", help="Explanation file.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", dir_okay=False, help="Strip (.png, .svg), clip (.gif)."),
    ],
    sample: Annotated[
        str | None, typer.Option(help="Name of a window (recording@start); default the first.")
    ] = None,
    frames: Annotated[
        str | None, typer.Option(help="Frames of the strip, e.g. 0,15,30; default evenly spaced.")
    ] = None,
    heatmap: Annotated[
        bool, typer.Option("--heatmap", help="Draw the time x joint map instead.")
    ] = False,
) -> None:
    """Draw one explained window: a strip of skeletons, a clip, or a map.

    Example: hargcn show shap.h5 --sample a3_s2_t1@0 --frames 0,20,40,60 --out strip.png
    """
    from hargcn import Explanation
    from hargcn.plots import plot_heatmap, plot_strip, save_figure, save_gif

    if heatmap and out.suffix == ".gif":
        raise ValueError(f"{out}: expected a picture .png or .svg with --heatmap (got a clip)")
    loaded = Explanation.open(explanation)
    names = [str(name) for name in loaded.dataset["sample"].to_numpy()]
    name = names[0] if sample is None else _name(sample, names, explanation)
    if "positions" not in loaded.dataset:
        raise ValueError(f"{explanation}: expected stored positions to draw (got none)")
    positions = loaded.dataset["positions"].to_numpy()[names.index(name)]
    wanted = None if frames is None else _frames(frames, positions.shape[1])
    if out.suffix == ".gif":
        save_gif(loaded, name, positions, out, progress=True)
    else:
        figure = (
            plot_heatmap(loaded, name)
            if heatmap
            else plot_strip(loaded, name, positions, frames=wanted)
        )[0]
        save_figure(figure, out)
    typer.echo(str(out))


def _of_class(explanation: Explanation, name: str | None) -> Explanation:
    """Keep the windows that were explained for a class."""
    import json

    if name is None:
        return explanation
    classes = json.loads(explanation.dataset.attrs.get("classes", "[]"))
    if name not in classes:
        raise ValueError(f"--class: expected a class of {', '.join(classes)} (got {name!r})")
    kept = (explanation.target == classes.index(name)).to_numpy()
    if not kept.any():
        raise ValueError(f"--class: no window of {explanation.name} was explained for {name!r}")
    return explanation.isel(sample=kept.nonzero()[0])


def _name(wanted: str, names: list[str], path: Path) -> str:
    if wanted in names:
        return wanted
    of_recording = [name for name in names if name.rsplit("@", 1)[0] == wanted]
    if of_recording:
        return of_recording[0]
    hint = nearest(wanted, names)
    raise ValueError(f"{path}: expected a window's name (got {wanted!r}{hint})")


def _frames(text: str, available: int) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdigit() and int(part) < available for part in parts):
        raise ValueError(f"--frames: expected numbers 0..{available - 1} (got {text!r})")
    return [int(part) for part in parts]


COMMANDS = (rank, show)
