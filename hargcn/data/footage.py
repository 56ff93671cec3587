"""The frames of a video, through PyAV (optional extra `video`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Footage:
    """A video file.

    Parameters
    ----------
    path
        The file.
    fps
        Its mean frames per second; None where it does not say.
    frames
        How many it says to have; None where it does not.
    """

    path: Path
    fps: float | None
    frames: int | None

    @classmethod
    def open(cls, path: str | Path) -> Footage:
        """Look at a file.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it holds no video that can be read, or PyAV is not installed.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        with _opened(path) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate
            return cls(path, float(rate) if rate else None, stream.frames or None)

    def images(self, wanted: Sequence[int]) -> Iterator[np.ndarray]:
        """Decode frames, upright as players show them.

        Parameters
        ----------
        wanted
            Their numbers in the order of decoding, from 0, ascending.

        Yields
        ------
        numpy.ndarray
            (height, width, 3) uint8, red, green, blue.

        Raises
        ------
        ValueError
            If the video ends before the last of them, or is damaged.
        """
        left = list(wanted)
        count = 0
        with _opened(self.path) as container:
            frames = iter(container.decode(video=0))
            while left:
                try:
                    frame = next(frames)
                except StopIteration:
                    break
                except Exception as error:  # of whichever codec
                    raise ValueError(f"{self.path}: expected a whole video ({error})") from error
                while left and left[0] == count:
                    image = frame.to_ndarray(format="rgb24")
                    yield np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)))
                    left.pop(0)
                count += 1
        if left:
            raise ValueError(
                f"{self.path}: expected a video of at least {wanted[-1] + 1} frames, as the "
                f"recording needs (got {count})"
            )


def pyav(path: Path) -> Any:
    """Return PyAV's module.

    Raises
    ------
    ValueError
        If it is not installed; names the file that needs it.
    """
    try:
        import av
    except ImportError as error:
        raise ValueError(
            f"{path}: expected PyAV for videos (it is not installed): pip install 'hargcn[video]'"
        ) from error
    return av


def _opened(path: Path) -> Any:
    av = pyav(path)
    try:
        container = av.open(str(path))
    except Exception as error:  # of whichever format
        raise ValueError(f"{path}: expected a video ({error})") from error
    if not container.streams.video:
        container.close()
        raise ValueError(f"{path}: expected a video (it holds none)")
    return container
