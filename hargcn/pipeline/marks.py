"""What annotators marked, brought to the cells of explained windows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from hargcn.analysis.raters import raters
from hargcn.checks import checked, nearest, read_yaml
from hargcn.data.marks import (
    Mark,
    MarksConfig,
    by_name,
    joints_of,
    masks,
    read_marks,
    recording_of,
)
from hargcn.data.windows import Windows
from hargcn.explanation import Explanation
from hargcn.metrics.localisation import localisation

_NAMED = 5  # recordings that a message names


@dataclass(frozen=True, eq=False)
class Marked:
    """Annotators' marks in some windows.

    Parameters
    ----------
    masks
        By annotator (N, T, V) bool.
    looked
        By annotator (N,) bool: windows of videos that they looked at. What is unmarked elsewhere
        says nothing.
    """

    masks: dict[str, np.ndarray]
    looked: dict[str, np.ndarray]

    def agreement(self, seen: np.ndarray | None = None) -> pd.DataFrame:
        """Compare every two annotators; see `analysis.raters.raters`."""
        return raters(self.masks, self.looked, seen)

    def ceilings(self, seen: np.ndarray | None = None) -> dict[str, float]:
        """Return what the other annotators' marks score, taken for explanations, by measure.

        Of every annotator, over the windows that both looked at, the mean over the others. Nothing
        is known of the ceiling where there is one annotator.
        """
        found: dict[str, list[float]] = {}
        for name, truth in self.masks.items():
            for other, marked in self.masks.items():
                both = self.looked[name] & self.looked[other]
                if other == name or not both.any():
                    continue
                counted = None if seen is None else seen[both]
                figures = localisation(_as_explanation(marked[both]), truth[both], seen=counted)
                for figure, values in figures.items():
                    known = values.to_numpy()[~np.isnan(values.to_numpy())]
                    if len(known):
                        centre = np.median if figure == "outside_inside" else np.mean
                        key = f"localisation:{name}:{str(figure).replace('_', '-')}"
                        found.setdefault(key, []).append(float(centre(known)))
        return {key: float(np.mean(values)) for key, values in found.items()}


def open_marks(
    paths: Sequence[str | Path], settings: str | Path | None, data: Windows, explained: Windows
) -> Marked:
    """Read marks and match them with explained windows.

    Parameters
    ----------
    paths
        Exports of annotation tools, or folders of them.
    settings
        A YAML file of `MarksConfig`: which joints a tier is about, which videos were looked at, and
        when their recordings begin.
    data
        All windows of the file: every marked video must be among its recordings.
    explained
        Those that are explained.

    Raises
    ------
    FileNotFoundError
        Without one of the files.
    ValueError
        For files that are no marks, videos that the windows do not show, tiers that no joint is
        known for, or annotators of whose marks none lies in an explained window.
    """
    config = MarksConfig()
    if settings is not None and not paths:
        raise ValueError(f"{settings}: expected marks that these settings are about (got none)")
    if settings is not None:
        content = read_yaml(settings) or {}
        if not isinstance(content, Mapping):
            raise ValueError(f"{settings}: expected a mapping with joints and videos")
        config = checked(MarksConfig, content, str(settings))
    marks = [mark for path in paths for mark in read_marks(path)]
    known = by_name([str(name) for name in data.sample])
    named = [recording_of(mark.names, known) for mark in marks]
    _check_videos([(m.place, m.names) for m in marks], named, known, data)
    listed = [*config.videos, *config.starts]
    meant = [recording_of([video], known) for video in listed]
    _check_videos([(str(settings), (video,)) for video in listed], meant, known, data)
    for_all, starting = meant[: len(config.videos)], meant[len(config.videos) :]
    starts = dict(zip(map(str, starting), config.starts.values(), strict=True))
    time = explained.time()
    found, looked = {}, {}
    for annotator in dict.fromkeys(_called(mark.annotator) for mark in marks):
        own = [
            (
                str(video),
                _later(mark, starts.get(str(video), 0.0)),
                joints_of(mark, data.skeleton, config),
            )
            for video, mark in zip(named, marks, strict=True)
            if _called(mark.annotator) == annotator
        ]
        mask = masks(own, list(explained.sample), time, data.skeleton.n_joints)
        if not mask.any():
            raise ValueError(_outside(annotator, own, explained, time))
        found[annotator] = mask
        videos = {*(video for video, *_ in own), *map(str, for_all)}
        looked[annotator] = np.isin(explained.sample, sorted(videos))
    return Marked(found, looked)


def _later(mark: Mark, start: float) -> Mark:
    """Return a mark in seconds of a recording that begins at a second of its video."""
    return replace(mark, start=mark.start - start, stop=mark.stop - start)


def _check_videos(
    asked: Sequence[tuple[str, tuple[str, ...]]],
    named: Sequence[str | None],
    known: Mapping[str, str],
    data: Windows,
) -> None:
    """Refuse videos that the windows file does not have; offer the nearest names."""
    lost = {
        names[0]: place for (place, names), name in zip(asked, named, strict=True) if name is None
    }
    if lost:
        listed = [f"{each!r}{nearest(Path(each).stem, known)}" for each in list(lost)[:_NAMED]]
        more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        raise ValueError(
            f"{next(iter(lost.values()))}: expected videos of {data.path} (it has no "
            f"{', '.join(listed)}{more})"
        )


def _outside(
    annotator: str,
    own: Sequence[tuple[str, Mark, Sequence[int]]],
    explained: Windows,
    time: np.ndarray,
) -> str:
    """Say why none of an annotator's marks lies in an explained window."""
    shown = np.isin(explained.sample, [video for video, *_ in own])
    if not shown.any():
        return f"{own[0][1].place}: expected marks of {annotator} in an explained recording"
    first, last = min(mark.start for _, mark, _ in own), max(mark.stop for _, mark, _ in own)
    return (
        f"{own[0][1].place}: expected marks of {annotator} in the explained windows, which show "
        f"{time[shown].min():g} to {time[shown].max():g} s (got {first:g} to {last:g} s)"
    )


def _called(annotator: str) -> str:
    """Return a name as it may stand in the name of a measure."""
    return re.sub(r"[^\w.]+|_", "-", annotator).strip("-") or "annotator"


def _as_explanation(mask: np.ndarray) -> Explanation:
    nobody = np.zeros(len(mask))
    return Explanation.build(
        mask.astype(float),
        ("sample", "time", "joint"),
        method="marks",
        target=nobody,
        score=nobody,
        coords={"time": np.arange(mask.shape[1])},
        frames=mask.shape[1],
    )
