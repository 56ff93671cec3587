"""Explained movement on the frames of its video: a strip, or a clip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hargcn.plots.clips import pixels, write_clip
from hargcn.plots.skeletons import Scene
from hargcn.plots.strips import caption, draw_people, finish, moment
from hargcn.plots.style import STYLE, canvas

Images = Iterable[tuple[int, np.ndarray]]
"""Numbers of frames in the window, and (height, width, 3) pictures."""


@mpl.rc_context(STYLE)
def plot_footage(
    shown: Scene, images: Mapping[int, np.ndarray], *, ax: Axes | None = None
) -> tuple[Figure, Axes]:
    """Draw bodies on frames of their video, side by side.

    Parameters
    ----------
    shown
        An explained window whose points are pixels of the video: right and down.
    images
        By frame of the window (height, width, 3).
    ax
        Axes to draw on.
    """
    return _page(shown, images, list(images), ax)


def _page(
    shown: Scene, images: Mapping[int, np.ndarray], said_of: Sequence[int], ax: Axes | None = None
) -> tuple[Figure, Axes]:
    """Draw some frames; the legend is about those that it is said of."""
    tall, wide = next(iter(images.values())).shape[:2]
    width = float(np.clip(1.6 + 3.2 * len(images) * wide / tall, 4, 16))
    height = (width - 1.4) * tall / (1.02 * wide * len(images)) + 1.4
    figure, (axis,) = canvas(ax, (width, height))
    for place, (frame, image) in enumerate(images.items()):
        left = 1.02 * wide * place
        _picture(axis, image, left)
        points = shown.points[:, frame] + np.array([left, 0])[:, None, None]
        draw_people(axis, shown, points, frame, scale=0.6)
        caption(axis, left + wide / 2, tall, frame, shown)
    axis.set_xlim(0, left + wide)
    axis.set_ylim(tall, 0)
    finish(figure, axis, shown, said_of, grow=ax is None)
    return figure, axis


def save_footage(shown: Scene, images: Images, path: str | Path, fps: float) -> None:
    """Write a clip: every frame of the video with the body on it.

    Parameters
    ----------
    shown
        As for `plot_footage`.
    images
        One after the other; only one is in memory.
    path
        A `.gif`, `.webp` or `.mp4`.
    fps
        Frames per second.

    Raises
    ------
    ValueError
        For another suffix, no image at all, or an .mp4 without PyAV.
    """
    with mpl.rc_context(STYLE):
        write_clip(_pictures(shown, images), path, fps)


def _pictures(shown: Scene, images: Images) -> Iterator[np.ndarray]:
    """Yield (height, width, 3) pictures; placed once, as laying out every one anew is slow."""
    images = iter(images)
    first = next(images)
    figure, axis = _page(shown, dict([first]), range(shown.points.shape[1]))
    axis.texts[0].set_fontweight("normal")
    figure.set_dpi(110)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    text = axis.texts[0]
    for frame, image in chain([first], images):
        for artist in [*axis.collections, *axis.images]:
            artist.remove()
        _picture(axis, image, 0)
        draw_people(axis, shown, shown.points[:, frame], frame, scale=0.6)
        text.set_text(moment(frame, shown))
        yield pixels(figure)


def _picture(ax: Axes, image: np.ndarray, left: float) -> None:
    tall, wide = image.shape[:2]
    ax.imshow(image, extent=(left, left + wide, tall, 0), interpolation="nearest", zorder=0)
