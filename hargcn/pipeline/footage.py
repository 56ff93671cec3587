"""An explained window on its video: which of its frames, and where in them the joints are.

Explanations hold positions as the network saw them, centred and scaled. Where a joint is in the
picture says the recording, read anew as its tracker wrote it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hargcn.checks import nearest
from hargcn.data.footage import Footage
from hargcn.data.readers import READERS, find_reader
from hargcn.data.recording import ABSENT, Recording
from hargcn.explanation import Explanation
from hargcn.files import track
from hargcn.pipeline.config import read_content
from hargcn.plots.clips import is_clip
from hargcn.plots.footage import plot_footage, save_footage
from hargcn.plots.skeletons import Scene, scene
from hargcn.plots.strips import chosen_frames
from hargcn.plots.style import save_figure
from hargcn.registry import build

_OTHER_RATE = 0.01  # of the frames per second: 29.97 is 30
_OUTSIDE = 0.5  # share of the joints beyond the picture that makes it another video's


@dataclass(frozen=True)
class Source:
    """Where the frames and the joints in them come from.

    Parameters
    ----------
    video
        The video file.
    points
        The recording, or a folder that holds it, as `prepare` read it.
    format
        The reader's name; by default a look at the files finds it.
    changes
        The reader's options, "reader.KEY=value", as `prepare` takes them.
    start
        Seconds of the video at which the recording begins.
    """

    video: str | Path
    points: str | Path
    format: str | None = None
    changes: Sequence[str] = ()
    start: float = 0.0


def draw_footage(
    found: Explanation,
    sample: str,
    source: Source,
    out: Path,
    frames: Sequence[int] | None = None,
    *,
    time_step: int | None = None,
    dpi: int = 200,
    progress: bool = True,
) -> None:
    """Draw a window's attributions on its video: a strip of frames, or a clip of all of them.

    Raises
    ------
    FileNotFoundError
        Without the video or the recording.
    ValueError
        For a recording that is not the window's, points that are no pixels of this video, a video
        of another rate or too short, frames past the recording's end, or without PyAV.
    """
    recording = _recording(source, str(found.dataset["recording"].sel(sample=sample).item()))
    shown = scene(found, sample, time_step=time_step)
    seconds = shown.seconds
    if seconds is None:
        raise ValueError(f"{found.name!r}: expected the time of every frame (got none)")
    if recording.skeleton.joints != shown.skeleton.joints or len(recording.positions) != 2:
        raise ValueError(
            f"{source.points}: expected the joints of {shown.skeleton.name} in pixels of the video "
            f"(got {recording.skeleton.name} with {len(recording.positions)} coordinates)"
        )
    footage = Footage.open(source.video)
    at = _nearest(seconds, recording)
    shown = replace(shown, points=_pixels(recording, at, found, sample))
    numbers = at + _offset(source, footage, recording)
    if is_clip(out):
        lasts = float(np.ptp(seconds[: len(at)]))
        images = _images(footage, numbers, range(len(at)), shown, progress)
        save_footage(shown, images, out, (len(at) - 1) / lasts if lasts else recording.fps)
        return
    known = [frame for frame in chosen_frames(shown, frames) if frame < len(at)]
    if frames is not None and len(known) < len(frames):
        raise ValueError(
            f"{source.points}: expected frames up to {len(at) - 1}, where the recording ends (got "
            f"{max(frames)})"
        )
    pictures = dict(_images(footage, numbers, known, shown, False))
    save_figure(plot_footage(shown, pictures)[0], out, dpi)


def _recording(source: Source, wanted: str) -> Recording:
    """Read the recording that a window was cut from."""
    content = read_content(None, source.changes)
    if unknown := sorted(set(content) - {"reader"}):
        raise ValueError(
            f"--set: expected options of the reader, as in reader.fps=30 (got {unknown[0]!r})"
        )
    path = Path(source.points)
    kind = READERS.find(source.format) if source.format else find_reader(path)
    reader = build(kind, content.get("reader", {}), f"reader {kind.name}")
    names = []
    for recording in reader.recordings(path):
        if recording.sample == wanted:
            return recording
        names.append(recording.sample)
    listed = ", ".join(names[:3])
    raise ValueError(
        f"{path}: expected the window's recording {wanted!r} (got {listed}{nearest(wanted, names)})"
    )


def _nearest(seconds: np.ndarray, recording: Recording) -> np.ndarray:
    """Return the recording's frame nearest to each of the window's, up to the recording's end."""
    inside = seconds[seconds <= recording.time[-1] + 0.5 / recording.fps]
    if not len(inside):
        raise ValueError(
            f"{recording.sample}: expected a recording of at least {seconds[0]:.2f} s, where the "
            f"window begins (got {recording.time[-1]:.2f} s): is reader.fps as it was?"
        )
    return np.abs(recording.time - inside[:, None]).argmin(axis=1)


