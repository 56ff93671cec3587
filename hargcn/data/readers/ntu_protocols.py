"""NTU RGB+D: the names of files and actions, and the published splits with their counts.

Sources: Shahroudy et al., "NTU RGB+D", CVPR 2016 (cross-subject, cross-view); Liu et al.,
"NTU RGB+D 120", TPAMI 2020 (cross-subject, cross-setup).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hargcn.data.splits import SplitConfig, assign

CLASSES = (
    "drink water", "eat meal", "brush teeth", "brush hair", "drop", "pick up", "throw", "sit down",
    "stand up", "clapping", "reading", "writing", "tear up paper", "put on jacket",
    "take off jacket", "put on a shoe", "take off a shoe", "put on glasses", "take off glasses",
    "put on a hat", "take off a hat", "cheer up", "hand waving", "kicking something",
    "reach into pocket", "hopping", "jump up", "phone call", "play with phone",
    "type on a keyboard", "point to something", "taking a selfie", "check time", "rub two hands",
    "nod head", "shake head", "wipe face", "salute", "put palms together", "cross hands in front",
    "sneeze", "staggering", "falling down", "headache", "chest pain", "back pain", "neck pain",
    "nausea", "fan self", "punch", "kicking", "pushing", "pat on back", "point finger", "hugging",
    "giving object", "touch pocket", "shaking hands", "walking towards", "walking apart",
    "put on headphone", "take off headphone", "shoot at basket", "bounce ball",
    "tennis bat swing", "juggle table tennis ball", "hush", "flick hair", "thumb up",
    "thumb down", "make ok sign", "make victory sign", "staple book", "counting money",
    "cutting nails", "cutting paper", "snap fingers", "open bottle", "sniff", "squat down",
    "toss a coin", "fold paper", "ball up paper", "play magic cube", "apply cream on face",
    "apply cream on hand", "put on bag", "take off bag", "put object into bag",
    "take object out of bag", "open a box", "move heavy objects", "shake fist", "throw up cap",
    "capitulate", "cross arms", "arm circles", "arm swings", "run on the spot", "butt kicks",
    "cross toe touch", "side kick", "yawn", "stretch oneself", "blow nose", "hit with object",
    "wield knife", "knock over", "grab stuff", "shoot with gun", "step on foot", "high-five",
    "cheers and drink", "carry object", "take a photo", "follow", "whisper", "exchange things",
    "support somebody", "rock-paper-scissors",
)  # fmt: skip

_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")
_XSUB = {1, 2, 4, 5, 8, 9, *range(13, 20), 25, 27, 28, 31, 34, 35, 38}
_XSUB120 = _XSUB | {
    *range(45, 48), 49, 50, *range(52, 60), 70, 74, 78, *range(80, 87), 89, *range(91, 96), 97, 98,
    100, 103,
}  # fmt: skip
SPLITS = {
    "xsub": SplitConfig(train=[f"P{performer:03d}" for performer in sorted(_XSUB)]),
    "xview": SplitConfig(by="camera", train=[2, 3]),
    "xsub120": SplitConfig(train=[f"P{performer:03d}" for performer in sorted(_XSUB120)]),
    "xset": SplitConfig(by="setup", train=range(2, 33, 2)),
}
OF_60 = ("xsub", "xview")
"""The splits of NTU RGB+D 60, which has the first 60 actions only."""

# Setups, performers and actions of the whole data set, then recordings to train and to test on.
_COUNTS: dict[str, tuple[tuple[int, int, int], tuple[int, int]]] = {
    "xsub": ((17, 40, 60), (40_091, 16_487)),
    "xview": ((17, 40, 60), (37_646, 18_932)),
    "xsub120": ((32, 106, 120), (63_026, 50_919)),
    "xset": ((32, 106, 120), (54_468, 59_477)),
}


class SampleName(NamedTuple):
    """The parts of `SsssCcccPpppRrrrAaaa`, all counted from 1."""

    setup: int
    camera: int
    performer: int
    replication: int
    action: int

    @property
    def group(self) -> str:
        """Who moved, as the recordings name it."""
        return f"P{self.performer:03d}"

    @classmethod
    def fits(cls, name: str) -> bool:
        """Say whether a text has the form of such a name."""
        return _NAME.fullmatch(name) is not None

    @classmethod
    def parse(cls, name: str) -> SampleName:
        """Take a sample's name apart.

        Raises
        ------
        ValueError
            If it is not such a name.
        """
        parts = _NAME.fullmatch(name)
        if parts is None or not 1 <= int(parts[5]) <= len(CLASSES):
            raise ValueError(
                f"{name}: expected a name SsssCcccPpppRrrrAaaa with action 1..{len(CLASSES)}"
            )
        return cls(*(int(part) for part in parts.groups()))


def check_counts(samples: Sequence[str], split: str) -> tuple[int, int]:
    """Count training and test samples, and compare a whole data set with the published numbers.

    A set counts as whole when all its setups, performers and actions occur; a part of it passes.

    Parameters
    ----------
    samples
        Names without extension.
    split
        Its name, one of `SPLITS`.

    Returns
    -------
    tuple
        The numbers to train and to test on.

    Raises
    ------
    ValueError
        If a whole data set has other numbers than published, or for an action above 60 under a
        split of NTU RGB+D 60.
    """
    names = [SampleName.parse(sample) for sample in samples]
    beyond = [sample for sample, name in zip(samples, names, strict=True) if name.action > 60]
    if split in OF_60 and beyond:
        raise ValueError(f"{beyond[0]}: expected actions 1..60 under {split}; leave out the others")
    columns: dict[str, list[Any]] = {
        "group": [name.group for name in names],
        "camera": [name.camera for name in names],
        "setup": [name.setup for name in names],
    }
    sets = assign(columns, SPLITS[split].model_copy(update={"partial": True}))
    found = (int((sets == "train").sum()), int((sets == "test").sum()))
    extent, expected = _COUNTS[split]
    seen = tuple(
        {getattr(name, part) for name in names} for part in ("setup", "performer", "action")
    )
    whole = seen == tuple(set(range(1, n + 1)) for n in extent)
    if whole and found != expected:
        raise ValueError(
            f"NTU RGB+D, {split}: expected {expected[0]} recordings to train and {expected[1]} "
            f"to test on (got {found[0]} and {found[1]}); was the missing list given?"
        )
    return found


def read_missing(path: str | Path) -> frozenset[str]:
    """Read the official list of samples with missing or incomplete skeletons.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it holds no sample name.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such list of missing skeletons")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    names = frozenset(line.strip() for line in lines if _NAME.fullmatch(line.strip()))
    if not names:
        raise ValueError(f"{path}: expected names like S001C002P005R002A008 (got none)")
    return names
