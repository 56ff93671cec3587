"""What is done of a list of steps: noted after each, so that an interrupted run goes on there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hargcn.explainers.deepshap.resources import duration
from hargcn.files import replacing

Done = tuple[str, str, str, float]
"""Case, section, command and seconds of a step."""


@dataclass
class Journal:
    """The steps that were done in a folder, in order.

    Parameters
    ----------
    file
        Where it is kept (.json).
    entries
        For each step its `key`, `command`, `seconds`, and whether the list `ended` with it.
    """

    file: Path
    entries: list[dict[str, Any]]

    @classmethod
    def open(cls, file: Path) -> Journal:
        """Read it; what is no journal counts as an empty one, whose steps are done again."""
        try:
            entries = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            entries = []
        known = isinstance(entries, list) and all(
            isinstance(each, dict) and {"key", "command", "seconds", "ended"} == each.keys()
            for each in entries
        )
        return cls(file, entries if known else [])

    @property
    def ended(self) -> bool:
        """Whether the last step that was done said that none can follow."""
        return bool(self.entries) and self.entries[-1]["ended"]

    def kept(self, keys: Sequence[str]) -> int:
        """Return how many of the first steps are done."""
        same = [each["key"] == key for each, key in zip(self.entries, keys, strict=False)]
        return same.index(False) if False in same else len(same)

    def cut(self, number: int) -> None:
        """Forget all but the first steps: what follows from others is no result of these."""
        if len(self.entries) > number:
            self.entries = self.entries[:number]
            self._write()

    def note(self, key: str, command: str, seconds: float, *, ended: bool) -> None:
        """Add a step that was done."""
        seconds = round(seconds, 2)
        self.entries.append({"key": key, "command": command, "seconds": seconds, "ended": ended})
        self._write()

    def _write(self) -> None:
        with replacing(self.file) as temporary:
            temporary.write_text(json.dumps(self.entries, indent=1) + "\n", encoding="utf-8")


def keys(before: str, base: Sequence[Any], steps: Sequence[Any]) -> list[str]:
    """Return for each step a digest of all that its results follow from.

    Parameters
    ----------
    before
        The digest of what comes before all of them.
    base
        What all of them share: code, recipe, changes.
    steps
        Commands and arguments, in order.
    """
    found = []
    for step in steps:
        about = json.dumps([before, base, step], default=str, sort_keys=True)
        before = hashlib.sha256(about.encode()).hexdigest()[:16]
        found.append(before)
    return found


def write_seconds(done: Iterable[Done], path: Path) -> None:
    """Write how long steps took: their number and mean by case, section and command."""
    table = pd.DataFrame([*done], columns=["case", "section", "command", "seconds"])
    by = ["case", "section", "command"]
    found = table.groupby(by, sort=False)["seconds"].agg(steps="size", mean="mean").reset_index()
    with replacing(path) as temporary:
        found.assign(cores=os.cpu_count()).to_csv(temporary, index=False, float_format="%.3g")


def time_left(path: Path, to_do: Sequence[tuple[str, str, str]]) -> str:
    """Say how long steps will take, from how long such steps took.

    Parameters
    ----------
    path
        As `write_seconds` wrote it.
    to_do
        Case, section and command of each step that is not done.
    """
    if not to_do:
        return "nothing to do: all of it is done (--fresh does it again)"
    steps = f"{len(to_do)} step{'s' if len(to_do) > 1 else ''} to do"
    if not path.is_file():
        return f"{steps}; how long they take is not known before a first whole run"
    table = pd.read_csv(path, keep_default_na=False)
    took = {tuple(map(str, row[:3])): row for row in table.itertuples(index=False)}
    of_command = table.groupby("command")["mean"].mean().to_dict()
    seconds = [
        float(took[step].mean) if step in took else float(of_command.get(step[2], 0))
        for step in to_do
    ]
    cores = int(table["cores"].iloc[0])
    return f"{steps}: about {duration(sum(seconds))}, as on the {cores} cores of the committed run"
