"""ST-GCN: an array of recordings of one length, and a pickle of their names and labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from hargcn.data.readers.arrays import mapped, stored
from hargcn.data.readers.base import Part, existing
from hargcn.data.readers.datasets.ctrgcn import trimmed
from hargcn.data.readers.datasets.labelled import Labelled, published, whole_number
from hargcn.data.readers.pickles import unpickled
from hargcn.data.recording import Recording, Recordings
from hargcn.data.splits import SplitConfig
from hargcn.registry import settings

_NAME = re.compile(r"(.*?)_?data(_joint)?\.npy")


@settings
class STGCN(Labelled):
    """Reads `data.npy` (recording, space, frame, joint, person) with `label.pkl` beside it.

    `train_data.npy` or `train_data_joint.npy` go with `train_label.pkl`, `val_data.npy` with
    `val_label.pkl`; both in a folder are `split=published`. Names of recordings are in the file of
    labels; one of NTU RGB+D says who moved, else every recording is a group of its own. Frames of
    zeros at the end are padding; where a tool repeats a sequence to the full length it stays
    repeated. A third number of a 2D layout is the confidence.
    """

    name = "stgcn"
    label = "ST-GCN arrays"
    suffixes = (".npy",)
    pattern = "*data*.npy"
    source = "ST-GCN, tools/ntu_gendata.py, tools/kinetics_gendata.py; 2s-AGCN, data_gen"
    unknown = (
        "The files state neither frames per second (30 are assumed) nor, but for NTU RGB+D, who "
        "moved, nor whether a place among the people is always the same person."
    )
    defaults = {
        "preprocess": {"centre": "median", "scale": "trunk"},
        "windows": {"mode": "whole", "length": 150, "fit": "pad"},
    }

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Look for an array of five axes, and the labels beside it."""
        try:
            return len(stored(file).shape) == 5 and _labels_of(file).is_file()
        except ValueError:
            return False

    @classmethod
    def _named_so(cls, file: Path) -> bool:
        return _NAME.fullmatch(file.name) is not None  # not data_bone, data_joint_motion

    def published(self, path: str | Path) -> Mapping[str, SplitConfig]:
        """Return the parts that the files' names tell."""
        return published(
            {
                file.stem.partition("data")[0]: [name for name, _ in _content(file)[1]]
                for file in self.files(Path(path))
            }
        )

    def catalogue(self, path: Path) -> Recordings:
        """List the recordings of the arrays, and refuse two of one name."""
        items, labels, seen = [], [], set()
        for file in self.files(path):
            for number, (name, label) in enumerate(_content(file)[1]):
                if name in seen:
                    raise ValueError(
                        f"{_labels_of(file)}: expected each name once (got {name[:80]} again)"
                    )
                seen.add(name)
                items.append(Part(file, number))
                labels.append(label)
        return Recordings(items, self._recording, self.names_of(path, labels))

    def _recording(self, item: Part) -> Recording:
        array, about = _content(item.file)
        name, label = about[item.number]
        bodies = np.asarray(array[item.number], dtype=float).transpose(1, 3, 2, 0)
        return self.recording(item, trimmed(bodies), None, name, label)


def _labels_of(file: Path) -> Path:
    """Return the file of labels that belongs to an array."""
    return file.with_name(f"{file.name.partition('data')[0]}label.pkl")


def _content(file: Path) -> tuple[np.ndarray, list[tuple[str, int]]]:
    """Return array, names and labels, as long as both files stay as they are."""
    about = [existing(each).stat() for each in (file, _labels_of(file))]
    return _loaded(file, *(number for each in about for number in (each.st_mtime_ns, each.st_size)))


@lru_cache(maxsize=2)
def _loaded(file: Path, *_: int) -> tuple[np.ndarray, list[tuple[str, int]]]:
    array, other = mapped(file), _labels_of(file)
    if array.ndim != 5 or array.dtype.kind not in "fiu" or array.shape[1] not in (2, 3):
        raise ValueError(
            f"{file}: expected numbers (recording, space, frame, joint, person) (got "
            f"{array.dtype} of shape {array.shape})"
        )
    content = unpickled(other, other)
    pair = isinstance(content, list | tuple) and len(content) == 2
    names, labels = content if pair else ((), ())
    if not all(isinstance(each, list | tuple | np.ndarray) for each in (names, labels)):
        names, labels = (), ()
    numbers = [whole_number(label) for label in labels]
    if not (
        len(names) == len(labels) == len(array)
        and all(isinstance(name, str) for name in names)
        and all(number is not None and number >= 0 for number in numbers)
    ):
        raise ValueError(
            f"{other}: expected {len(array)} names and as many labels from 0, those of {file.name} "
            f"(got {len(names)} and {len(labels)})"
        )
    stems = [str(name).removesuffix(".skeleton").removesuffix(".json") for name in names]
    return array, [(stem, int(number or 0)) for stem, number in zip(stems, numbers, strict=True)]
