"""What a reader declares about its format, and what all readers share.

Adding a reader is a module in this package, or one behind an entry point `hargcn.readers`, with a
subclass of `Reader`, and its test. The command line, `hargcn formats` and the splitter read the
rest from the class.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from hargcn.checks import one_of
from hargcn.data.recording import OnError, Recording, Recordings
from hargcn.data.splits import SplitConfig
from hargcn.registry import Registry

Zeros = Literal["unseen", "seen"]
MOST_FPS = 10_000.0
"""Beyond any camera: more is a time in other units."""

_LOOKED_AT = 8  # files of a folder


class Reader(ABC):
    """Reads recordings of one format; its options are the fields of a class under `@settings`.

    A subclass with a `name` registers itself. What an option means stands in the section
    Parameters of its docstring.

    Attributes
    ----------
    name
        The format's name on the command line.
    label
        What people call it.
    suffixes, pattern
        Endings of its files in lower case, and a glob of their names.
    source
        Where its grammar comes from.
    unknown
        What its files do not tell, in one sentence.
    defaults
        Settings of `prepare` that suit it, as an experiment file has them.
    recipes
        Settings of `prepare` that a chain of `preprocess` brings along with this format, by the
        name of its preset.
    splits
        Published splits by name.
    class_names
        Names of the labels, where the format knows them without looking.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    pattern: ClassVar[str] = "*"
    source: ClassVar[str]
    unknown: ClassVar[str]
    defaults: ClassVar[Mapping[str, Any]] = {}
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    splits: ClassVar[Mapping[str, SplitConfig]] = {}
    class_names: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        READERS.add(cls)

    @classmethod
    def sniff(cls, path: str | Path) -> bool:
        """Say whether a file, or one of the first in a folder, looks like this format."""
        path = Path(path)
        files = [path] if path.is_file() else cls._listed(path)[:_LOOKED_AT]
        there = (file for file in files if file.is_file())  # no links to nowhere, no pipes
        return any(cls._named_so(file) and cls.recognises(file) for file in there)

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Say whether a file is of this format: by its name, or better by a look at its start."""
        return cls._named_so(file)

    def published(self, path: str | Path) -> Mapping[str, SplitConfig]:
        """Return the published splits by name; overridden where the files hold them."""
        del path  # most formats have the same splits whatever the files
        return self.splits

    @classmethod
    def split(
        cls, wanted: SplitConfig | str, known: Mapping[str, SplitConfig] | None = None
    ) -> SplitConfig:
        """Return a split with its ids, where it is the name of a published one or holds it.

        Parameters
        ----------
        wanted
            A split, or a name.
        known
            The published ones where the files hold them, see `published`; by default `splits`.

        Raises
        ------
        ValueError
            For a name that is not known.
        """
        if isinstance(wanted, str):
            wanted = SplitConfig(published=wanted)
        if wanted.published is None:
            return wanted
        known = cls.splits if known is None else known
        if not known:
            raise ValueError(
                f"{cls.label} has no published split (got {wanted.published!r}); give ids or a "
                "share"
            )
        ids = known[one_of(f"{cls.name} split", wanted.published, known)]
        own = {"partial": True, "val_share": wanted.val_share, "seed": wanted.seed}
        return ids.model_copy(update=own)

    @abstractmethod
    def read(self, path: str | Path) -> Recording:
        """Read one recording.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is damaged or something else; names the file.
        """

    def recordings(
        self,
        path: str | Path,
        published: str | None = None,
        on_error: OnError = "raise",
        progress: bool = False,
    ) -> Found:
        """Find the recordings of a folder (or of `raw/` below it), or of a single file.

        Parameters
        ----------
        path
            The folder or the file.
        published
            The published split that will be used: a reader that knows its counts checks them before
            anything is read.
        on_error
            "raise", or "skip" to leave out recordings that cannot be read.
        progress
            Whether to show a progress bar while they are read.

        Returns
        -------
        Found
            They are read one by one as somebody iterates.

        Raises
        ------
        FileNotFoundError
            If there is no such file or folder.
        ValueError
            If it holds no recordings, or for an unknown split.
        """
        path = Path(path)
        if published is not None:
            self.split(published, self.published(path))
        found = self.catalogue(path)
        if not found.items:
            raise ValueError(f"{path}: expected recordings of {self.label} (got none)")
        remarks = (f"cannot be known from such files: {self.unknown}", *found.remarks)
        options = {"on_error": on_error, "progress": progress, "place": path, "remarks": remarks}
        return Found(**{**vars(found), **options})

    def catalogue(self, path: Path) -> Recordings:
        """Return what `recordings` reads; overridden where tables or lists belong to it."""
        return Recordings(self.files(path), self.read, self.class_names)

    def only(self, path: Path, what: str) -> Recording:
        """Read a file that holds one recording, by the catalogue; errors name what it is."""
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file")
        found = self.catalogue(path)
        if len(found) != 1:
            raise ValueError(f"{path}: expected one {what} (got {len(found)})")
        return found.load(found.items[0])

    @classmethod
    def files(cls, path: Path) -> list[Path]:
        """Return a file itself, or the files of a folder in natural order: v2 before v10.

        Raises
        ------
        FileNotFoundError
            If there is no such file or folder.
        ValueError
            If the folder holds no such files.
        """
        if path.is_file():
            return [path]
        if not path.is_dir():
            raise FileNotFoundError(f"{path}: no such file or folder")
        listed = cls._listed(path)
        if not listed:
            named = " or ".join(cls.suffixes) if cls.pattern == "*" else cls.pattern
            raise ValueError(f"{path}: expected files of {cls.label}, {named} (got none)")
        return listed

    @classmethod
    def _named_so(cls, file: Path) -> bool:
        return file.suffix.lower() in cls.suffixes and file.match(cls.pattern)

    @classmethod
    def _listed(cls, folder: Path) -> list[Path]:
        if (folder / "raw").is_dir():
            folder = folder / "raw"
        return sorted(filter(cls._named_so, folder.glob("*")), key=_natural)


@dataclass(frozen=True)
class Part:
    """One of several recordings in a file; a path of that file for who wants one."""

    file: Path
    number: int

    def __fspath__(self) -> str:
        return str(self.file)

    def __str__(self) -> str:
        return f"{self.file}: recording {self.number}"


READERS: Registry[Reader] = Registry("format", "hargcn.data.readers", "hargcn.readers")


@dataclass(frozen=True, eq=False)
class Found(Recordings):
    """What a reader found: to read none of it is an error.

    Parameters
    ----------
    place
        Where it is, for messages.
    change
        Applied to the stream of recordings, e.g. to plant signs or to exchange labels.
    """

    place: Path = Path()
    change: Callable[[Iterator[Recording]], Iterable[Recording]] = iter

    def map(self, change: Callable[[Recording], Recording]) -> Found:
        """Return the data set with every recording changed after reading, e.g. preprocessed."""
        return Found(**vars(super().map(change)))

    def through(self, change: Callable[[Iterator[Recording]], Iterable[Recording]]) -> Found:
        """Return the data set with its stream of recordings changed as a whole."""
        before = self.change
        return replace(
            self, change=lambda stream: change(iter(before(stream))), skipped=[], rates={}
        )

    def __iter__(self) -> Iterator[Recording]:
        return iter(self.change(self._some()))

    def _some(self) -> Iterator[Recording]:
        count = 0
        for recording in super().__iter__():
            count += 1
            yield recording
        if not count:
            raise ValueError(
                f"{self.place}: expected a recording that can be read (got none of "
                f"{len(self)}; {self.skipped[0]})"
            )


def find_reader(path: str | Path) -> type[Reader]:
    """Return the reader of a file or folder by a look at it.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If it looks like no format, or like several.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    known = READERS.all()
    fitting = [name for name, reader in known.items() if reader.sniff(path)]
    if len(fitting) != 1:
        raise ValueError(
            f"{path}: expected recordings of one format of {', '.join(known)} (it looks like "
            f"{' and '.join(fitting) or 'none of them'}); name it with --format"
        )
    return known[fitting[0]]


