"""`init`: a folder of recordings is looked at, and an experiment file is written that suits it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hargcn.checks import OPEN, listed, writable
from hargcn.data.preprocess import PRESETS
from hargcn.data.readers import READERS, Reader, find_reader
from hargcn.data.readers.videos import Sightings, Videos
from hargcn.data.recording import Recording
from hargcn.data.splits import SplitConfig
from hargcn.files import replacing
from hargcn.pipeline.config import read_content
from hargcn.pipeline.layout_guess import Guess
from hargcn.pipeline.outcome_tables import OutcomeTable, outcome_table
from hargcn.registry import build, fields_of
from hargcn.skeleton import Skeleton, names, skeleton

_LOOKED = 3  # videos that are opened; of data sets whose files name everything, more
_LOOKED_WHOLE = 100
_SHORT = 8.0  # seconds: a video no longer than this is one action, one window
_WINDOW = 5.0  # seconds of a window of a longer one
_STEPS = 300  # of training: a minute or two for the small network
_SHARE = 0.2  # of the subjects, for validation and for testing


@dataclass(frozen=True)
class Started:
    """What `start` wrote: the files, and the lines in them that are open."""

    files: list[Path]
    open: list[str]


@dataclass
class _Draft:
    """What is known of a folder, filled in step by step; a value comes with its reason."""

    folder: Path
    out: Path
    kind: type[Reader]
    given: Mapping[str, Any]
    about: list[str] = field(default_factory=list)
    reader: dict[str, tuple[Any, str]] = field(default_factory=dict)
    layout: Skeleton | None = None
    trunk: bool = True
    files: int = 0
    frames: float = 0.0
    rate: float | None = None
    classes: Counter[str] = field(default_factory=Counter)
    people: dict[str, set[str]] = field(default_factory=dict)
    skeleton: str | None = None
    published: Mapping[str, SplitConfig] = field(default_factory=dict)


def start(
    folder: str | Path,
    out: str | Path = "experiment.yaml",
    changes: Sequence[str] = (),
    *,
    format: str | None = None,
) -> Started:
    """Look at a folder of recordings and write an experiment file to begin with.

    Parameters
    ----------
    folder
        The recordings.
    out
        The experiment file; a `skeleton.yaml` goes beside it where no known layout fits.
    changes
        `reader.key=value`, what you know of the files already; they go into the file.
    format
        The reader's name; by default a look at the files finds it.

    Returns
    -------
    Started
        What was written. Keys whose value is `checks.OPEN` are the user's to complete.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        For a format that cannot be told, files that cannot be read, or an output that is there.
    """
    folder, out = Path(folder), _fresh(Path(out))
    kind = READERS.find(format) if format else find_reader(folder)
    draft = _Draft(folder, out, kind, given=_given(changes))
    if issubclass(kind, Videos):
        _look_at_videos(draft, kind)
    else:
        _look_at_recordings(draft, kind)
    beside = out.with_name("skeleton.yaml")
    contents = {out: _text(draft)}
    if draft.skeleton is not None:
        contents = {_fresh(beside): draft.skeleton, **contents}
    for path, content in contents.items():
        with replacing(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
    opened = [
        f"{path}: {line.strip()}"
        for path, content in contents.items()
        for line in content.splitlines()
        if "<- complete this" in line and not line.startswith("#")
    ]
    return Started(list(contents), opened)


def _given(changes: Sequence[str]) -> dict[str, Any]:
    """Return the reader's options that are known already."""
    content = read_content(None, changes)
    if set(content) - {"reader"}:
        raise ValueError(
            f"--set: expected reader.KEY=VALUE, what files do not tell (got {listed(changes)}); "
            "other settings are changed in the file that is written"
        )
    return dict(content.get("reader", {}))


def _fresh(path: Path) -> Path:
    if writable(path).exists():
        raise ValueError(f"{path}: expected a new file (it is there): name another with --out")
    return path


