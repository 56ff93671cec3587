"""NTU RGB+D: the names of files and actions, and the published splits with their counts.

Sources: Shahroudy et al., "NTU RGB+D", CVPR 2016 (cross-subject, cross-view); Liu et al.,
"NTU RGB+D 120", TPAMI 2020 (cross-subject, cross-setup).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

Protocol = Literal["xsub", "xview", "xsub120", "xset"]

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
# Setups, performers and actions of the whole data set, then recordings to train and to test on.
_COUNTS: dict[Protocol, tuple[tuple[int, int, int], tuple[int, int]]] = {
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


def trains(sample: str, protocol: Protocol) -> bool:
    """Say whether a sample belongs to the training set of a protocol.

    Raises
    ------
    ValueError
        For an action above 60 under a protocol of NTU RGB+D 60.
    """
    name = SampleName.parse(sample)
    if protocol in ("xsub", "xview") and name.action > 60:
        raise ValueError(f"{sample}: expected actions 1..60 under {protocol}; leave out the others")
    if protocol == "xsub":
        return name.performer in _XSUB
    if protocol == "xview":
        return name.camera in (2, 3)
    if protocol == "xsub120":
        return name.performer in _XSUB120
    return name.setup % 2 == 0


def check_counts(samples: Sequence[str], protocol: Protocol) -> tuple[int, int]:
    """Count training and test samples, and compare a whole data set with the published numbers.

    A set counts as whole when all its setups, performers and actions occur; a part of it passes.

    Parameters
    ----------
    samples
        Names without extension.
    protocol
        The split.

    Returns
    -------
    tuple
        The numbers to train and to test on.

    Raises
    ------
    ValueError
        If a whole data set has other numbers than published.
    """
    n_train = sum(trains(sample, protocol) for sample in samples)
    found = (n_train, len(samples) - n_train)
    extent, expected = _COUNTS[protocol]
    names = [SampleName.parse(sample) for sample in samples]
    seen = tuple(
        {getattr(name, part) for name in names} for part in ("setup", "performer", "action")
    )
    whole = seen == tuple(set(range(1, n + 1)) for n in extent)
    if whole and found != expected:
        raise ValueError(
            f"NTU RGB+D, {protocol}: expected {expected[0]} recordings to train and {expected[1]} "
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
