"""Marks of people: who saw what, in which video, from when to when, on which joints.

Read are tables that annotation tools export, as text in UTF-8 or UTF-16:

* ELAN, File > Export as > Tab-delimited Text (ELAN manual, "Tab-delimited text file"): a row per
  annotation, tier, participant, begin, end and duration in one or several formats (hh:mm:ss.ms,
  ss.msec, msec), the annotation, and of several documents the file; with or without column headers,
  or with a column per tier.
* BORIS, Observations > Export events, aggregated or tabular (BORIS user guide, "Export events").
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from pydantic import BaseModel, ConfigDict

from hargcn.checks import nearest, shortened
from hargcn.skeleton import Skeleton

Rows = list[tuple[int, list[str]]]
"""Numbers of lines and their cells."""

WHOLE = "whole_body"
"""What stands for all joints."""

_LARGEST = 2**26  # bytes: a million marks
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{1,2}(?:[.,]\d+)?)")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_FORMATS = ("hh:mm:ss.ms", "ss.msec", "msec")
_UNITS = {**dict.fromkeys(("msec", "ms"), 0.001), **dict.fromkeys(("ss.msec", "s", "sec"), 1.0)}
_BEGIN, _END = ("begin", "start", "onset"), ("end", "stop", "offset")
_TIMES = {"start (s)", "time"}
_MEDIA = ("media file name", "media file path", "media file", "observation id")


@dataclass(frozen=True)
class Mark:
    """One mark.

    Parameters
    ----------
    names
        What the video may be called, the likeliest first: paths, names with or without extension.
    annotator
        Who marked it.
    what
        The tier or behaviour.
    start, stop
        Seconds in the video; equal for a point in time.
    place
        File and line, for messages.
    """

    names: tuple[str, ...]
    annotator: str
    what: str
    start: float
    stop: float
    place: str


class MarksConfig(BaseModel):
    """What the tables of annotators do not say.

    Parameters
    ----------
    joints
        By tier or behaviour the joints or parts it is about, or `whole_body`; an empty list leaves
        it out. A tier that is called like a joint or a part needs no entry.
    videos
        Videos that all annotators looked at, also where somebody marked nothing in one.
    starts
        By video the second at which its recording begins, where that is not 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    joints: dict[str, list[str]] = {}
    videos: list[str] = []
    starts: dict[str, float] = {}


def read_marks(path: str | Path) -> list[Mark]:
    """Read the marks of a file, or of all files of a folder, which are one annotator's then.

    An annotator is what stands behind the @ in a tier's name (`left_arm@anna`), else the folder's
    name, else that of the file; where the file is named as the video, that of the folder it is in.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If it is no such export or holds no mark, for a time that is none, or an end before its
        begin; names the file and the line.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(each for each in path.iterdir() if each.suffix in (".txt", ".csv", ".tsv"))
        if not files:
            raise ValueError(f"{path}: expected files .txt, .csv or .tsv of marks (got none)")
        return [mark for file in files for mark in _read(file, path.resolve().name)]
    return _read(path, "")


def joints_of(mark: Mark, skeleton: Skeleton, config: MarksConfig) -> list[int]:
    """Return the joints that a mark is about; none where the settings leave its tier out.

    Raises
    ------
    ValueError
        For a name that the layout does not have; offers the nearest.
    """
    known = {_plain(name): list(joints) for name, joints in skeleton.parts.items()}
    known |= {_plain(name): [joint] for joint, name in enumerate(skeleton.joints)}
    known[WHOLE] = list(range(skeleton.n_joints))
    mapped = {_plain(name): joints for name, joints in config.joints.items()}
    found: set[int] = set()
    for name in mapped.get(_plain(mark.what), [mark.what]):
        if _plain(name) not in known:
            raise ValueError(
                f"{mark.place}: expected {shortened(name)!r} to be a joint or a part of "
                f"{skeleton.name}, {WHOLE}, or explained under joints in --marks-settings"
                f"{nearest(_plain(name), known)}"
            )
        found.update(known[_plain(name)])
    return sorted(found)


def recording_of(names: Sequence[str], recordings: Mapping[str, str]) -> str | None:
    """Return which recording a video's names mean, of `by_name`; None for none."""
    keys = [key for name in names for key in (_base(name), _stem(_base(name)))]
    return next((recordings[key] for key in keys if key in recordings), None)


