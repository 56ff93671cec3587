"""Tables as people keep them: CSV read strictly, and what became of whom, a row per video."""

from __future__ import annotations

import csv
import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from hargcn.checks import listed, shortened
from hargcn.data.readers.base import existing
from hargcn.outputs import Outputs

NAMED = 8
"""Columns or videos that a message names."""


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV as text; numbers are made later, where it is known which cells are some.

    Raises
    ------
    FileNotFoundError, ValueError
        Without the file, or if it is no table with rows.
    """
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


def check_columns(path: Path, wanted: Sequence[str], found: Sequence[str], what: str) -> None:
    """Refuse a table without some columns; every one is named, with the nearest that is there.

    Raises
    ------
    ValueError
        Names the file and what has these columns.
    """
    absent = sorted(set(wanted) - set(found), key=list(wanted).index)
    missing = []
    for column in absent[:NAMED]:
        close = difflib.get_close_matches(column, [name[:80] for name in found[:1000]], n=1)
        missing.append(f"{column} (nearest: {close[0]})" if close else column)
    if len(absent) > NAMED:
        missing.append(f"and {len(absent) - NAMED} more")
    if missing:
        raise ValueError(f"{path}: expected the columns of {what}; missing {', '.join(missing)}")


def numbers_of(path: Path, table: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Return columns as (rows, columns) float, NaN for empty cells.

    Raises
    ------
    ValueError
        For a cell that is no number; names the file and the line.
    """
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


def frames_in_order(path: Path, numbers: np.ndarray) -> np.ndarray:
    """Return the frame (row,) of each row, counted from the first one.

    Raises
    ------
    ValueError
        For numbers that are no growing whole ones, or that leave out nearly all frames: time
        stamps would fill the memory.
    """
    steps = np.diff(numbers)
    if not (np.isfinite(numbers).all() and (numbers % 1 == 0).all() and (steps > 0).all()):
        raise ValueError(f"{path}: expected a column frame of growing whole numbers")
    frames = numbers[-1] - numbers[0] + 1
    if frames > 100 * len(numbers):
        raise ValueError(
            f"{path}: expected frame numbers (got {len(numbers)} in {frames:g} frames)"
        )
    return (numbers - numbers[0]).astype(int)


def outcomes_of(path: Path, named: Mapping[str, str]) -> pd.DataFrame:
    """Return the columns outcome, subject and fps (where named) by the video's name."""
    table = read_table(path)
    check_columns(path, list(named.values()), list(table.columns), "the outcome table")
    content = pd.DataFrame({key: table[column] for key, column in named.items()})
    if "fps" in named:
        content["fps"] = numbers_of(path, table, [named["fps"]])[:, 0]
    content.index = [video_name(video) for video in content.pop("video")]
    twice = sorted(set(content.index[content.index.duplicated()]))[:NAMED]
    if twice:
        raise ValueError(f"{path}: expected one row per video (got more for {', '.join(twice)})")
    return content


def values_of(path: Path, video: str, columns: Sequence[str], outputs: Outputs) -> pd.DataFrame:
    """Return other outcomes than classes by the video's name, a column for each; NaN is unknown.

    Parameters
    ----------
    path
        The table.
    video, columns
        Its columns with the videos' names, and with the outcomes.
    outputs
        What the outcomes are. Of levels, the number of the level is returned.

    Raises
    ------
    ValueError
        For text among numbers, a number other than 0 and 1 among labels, a level that is not known;
        names the file, the column and the line.
    """
    table = read_table(path)
    check_columns(path, [video, *columns], list(table.columns), "the outcome table")
    if outputs.kind == "ordinal":
        text = table[list(columns)].apply(lambda column: column.str.strip())
        numbers = text.replace({name: str(at) for at, name in enumerate(outputs.names)})
        wrong = (text.notna() & ~text.isin(outputs.names)).to_numpy()
        values, fitting = numbers.mask(wrong).to_numpy(float), f"of {', '.join(outputs.names)}"
    else:
        values = numbers_of(path, table, columns)
        several = outputs.kind == "multi-label"
        wrong = ~np.isnan(values) & ~(np.isin(values, (0, 1)) if several else np.isfinite(values))
        fitting = "0 or 1 (or nothing)" if several else "a finite number (or nothing)"
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(
            f"{path}: line {row + 2}: expected {fitting} in {columns[column]} "
            f"(got {shortened(repr(table[columns[column]].iloc[row]))})"
        )
    return pd.DataFrame(values, [video_name(name) for name in table[video]], list(columns))


def labels_of(
    path: Path, rows: pd.DataFrame, classes: tuple[str, ...]
) -> tuple[tuple[str, ...], list[int]]:
    """Return the classes and each video's index into them."""
    for column in ("outcome", "subject"):
        expect_whole(path, rows, column)
    outcomes = [str(outcome).strip() for outcome in rows["outcome"]]
    names = classes or tuple(sorted(set(outcomes)))
    numbers = [str(number) for number in range(len(names))]
    known = list(names) if set(outcomes) & set(names) else numbers
    foreign = sorted(set(outcomes) - set(known))
    if foreign:
        raise ValueError(
            f"{path}: expected outcomes among {', '.join(names[:NAMED])} "
            f"(got {', '.join(map(shortened, foreign[:NAMED]))})"
        )
    return names, [known.index(outcome) for outcome in outcomes]


def expect_whole(path: Path, rows: pd.DataFrame, column: str) -> None:
    """Refuse videos that lack something that every video must have.

    Raises
    ------
    ValueError
        Names the file and the videos.
    """
    lost = [str(i) for i in rows.index[rows[column].isna()]] if column in rows else []
    if lost:
        what = f"{'an' if column[0] in 'aeiou' else 'a'} {column}"
        raise ValueError(f"{path}: expected {what} for every video (none for {listed(lost)})")


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
                f"(got {', '.join(map(shortened, twice[:NAMED]))} more than once)"
            )
        for row in rows:
            if row and len(row) != len(header):
                raise ValueError(
                    f"{path}: line {rows.line_num}: expected {len(header)} cells, as in the header "
                    f"(got {len(row)})"
                )


def video_name(video: object) -> str:
    """Return the name of a video as its file has it, without the ending of a video."""
    text = str(video).strip()
    known = (".csv", ".mp4", ".avi", ".mov", ".mkv", ".mts", ".wmv")
    return Path(text).stem if text.lower().endswith(known) else text
