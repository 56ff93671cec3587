"""What readers of whole data sets share: labels and splits come from the files themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from hargcn.data.readers.base import MOST_FPS, Reader, Zeros, marked_zeros
from hargcn.data.readers.ntu_protocols import SampleName
from hargcn.data.readers.videos import present
from hargcn.data.recording import Recording
from hargcn.data.splits import SplitConfig
from hargcn.registry import settings
from hargcn.skeleton import Skeleton, skeleton

LAYOUTS = {
    (17, 2): "coco17", (18, 2): "openpose18", (25, 2): "openpose25", (26, 2): "halpe26",
    (33, 2): "mediapipe33", (18, 3): "openpose18", (24, 3): "smpl24",
    (25, 3): "ntu25", (33, 3): "mediapipe33_3d",
}  # fmt: skip
"""Layouts by the numbers of joints and coordinates; OpenPose's third is the score.

None is assumed where several are about: for 20 joints in 3D, or 17.
"""

MOST_CLASSES = 10_000


@settings
class Labelled(Reader):
    """Reads the recordings of files that hold their labels.

    Somebody of whom all joints are 0 or NaN is not there. Notes: `people_left_out` (people beyond
    `persons`), `low_likelihood` and `zeros_unseen` (joint positions), `joints_always_zero`.

    Parameters
    ----------
    layout
        A layout's name or a skeleton.yaml; by default by the numbers of joints and coordinates.
    fps
        Frames per second of the camera.
    likelihood
        Joints with a smaller likelihood count as not observed.
    zeros
        What a joint that is exactly 0 in all coordinates is: "unseen", as trackers mark a lost
        joint, or "seen". One that is 0 in every frame is always seen.
    classes
        Names of the labels, from 0; by default their numbers, or the names that the files hold.
    persons
        How many people to keep: those seen most often; fewer leave the rest empty.
    """

    layout: str | Path | None = None
    fps: Annotated[float, Field(gt=0, le=MOST_FPS)] = 30.0
    likelihood: float = 0.0
    zeros: Zeros = "unseen"
    classes: tuple[str, ...] | None = None
    persons: Annotated[int, Field(ge=1, le=20)] = 2

    def read(self, path: str | Path) -> Recording:
        """Read the recording of a file that holds one."""
        return self.only(Path(path), "recording")

    def layout_of(self, source: object, joints: int, axes: int) -> Skeleton:
        """Return the layout asked for, or that of such numbers.

        Raises
        ------
        ValueError
            If none is known, or it has other numbers.
        """
        named = self.layout or LAYOUTS.get((joints, axes))
        if named is None:
            raise ValueError(
                f"{source}: expected a layout for {joints} joints of {axes} numbers: "
                "--set reader.layout=skeleton.yaml"
            )
        found = skeleton(named)
        if found.n_joints != joints or axes not in (found.ndim, found.ndim + (found.ndim == 2)):
            raise ValueError(
                f"{source}: expected {found.n_joints} joints of {found.ndim} numbers, those of "
                f"{found.name} (got {joints} of {axes})"
            )
        return found

    def recording(
        self,
        source: object,
        bodies: np.ndarray,
        confidence: np.ndarray | None = None,
        sample: str = "",
        label: int | None = None,
        notes: Mapping[str, int | float] | None = None,
    ) -> Recording:
        """Make a recording of people in arrays.

        Parameters
        ----------
        source
            Where they come from, for messages.
        bodies
            (T, M, V, C) coordinates; in a layout of 2D a third one is the confidence.
        confidence
            (T, M, V), or None.
        sample
            The recording's name; one as NTU RGB+D has them says who moved, camera and set-up.
        label
            Index into the classes.
        notes
            Counters so far.

        Raises
        ------
        ValueError
            If nobody is there, or the layout does not fit.
        """
        layout = self.layout_of(source, *bodies.shape[2:])
        bodies = np.array(bodies, dtype=float)
        if bodies.shape[-1] > layout.ndim:
            bodies, confidence = bodies[..., : layout.ndim], bodies[..., layout.ndim]
        there = np.isfinite(bodies).all(axis=-1) & (bodies != 0).any(axis=-1)
        bodies[~there.any(axis=-1)] = np.nan
        frames = there.any(axis=-1).sum(axis=0)
        if not frames.any():
            raise ValueError(f"{source}: expected somebody in its frames (got nobody)")
        kept = np.argsort(-frames, kind="stable")[: self.persons]
        bodies = _padded(bodies[:, kept], self.persons)
        left_out = int((frames > 0).sum() - (frames[kept] > 0).sum())
        counts = dict(notes or {})
        counts["people_left_out"] = counts.get("people_left_out", 0) + left_out
        positions = bodies.transpose(3, 0, 2, 1).copy()
        if confidence is not None:
            confidence = _padded(np.asarray(confidence, dtype=float)[:, kept], self.persons)
            confidence = confidence.transpose(0, 2, 1)
            unlikely = confidence < self.likelihood
            seen = np.isfinite(positions).all(axis=0)
            counts["low_likelihood"] = int((unlikely & seen).sum())
            positions[:, unlikely] = np.nan
        name = SampleName.parse(sample) if SampleName.fits(sample) else None
        made = Recording(
            positions=positions,
            valid=present(np.isfinite(positions).all(axis=0).any(axis=1)),
            fps=self.fps,
            skeleton=layout,
            sample=sample,
            group=sample if name is None else name.group,
            label=label,
            confidence=confidence,
            camera=None if name is None else name.camera,
            setup=None if name is None else name.setup,
            notes=counts,
        )
        return marked_zeros(made, self.zeros)

    def names_of(self, path: Path, labels: Iterable[int]) -> tuple[str, ...]:
        """Return the names of the classes, which `classes` gives or which are numbers.

        Raises
        ------
        ValueError
            For a label without a name.
        """
        most = max(labels, default=-1)
        if most >= MOST_CLASSES:
            raise ValueError(f"{path}: expected labels below {MOST_CLASSES} (got {most})")
        names = self.classes or tuple(map(str, range(most + 1)))
        if most >= len(names):
            raise ValueError(
                f"{path}: expected labels of {len(names)} classes, 0..{len(names) - 1} (got {most})"
            )
        return names


def published(parts: Mapping[str, Sequence[str]]) -> dict[str, SplitConfig]:
    """Return splits of samples, of parts that files name.

    Parameters
    ----------
    parts
        Samples by the name of a part: `xsub_train` and `xsub_val` make the split `xsub`, `train1`
        and `test1` the split `split1`, `train` and `val` the split `published`. Without a part
        named test, that named val tests.
    """
    found: dict[str, dict[str, Sequence[str]]] = {}
    for name, samples in parts.items():
        which = re.search("train|val|test", name)
        if which is not None:
            rest = (name[: which.start()] + name[which.end() :]).strip("_- ")
            named = f"split{rest}" if rest.isdigit() else rest or "published"
            found.setdefault(named, {})[which[0]] = samples
    return {
        name: SplitConfig(
            by="sample",
            train=tuple(sets.get("train", ())),
            val=tuple(sets.get("val", ())) if "test" in sets else (),
            test=tuple(sets.get("test", sets.get("val", ()))),
        )
        for name, sets in found.items()
    }


def whole_number(value: Any) -> int | None:
    """Return a number as int, None for anything but a whole one."""
    number = value.item() if isinstance(value, np.generic) else value
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _padded(array: np.ndarray, persons: int) -> np.ndarray:
    """Return (T, persons, ...) with NaN for those who are not there."""
    rest = np.full((len(array), persons - array.shape[1], *array.shape[2:]), np.nan)
    return np.concatenate([array, rest], axis=1)
