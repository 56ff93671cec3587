"""MINI-RGBD: 12 sequences of moving infants as 2D key points in whole pixels.

Source: Hesse et al., "Computer Vision for Medical Infant Motion Analysis: State of the Art and
RGB-D Data Set", ECCV Workshops 2018; the 14 key points are those of the annotation files
`result_pz1NN.csv`. Nothing clinical can be concluded from them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hargcn.data.recording import OnError, Recording, Recordings, list_files
from hargcn.skeleton import skeleton


def read(
    path: str | Path, fps: float = 30.0, frames: int | None = 1000, label: int | None = None
) -> Recording:
    """Read one `result_pz1NN.csv`.

    Parameters
    ----------
    path
        The file: `;` between cells, `x,y` in whole pixels in each.
    fps
        Frames per second: the sensor's 30, which the files do not state (some papers say 25).
    frames
        Expected number of frames; None for any.
    label
        The label to give it.

    Returns
    -------
    Recording
        (2, T, 14, 1) in pixels (y down), sample and group "pz1NN".

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    layout = skeleton("minirgbd14")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    header = ["image", *layout.joints]
    if not lines or lines[0].split(";") != header:
        found = lines[0][:60] if lines else ""
        raise ValueError(f"{path}: expected the header {';'.join(header)} (got {found!r})")
    rows = [_row(path, number, line, len(header)) for number, line in enumerate(lines[1:])]
    if not rows or frames not in (None, len(rows)):
        raise ValueError(f"{path}: expected {frames or 'some'} frames (got {len(rows)})")
    name = path.stem.removeprefix("result_")
    positions = np.array(rows, dtype=np.float32).transpose(2, 0, 1)[..., None]
    return Recording(
        positions=positions,
        valid=np.ones((len(rows), 1)),
        fps=fps,
        skeleton=layout,
        sample=name,
        group=name,
        label=label,
    )


def read_folder(
    folder: str | Path,
    fps: float = 30.0,
    frames: int | None = 1000,
    labels: str | Path | None = None,
    on_error: OnError = "raise",
    progress: bool = False,
) -> Recordings:
    """Read every `result_pz*.csv` of a folder (`raw/` below it is found too).

    Parameters
    ----------
    folder
        The folder of the files.
    fps, frames
        As in `read`.
    labels
        A CSV `sequence,label` with a row per sequence 1..12, 0 normal and 1 abnormal. The labels
        that accompany the data are in an unverified order: they serve for plumbing only.
    on_error
        "raise" or "skip".
    progress
        Whether to show a progress bar.

    Raises
    ------
    ValueError
        If a sequence has no label, or a file cannot be read.
    """
    folder = Path(folder)
    if (folder / "raw").is_dir():
        folder = folder / "raw"
    files = list_files(folder, "result_pz*.csv")
    known = _labels(Path(labels)) if labels is not None else {}
    unknown = [file.name for file in files if labels is not None and _sequence(file) not in known]
    if unknown:
        raise ValueError(f"{labels}: expected a label for every file (none for {unknown})")

    def load(path: Path) -> Recording:
        return read(path, fps=fps, frames=frames, label=known.get(_sequence(path)))

    return Recordings(
        items=files,
        load=load,
        classes=("normal", "abnormal") if labels is not None else (),
        on_error=on_error,
        progress=progress,
    )


def _row(path: Path, number: int, line: str, width: int) -> list[list[int]]:
    """Return the (14, 2) pixels of a line; images count from 0."""
    image, *cells = line.split(";")
    try:
        pixels = [[int(part) for part in cell.split(",")] for cell in cells]
        right = int(image.split("_")[0]) == number
    except ValueError:
        pixels, right = [], False
    if not right or len(pixels) != width - 1 or any(len(pixel) != 2 for pixel in pixels):
        raise ValueError(
            f"{path}: line {number + 2}: expected image {number:05d} and {width - 1} pairs x,y of "
            f"whole pixels (got {line[:60]!r})"
        )
    return pixels


def _sequence(path: Path) -> int:
    digits = path.stem.removeprefix("result_pz1")
    return int(digits) if digits.isdigit() else -1


def _labels(path: Path) -> dict[int, int]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table of labels")
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    try:
        labels = {int(line.split(",")[0]): int(line.split(",")[1]) for line in lines if line}
    except (ValueError, IndexError):
        labels = {}
    if not labels or not set(labels.values()) <= {0, 1}:
        raise ValueError(f"{path}: expected rows sequence,label with labels 0 and 1")
    return labels
