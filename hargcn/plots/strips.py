"""Explained movement: a strip of chosen frames, or a moving picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from hargcn.explanation import Explanation
from hargcn.files import track
from hargcn.plots.clips import pixels, write_clip
from hargcn.plots.skeletons import (
    HOLLOW,
    Scene,
    View,
    draw_body,
    said_of_sides,
    scene,
    window_said,
)
from hargcn.plots.style import STYLE, canvas, fit_titles, signed_bar

_STRIPS = 7.0
"""Inches that strips below each other are wide: a page's two columns."""


@mpl.rc_context(STYLE)
def plot_strip(
    explanation: Explanation,
    sample: str | int,
    positions: Any = None,
    frames: Sequence[int] | int | None = None,
    *,
    view: View = "front",
    fps: float | None = None,
    limit: float | None = None,
    time_step: int | None = None,
    ax: Axes | None = None,
) -> tuple[Figure, Axes]:
    """Draw chosen frames of one window side by side, joints coloured and sized by attribution.

    Zero is the neutral colour; the scale is that of the whole window, so that frames compare. A
    coarse map colours a frame by the cell nearest to it (Tempel et al. 2024, figures 2 and 3).
    Joints that were interpolated are hollow; a frame that shows nobody says what it is credited.

    Parameters
    ----------
    explanation
        With an axis "joint" and a skeleton.
    sample
        Its name or its number.
    positions
        (C, T, V, M) of this sample, C = 2 or 3, one person or more; default those stored with the
        explanation.
    frames
        Frame numbers; or how many (default 6), evenly spaced, with the frame of the largest
        attribution among them.
    view
        "front", "side", "top" or (azimuth, elevation) in degrees, for 3D positions; in front the
        person's left is on the right.
    fps
        Frames per second, to label frames in seconds too; default the stored time of each frame.
    limit
        Magnitude at the ends of the colour scale.
    time_step
        Frames whose attributions are added up; default the network's own step, 1 for single frames
        (see `analysis.comb`).
    ax
        Axes to draw on.

    Raises
    ------
    ValueError
        For a sample, positions or frames that do not fit the explanation.
    """
    shown = scene(explanation, sample, positions, view, limit, fps, time_step)
    chosen = chosen_frames(shown, frames)
    offsets, low, high = _places(shown.points[:, chosen], shown.title)
    tall, span = high[1] - low[1], offsets[-1] + high[0] - low[0]
    persons = shown.points.shape[-1]
    width = float(np.clip(1.6 + 1.25 * len(chosen) * persons**0.5, 4, 12))
    body = float(np.clip((width - 1) * tall / span, 1.2, 5.0))
    figure, (axis,) = canvas(ax, (width, body + 1.4))
    for offset, frame in zip(offsets, chosen, strict=True):
        points = shown.points[:, frame] + np.array([offset, 0])[:, None, None]
        draw_people(axis, shown, points, frame, scale=min(1.0, body / 3))
        caption(axis, offset + (low[0] + high[0]) / 2, low[1], frame, shown)
        if persons > 1 and offset > 0:
            axis.axvline(offset + low[0], color="#dddddd", linewidth=0.8)
    axis.set_xlim(low[0], offsets[-1] + high[0])
    axis.set_ylim(low[1], high[1])
    finish(figure, axis, shown, chosen, grow=ax is None)
    return figure, axis


