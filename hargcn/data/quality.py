"""The quality report: what a windows file was made of and what was lost on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hargcn.data.recording import Recording
from hargcn.outputs import Outputs


@dataclass
class SetQuality:
    """One set (training, validation, test, or all that no split names).

    Parameters
    ----------
    recordings, windows, groups, frames
        Numbers of each; frames of all recordings after preprocessing.
    persons
        How many recordings show how many persons.
    classes, class_windows
        Recordings and windows of each class or level, or that show each of several labels.
    outcomes
        Of a regression, for each output `known` recordings and their `least`, `mean` and `most`.
    notes
        Sums of the counters of readers and preprocessing, e.g. `interpolated` joint positions,
        `dropped` frames of a person.
    """

    recordings: int = 0
    windows: int = 0
    groups: int = 0
    frames: int = 0
    persons: dict[str, int] = field(default_factory=dict)
    classes: dict[str, int] = field(default_factory=dict)
    class_windows: dict[str, int] = field(default_factory=dict)
    notes: dict[str, float] = field(default_factory=dict)
    outcomes: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass
class Quality:
    """The report of a whole windows file.

    Parameters
    ----------
    sets
        One report per set that holds recordings.
    notes
        Counters of what the reader left out before reading.
    skipped
        One line per recording that could not be read.
    rates
        Frames per second as read: how many recordings have them.
    remarks
        What a person should know, a line each.
    """

    sets: dict[str, SetQuality]
    notes: dict[str, float] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    rates: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return plain containers, for JSON."""
        content = asdict(self)
        for one in content["sets"].values():
            if not one["outcomes"]:  # of classes there are none
                del one["outcomes"]
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Quality:
        """Return the report that `to_dict` took apart."""
        sets = {name: SetQuality(**one) for name, one in content["sets"].items()}
        return cls(**{**content, "sets": sets})

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        lines = []
        for name, one in self.sets.items():
            lines.append(
                f"{name or 'no set'}: {one.recordings} recordings of {one.groups} groups, "
                f"{one.frames} frames, {one.windows} windows"
            )
            if one.classes or not one.outcomes:
                lines.append(f"  classes: {_classes(one)}")
            lines += [
                f"  {name}: {_range(figures)} ({figures['known']:g} of {one.recordings} recordings)"
                for name, figures in one.outcomes.items()
            ]
            lines.append(f"  persons: {_counts(one.persons)}")
            if any(one.notes.values()):
                lines.append(f"  {_counts(one.notes)}")
        if any(self.notes.values()):
            lines.append(f"left out: {_counts(self.notes)}")
        lines += [f"skipped: {line}" for line in self.skipped]
        return [*lines, *self.remarks]


@dataclass(frozen=True)
class Entry:
    """What the report keeps of one recording.

    Parameters
    ----------
    group, label, frames, outcome
        As in `Recording`.
    persons
        Persons ever there.
    windows
        Windows cut from it.
    notes
        Its counters.
    """

    group: str
    label: int | None
    frames: int
    persons: int
    windows: int
    notes: Mapping[str, int | float]
    outcome: np.ndarray | None = None

    @classmethod
    def of(cls, recording: Recording, windows: int) -> Entry:
        """Return the entry of a recording."""
        return cls(
            group=recording.group,
            label=recording.label,
            frames=recording.frames,
            persons=int(recording.valid.any(axis=0).sum()),
            windows=windows,
            notes=recording.notes,
            outcome=recording.outcome,
        )


def report(
    entries: Sequence[Entry], split: Sequence[str], outputs: Outputs | Sequence[str]
) -> Quality:
    """Return the report over recordings.

    Parameters
    ----------
    entries
        One per recording.
    split
        The set of each.
    outputs
        What the outcomes are; names of classes for short.
    """
    known = Outputs.of(outputs)
    order = [name for name in ("train", "val", "test", "") if name in set(split)]
    return Quality(
        {
            name: _summarise([e for e, s in zip(entries, split, strict=True) if s == name], known)
            for name in order
        }
    )


def _summarise(entries: Sequence[Entry], outputs: Outputs) -> SetQuality:
    persons = Counter(str(entry.persons) for entry in entries)
    notes: dict[str, float] = {}
    for entry in entries:
        for name, count in entry.notes.items():
            notes[name] = notes.get(name, 0) + count
    return SetQuality(
        recordings=len(entries),
        windows=sum(entry.windows for entry in entries),
        groups=len({entry.group for entry in entries}),
        frames=sum(entry.frames for entry in entries),
        persons=dict(sorted(persons.items())),
        classes=_by_class(entries, outputs, [1] * len(entries)),
        class_windows=_by_class(entries, outputs, [entry.windows for entry in entries]),
        notes=dict(sorted(notes.items())),
        outcomes=_outcomes(entries, outputs) if outputs.kind == "regression" else {},
    )


def _classes(one: SetQuality) -> str:
    """Return recordings and windows of each class; what a large data set lacks is only counted."""
    shown = {name: count for name, count in one.classes.items() if count or len(one.classes) < 9}
    said = [
        f"{name} {count}" + (f" ({one.class_windows[name]} windows)" if one.class_windows else "")
        for name, count in shown.items()
    ]
    lacking = len(one.classes) - len(shown)
    return ", ".join(said) + (f"; none of {lacking} others" if lacking else "")


def _by_class(entries: Sequence[Entry], outputs: Outputs, counts: Sequence[int]) -> dict[str, int]:
    """Return what is counted of each class or level, or with each label; values have none."""
    each = np.array(counts, dtype=int)
    if outputs.kind == "regression":
        return {}
    if outputs.kind == "multi-label":
        there = _values(entries, outputs) == 1
        return {name: int(each[there[:, at]].sum()) for at, name in enumerate(outputs.names)}
    found: Counter[int | None] = Counter()
    for entry, count in zip(entries, each.tolist(), strict=True):
        found[entry.label] += count
    named = {name: found[at] for at, name in enumerate(outputs.names)}
    return {**named, "(no label)": found[None]} if None in found else named


def _outcomes(entries: Sequence[Entry], outputs: Outputs) -> dict[str, dict[str, float]]:
    """Return the range of every output over the recordings that know it."""
    found: dict[str, dict[str, float]] = {}
    for name, column in zip(outputs.names, _values(entries, outputs).T, strict=True):
        own = column[~np.isnan(column)]
        figures = {"least": own.min(), "mean": own.mean(), "most": own.max()} if len(own) else {}
        found[name] = {"known": len(own), **{key: float(one) for key, one in figures.items()}}
    return found


def _values(entries: Sequence[Entry], outputs: Outputs) -> np.ndarray:
    unknown = np.full(len(outputs.names), np.nan)
    return np.stack([unknown if entry.outcome is None else entry.outcome for entry in entries])


def _range(figures: Mapping[str, float]) -> str:
    if not figures["known"]:
        return "nowhere known"
    return f"{figures['least']:g} to {figures['most']:g}, mean {figures['mean']:.4g}"


def _counts(counts: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {count:g}" for name, count in counts.items() if count)
