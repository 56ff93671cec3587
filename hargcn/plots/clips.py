"""Clips: GIF and WebP through Pillow, MP4 through PyAV, which brings ffmpeg's libraries."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from hargcn.data.footage import pyav
from hargcn.files import replacing
from hargcn.plots.style import PICTURES

CLIPS = (".gif", ".webp", ".mp4")
"""What a clip's name may end in."""


def is_clip(path: str | Path) -> bool:
    """Return whether a name is a clip's."""
    return Path(path).suffix.lower() in CLIPS


def expect_picture_or_clip(path: str | Path) -> None:
    """Refuse a file that is neither, before anything is drawn."""
    suffix = Path(path).suffix.lower()
    if suffix not in (*PICTURES, *CLIPS):
        picture, clip = (f"{', '.join(each[:-1])} or {each[-1]}" for each in (PICTURES, CLIPS))
        raise ValueError(f"{path}: expected a picture {picture}, or a clip {clip} (got {suffix!r})")


def write_clip(pictures: Iterable[np.ndarray], path: str | Path, fps: float) -> None:
    """Write pictures as a clip, whole or not at all; the suffix chooses the format.

    Parameters
    ----------
    pictures
        (height, width, 3) uint8 of one size, one after the other.
    path
        A `.gif`, `.webp` or `.mp4`; its folder is created.
    fps
        Frames per second. A GIF's frames last whole hundredths of a second.

    Raises
    ------
    ValueError
        For another suffix, or an .mp4 without PyAV.
    """
    path = Path(path)
    if not is_clip(path):
        named = f"{', '.join(CLIPS[:-1])} or {CLIPS[-1]}"
        raise ValueError(f"{path}: expected a clip {named} (got {path.suffix!r})")
    kind = path.suffix.lower()
    av = pyav(path) if kind == ".mp4" else None  # before anything is drawn
    with replacing(path) as temporary:
        if av is not None:
            _encode(av, pictures, temporary, fps)
            return
        first, *others = (Image.fromarray(picture) for picture in pictures)
        options: dict[str, Any] = {"lossless": True} if kind == ".webp" else {}
        options |= {"duration": 1000 / fps, "loop": 0, "append_images": others}
        first.save(temporary, format=kind[1:].upper(), save_all=True, **options)


def pixels(figure: Figure) -> np.ndarray:
    """Return a figure as it looks now, (height, width, 3) uint8."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _encode(av: Any, pictures: Iterable[np.ndarray], path: Path, fps: float) -> None:
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt, size = "yuv420p", None
        for picture in pictures:
            tall, wide = (length // 2 * 2 for length in picture.shape[:2])  # codecs want even ones
            if size is None:
                size = stream.height, stream.width = tall, wide
            even = np.ascontiguousarray(picture[:tall, :wide])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())