@mpl.rc_context(STYLE)
def plot_strips(
    explanations: Sequence[Explanation],
    frames: Sequence[int] | int | None = None,
    *,
    view: View = "front",
    time_step: int | None = None,
    ax: Sequence[Axes] | None = None,
) -> tuple[Figure, Any]:
    """Draw explanations of one window, or of several, below each other (Tempel et al., 2 and 3).

    A row per explanation on a scale of its own, since attributions of several methods have several
    units; a column per frame. Rows of one window show the same frames, whose numbers stand below
    the last of them.

    Parameters
    ----------
    explanations
        Of a single sample each, with stored positions; those of one window one after the other.
    frames
        Frame numbers; or how many (default 6), evenly spaced, with the frame of the largest
        attribution in a window's first row among them.
    view, time_step
        As for `plot_strip`.
    ax
        Axes to draw on, one per explanation.

    Returns
    -------
    matplotlib.figure.Figure, numpy.ndarray
        The axes of the rows.

    Raises
    ------
    ValueError
        For none, for several samples in one, and what `plot_strip` refuses.
    """
    wrong = [each.name for each in explanations if len(each) != 1]
    if wrong or not explanations:
        raise ValueError(f"Expected explanations of one window each (got {wrong or 'none'})")
    scenes = [scene(each, 0, view=view, time_step=time_step) for each in explanations]
    names = [str(each.values["sample"].to_numpy()[0]) for each in explanations]
    first = [i == 0 or names[i] != names[i - 1] for i in range(len(names))]
    last = [*first[1:], True]
    shown: list[list[int]] = []
    for new, each in zip(first, scenes, strict=True):
        shown.append(chosen_frames(each, frames) if new else shown[-1])
    places = [_places(s.points[:, at], s.title) for s, at in zip(scenes, shown, strict=True)]
    tall = [_row_height(*place) + 0.45 + 0.3 * f + 0.4 * e
            for place, f, e in zip(places, first, last, strict=True)]  # fmt: skip
    size = (_STRIPS, sum(tall) + 0.3)
    figure, axes = canvas(ax, size, len(scenes), 1, height_ratios=tall)
    titles = []
    for row, axis in enumerate(axes):
        one, at, (offsets, low, high) = scenes[row], shown[row], places[row]
        for offset, frame in zip(offsets, at, strict=True):
            points = one.points[:, frame] + np.array([offset, 0])[:, None, None]
            draw_people(axis, one, points, frame, scale=0.6)
            if last[row]:
                _below(axis, offset + (low[0] + high[0]) / 2, low[1], moment(frame, one))
        axis.set_xlim(low[0], offsets[-1] + high[0])
        axis.set_ylim(low[1], high[1])
        axis.set_aspect("equal")
        axis.set_axis_off()
        method = explanations[row].title
        about = f"{window_said(explanations[row])}\n{method}" if first[row] else method
        titles.append(axis.set_title(about, loc="left", fontsize=9))
        bar = signed_bar(figure, axis, one.norm, one.unit, float(np.nanmin(one.values)))
        axis.set_anchor("W")  # not beside its bar: narrow bodies leave the title no room there
        bar.locator = MaxNLocator(4)
        bar.update_ticks()
    handles = [pair for one, at in zip(scenes, shown, strict=True) for pair in _handles(one, at)]
    own = {name: handle for handle, name in handles}
    if own:
        figure.legend([*own.values()], [*own], loc="outside lower center", ncols=2)
    fit_titles(figure, titles, grow=ax is None)
    return figure, np.array(axes)