def by_name(recordings: Sequence[str]) -> dict[str, str]:
    """Return recordings by the names that they go by: as they are, and without extension."""
    return {**{_stem(name): name for name in recordings}, **{name: name for name in recordings}}


def masks(
    marks: Sequence[tuple[str, Mark, Sequence[int]]],
    sample: Sequence[str],
    time: np.ndarray,
    joints: int,
) -> np.ndarray:
    """Return where one annotator's marks lie.

    Parameters
    ----------
    marks
        (recording, mark, joints) each.
    sample
        (N,) the recording of every window.
    time
        (N, T) seconds of every frame.
    joints
        How many joints V there are.

    Returns
    -------
    numpy.ndarray
        (N, T, V) bool: frames from begin to end, both included; of a point, or of a mark that falls
        between two frames, the frame nearest to it, where the window has one within half a frame.
    """
    found = np.zeros((*time.shape, joints), dtype=bool)
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(sample):
        rows.setdefault(str(name), []).append(row)
    for recording, mark, own in marks:
        for row in rows.get(recording, ()):
            frames = _frames(time[row], mark.start, mark.stop)
            found[row, frames[:, None], np.asarray(own, int)] = True
    return found


def _frames(time: np.ndarray, start: float, stop: float) -> np.ndarray:
    inside = np.flatnonzero((time >= start - 1e-6) & (time <= stop + 1e-6))
    if len(inside) or len(time) < 2:
        return inside
    middle = (start + stop) / 2
    near = np.abs(time - middle)
    half = np.median(np.diff(time)) / 2
    return np.flatnonzero(near == near.min())[:1] if near.min() <= half + 1e-6 else inside


def _read(path: Path, annotator: str) -> list[Mark]:
    text = _text(path)
    for delimiter in "\t;,":
        rows = _rows(path, text, delimiter)
        found = _boris(path, rows, annotator)
        found = _elan(path, rows, annotator) if found is None else found
        if found is not None:
            break
    else:
        first = shortened(text.strip().splitlines()[0]) if text.strip() else "an empty file"
        raise ValueError(
            f"{path}: expected an export of ELAN (tier, begin and end times) or BORIS (Behavior, "
            f"Start (s), Stop (s)) (got {first!r})"
        )
    if not found:
        raise ValueError(f"{path}: expected marks below the header (got none)")
    for mark in found:
        if mark.stop < mark.start:
            raise ValueError(
                f"{mark.place}: expected an end after its begin (got {mark.start:g} to "
                f"{mark.stop:g} s)"
            )
    return found


def _text(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"{path}: expected at most {_LARGEST} bytes of marks")
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected text in UTF-8 or UTF-16 ({error.reason})") from error


def _rows(path: Path, text: str, delimiter: str) -> Rows:
    """Return the rows that are not empty; tab-delimited ones know no quoting, as ELAN's."""
    if delimiter == "\t":
        lines = [line.split("\t") for line in text.splitlines()]
        cells = [[cell.strip().strip('"').strip() for cell in line] for line in lines]
        numbered = list(enumerate(cells, 1))
    else:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            numbered = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
        except csv.Error as error:
            raise ValueError(f"{path}: line {reader.line_num}: expected CSV ({error})") from error
    return [(number, row) for number, row in numbered if any(row)]