def _look_at_videos(draft: _Draft, kind: type[Videos]) -> None:
    """Look at what a tracker wrote: the layout, the table of outcomes, the rate."""
    reader = build(kind, draft.given, f"reader {kind.name}")
    there = reader.videos(draft.folder)
    files = [f for f in there if isinstance(f, Path)]
    items = [f for f in there if f not in files or not f.is_file() or kind.recognises(f)]
    if not items:  # a format without a look of its own: a table may lie among its files
        items = [f for f in files if f.suffix.lower() != ".csv"] or files
    titles = [reader.title(item) for item in items]
    looked = {item: reader.look(item) for item in _some(items, _LOOKED)}
    found = next(iter(looked.values()))
    draft.files = len(items)
    draft.frames = float(np.median([len(s.bodies) for s in looked.values()]))
    joints = f"{found.bodies.shape[2]} joints in {_space(found)}D"
    draft.about.append(f"{len(items)} videos of {kind.label}; {titles[0]} has {joints}")
    if "layout" not in draft.given:
        _choose_layout(draft, kind, found)
    tables = [f for f in _tables(draft.folder) if f not in items]
    if "outcomes" in draft.given:
        tables = [Path(str(draft.given["outcomes"]))]
    table = outcome_table(tables, titles)
    rate = draft.given.get("fps", found.fps)
    rate = rate if isinstance(rate, int | float) else None
    if table is None:
        facts = dict(zip(titles, map(reader.said, items), strict=True))
        _without_table(draft, facts, rate)
    else:
        _fill_outcomes(draft, table, titles, rate)
    if found.confidence is not None:
        low = float(np.mean(found.confidence[np.isfinite(found.bodies[..., 0])] < 0.3))
        draft.reader["likelihood"] = (
            0.0, f"joints below it count as not seen: {low:.0%} of {titles[0]} are below 0.3"
        )  # fmt: skip
    if left := found.notes.get("people_left_out"):
        draft.reader["persons"] = (1, f"{titles[0]} shows more people {left:g} times")
    if "size" in fields_of(kind) and _is_share(found):
        draft.reader["size"] = (OPEN, "[WIDTH, HEIGHT] of the videos in pixels")
    draft.reader |= {key: (value, "as you said") for key, value in draft.given.items()}


def _choose_layout(draft: _Draft, kind: type[Videos], found: Sightings) -> None:
    """Take the known layout with most of the joints; else begin a `skeleton.yaml`."""
    space, count = _space(found), found.bodies.shape[2]
    if found.layout is not None:
        draft.layout, draft.trunk = found.layout, bool(found.layout.trunk[0])
        return
    own = kind.layouts.get(count)
    if own is not None and f"{own}_3d" in names() and not _is_share(found) and space == 3:
        own = f"{own}_3d"
    if not found.joints and own is not None:
        draft.layout = skeleton(own)
        draft.reader["layout"] = (own, f"the usual one of {count} joints")
        return
    known = [skeleton(name) for name in names()]
    fitting = [s for s in known if s.ndim <= space and set(s.joints) <= set(found.joints)]
    best = max(fitting, key=lambda s: (s.n_joints, s.ndim), default=None)
    if best is not None and 2 * best.n_joints >= count:
        draft.layout = best
        draft.reader["layout"] = (best.name, f"{best.n_joints} of the files' {count} joints")
        return
    guess = Guess(found.joints or tuple(f"joint_{at:02d}" for at in range(count)))
    draft.skeleton = guess.text(draft.folder.resolve().name, space)
    draft.trunk = "\ntrunk:" in draft.skeleton
    path = draft.out.with_name("skeleton.yaml")
    draft.reader["layout"] = (str(path), "begun from the names of joints: look at it")


