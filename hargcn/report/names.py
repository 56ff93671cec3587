"""Names that say nothing: subjects and recordings as salted hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from hargcn.analysis.recordings import recordings
from hargcn.explanation import Explanation


def anonymised(explanation: Explanation, salt: bytes) -> Explanation:
    """Replace the names of subjects, recordings and windows by salted hashes.

    Equal names get equal hashes under one salt; without it nobody can try names out. Where in its
    recording a window starts ("@30") is kept.

    Parameters
    ----------
    explanation
        Of windows "recording@start".
    salt
        At most 64 random bytes, which nobody keeps.
    """
    names = explanation.values["sample"].to_numpy().astype(str)
    own = recordings(explanation)
    hashed = _each(own, lambda name: _hash(name, salt))
    starts = [name.rpartition("@")[2] if "@" in name else "" for name in names]
    # A window without a number behind its recording has no start to keep.
    windows = [
        f"{recording}@{start}" if start.isdigit() else _hash(name, salt)
        for name, recording, start in zip(names, hashed, starts, strict=True)
    ]
    variables = {"recording": np.array(hashed)}
    if "group" in explanation.dataset:
        groups = explanation.dataset["group"].to_numpy().astype(str)
        variables["group"] = np.array(_each(groups, lambda name: _hash(name, salt)))
    return explanation.assign(variables, {"sample": windows})


def _each(names: np.ndarray, change: Callable[[str], str]) -> list[str]:
    return [change(str(name)) for name in names]


def _hash(name: str, salt: bytes) -> str:
    return hashlib.blake2b(name.encode(), digest_size=5, key=salt).hexdigest()
