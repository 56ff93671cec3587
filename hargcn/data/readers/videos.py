"""What readers of videos share: a layout, an outcome and a subject for each of them.

A tracker writes what it saw in one video, and knows neither class nor child. These come from a
table with a row per video; the joints are matched with a layout.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from hargcn.checks import listed, nearest, shortened
from hargcn.data.readers.base import MOST_FPS, Reader, Zeros, marked_zeros
from hargcn.data.readers.people import follow
from hargcn.data.readers.tables import NAMED, expect_whole, labels_of, outcomes_of, values_of
from hargcn.data.recording import INTERPOLATED, OBSERVED, Recording, Recordings
from hargcn.outputs import Kind, Outputs
from hargcn.registry import settings
from hargcn.skeleton import Skeleton, skeleton


@dataclass(frozen=True, eq=False)
class Sightings:
    """What a tracker's file says.

    Parameters
    ----------
    bodies
        (T, M, V, C) coordinates, NaN where a joint was not seen.
    confidence
        (T, M, V), or None.
    guessed
        (T, M, V) bool, where a joint's place is given though nobody saw it there; or None.
    joints
        Their names in the file's order; empty where the file only counts them.
    fps
        Frames per second, where the file says so.
    layout
        Its own layout, where the file has one: for when none is asked for.
    camera
        The number of the view, where the file says so.
    notes
        Counters for the quality report.
    """

    bodies: np.ndarray
    confidence: np.ndarray | None = None
    joints: tuple[str, ...] = ()
    fps: float | None = None
    layout: Skeleton | None = None
    camera: int | None = None
    notes: Mapping[str, int | float] = field(default_factory=dict)
    guessed: np.ndarray | None = None

    def in_order(self, joints: Sequence[str], source: str) -> Sightings:
        """Return them with the joints of a layout, in its order.

        Raises
        ------
        ValueError
            Names the joints that are missing, each with the nearest name; where joints have no
            names, for another number of them.
        """
        count = self.bodies.shape[2]
        if not self.joints:
            if count != len(joints):
                raise ValueError(f"{source}: expected {len(joints)} joints (got {count})")
            return self
        lost = [joint for joint in joints if joint not in self.joints]
        if lost:
            near = [f"{joint}{nearest(joint, self.joints)}" for joint in lost[:NAMED]]
            raise ValueError(
                f"{source}: expected the joints of the layout; missing {', '.join(near)} (it has "
                f"{shortened(', '.join(self.joints[:12]))})"
            )
        chosen = [self.joints.index(joint) for joint in joints]
        kept = {
            name: array[:, :, chosen]
            for name in ("bodies", "confidence", "guessed")
            if (array := getattr(self, name)) is not None
        }
        return replace(self, joints=tuple(joints), **kept)


@settings
class Videos(Reader):
    """Reads what a tracker saw in each video, and the table of outcomes where there is one.

    Recordings are named as their files. Notes: `low_likelihood` and `zeros_unseen` (joint
    positions), `joints_always_zero`; of a folder `outcomes_without_file`.

    Parameters
    ----------
    layout
        A layout's name or a skeleton.yaml; by default the tracker's own, by the number of joints.
        Joints that a file names are found by name, in any order.
    outcomes
        The table of outcomes, a CSV with one row per video; without one nobody has a label. It may
        lie in the folder.
    video, outcome
        Columns of the table with the video's name (with or without extension) and the outcome. Of a
        regression and of several labels also a list of columns.
    kind
        What the outcomes are: "classes"; "regression" (numbers such as scores); "ordinal" (levels
        in the order of `classes`); "multi-label" (columns of 0 and 1). An empty cell is an outcome
        that is not known, classes apart.
    subject
        Column with the child; null where every video shows another one.
    fps
        Column with the frames per second, or one number for all videos; null where the files say.
    likelihood
        Joints with a smaller likelihood count as not observed.
    zeros
        What a joint that is exactly 0 in all coordinates is: "unseen", as trackers mark a lost
        joint, or "seen". One that is 0 in every frame is always seen.
    classes
        The outcomes in the order of their labels, the positive one last, or the levels, the lowest
        first; by default all classes that occur, sorted. A table that holds 0, 1, ... instead of
        names of classes is read as indices of these.
    persons
        How many people to keep: those seen most often.
    """

    unknown = (
        "Without a table of outcomes it knows no class and no subject; frames per second must be "
        "given; how large bodies are in its pixels differs with the camera, and stands nowhere."
    )
    defaults = {"preprocess": "cp"}

    layouts: ClassVar[Mapping[int, str]] = {}
    """The tracker's layouts by their number of joints."""
    states_rate: ClassVar[bool] = False
    """Whether its files state frames per second."""

    layout: str | Path | None = None
    outcomes: Path | None = None
    video: str = "video"
    outcome: str | tuple[str, ...] = "outcome"
    kind: Kind = "classes"
    subject: str | None = "subject"
    fps: str | Annotated[float, Field(gt=0, le=MOST_FPS)] | None = "fps"
    likelihood: float = 0.0
    zeros: Zeros = "unseen"
    classes: tuple[str, ...] | None = None
    persons: Annotated[int, Field(ge=1)] = 1

    @abstractmethod
    def sightings(self, item: Any) -> Sightings:
        """Read what the file of a video says."""

    def look(self, item: Any) -> Sightings:
        """Read what the file of a video says, with every joint it has, whatever the layout."""
        return self.sightings(item)

    def videos(self, path: Path) -> Sequence[Any]:
        """Return what `sightings` takes, usually a file for each video."""
        return self.files(path)

    def title(self, item: Any) -> str:
        """Return the name of a video."""
        return Path(item).stem

    def said(self, item: Path) -> Mapping[str, str]:
        """Return `outcome` and `subject` of a video, where the format itself says them."""
        del item
        return {}

    def read(self, path: str | Path) -> Recording:
        """Read one video."""
        return self.only(Path(path), "video")

    def catalogue(self, path: Path) -> Recordings:
        """Match the videos with the table of outcomes; a video without a row is refused."""
        items, rate = self.videos(path), _number(self.fps)
        if self.layout is not None:
            skeleton(self.layout)  # refused before any file is read
        if self.outcomes is not None:
            own = self.outcomes.resolve()
            items = [item for item in items if Path(item).resolve() != own]
        titles = [self.title(item) for item in items]
        if twice := sorted({title for title in titles if titles.count(title) > 1}):
            raise ValueError(f"{path}: expected one file per video (got more for {twice[0]})")
        names, notes, remarks, outputs = self.classes or (), {}, [], self._outputs()
        rows = pd.DataFrame(list(map(self.said, items)), index=titles)
        if self.outcomes is None and "outcome" in rows and outputs is None:
            names, rows["label"] = labels_of(path, rows, names)
        if self.outcomes is not None:
            table = outcomes_of(self.outcomes, self._columns(rate))
            rows = table.reindex(titles)
            lost = [str(row) for row in table.index if row not in rows.index]
            notes["outcomes_without_file"] = len(lost)
            if lost:
                remarks.append(f"{self.outcomes}: no file for the rows of {listed(lost)}")
            if outputs is None:
                names, rows["label"] = labels_of(self.outcomes, rows, names)
            else:
                rows = self._valued(self.outcomes, rows, outputs)
        if rate:
            rows["fps"] = rate
        known = rows["fps"] if "fps" in rows else pd.Series(np.nan, rows.index)
        bad = list(rows.index[~known.between(0, MOST_FPS, inclusive="right")])
        if bad and not (self.states_rate and self.fps is None):
            raise ValueError(
                f"{self.outcomes or path}: expected frames per second for every video, from the "
                f"table or as one number (none for {listed(bad)}): set reader.fps"
            )
        return Recordings(
            items,
            partial(self._recording, rows=rows),
            names,
            notes,
            remarks=remarks,
            outputs=outputs,
        )

    @property
    def _outcomes(self) -> tuple[str, ...]:
        return (self.outcome,) if isinstance(self.outcome, str) else self.outcome

    def _outputs(self) -> Outputs | None:
        """Return what the outcomes are where they are no classes."""
        columns, one = self._outcomes, self.kind in ("classes", "ordinal")
        if one and len(columns) != 1:
            raise ValueError(
                f"Expected one column as reader.outcome for {self.kind} (got {', '.join(columns)})"
            )
        if not one and self.classes:
            raise ValueError(f"Expected no reader.classes for {self.kind} (got {self.classes})")
        if self.kind == "ordinal" and not self.classes:
            raise ValueError("Expected the levels, the lowest first, as reader.classes (got none)")
        if self.kind == "classes":
            return None
        return Outputs(self.kind, (self.classes or ()) if self.kind == "ordinal" else columns)

    def _valued(self, table: Path, rows: pd.DataFrame, outputs: Outputs) -> pd.DataFrame:
        """Add outcomes that may be unknown: a label for a level, else a column for each."""
        values = values_of(table, self.video, self._outcomes, outputs)
        lost = [title for title in rows.index if title not in values.index]
        if lost:
            raise ValueError(f"{table}: expected a row for every video (none for {listed(lost)})")
        expect_whole(table, rows, "subject")
        return rows.join(values.set_axis(_named(outputs), axis="columns"))

    def _outcome(self, row: pd.Series) -> dict[str, Any]:
        """Return what is known of a video's outcome, as a recording has it."""
        outputs = self._outputs()
        if outputs is None:
            return {"label": int(row["label"]) if "label" in row else None}
        values = row.reindex(_named(outputs)).to_numpy(float)
        if not outputs.listed:
            return {"outcome": values}
        return {"label": None if np.isnan(values[0]) else int(values[0])}

    def _columns(self, rate: float | None) -> dict[str, str]:
        """Return the columns that the table of outcomes must have, by what they hold."""
        named = {"video": self.video}
        if isinstance(self.outcome, str) and self.kind == "classes":
            named["outcome"] = self.outcome
        if self.subject is not None:
            named["subject"] = self.subject
        if rate is None and self.fps is not None:
            named["fps"] = str(self.fps)
        return named

    def _recording(self, item: Any, rows: pd.DataFrame) -> Recording:
        found, title = self.sightings(item), self.title(item)
        layout, row = self._layout(item, found), rows.loc[title]
        found = found.in_order(layout.joints, str(item))
        if found.bodies.shape[-1] < layout.ndim:
            raise ValueError(
                f"{item}: expected {layout.ndim} coordinates, those of {layout.name} (got "
                f"{found.bodies.shape[-1]})"
            )
        bodies = found.bodies[..., : layout.ndim].transpose(3, 0, 2, 1).copy()  # (C, T, V, M)
        confidence, notes, outcome = None, dict(found.notes), self._outcome(row)
        if self.kind != "classes" and self.outcomes is not None:
            notes["outcomes_unknown"] = int(sum(map(_unknown, outcome.values())))
        if found.confidence is not None:
            confidence = found.confidence.transpose(0, 2, 1)
            unlikely = confidence < self.likelihood  # not where no likelihood is known
            notes["low_likelihood"] = int((unlikely & np.isfinite(bodies).all(axis=0)).sum())
            bodies[:, unlikely] = np.nan
            confidence = confidence if np.isfinite(confidence).any() else None
        state = np.full(bodies.shape[1:], OBSERVED)
        if found.guessed is not None:
            state[found.guessed.transpose(0, 2, 1)] = INTERPOLATED
        recording = Recording(
            positions=bodies,
            valid=present(np.isfinite(bodies).all(axis=0).any(axis=1)),
            fps=self._rate(item, found, row),
            skeleton=layout,
            sample=title,
            group=str(row["subject"]) if "subject" in row else title,
            state=state,
            camera=found.camera,
            confidence=confidence,
            notes=notes,
            **outcome,
        )
        return marked_zeros(recording, self.zeros)

    def _rate(self, item: Any, found: Sightings, row: pd.Series) -> float:
        """Return the frames per second that were given, or those of the file."""
        rate = float(row["fps"]) if "fps" in row else found.fps
        if rate is None or not 0 < rate <= MOST_FPS:
            raise ValueError(
                f"{item}: expected frames per second up to {MOST_FPS:g} (got {rate}): "
                "--set reader.fps=30"
            )
        return rate

    def _layout(self, item: Any, found: Sightings) -> Skeleton:
        """Return the layout asked for, or the file's or the tracker's own."""
        if self.layout is None and found.layout is not None:
            return found.layout
        named = self.layout or self.layouts.get(found.bodies.shape[2])
        if named is None:
            own = shortened(", ".join(found.joints)) or f"{found.bodies.shape[2]} joints"
            raise ValueError(
                f"{item}: expected a layout for its {own}: --set reader.layout=skeleton.yaml"
            )
        return skeleton(named)


