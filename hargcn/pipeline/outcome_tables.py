"""The table of outcomes that belongs to a folder of videos, found by a look at the tables there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from hargcn.data.readers.tables import read_table, video_name

_OUTCOME = (
    "outcome", "label", "class", "action", "activity", "diagnosis", "condition", "category",
    "group",
)  # fmt: skip
_SUBJECT = ("subject", "child", "infant", "person", "participant", "patient", "animal", "actor")
_RATE = ("fps", "frame_rate", "framerate", "frames_per_second", "rate")
_MOST_CLASSES = 30


@dataclass(frozen=True)
class OutcomeTable:
    """A table with a row per video, and what its columns seem to hold.

    Parameters
    ----------
    path
        The file.
    rows
        Its cells as text, by the names of videos.
    video
        The column with these names.
    outcome, subject, fps
        Columns, None where none has such a name or such values.
    """

    path: Path
    rows: pd.DataFrame
    video: str
    outcome: str | None
    subject: str | None
    fps: str | None

    @property
    def others(self) -> list[str]:
        """All columns but that of the videos."""
        return [str(name) for name in self.rows.columns if name != self.video]

    def values(self, column: str | None, titles: Sequence[str]) -> list[str]:
        """Return the cells of some videos, without those that are empty or not there."""
        if column is None:
            return []
        return [str(cell) for cell in self.rows.reindex(titles)[column].dropna()]


def outcome_table(tables: Sequence[Path], titles: Sequence[str]) -> OutcomeTable | None:
    """Return the table that names most of the videos, None where none names half of them.

    Parameters
    ----------
    tables
        CSV files; what is no table counts as none.
    titles
        Names of the videos.
    """
    best, most = None, 0
    for path in tables:
        try:
            table = read_table(path)
        except (ValueError, OSError):
            continue
        for column in table:
            names = table[column].map(video_name)
            known = len(set(names) & set(titles))
            if known > most and not names.duplicated().any():
                best, most = (path, table.set_index(names), str(column)), known
    return None if best is None or 2 * most < len(titles) else _with_columns(*best, titles)


def _with_columns(
    path: Path, table: pd.DataFrame, video: str, titles: Sequence[str]
) -> OutcomeTable:
    free = [str(column) for column in table if column != video]
    rate = _named(free, _RATE)
    free = [name for name in free if name != rate]
    subject = _named(free, _SUBJECT)
    free = [name for name in free if name != subject]
    kinds = {name: table.reindex(titles)[name].nunique() for name in free}
    classes = [name for name in free if 2 <= kinds[name] <= min(_MOST_CLASSES, len(titles) - 1)]
    outcome = _named(classes, _OUTCOME) or (classes[0] if len(classes) == 1 else None)
    return OutcomeTable(path, table, video, outcome, subject, rate)


def _named(columns: Sequence[str], hints: Sequence[str]) -> str | None:
    """Return the column of the first of these names, or of the first that has it as a word."""
    for hint in hints:
        for name in columns:
            words = re.split(r"[\W_]+", name.lower())
            if hint == "_".join(words) or hint in words:
                return name
    return None