def _boris(path: Path, rows: Rows, annotator: str) -> list[Mark] | None:
    """Return the marks of an export of BORIS, None where it is none."""
    headers = [[cell.lower() for cell in row] for _, row in rows]
    at = next((i for i, h in enumerate(headers) if "behavior" in h and _TIMES & set(h)), None)
    if at is None:
        return None
    header = headers[at]
    # Older versions write what is the same for all events above them.
    above = [cells[1] for _, cells in rows[:at] if len(cells) > 1 and _heads_video(cells[0])]
    videos: dict[str, set[str]] = {}
    found = []
    for place, cells in _table(path, rows[at + 1 :], len(header)):
        row_of = dict(zip(header, cells, strict=True))
        named = [row_of[name] for name in _MEDIA if row_of.get(name)]
        media = [row_of[name] for name in _MEDIA[:-1] if row_of.get(name)]
        videos.setdefault(row_of.get("observation id", ""), set()).update(media)
        names = tuple(dict.fromkeys([*named, *above]))
        found.append((Mark(names, annotator or path.stem, row_of["behavior"], 0, 0, place), row_of))
    several = [seen for seen in videos.values() if len({_base(name) for name in seen}) > 1]
    if several:
        listed = " and ".join(sorted(several[0])[:2])
        raise ValueError(
            f"{path}: expected one video per observation (got {listed}): BORIS counts the time of "
            "all of them as one"
        )
    if "start (s)" in header:
        return [_aggregated(mark, row) for mark, row in found]
    return list(_paired(found))


def _heads_video(cell: str) -> bool:
    return cell.lower().startswith(("player #", "observation id"))


def _aggregated(mark: Mark, row: Mapping[str, str]) -> Mark:
    start = _seconds(row["start (s)"], mark.place, 1.0)
    stop = row.get("stop (s)", "")
    return _timed(mark, start, start if stop in ("", "NA") else _seconds(stop, mark.place, 1.0))


def _paired(events: Sequence[tuple[Mark, Mapping[str, str]]]) -> Iterator[Mark]:
    """Pair the beginnings and ends of states; a point is both."""
    open_: dict[tuple[object, ...], tuple[Mark, float]] = {}
    for mark, row in events:
        kind = (row.get("status") or row.get("behavior type", "")).upper()
        time = _seconds(row["time"], mark.place, 1.0)
        key = (mark.names, row.get("subject"), mark.what)
        if kind == "POINT":
            yield _timed(mark, time, time)
        elif kind == "START" and key not in open_:
            open_[key] = (mark, time)
        elif kind == "STOP" and key in open_:
            begun, start = open_.pop(key)
            yield _timed(begun, start, time)
        else:
            raise ValueError(
                f"{mark.place}: expected START and STOP of {mark.what!r} in turn, or POINT (got "
                f"{shortened(kind) or 'nothing'})"
            )
    for mark, _ in open_.values():
        raise ValueError(f"{mark.place}: expected a STOP of {mark.what!r} (got none)")


def _elan(path: Path, rows: Rows, annotator: str) -> list[Mark] | None:
    """Return the marks of an export of ELAN, None where it is none."""
    named = [row[0].lstrip("#").split(" -- ")[0] for _, row in rows if row[0].startswith("#")]
    rows = [(number, row) for number, row in rows if not row[0].startswith("#")]
    if not rows:
        return None
    header = rows[0][1]
    times = _time_columns(header)
    if times is None:
        times = _bare_columns([row for _, row in rows])
        header = [""] * max(len(row) for _, row in rows)
    else:
        rows = rows[1:]
    if times is None:
        return None
    begin, end, unit = times
    found = []
    for place, cells in _table(path, rows, len(header)):
        start, stop = (_seconds(cells[at], place, unit) for at in (begin, end))
        files = [cell for cell in cells if cell.lower().endswith(".eaf")]
        names = (*files, *named) or (path.stem,)
        own = annotator or (path.stem if files or named else path.resolve().parent.name)
        for tier in _tiers(header, cells, begin):
            name, _, who = tier.partition("@")
            found.append(Mark(names, who or own, name, start, stop, place))
    return found


