"""Pictures of explanation files: features ranked, and single windows drawn."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from hargcn.analysis.comb import said_of_comb
from hargcn.analysis.edges import of_edges
from hargcn.analysis.features import FEATURES
from hargcn.analysis.observed import Cells
from hargcn.analysis.ranking import Ranking, sample_groups, write_rankings
from hargcn.analysis.recordings import of_recording, recordings, said_of_recording
from hargcn.checks import at_least, nearest, one_of, writable
from hargcn.explanation import Explanation
from hargcn.pipeline.footage import Source, draw_footage
from hargcn.pipeline.opening import open_explanations
from hargcn.pipeline.parts import Parts
from hargcn.pipeline.seen import warn_unseen
from hargcn.plots import (
    plot_edges,
    plot_heatmap,
    plot_ranking,
    plot_rankings,
    plot_rhythm,
    plot_strip,
    plot_strips,
    save_clip,
    save_figure,
)
from hargcn.plots.clips import expect_picture_or_clip, is_clip
from hargcn.plots.panels import PANELS
from hargcn.plots.rhythm import of_rhythm

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DATA = {"skeleton": "their skeletons", "classes": "their classes", "data": "the windows file"}


def rank(
    explanations: Sequence[str | Path],
    out: str | Path,
    *,
    by: str = "joint",
    picture: str = "boxes",
    sort: str = "mean",
    class_: str | Sequence[str] = (),
    subject: str | None = None,
    recording: str | None = None,
    other_data: bool = False,
    cells: str = "all",
    strip: str | Path | None = None,
    dpi: int = 200,
    say: Callable[[str], None] | None = None,
) -> dict[str, Ranking]:
    """Rank the joints, or other features, and draw them side by side; edges on a body per class.

    Frequencies of joints are drawn as a map per class. Beside the picture of what is ranked lies
    its table (.csv): mean, interval and quartiles of every feature.

    Parameters
    ----------
    explanations
        Explanation files.
    out
        Picture to write (.png, .svg, .pdf).
    by
        What is ranked: "joint", body "part", "branch", "channel" or "branch,channel", and by
        frequency "frequency", "branch,frequency" or "joint,frequency"; each by the signed sum of
        its attributions, which together add up to those of all.
    picture
        "boxes" of the windows, "beeswarm" (a dot per window) or "bar" (mean size with its
        interval); see `plots.plot_ranking`.
    sort
        Order of the features in the picture: by their "mean" rank over the files, or as one of them
        has it, named as in the table (method and layer, or file).
    class_
        Only windows that were explained for this class; several make a row of the picture each.
    subject
        Only windows of this person.
    recording
        A recording's attribution instead of the windows': the mean of its windows', which adds up
        to the mean of their scores only (see `analysis.recordings.of_recording`). Every file must
        hold the same windows of it.
    other_data
        Take explanations of different windows, classes or skeletons side by side.
    cells
        "all", or only what was "observed": scores are means per cell of these then, each weighed
        by the share of its frames that was.
    strip
        Another picture to write: the first of the windows, or the recording, as `show` draws it,
        of the first file.
    dpi
        Dots per inch of a PNG.
    say
        Gets what should be known of the values beside the picture.

    Returns
    -------
    dict
        The ranking of each explanation, by method and layer, or by file where these are the same.

    Warns
    -----
    UserWarning
        Where all cells count and more than a fifth of the positive attribution lies on cells that
        nobody saw.

    Raises
    ------
    FileNotFoundError
        Without one of the files.
    ValueError
        For explanations of different data or without the features, a class that is unknown or that
        no window was explained for, or another kind of picture.
    """
    chosen: Cells = one_of("--cells", cells, get_args(Cells))
    one_of("--by", by, FEATURES)
    one_of("--picture", picture, PANELS)
    out = writable(out, *explanations)
    writable(out.with_suffix(".csv"), *explanations)
    if strip is not None:
        strip = writable(strip, *explanations)
        if strip.resolve() == out.resolve():
            raise ValueError(f"{strip}: expected another file for the strip than for the ranking")
    classes = [class_] if isinstance(class_, str) else list(class_)
    rows = _rows(explanations, classes, subject, recording, other_data)
    one_of("--sort", sort, ["mean", *rows[0]])
    for each in rows:
        _tell(each, say)
    alone = _alone(rows[0], by)
    if alone is not None and len(rows) > 1:
        raise ValueError(f"{out}: expected a single class of edges, or of joints by frequency")
    names = [f": {each}" for each in classes] if len(rows) > 1 else [""]
    ranked: dict[str, Ranking] = {}
    for row, ending in zip(rows, names, strict=True):
        for name, one in row.items():
            ranked[name + ending] = Ranking.of(one, cells=chosen, feature=by)
            if chosen == "all":
                warn_unseen(name, one)
    save_figure(_ranked(rows, alone, chosen, feature=by, picture=picture, sort=sort), out, dpi)
    if alone is None:
        write_rankings(rows, classes, by, chosen, out.with_suffix(".csv"))
    if strip is not None:
        _draw(explanations[0], next(iter(rows[0].values())).isel(sample=[0]), strip, dpi=dpi)
    return ranked


def _rows(
    explanations: Sequence[str | Path],
    classes: Sequence[str],
    subject: str | None,
    recording: str | None,
    other_data: bool,
) -> list[dict[str, Explanation]]:
    """Return for each class, or once, the explanations of the windows that are asked for."""
    named = open_explanations(explanations)
    if not other_data:
        _check_same_data(named)
    named = {name: _of_subject(each, subject) for name, each in named.items()}
    rows = [_of_class(named, one) for one in classes] or [named]
    if recording is not None:
        rows = [_of_recording(each, recording, other_data) for each in rows]
    return rows


def _ranked(
    rows: Sequence[dict[str, Explanation]], alone: Explanation | None, cells: Cells, **looks: Any
) -> Figure:
    """Draw a ranking: of edges or frequencies, of classes below each other, or of one."""
    if alone is not None:
        return (plot_edges if of_edges(alone) else plot_rhythm)(alone)[0]
    if len(rows) > 1:
        return plot_rankings(rows, cells=cells, **looks)[0]
    return plot_ranking(rows[0], cells=cells, **looks)[0]


def show(
    explanation: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    sample: str | None = None,
    recording: str | None = None,
    frames: str | Sequence[int] | None = None,
    heatmap: bool = False,
    time_step: int | None = None,
    footage: Source | None = None,
    dpi: int = 200,
    progress: bool = True,
    say: Callable[[str], None] | None = None,
) -> Path:
    """Draw an explained window or recording: a strip of skeletons, a clip, or a time x joint map.

    Parameters
    ----------
    explanation
        Explanation file; of several the strips below each other, those of one window on the same
        frames (see `plots.plot_strips`).
    out
        Picture (.png, .svg, .pdf) or clip (.gif, .webp, .mp4) to write.
    sample
        Name of a window, `recording@start`, or of a recording, whose first it is then; by default
        the first window.
    recording
        Draw a whole recording instead: the mean of its windows' attributions, which adds up to the
        mean of their scores only (see `analysis.recordings.of_recording`).
    frames
        Frames of the strip, as a list or "0,15,30"; by default evenly spaced.
    heatmap
        Draw the map instead of the strip.
    time_step
        Frames that a cell of the picture adds up; by default the network's own step, where it is
        known, since attributions of single frames alternate with it (see `analysis.comb`).
    footage
        Draw on the frames of a video.
    dpi
        Dots per inch of a PNG.
    progress
        Whether to show a progress bar while a clip is drawn.
    say
        Gets what should be known of the values beside the picture.

    Returns
    -------
    pathlib.Path
        The picture. What was interpolated is hollow in strips and clips, and hatched in maps, as
        is what is absent.

    Warns
    -----
    UserWarning
        Where more than a fifth of the window's positive attribution lies on cells that nobody saw.

    Raises
    ------
    FileNotFoundError
        Without the file.
    ValueError
        For a window or frames that are not there, an explanation without positions, or another
        kind of picture, an .mp4 without PyAV; with a video, what `pipeline.footage.draw_footage`
        refuses.
    """
    at_least("--time-step", time_step, 1)
    files = [explanation] if isinstance(explanation, str | Path) else list(explanation)
    inputs = [] if footage is None else [footage.video, footage.points]
    out = writable(out, *files, *inputs)
    if heatmap and (is_clip(out) or footage is not None):
        what = "a clip" if footage is None else "a video"
        raise ValueError(f"{out}: expected a picture .png or .svg of a heatmap (got {what})")
    if sample is not None and recording is not None:
        raise ValueError(
            f"Expected a window or a recording (got sample {sample!r} and recording {recording!r})"
        )
    chosen = [_chosen(each, sample, recording) for each in files]
    _tell(dict(zip(map(str, files), chosen, strict=True)), say)
    if len(files) == 1:
        return _draw(
            files[0], chosen[0], out, frames=frames, heatmap=heatmap, time_step=time_step,
            footage=footage, dpi=dpi, progress=progress,
        )  # fmt: skip
    if heatmap or footage is not None or is_clip(out):
        raise ValueError(f"{out}: expected one explanation of a map or clip (got {len(files)})")
    lengths = [_length(each, one) for each, one in zip(files, chosen, strict=True)]
    figure, _ = plot_strips(chosen, _frames(frames, min(lengths)), time_step=time_step)
    save_figure(figure, out, dpi)
    return out


def maps(parts: Parts, files: Sequence[str], out: str | Path, *, dpi: int = 200) -> Path:
    """Draw explanations of the parts of an experiment in one picture, the first window of each.

    Parameters
    ----------
    parts
        Folders by case and seed.
    files
        Names of the explanation files in each of them.
    out
        The picture to write.
    dpi
        Dots per inch of a PNG.

    Raises
    ------
    FileNotFoundError, ValueError
        As `show`.
    """
    return show([folder / each for folder in parts.values() for each in files], out, dpi=dpi)


def _chosen(file: str | Path, sample: str | None, recording: str | None) -> Explanation:
    """Return a window or a recording of a file."""
    found = Explanation.open(file)
    if recording is not None:
        return of_recording(found, recording)
    return found.sel(sample=[_sample(sample, found, file)])


def _length(source: str | Path, one: Explanation) -> int:
    """Return how many frames of positions the only sample of a file has."""
    if "positions" not in one.dataset:
        raise ValueError(f"{source}: expected stored positions to draw (got none)")
    warn_unseen(f"{source}: {one.dataset['sample'].to_numpy()[0]}", one)
    return int(one.dataset["positions"].sizes["frame"])


def _tell(named: Mapping[str, Explanation], say: Callable[[str], None] | None) -> None:
    """Say what the values of explanations are, where it is not plain."""
    for name, each in named.items():
        for text in (*said_of_recording(each), *said_of_comb(each)):
            if say is not None:
                say(f"{name}: {text}")


def _draw(
    source: str | Path,
    one: Explanation,
    out: Path,
    *,
    frames: str | Sequence[int] | None = None,
    heatmap: bool = False,
    time_step: int | None = None,
    footage: Source | None = None,
    dpi: int = 200,
    progress: bool = True,
) -> Path:
    """Draw the only sample of an explanation that came from a file."""
    if of_edges(one) or of_rhythm(one):
        edges = of_edges(one)
        what = "edges, which have no time" if edges else "frequencies, which have no frames"
        if heatmap or footage is not None or frames is not None or is_clip(out):
            raise ValueError(
                f"{out}: expected a picture .png or .svg of {what} (got a heatmap, "
                "frames, a clip or a video)"
            )
        save_figure((plot_edges if edges else plot_rhythm)(one, 0)[0], out, dpi)
        return out
    if not heatmap:
        expect_picture_or_clip(out)
    length = _length(source, one)
    name = str(one.dataset["sample"].to_numpy()[0])
    positions = one.dataset["positions"].to_numpy()[0]
    if footage is not None:
        chosen = _frames(frames, length)
        draw_footage(
            one, name, footage, out, chosen, time_step=time_step, dpi=dpi, progress=progress
        )
        return out
    if is_clip(out):
        save_clip(one, name, positions, out, time_step=time_step, progress=progress)
        return out
    if heatmap:
        figure, _ = plot_heatmap(one, name, time_step=time_step)
    else:
        chosen = _frames(frames, length)
        figure, _ = plot_strip(one, name, positions, chosen, time_step=time_step)
    save_figure(figure, out, dpi)
    return out


def _alone(named: Mapping[str, Explanation], by: str) -> Explanation | None:
    """Return an explanation of edges, or of joints by frequency; refuse it beside others."""
    edges = [each for each in named.values() if of_edges(each)]
    maps = [*named.values()] if by == "joint,frequency" else []
    if (edges or maps) and len(named) > 1:
        what = "edges" if edges else "joints by frequency"
        raise ValueError(
            f"Expected one explanation of {what} alone to rank (got {', '.join(named)})"
        )
    return next(iter([*edges, *maps]), None)


def _check_same_data(named: Mapping[str, Explanation]) -> None:
    """Refuse explanations whose joints or windows are not the same: their ranks say nothing."""
    (first, reference), *others = named.items()
    mine = reference.dataset.attrs
    for name, other in others:
        theirs = other.dataset.attrs
        known = [key for key in _DATA if mine.get(key) and theirs.get(key)]
        differing = [_DATA[key] for key in known if mine[key] != theirs[key]]
        if differing:
            raise ValueError(
                f"Expected explanations of the same data to rank side by side ({first} and {name} "
                f"differ in {', '.join(differing)}). --other-data takes them all the same"
            )


def _of_recording(
    named: Mapping[str, Explanation], recording: str, other_data: bool
) -> dict[str, Explanation]:
    """Return means over a recording's windows; other windows' are of other times, and refused."""
    held = {
        name: {*each.dataset["sample"].to_numpy()[recordings(each) == recording].tolist()}
        for name, each in named.items()
    }
    (first, reference), *others = held.items()
    for name, other in others:
        if other != reference and not other_data:
            raise ValueError(
                f"Expected the same windows of {recording} in every file (got {len(reference)} in "
                f"{first} and {len(other)} in {name}, {len(other & reference)} of them in both). "
                "--other-data takes them all the same"
            )
    return {name: of_recording(each, recording) for name, each in named.items()}


def _of_class(named: Mapping[str, Explanation], wanted: str) -> dict[str, Explanation]:
    """Keep the windows that were explained for a class."""
    found = {}
    for name, each in named.items():
        classes = json.loads(each.dataset.attrs.get("classes", "[]"))
        kept = (each.target == classes.index(one_of("class", wanted, classes))).to_numpy()
        if not kept.any():
            raise ValueError(f"Expected windows explained for {wanted!r} (got none in {each.name})")
        found[name] = each.isel(sample=kept.nonzero()[0])
    return found


def _of_subject(explanation: Explanation, subject: str | None) -> Explanation:
    """Keep the windows of a person."""
    if subject is None:
        return explanation
    people = sample_groups(explanation)
    who = np.array([] if people is None else people, dtype=str)
    one_of("--subject, a person", subject, sorted({*who.tolist()}))
    return explanation.isel(sample=np.flatnonzero(who == subject))


def _sample(wanted: str | None, explanation: Explanation, path: str | Path) -> str:
    """Return the name of a window: as given, the first of a recording, or the first of all."""
    names = [str(name) for name in explanation.dataset["sample"].to_numpy()]
    fitting = [name for name in names if wanted in (None, name)]
    fitting = fitting or [name for name in names if name.rsplit("@", 1)[0] == wanted]
    if not fitting:
        hint = nearest(str(wanted), names)
        raise ValueError(f"{path}: expected a window's name (got {wanted!r}{hint})")
    return fitting[0]


def _frames(given: str | Sequence[int] | None, available: int) -> list[int] | None:
    if given is None:
        return None
    parts = given.split(",") if isinstance(given, str) else list(map(str, given))
    if not parts or not all(part.strip().isdigit() and int(part) < available for part in parts):
        raise ValueError(f"Expected frames of 0..{available - 1} (got {given!r})")
    return [int(part) for part in parts]
