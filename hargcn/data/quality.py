"""The quality report: what a windows file was made of and what was lost on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hargcn.data.recording import Recording


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
        Recordings and windows of each class.
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
        return asdict(self)

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
            lines.append(f"  classes: {_classes(one)}")
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
    group, label, frames
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
        )


def report(entries: Sequence[Entry], split: Sequence[str], classes: Sequence[str]) -> Quality:
    """Return the report over recordings.

    Parameters
    ----------
    entries
        One per recording.
    split
        The set of each.
    classes
        Names of the labels.
    """
    order = [name for name in ("train", "val", "test", "") if name in set(split)]
    return Quality(
        {
            name: _summarise([e for e, s in zip(entries, split, strict=True) if s == name], classes)
            for name in order
        }
    )


def _summarise(entries: Sequence[Entry], classes: Sequence[str]) -> SetQuality:
    persons = Counter(str(entry.persons) for entry in entries)
    labels = Counter(entry.label for entry in entries)
    cut = Counter({label: 0 for label in labels})
    for entry in entries:
        cut[entry.label] += entry.windows
    names: dict[int | None, str] = dict(enumerate(classes))
    if labels[None]:
        names[None] = "(no label)"
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
        classes={name: labels[label] for label, name in names.items()},
        class_windows={name: cut[label] for label, name in names.items()},
        notes=dict(sorted(notes.items())),
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


def _counts(counts: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {count:g}" for name, count in counts.items() if count)