def _tiers(header: Sequence[str], cells: Sequence[str], begin: int) -> list[str]:
    """Return the tiers of a row: of the column tier, else the first, else a column for each."""
    named = [at for at, name in enumerate(header) if name.lower() in ("tier", "tier name")]
    if named or begin:
        return [cells[named[0] if named else 0]]
    own = [at for at, name in enumerate(header) if name and not _is_time(name)]
    return [header[at] for at in own if cells[at] and not cells[at].lower().endswith(".eaf")]


def _time_columns(header: Sequence[str]) -> tuple[int, int, float | None] | None:
    """Return the columns of begin and end, and their unit in seconds (None: as they look).

    ELAN writes headers in the language of its user: begin, end, duration in this order, of each
    format.
    """
    for form in _FORMATS:
        columns = [at for at, name in enumerate(header) if name.lower().endswith(f" - {form}")]
        if len(columns) >= 2 and not header[columns[1]].lower().startswith(("duration", "dur")):
            return columns[0], columns[1], _UNITS.get(form)
    plain = [re.sub(r"[^a-z]", " ", name.lower()).split() or [""] for name in header]
    begins = [at for at, words in enumerate(plain) if words[0] in _BEGIN]
    ends = [at for at, words in enumerate(plain) if words[0] in _END]
    if not begins or not ends:
        return None
    units = [_UNITS[word] for word in plain[begins[0]][1:] if word in _UNITS]
    return begins[0], ends[0], units[0] if units else None


def _bare_columns(rows: Sequence[Sequence[str]]) -> tuple[int, int, float | None] | None:
    """Return the same of rows without a header: tier, participant, the times, the annotation."""
    first = rows[0]
    span = [
        at for at, cell in enumerate(first) if _CLOCK.fullmatch(cell) or _NUMBER.fullmatch(cell)
    ]
    span = [at for at in span if at - span[0] == span.index(at) and span[0] in (1, 2)]
    span = span[1:] if len(span) % 3 == 1 and span[0] == 1 else span  # participants are numbers
    formats = len(span) // 3
    if not formats or len(span) % 3:
        return None
    begin, end = span[0], span[0] + formats
    return begin, end, 1.0 if re.search("[.,]", first[begin]) else 0.001


def _is_time(name: str) -> bool:
    return name.lower().endswith(tuple(f" - {form}" for form in (*_FORMATS, "pal", "ntsc")))


def _table(path: Path, rows: Rows, width: int) -> Iterator[tuple[str, list[str]]]:
    """Yield the place and the cells of rows; what a spreadsheet cut off at the end is empty."""
    for number, row in rows:
        if any(row[width:]):
            raise ValueError(f"{path}: line {number}: expected {width} cells (got {len(row)})")
        yield f"{path}: line {number}", [*row, *[""] * width][:width]


def _seconds(text: str, place: str, unit: float | None) -> float:
    """Return a time in seconds: hh:mm:ss.ms, or a number of a unit."""
    clock = _CLOCK.fullmatch(text)
    if clock:
        hours, minutes, seconds = clock.groups()
        return 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds.replace(",", "."))
    if not _NUMBER.fullmatch(text) or len(text) > 15:
        raise ValueError(
            f"{place}: expected a time, hh:mm:ss.ms or a number (got {shortened(text)!r})"
        )
    if unit is None and text.isdigit():
        raise ValueError(
            f"{place}: expected the unit of {text!r} in the header, as in begin (s) or begin (ms)"
        )
    return float(text.replace(",", ".")) * (1.0 if unit is None else unit)


def _timed(mark: Mark, start: float, stop: float) -> Mark:
    return replace(mark, start=start, stop=stop)


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _base(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/").rstrip("/")).name


def _stem(name: str) -> str:
    return re.sub(r"\.[A-Za-z][A-Za-z0-9]{1,3}$", "", name)