def listed_people(
    source: str | Path,
    frames: Mapping[int, Sequence[np.ndarray]],
    identities: Mapping[int, Sequence[int | None]],
    persons: int,
) -> Sightings:
    """Make sightings of people that a file lists frame by frame.

    Parameters
    ----------
    source
        The file, for messages.
    frames
        By frame, counted from the first one, the people: (joint, C + 1), coordinates and the
        confidence behind them. A frame that is not there shows nobody.
    identities
        By frame, the name of each person, or None.
    persons
        How many to keep.

    Raises
    ------
    ValueError
        If nobody is there, people have different numbers of joints, or the numbers of frames leave
        out nearly all of them.
    """
    shapes = sorted({pose.shape for people in frames.values() for pose in people})
    if len(shapes) != 1:
        kinds = " and ".join(str(shape[0]) for shape in shapes) or "nobody"
        raise ValueError(f"{source}: expected people of one number of joints (got {kinds})")
    length = max(frames) + 1
    if length > 100 * len(frames):
        raise ValueError(
            f"{source}: expected the frames of one video (got {len(frames)} of {length})"
        )
    listed = [
        np.array(frames.get(at, ()), dtype=float).reshape(-1, *shapes[0]) for at in range(length)
    ]
    bodies, notes = follow(listed, persons, [identities.get(at, ()) for at in range(length)])
    notes["frames_missing"] = length - len(frames)
    bodies[(bodies[..., -1] == 0) & (bodies[..., :-1] == 0).all(axis=-1)] = np.nan
    return Sightings(bodies[..., :-1], bodies[..., -1], notes=notes)


def present(seen: np.ndarray) -> np.ndarray:
    """Return (T, M) whether people are there: from first to last sighting, a single one always.

    Parameters
    ----------
    seen
        (T, M) whether anything of them was seen.
    """
    if seen.shape[1] == 1:
        return np.ones_like(seen)
    before, after = np.cumsum(seen, axis=0) > 0, np.cumsum(seen[::-1], axis=0)[::-1] > 0
    return before & after


def _named(outputs: Outputs) -> list[str]:
    """Return names of the columns of outcomes that no other column has."""
    return ["label"] if outputs.listed else [f"outcome {name}" for name in outputs.names]


def _unknown(outcome: Any) -> int:
    return int(outcome is None or np.isnan(outcome).sum())


def _number(text: str | float | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