def _without_table(
    draft: _Draft, facts: Mapping[str, Mapping[str, str]], rate: float | None
) -> None:
    """Take classes and people from the files where these say them; else leave the table open."""
    if not any("outcome" in said for said in facts.values()):
        draft.reader["outcomes"] = (
            OPEN,
            "a CSV with the columns video, outcome, subject (and fps)",
        )
    for title, said in facts.items():
        draft.people.setdefault(said.get("subject", title), set()).add(said.get("outcome", ""))
    draft.classes = Counter(said["outcome"] for said in facts.values() if "outcome" in said)
    _fill_rate(draft, rate)


def _fill_rate(draft: _Draft, rate: float | None) -> None:
    draft.rate = rate
    known, unknown = (rate, "as the files say"), (OPEN, "frames per second of the videos, a number")
    draft.reader["fps"] = unknown if rate is None else known


def _fill_outcomes(
    draft: _Draft, table: OutcomeTable, titles: Sequence[str], rate: float | None
) -> None:
    options = draft.reader
    lost = [title for title in titles if title not in table.rows.index]
    options["outcomes"] = (
        str(table.path),
        f"it lacks rows for {listed(lost)}: add them" if lost else "a row for every video",
    )
    others = f"one of the columns {listed(table.others, 20)}"
    options["video"] = (table.video, "the column with the names of the videos")
    options["outcome"] = (
        table.outcome or OPEN,
        "the column with the class" if table.outcome else others,
    )
    options["subject"] = (
        table.subject,
        "the column with the person"
        if table.subject
        else f"no column names people: every video counts as another; or {others}",
    )
    rates = {float(cell) for cell in table.values(table.fps, titles) if _is_number(cell)}
    _fill_rate(draft, min(rates) if rates else rate)
    if table.fps is not None:
        options["fps"] = (table.fps, f"the column with frames per second: {listed(sorted(rates))}")
    if table.outcome is not None:
        draft.classes = Counter(table.values(table.outcome, titles))
    for title in titles:
        who = (table.values(table.subject, [title]) or [title])[0] if table.subject else title
        draft.people.setdefault(who, set()).update(table.values(table.outcome, [title]) or {""})


def _look_at_recordings(draft: _Draft, kind: type[Reader]) -> None:
    """Look at a data set whose files say themselves who does what."""
    options = {"frames": None} if "frames" in fields_of(kind) else {}
    draft.reader |= {key: (None, "of any length") for key in options}
    draft.reader |= {key: (value, "as you said") for key, value in draft.given.items()}
    options |= draft.given
    reader = build(kind, options, f"reader {kind.name}")
    found, draft.published = reader.recordings(draft.folder), reader.published(draft.folder)
    looked: list[Recording] = [found.load(item) for item in _some(found.items, _LOOKED_WHOLE)]
    draft.files, draft.rate, draft.layout = len(found), looked[0].fps, looked[0].skeleton
    draft.frames = float(np.median([recording.frames for recording in looked]))
    draft.about.append(f"{len(found)} recordings of {kind.label}")
    draft.about.append(f"cannot be known: {kind.unknown}")
    for recording in looked:
        known = "" if recording.label is None else found.classes[recording.label]
        draft.people.setdefault(recording.group, set()).add(known)
        if known:
            draft.classes[known] += 1
    if not draft.classes and "labels" in fields_of(kind):
        draft.reader["labels"] = (OPEN, "the table of labels, or null to plant a sign")


def _text(draft: _Draft) -> str:
    """Return the experiment file."""
    folder = draft.folder.resolve()
    windows = draft.out.with_name(f"{folder.stem if folder.is_file() else folder.name}.h5")
    counts = listed((f"{name} {n}" for name, n in draft.classes.items()), 20)
    about = [*draft.about, f"classes: {counts}"] if counts else draft.about
    lines = [
        f"# Written by `hargcn init {draft.folder}`, to go on with:",
        f"#   hargcn prepare {draft.folder} --config {draft.out}",
        f"#   hargcn train {draft.out}",
        *(f"# {said}" for said in about),
        "# What is marked `complete this` is yours to give. Every key: hargcn settings KEY",
        *_lines({"windows": (str(windows), "what prepare writes and train reads")}),
        "prepare:",
        *_lines({"format": (draft.kind.name, "found by a look at the files")}, 1),
    ]
    if draft.reader:
        lines += ["  reader:", *_lines(draft.reader, 2)]
    lines += _chain(draft) + _cutting(draft) + _split(draft) + _training(draft)
    return "\n".join(lines) + "\n"