def _pixels(recording: Recording, at: np.ndarray, found: Explanation, sample: str) -> np.ndarray:
    """Return (2, T, V, M) pixels at the window's frames, NaN for whoever is absent.

    What the tracker did not see lies on the line between its sights, as `prepare` filled it in.
    """
    states = found.dataset["state"].sel(sample=sample).to_numpy()
    seen, times = recording.observed, np.arange(recording.frames)
    points = np.full((2, *states.shape), np.nan)
    for joint, person in np.ndindex(states.shape[1:]):
        known = np.flatnonzero(seen[:, joint, person])
        for axis in (0, 1) if len(known) else ():
            values = recording.positions[axis, known, joint, person]
            between = np.interp(times, known, values, left=np.nan, right=np.nan)
            points[axis, : len(at), joint, person] = between[at]
    points[:, states == ABSENT] = np.nan
    return points


def _offset(source: Source, footage: Footage, recording: Recording) -> int:
    """Return the video's frame at which the recording begins."""
    rate = footage.fps
    if rate is not None and abs(rate / recording.fps - 1) > _OTHER_RATE:
        raise ValueError(
            f"{footage.path}: expected a video of {recording.fps:g} frames per second, as "
            f"{recording.sample} has (got {rate:g}): another video, or another reader.fps"
        )
    offset = round(source.start * recording.fps)
    if footage.frames is not None and not offset and footage.frames > recording.frames + 1:
        warnings.warn(
            f"{footage.path}: has {footage.frames} frames and {recording.sample} {recording.frames}"
            ": the recording is taken to begin with the video (--video-start says otherwise)",
            stacklevel=4,
        )
    return offset


def _images(
    footage: Footage, numbers: np.ndarray, frames: Sequence[int], shown: Scene, progress: bool
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield frames of the window with their pictures; the first one shows whether joints fit."""
    ordered = sorted(frames)
    images = footage.images([int(numbers[frame]) for frame in ordered])
    pairs = zip(ordered, images, strict=True)
    for count, (frame, image) in enumerate(track(pairs, "drawing", len(ordered), progress)):
        if not count:
            _check_inside(footage, shown.points, image.shape[1::-1])
        yield frame, image


def _check_inside(footage: Footage, points: np.ndarray, size: Sequence[int]) -> None:
    """Refuse joints that are no pixels of this picture."""
    places = points.reshape(2, -1)
    places = places[:, np.isfinite(places).all(axis=0)]
    if not places.size:
        return
    said = f"expected joints in pixels of {size[0]} x {size[1]}"
    if places.max() <= 2:
        raise ValueError(
            f"{footage.path}: {said} (got shares of the picture): --set reader.size="
            f"[{size[0]},{size[1]}]"
        )
    outside = ((places < 0) | (places >= np.array(size)[:, None])).any(axis=0).mean()
    if outside > _OUTSIDE:
        raise ValueError(
            f"{footage.path}: {said} (got {outside:.0%} of them outside): another video?"
        )