def marked_zeros(recording: Recording, zeros: Zeros) -> Recording:
    """Return a recording in which exact zeros count as not observed, as trackers mark lost joints.

    Parameters
    ----------
    recording
        As read.
    zeros
        "unseen" for that; "seen" returns the recording as it is.

    Returns
    -------
    Recording
        A joint that is 0 in every frame that shows it stays: the root of centred data is. Notes:
        `zeros_unseen` (joint positions), `joints_always_zero`, where there are any.
    """
    zero = recording.observed & (recording.positions == 0).all(axis=0)
    if zeros == "seen" or not zero.any():
        return recording
    always = zero.any(axis=0) & (zero == recording.observed).all(axis=0)
    lost = zero & ~always
    counts = {"zeros_unseen": int(lost.sum()), "joints_always_zero": int(always.sum())}
    marked = replace(recording, positions=np.where(lost, np.nan, recording.positions))
    return marked.noting(**{name: count for name, count in counts.items() if count})


def existing(path: str | Path) -> Path:
    """Return the path of a file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    return path


def first_line(path: Path) -> str:
    """Return the first line of a text file, without reading the rest of it."""
    with path.open("rb") as stream:
        return stream.readline(1 << 16).decode("utf-8", "replace").strip()


def _natural(path: Path) -> list[Any]:
    """Return a key that sorts the numbers in a name by value."""
    parts = re.split(r"(\d+)", path.name)
    return [int(part) if at % 2 else part for at, part in enumerate(parts)]