def _chain(draft: _Draft) -> list[str]:
    """Return the preprocessing, step by step, or the preset that a format has."""
    preset = draft.kind.defaults.get("preprocess", "cp")
    if preset != "cp":
        why = "as usual for this format"
        if isinstance(preset, str):
            said = PRESETS[preset].model_dump(exclude_defaults=True)
            why += f": {', '.join(f'{key} {value}' for key, value in said.items()) or 'none'}"
        return _lines({"preprocess": (preset, why)}, 1)
    rate = (_rate(draft), "all come to so many frames per second")
    scale = ("trunk", "unit: twice the trunk, so that neither camera nor size tells anything")
    steps = {
        "fps": rate if draft.rate else (None, "as recorded; a number resamples"),
        "max_gap": (0.5, "seconds: shorter gaps are filled, in longer ones a person is absent"),
        "median": (5, "frames: a running median takes out a tracker's jumps"),
        "centre": ("median", "origin: the middle of the pelvis over the recording"),
        "scale": scale if draft.trunk else ("none", "trunk, once skeleton.yaml has one"),
    }
    return ["  preprocess:", *_lines(steps, 2)]


def _rate(draft: _Draft) -> float:
    """Return the frames per second to work at: the videos' own where these are not many."""
    return 30.0 if draft.rate is None or draft.rate > 60 else draft.rate


