"""Key points in CSV files, one per video, and a table that says what became of each child.

Any layout: a skeleton's joint names are the names of the columns `<joint>_x`, `<joint>_y` (and
`<joint>_z`), with an optional `<joint>_likelihood` and an optional column `frame`.
"""

from __future__ import annotations

import csv
import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from hargcn.checks import shortened
from hargcn.data.readers.base import MOST_FPS, Reader, Zeros, existing, first_line, marked_zeros
from hargcn.data.recording import Recording, Recordings
from hargcn.registry import settings
from hargcn.skeleton import Skeleton, skeleton

_NAMED = 8  # columns or videos that a message names


@settings
class KeyPoints(Reader):
    """Reads a CSV of key points per video, and the table of outcomes where there is one.

    Empty cells mean "not observed"; so do frames that a column `frame` leaves out. Columns that
    belong to no joint are ignored. Recordings are (C, T, V, 1), named as the file. Notes:
    `frames_missing`, `low_likelihood` and `zeros_unseen` (joint positions), `joints_always_zero`;
    of a folder `outcomes_without_file`.

    Parameters
    ----------
    layout
        A layout's name or a skeleton.yaml.
    outcomes
        The table of outcomes, a CSV with one row per video; without one nobody has a label. It may
        lie in the folder.
    video, outcome
        Columns of the table with the video's name (with or without extension) and the outcome.
    subject
        Column with the child; null where every video shows another one.
    fps
        Column with the frames per second, or one number for all videos.
    likelihood
        Joints with a smaller likelihood count as not observed.
    zeros
        What a joint that is exactly 0 in all coordinates is: "unseen", as trackers mark a lost
        joint, or "seen". One that is 0 in every frame is always seen.
    classes
        The outcomes in the order of their labels, the positive one last; by default all that occur,
        sorted. A table that holds 0, 1, ... instead of names is read as indices of these.
    """

    name = "keypoints"
    label = "key points"
    suffixes = (".csv",)
    source = "hargcn's own: columns <joint>_x, <joint>_y (and _z), one row per frame"
    unknown = (
        "Without a table of outcomes it knows no class and no subject, and frames per second must "
        "be given as one number."
    )
    defaults = {"preprocess": "cp"}

    layout: str | Path = "inmotion29"
    outcomes: Path | None = None
    video: str = "video"
    outcome: str = "outcome"
    subject: str | None = "subject"
    fps: str | Annotated[float, Field(gt=0, le=MOST_FPS)] = "fps"
    likelihood: float = 0.0
    zeros: Zeros = "unseen"
    classes: tuple[str, ...] | None = None

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Go by the header: some joint has columns _x and _y."""
        columns = {column.strip() for column in first_line(file).split(",")}
        return any(c.endswith("_x") and f"{c[:-1]}y" in columns for c in columns)

    def read(self, path: str | Path) -> Recording:
        """Read one file."""
        found = self.catalogue(existing(path))
        return found.load(found.items[0])

    def catalogue(self, path: Path) -> Recordings:
        """Match the videos with the table of outcomes; a video without a row is refused."""
        layout, files, rate = skeleton(self.layout), self.files(path), _number(self.fps)
        names, notes = self.classes or (), {}
        if self.outcomes is None:
            rows = pd.DataFrame(index=[file.stem for file in files])
        else:
            files = [file for file in files if file.resolve() != self.outcomes.resolve()]
            table = _outcome_table(self.outcomes, self._columns(rate))
            rows = table.reindex([file.stem for file in files])
            notes["outcomes_without_file"] = len(set(table.index) - set(rows.index))
            names, rows["label"] = _labels(self.outcomes, rows, names)
        if rate:
            rows["fps"] = rate
        bad = (
            list(rows.index)
            if "fps" not in rows
            else list(rows.index[~rows["fps"].between(0, MOST_FPS, inclusive="right")])
        )
        if bad:
            raise ValueError(
                f"{self.outcomes or path}: expected frames per second for every video, from the "
                f"table or as one number (none for {', '.join(bad[:_NAMED])})"
            )

        def load(file: Path) -> Recording:
            recording = _recording(file, layout, self.likelihood, rows.loc[file.stem])
            return marked_zeros(recording, self.zeros)

        return Recordings(files, load, names, notes)

    def _columns(self, rate: float | None) -> dict[str, str]:
        """Return the columns that the table of outcomes must have, by what they hold."""
        named = {"video": self.video, "outcome": self.outcome}
        if self.subject is not None:
            named["subject"] = self.subject
        if rate is None:
            named["fps"] = str(self.fps)
        return named


def _recording(path: Path, layout: Skeleton, likelihood: float, row: pd.Series) -> Recording:
    """Read the key points of one video; `row` holds its fps and, where known, label and subject."""
    table = _table(path)
    axes = "xyz"[: layout.ndim]
    wanted = [f"{joint}_{axis}" for axis in axes for joint in layout.joints]
    _check_columns(path, wanted, table.columns, f"skeleton {layout.name}")
    frames, order = _frames(path, table)
    shape = (layout.ndim, frames, layout.n_joints, 1)
    positions = np.full(shape, np.nan)
    cells = _numbers(path, table, wanted).T.reshape(layout.ndim, layout.n_joints, -1)
    positions[..., 0][:, order] = cells.transpose(0, 2, 1)
    unlikely = np.zeros(shape[1:3], dtype=bool)
    confidence = np.full(shape[1:], np.nan)
    for joint, name in enumerate(layout.joints):
        if f"{name}_likelihood" in table:
            values = _numbers(path, table, [f"{name}_likelihood"])[:, 0]
            unlikely[order, joint] = ~(values >= likelihood)
            confidence[order, joint, 0] = values
    positions[:, unlikely] = np.nan
    return Recording(
        positions=positions,
        valid=np.ones((frames, 1)),
        fps=float(row["fps"]),
        skeleton=layout,
        sample=path.stem,
        group=str(row["subject"]) if "subject" in row else path.stem,
        label=int(row["label"]) if "label" in row else None,
        confidence=None if np.isnan(confidence).all() else confidence,
        notes={"frames_missing": frames - len(table), "low_likelihood": int(unlikely.sum())},
    )


def _table(path: Path) -> pd.DataFrame:
    """Read a CSV as text; numbers are made later, where it is known which cells are some."""
    try:
        _check_cells(existing(path))
        # Without `index_col` the first columns become names where rows are longer.
        table = pd.read_csv(path, dtype=str, skipinitialspace=True, index_col=False)
    except (ValueError, csv.Error) as error:
        said = str(error).strip()
        if said.startswith(f"{path}: "):
            raise
        raise ValueError(f"{path}: expected a CSV table ({shortened(said)})") from error
    table.columns = [str(column).strip() for column in table.columns]
    if table.empty:
        raise ValueError(f"{path}: expected rows below the header (got none)")
    return table


def _check_cells(path: Path) -> None:
    """Refuse rows of another length than the header, and columns of the same name."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(stream, skipinitialspace=True)
        header = [name.strip() for name in next(filter(None, rows), [])]
        names = Counter(filter(None, header))
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise ValueError(
                f"{path}: line {rows.line_num}: expected each column once "
                f"(got {', '.join(map(shortened, twice[:_NAMED]))} more than once)"
            )
        for row in rows:
            if row and len(row) != len(header):
                raise ValueError(
                    f"{path}: line {rows.line_num}: expected {len(header)} cells, as in the header "
                    f"(got {len(row)})"
                )


