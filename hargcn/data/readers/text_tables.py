"""Text tables of numbers, as sensors' own programs write them; a small YAML says how."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hargcn.checks import checked, read_yaml, shortened
from hargcn.data.readers.base import existing
from hargcn.data.readers.videos import Sightings, Videos
from hargcn.registry import settings
from hargcn.skeleton import names, skeleton

_AXES = ("x", "y", "z")
_ONCE = (*_AXES, "confidence", "state")
_COLUMNS = (*_ONCE, "-")
_NOT_TRACKED, _INFERRED, _TRACKED = range(3)


class TableConfig(BaseModel):
    """How a text table is written: the content of a `table.yaml`.

    Parameters
    ----------
    joints
        Names of the joints in the order of the file, or a layout whose order it is.
    columns
        What the numbers of each joint are: x, y, z, confidence, "state" (Kinect's: 0 not tracked,
        which counts as not seen, 1 inferred, whose place nobody saw, 2 tracked), or "-" to ignore
        one.
    rows
        "frame": all joints of a frame stand in one line. "joint": a line per joint, a block of
        lines per frame.
    before
        Columns to ignore at the start of each line, such as the frame's number.
    header
        Lines to ignore at the top of the file.
    between
        Lines to ignore before each block of "joint", such as a number of joints.
    separator
        What stands between columns; null for any white space.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    joints: tuple[str, ...] | str
    columns: tuple[Literal["x", "y", "z", "confidence", "state", "-"], ...]
    rows: Literal["frame", "joint"] = "frame"
    before: int = Field(default=0, ge=0, le=100)
    header: int = Field(default=0, ge=0, le=1000)
    between: int = Field(default=0, ge=0, le=100)
    separator: Annotated[str, Field(min_length=1, max_length=8)] | None = None

    @model_validator(mode="after")
    def _possible(self) -> TableConfig:
        counts = {kind: self.columns.count(kind) for kind in _COLUMNS}
        if not counts["x"] or not counts["y"] or any(counts[k] > 1 for k in _ONCE):
            raise ValueError("Expected x and y, z, confidence and state at most once, in columns")
        if self.between and self.rows == "frame":
            raise ValueError("Expected between only where rows is joint")
        if isinstance(self.joints, str) and self.joints not in names():
            raise ValueError(f"Expected joints as a list, or a layout of {', '.join(names())}")
        if len(set(self.named)) != len(self.named) or not 0 < len(self.named) <= 500:
            raise ValueError("Expected up to 500 joints, each name once")
        return self

    @property
    def named(self) -> tuple[str, ...]:
        """The joints' names in the order of the file."""
        return skeleton(self.joints).joints if isinstance(self.joints, str) else self.joints


@settings
class TextTables(Videos):
    """Reads a table of numbers per video; nobody can tell such a format by a look: name it.

    Parameters
    ----------
    table
        A YAML file that says how the tables are written, with the keys `joints` (names in the
        file's order, or a layout's name), `columns` (of each joint: x, y, z, confidence, state,
        "-") and, where they differ
        from these, `rows: frame` (or joint: a line per joint), `before: 0`
        columns to ignore in each line, `header: 0` lines at the top, `between: 0` lines before each
        block of joints, `separator: null` (white space).
    """

    name = "table"
    label = "text tables"
    suffixes = (".txt", ".csv", ".tsv", ".dat")
    source = "anybody's: a line per frame or per joint, as Kinect programs write them"

    unknown = (
        "Without a table of outcomes it knows no class and no subject; frames per second, the unit "
        "of lengths and the order of columns must be known by whoever writes the YAML."
    )

    table: Path | None = None

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Never: numbers look like anything."""
        del file
        return False

    def sightings(self, item: Path) -> Sightings:
        """Read the table of a video."""
        how, rows = self._how(), []
        lines = existing(item).read_text(encoding="utf-8-sig", errors="replace").splitlines()
        listed = [(at, line) for at, line in enumerate(lines, 1) if line.strip()][how.header :]
        per_joint = how.rows == "joint"
        block = len(how.named) + how.between if per_joint else 1
        if not listed or len(listed) % block:
            raise ValueError(
                f"{item}: expected frames of {block} lines below {how.header} lines of header (got "
                f"{len(listed)} lines)"
            )
        width = len(how.columns) * (1 if per_joint else len(how.named))
        for place, (at, line) in enumerate(listed):
            if place % block >= (how.between if per_joint else 0):
                rows.append(_numbers(item, at, line, how, width))
        cells = np.array(rows).reshape(-1, 1, len(how.named), len(how.columns))
        axes = [how.columns.index(axis) for axis in _AXES if axis in how.columns]
        known = "confidence" in how.columns
        confidence = cells[..., how.columns.index("confidence")] if known else None
        if "state" not in how.columns:
            return Sightings(cells[..., axes], confidence, how.named)
        state = cells[..., how.columns.index("state")]
        if not np.isin(state, (_NOT_TRACKED, _INFERRED, _TRACKED)).all():
            raise ValueError(f"{item}: expected states 0, 1 and 2 (got others)")
        bodies = np.where((state == _NOT_TRACKED)[..., None], np.nan, cells[..., axes])
        return Sightings(bodies, confidence, how.named, guessed=state == _INFERRED)

    def _how(self) -> TableConfig:
        if self.table is None:
            raise ValueError(
                "reader table: expected a YAML file that says how the tables are written (got "
                "none): --set reader.table=table.yaml"
            )
        if not self.table.is_file():
            raise FileNotFoundError(f"{self.table}: no such file")
        content: Any = read_yaml(self.table)
        if not isinstance(content, dict):
            raise ValueError(f"{self.table}: expected keys and values, joints and columns at least")
        return checked(TableConfig, content, str(self.table))


def _numbers(file: Path, at: int, line: str, how: TableConfig, width: int) -> list[float]:
    """Return the numbers of a line; an empty cell is NaN."""
    cells = line.split() if how.separator is None else line.split(how.separator)
    cells = [cell.strip() for cell in cells[how.before :]]
    if how.separator is not None and len(cells) == width + 1 and not cells[-1]:
        cells.pop()  # a separator at the end
    if len(cells) != width:
        raise ValueError(
            f"{file}: line {at}: expected {width} numbers behind {how.before} columns "
            f"(got {len(cells)})"
        )
    try:
        return [float(cell) if cell else np.nan for cell in cells]
    except ValueError as error:
        raise ValueError(
            f"{file}: line {at}: expected numbers ({shortened(str(error))})"
        ) from error