def _cutting(draft: _Draft) -> list[str]:
    if "windows" in draft.kind.defaults:
        own = {
            key: (value, "as usual for this format")
            for key, value in draft.kind.defaults["windows"].items()
        }
        return ["  windows:", *_lines(own, 2)]
    frames, rate = _frames(draft), _rate(draft)
    if frames <= _SHORT * rate:
        cut = {
            "mode": ("whole", f"one window per video: half of them have up to {frames} frames"),
            "length": (min(frames, 300), "frames, to which every video is stretched"),
        }
    else:
        length = round(_WINDOW * rate)
        cut = {
            "mode": ("slide", f"several windows per video: half of them have over {frames} frames"),
            "length": (length, f"frames: {_WINDOW:g} s"),
            "overlap": (length // 2, "frames that neighbours share"),
        }
    return ["  windows:", *_lines(cut, 2)]


def _frames(draft: _Draft) -> int:
    """Return how many frames a usual recording has after resampling."""
    return max(1, round(draft.frames * _rate(draft) / (draft.rate or _rate(draft))))


def _split(draft: _Draft) -> list[str]:
    """Return the sets: a published split, or people drawn so that every set has every class."""
    people = draft.people
    published = draft.kind.defaults.get("split")
    if published is not None and _fits(draft, published):
        return _lines({"split": (published, "the published split of this format")}, 1)
    who = f"{len(people)} people"
    if len(people) == draft.files and draft.files > 1:
        who = f"{len(people)} videos, each counted as another person"
    drawn = _drawn(people)
    if not drawn["test"]:
        ids = {"train": (sorted(people), f"of {who} none can be spared for a test of all classes")}
        return ["  split:", *_lines(ids, 2)]
    if len(people) > 40:
        shares = {f"{name}_share": (_SHARE, f"of {who}, drawn") for name in ("val", "test")}
        return ["  split:", *_lines(shares, 2)]
    uses = {"val": "to choose the epoch by", "test": "never learned from"}
    ids = {
        name: (each, f"{len(each)} of {who}, {uses[name]}") for name, each in drawn.items() if each
    }
    return ["  split:", *_lines(ids, 2)]


def _fits(draft: _Draft, published: str) -> bool:
    """Say whether there is a published split, by person one with somebody on both sides."""
    if published not in draft.published:
        return False
    split = draft.kind.split(published, draft.published)
    trained = set(split.train or ()) & set(draft.people)
    return split.by != "group" or 0 < len(trained) < len(draft.people)


def _drawn(people: Mapping[str, set[str]]) -> dict[str, list[str]]:
    """Draw people for testing and validation so that training keeps every class."""
    classes = set().union(*people.values())
    order = [sorted(people)[i] for i in np.random.default_rng(1234).permutation(len(people))]
    sets: dict[str, list[str]] = {"val": [], "test": []}
    size = max(1, round(_SHARE * len(people)))
    for name in ("test", "val"):
        chosen: list[str] = []
        for who in order:
            covered = set().union(*(people[each] for each in chosen))
            wanted = len(chosen) < size if covered == classes else not people[who] <= covered
            rest = [each for each in order if each not in (*chosen, who)]
            if wanted and set().union(*(people[each] for each in rest)) == classes:
                chosen.append(who)
        if set().union(*(people[each] for each in chosen)) == classes:
            sets[name] = sorted(chosen)
            order = [who for who in order if who not in chosen]
    return sets


def _training(draft: _Draft) -> list[str]:
    """Return a network and a training for the number of windows."""
    length = round(_WINDOW * _rate(draft))
    frames = _frames(draft)
    each = 1 if frames <= _SHORT * _rate(draft) else max(1, 2 * frames // length - 1)
    windows = max(1, round(draft.files * each * (1 - 2 * _SHARE)))
    batch = 16 if windows >= 200 else 8
    epochs = int(np.clip(_STEPS * batch // windows, 10, 60))
    small = {
"width": (16, f"small, as about {windows} windows train; see hargcn settings model"),
        "min_width": (16, ""), "max_width": (32, ""), "last_width": (32, ""),
        "branch": ({"blocks": 1, "depth": 1, "stride": 2}, ""), "main": ({"blocks": 2}, ""),
    }  # fmt: skip
    train: dict[str, tuple[Any, str]] = {
        "epochs": (epochs, "passes over the training windows; more where `test` says too little"),
        "batch_size": (batch, "windows per step"),
    }
    counts = draft.classes.values()
    if counts and max(counts) > 2 * min(counts):
        train["class_weights"] = ("balanced", "classes differ much in size")
    return ["model:", *_lines(small, 1), "train:", *_lines(train, 1)]


def _lines(values: Mapping[str, tuple[Any, str]], depth: int = 0) -> list[str]:
    """Return keys with their values and reasons."""
    lines = []
    for key, (value, why) in values.items():
        text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
        said = f"{'  ' * depth}{key}: {text.removesuffix(chr(10)).removesuffix('...').strip()}"
        mark = "<- complete this: " if value == OPEN else ""
        lines.append(f"{said}  # {mark}{why}" if why else said)
    return lines


def _tables(folder: Path) -> list[Path]:
    """Return the tables in a folder and beside it."""
    places = [folder, folder.parent] if folder.is_dir() else [folder.parent]
    return [file for place in places for file in sorted(place.glob("*.csv"))]


def _some(items: Sequence[Any], count: int) -> list[Any]:
    """Return some of many, evenly spaced."""
    chosen = np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int))
    return [items[at] for at in chosen]


def _space(found: Sightings) -> int:
    """Return how many coordinates of the joints mean something, 2 or 3."""
    return 3 if found.bodies.shape[-1] > 2 and np.isfinite(found.bodies[..., 2]).any() else 2


def _is_share(found: Sightings) -> bool:
    """Say whether coordinates are shares of a picture's width and height."""
    flat = found.bodies[..., :2][np.isfinite(found.bodies[..., :2])]
    return bool(flat.size and (flat > 0).mean() > 0.9 and np.quantile(flat, 0.95) <= 2)


def _is_number(cell: str) -> bool:
    try:
        return float(cell) > 0
    except ValueError:
        return False