def _row_height(offsets: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """Return how many inches the bodies of a row are high."""
    wide = offsets[-1] + high[0] - low[0]
    return float(np.clip((_STRIPS - 1.2) * (high[1] - low[1]) / wide, 0.8, 2.2))


def save_clip(
    explanation: Explanation,
    sample: str | int,
    positions: Any,
    path: str | Path,
    *,
    step: int = 1,
    fps: float | None = None,
    view: View = "front",
    limit: float | None = None,
    time_step: int | None = None,
    dpi: int = 90,
    progress: bool = False,
) -> None:
    """Write one window as a moving picture, joints coloured and sized by attribution.

    Parameters
    ----------
    explanation, sample, positions, view, limit, time_step
        As for `plot_strip`.
    path
        A `.gif`, `.webp` or `.mp4`.
    step
        Show every so-manieth frame only.
    fps
        Frames per second of the recording: the picture runs at its speed and tells seconds. Default
        the stored time of each frame; without it 30, and frame numbers only.
    dpi
        Dots per inch.
    progress
        Whether to show a progress bar.

    Raises
    ------
    ValueError
        For another suffix, an .mp4 without PyAV, or what `plot_strip` refuses.
    """
    shown = scene(explanation, sample, positions, view, limit, fps, time_step)
    count = shown.points.shape[1]
    lasts = 0.0 if shown.seconds is None else float(np.ptp(shown.seconds))
    rate = (count - 1) / lasts if lasts > 0 else 30.0
    frames = range(0, count, step)
    pictures = _moving(shown, track(frames, "drawing frames", len(frames), progress), dpi)
    with mpl.rc_context(STYLE):
        write_clip(pictures, path, max(1, round(rate / step)))


def _moving(shown: Scene, frames: Iterable[int], dpi: int) -> Iterator[np.ndarray]:
    """Yield frames as (height, width, 3) pictures."""
    _, low, high = _places(shown.points, shown.title)
    width = float(np.clip(4.0 * (high[0] - low[0]) / (high[1] - low[1]) + 1.4, 3.2, 7.0))
    figure, (axis,) = canvas(None, (width, 5.0))
    figure.set_dpi(dpi)
    axis.set_xlim(low[0], high[0])
    axis.set_ylim(low[1], high[1])
    finish(figure, axis, shown, range(shown.points.shape[1]))
    stamp = axis.text(0.0, 1.0, "", transform=axis.transAxes, va="top")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # placed once; laying out every frame anew is slow
    for frame in frames:
        for artist in list(axis.collections):
            artist.remove()
        draw_people(axis, shown, shown.points[:, frame], frame)
        stamp.set_text(moment(frame, shown))
        yield pixels(figure)


def chosen_frames(shown: Scene, frames: Sequence[int] | int | None) -> list[int]:
    """Return the frames to draw, ascending."""
    count = shown.points.shape[1]
    frames = 6 if frames is None else frames
    if isinstance(frames, int):
        if frames < 1:
            raise ValueError(f"Expected at least one frame (got {frames})")
        spaced = np.linspace(0, count - 1, frames + 2)[1:-1]
        # A frame right beside the largest shows the same again.
        apart = np.abs(spaced - shown.peak) > 0.3 * count / (frames + 1)
        return sorted({*spaced[apart].round().astype(int).tolist(), shown.peak})
    wrong = [frame for frame in frames if not 0 <= frame < count]
    if wrong or not len(frames):
        raise ValueError(f"Expected frames from 0 to {count - 1} (got {list(frames)})")
    return list(frames)


def _places(points: np.ndarray, of: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where each frame's picture starts, and the lower and upper corner of one picture."""
    flat = points.reshape(2, -1)
    if not np.isfinite(flat).any():
        raise ValueError(f"{of}: expected at least one joint in the chosen frames (got none)")
    low, high = np.nanmin(flat, axis=1), np.nanmax(flat, axis=1)
    margin = 0.06 * max(*(high - low), 1e-9)
    low, high = low - margin, high + margin
    return np.arange(points.shape[1]) * (high[0] - low[0]), low, high


def moment(frame: int, shown: Scene) -> str:
    """Say which frame it is, when, and what it is credited where it shows nobody."""
    seconds = "" if shown.seconds is None else f"\n{shown.seconds[frame]:.2f} s"
    there = np.isfinite(shown.points[:, frame]).any()
    nobody = "" if there else f"\nnobody seen,\n{shown.at(frame).sum():+.2g} credited"
    return f"frame {frame}{seconds}{nobody}"


def caption(ax: Axes, x: float, y: float, frame: int, shown: Scene) -> None:
    """Write a frame's number, and its time where that is known, below it."""
    is_peak = frame == shown.peak
    text = moment(frame, shown) + ("\nlargest" if is_peak else "")
    _below(ax, x, y, text, "bold" if is_peak else "normal")


def _below(ax: Axes, x: float, y: float, text: str, weight: str = "normal") -> None:
    """Write a text below a body."""
    style: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 8, "weight": weight}
    ax.annotate(text, (x, y), (0, -3), textcoords="offset points", **style)


def draw_people(ax: Axes, shown: Scene, points: np.ndarray, frame: int, scale: float = 1.0) -> None:
    """Draw all persons of a frame at (2, V, M) points."""
    values = shown.at(frame)
    for person in range(points.shape[-1]):
        own, guessed = values[:, person], shown.guessed[frame, :, person]
        draw_body(ax, points[..., person], own, shown.skeleton, shown.norm, scale, guessed)


def finish(
    figure: Figure, ax: Axes, shown: Scene, frames: Sequence[int], grow: bool = True
) -> None:
    """Add what strip and moving picture share; `grow` as of `fit_titles`."""
    ax.set_aspect("equal")
    ax.set_axis_off()
    title = ax.set_title(shown.title)
    low = float(np.nanmin(shown.values))
    signed_bar(figure, ax, shown.norm, f"attribution ({shown.unit})", low)
    if pairs := _handles(shown, frames):
        handles, named = zip(*pairs, strict=True)
        where: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0)}
        ax.legend(handles, named, borderaxespad=5.5, **where)
    fit_titles(figure, [title], grow)


def _handles(shown: Scene, frames: Sequence[int]) -> list[tuple[Any, str]]:
    """Return what a legend has to say of bodies: samples of it and their names."""
    pairs: list[tuple[Any, str]] = [
        (each, str(each.get_label())) for each in said_of_sides(shown.skeleton)
    ]
    if (shown.guessed & np.isfinite(shown.points).all(axis=0))[list(frames)].any():
        rings = [
            Line2D([], [], marker="o", ms=size, mfc="white", mec="#4d4d4d", mew=0.6, ls="none")
            for size in (8, 8 * HOLLOW**0.5)
        ]
        pairs.append((tuple(rings), "interpolated: nobody saw the joint"))
    return pairs