def _check_columns(path: Path, wanted: Sequence[str], found: Sequence[str], what: str) -> None:
    absent = sorted(set(wanted) - set(found), key=list(wanted).index)
    missing = []
    for column in absent[:_NAMED]:
        close = difflib.get_close_matches(column, [name[:80] for name in found[:1000]], n=1)
        missing.append(f"{column} (nearest: {close[0]})" if close else column)
    if len(absent) > _NAMED:
        missing.append(f"and {len(absent) - _NAMED} more")
    if missing:
        raise ValueError(f"{path}: expected the columns of {what}; missing {', '.join(missing)}")


def _numbers(path: Path, table: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Return columns as (rows, columns) float, NaN for empty cells."""
    chosen = table[list(columns)]
    numbers = chosen.apply(pd.to_numeric, errors="coerce")
    wrong = np.argwhere((numbers.isna() & chosen.notna()).to_numpy())
    if len(wrong):
        row, column = wrong[0]
        raise ValueError(
            f"{path}: line {row + 2}: expected a number in {columns[column]} "
            f"(got {shortened(repr(chosen.iloc[row, column]))})"
        )
    return numbers.to_numpy(dtype=float)


def _frames(path: Path, table: pd.DataFrame) -> tuple[int, np.ndarray]:
    """Return the number of frames, and the frame of each row counted from the first."""
    if "frame" not in table:
        return len(table), np.arange(len(table))
    numbers = _numbers(path, table, ["frame"])[:, 0]
    steps = np.diff(numbers)
    if not (np.isfinite(numbers).all() and (numbers % 1 == 0).all() and (steps > 0).all()):
        raise ValueError(f"{path}: expected a column frame of growing whole numbers")
    frames = numbers[-1] - numbers[0] + 1
    if frames > 100 * len(table):  # time stamps rather than frames; they would fill the memory
        raise ValueError(f"{path}: expected frame numbers (got {len(table)} in {frames:g} frames)")
    return int(frames), (numbers - numbers[0]).astype(int)


def _number(text: str | float) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _outcome_table(path: Path, named: Mapping[str, str]) -> pd.DataFrame:
    """Return the columns outcome, subject and fps (where named) by the video's name."""
    table = _table(path)
    _check_columns(path, list(named.values()), list(table.columns), "the outcome table")
    content = pd.DataFrame({key: table[column] for key, column in named.items()})
    if "fps" in named:
        content["fps"] = _numbers(path, table, [named["fps"]])[:, 0]
    content.index = [_stem(video) for video in content.pop("video")]
    twice = sorted(set(content.index[content.index.duplicated()]))[:_NAMED]
    if twice:
        raise ValueError(f"{path}: expected one row per video (got more for {', '.join(twice)})")
    return content


def _stem(video: object) -> str:
    text = str(video).strip()
    known = (".csv", ".mp4", ".avi", ".mov", ".mkv", ".mts", ".wmv")
    return Path(text).stem if text.lower().endswith(known) else text


def _labels(
    path: Path, rows: pd.DataFrame, classes: tuple[str, ...]
) -> tuple[tuple[str, ...], list[int]]:
    """Return the classes and each video's index into them."""
    for column in ("outcome", "subject"):
        lost = [str(i) for i in rows.index[rows[column].isna()]] if column in rows else []
        if lost:
            raise ValueError(
                f"{path}: expected an {column} for every video "
                f"(none for {', '.join(lost[:_NAMED])})"
            )
    outcomes = [str(outcome).strip() for outcome in rows["outcome"]]
    names = classes or tuple(sorted(set(outcomes)))
    numbers = [str(number) for number in range(len(names))]
    known = list(names) if set(outcomes) & set(names) else numbers
    foreign = sorted(set(outcomes) - set(known))
    if foreign:
        raise ValueError(
            f"{path}: expected outcomes among {', '.join(names[:_NAMED])} "
            f"(got {', '.join(map(shortened, foreign[:_NAMED]))})"
        )
    return names, [known.index(outcome) for outcome in outcomes]
