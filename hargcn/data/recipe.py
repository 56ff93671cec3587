"""How windows came about, in plain lines: what was found, what was done, what nobody can know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from hargcn.checks import listed
from hargcn.data.cutting import WindowConfig
from hargcn.data.preprocess import PreprocessConfig
from hargcn.data.quality import Quality
from hargcn.data.splits import SETS, SplitConfig
from hargcn.data.windows import Windows
from hargcn.skeleton import Skeleton

_TURNS = {
    "first": "by the directions of trunk and hips in the first frame of the first person",
    "median": "by the median directions of the first person's trunk and hips",
    "frame": "by the directions of trunk and hips, in every frame for every person",
    "shoulders": "shoulders to x, then the trunk upright, by the first person's first frame",
}
_WITHOUT = "without_"  # begins the notes that count recordings which never show a joint


def recipe(windows: Windows) -> list[str]:
    """Return the steps that made a windows file, a line each, in the order they were done.

    Parameters
    ----------
    windows
        As `hargcn prepare` writes them; what an older file does not say is left out.
    """
    chain = PreprocessConfig.model_validate(windows.attrs.get("preprocessing") or {})
    quality = Quality.from_dict(windows.attrs["quality"])
    steps = {
        "rate": _rate(chain, quality.rates),
        "never seen": _unseen(chain, quality),
        "gaps": _gaps(chain, quality),
        "filters": _filters(chain, _common(chain, windows, quality.rates)),
        "repetition": f"movements begin anew until frame {chain.repeat}" if chain.repeat else "",
        "centre": _centre(chain, windows.skeleton),
        "rotation": "none" if chain.rotate == "none" else _TURNS.get(chain.rotate, chain.rotate),
        "scale": _scale(chain, windows.skeleton),
        "windows": _windows(windows),
        "sets": _sets(windows),
    }
    return [f"{step}: {said}" for step, said in steps.items() if said]


def doubts(windows: Windows) -> list[str]:
    """Return what stands in the way of training or of an honest test, a line each."""
    said = []
    unlabelled = int((windows.label < 0).sum())
    if unlabelled:
        said.append(
            f"no class is known of {unlabelled} of {len(windows)} windows: enough to explain, not "
            "to train or to test"
        )
    alone = len(set(windows.sample)) > 1 and (windows.sample == windows.group).all()
    if alone:
        said.append(
            "every recording counts as a subject of its own: if one person is in several, sets "
            "share people and figures flatter (name the subjects)"
        )
    empty = [name for name in ("train", "test") if name not in windows.split]
    if empty:
        said.append(f"no window is in the set {' nor '.join(empty)}: name a split")
    alike = [
        name
        for name in SETS
        if len(np.unique(windows.label[windows.split == name])) == 1 and not unlabelled
    ]
    if alike:
        said.append(f"of one class only: {', '.join(alike)}; such a set can judge nothing")
    return said


def _common(chain: PreprocessConfig, windows: Windows, found: Mapping[str, int]) -> float | None:
    """Return the frames per second at which filters ran, None where recordings differ."""
    if chain.fps is not None:
        return chain.fps
    return float(next(iter(found))) if len(found) == 1 else windows.rate


def _rate(chain: PreprocessConfig, found: Mapping[str, int]) -> str:
    kinds = ", ".join(f"{rate} fps in {count} recordings" for rate, count in found.items())
    kept = chain.fps is None or set(found) == {f"{chain.fps:g}"}
    asked = "not resampled" if kept else f"resampled to {chain.fps:g} fps"
    return f"{kinds}; {asked}" if kinds else asked


def _unseen(chain: PreprocessConfig, quality: Quality) -> str:
    """Say which joints were never seen in how many recordings, where their parents stand in."""
    if chain.unseen == "refuse":
        return ""
    counts: Counter[str] = Counter()
    for one in quality.sets.values():
        counts.update({name: int(n) for name, n in one.notes.items() if name.startswith(_WITHOUT)})
    found = listed(f"{n[len(_WITHOUT) :]} in {count} recordings" for n, count in counts.items())
    return f"their parents stand in, marked as not seen ({found or 'every joint was seen'})"


def _gaps(chain: PreprocessConfig, quality: Quality) -> str:
    filled, dropped = (
        sum(one.notes.get(name, 0) for one in quality.sets.values())
        for name in ("interpolated", "dropped")
    )
    return (
        f"filled up to {chain.max_gap:g} s ({filled:g} joint positions); a person counts as absent "
        f"in longer ones ({dropped:g} frames)"
    )


def _filters(chain: PreprocessConfig, rate: float | None) -> str:
    said = [f"running median over {chain.median} frames"] if chain.median > 1 else []
    if chain.lowpass is not None:
        where = (
            f"{chain.lowpass:g} of half the frame rate"
            if rate is None
            else f"{chain.lowpass * rate / 2:g} Hz"
        )
        said.append(f"Butterworth low-pass at {where}, order {chain.lowpass_order}, forth and back")
    if chain.jitter:
        said.insert(0, f"noise of +-{chain.jitter:g} against whole pixels")
    return "; ".join(said) or "none"


def _centre(chain: PreprocessConfig, skeleton: Skeleton) -> str:
    pelvis = listed(skeleton.joints[joint] for joint in skeleton.centre)
    known = {
        "none": "none",
        "first": f"on {skeleton.joints[skeleton.reference]} of the first person's first frame",
        "median": f"on the middle of {pelvis}, median over the recording, of the first person",
        "frame": "on the middle of the trunk, in every frame for every person",
    }
    return known.get(chain.centre, chain.centre)


def _scale(chain: PreprocessConfig, skeleton: Skeleton) -> str:
    if chain.scale != "trunk":
        return "none: the unit of the files"
    lower, upper = (listed(skeleton.joints[j] for j in end) for end in skeleton.ends)
    return (
        f"the unit is twice the first person's trunk, {lower} to {upper}, median over the recording"
    )


def _windows(windows: Windows) -> str:
    config = WindowConfig.model_validate(windows.attrs["windows"])
    rate = windows.rate

    def long(frames: int) -> str:
        return f"{frames} frames" + ("" if rate is None else f" ({frames / rate:.3g} s)")

    if config.mode == "slide":
        return f"{long(config.length)}, each shares {long(config.shared)} with the next"
    if config.mode == "first":
        return f"the first {long(config.length)} of every recording"
    fit = "stretched" if config.fit == "resample" else "padded where shorter"
    return f"one per recording, {fit}, of {long(config.length)}"


def _sets(windows: Windows) -> str:
    given: Any = windows.attrs.get("split_settings") or {}
    if not given:
        return "none: every window is in no set"
    config = SplitConfig.model_validate(given)
    drawn = [
        f"{share:g} of them drawn for {name}"
        for name, share in (("val", config.val_share), ("test", config.test_share))
        if share
    ]
    how = " and ".join(drawn) + f" (seed {config.seed})" if drawn else "as listed"
    who = []
    for name in SETS:
        ids = np.unique(windows.group[windows.split == name])
        if len(ids):
            who.append(f"{name} {listed(ids)}")
    by = "subject" if config.by == "group" else config.by
    return f"by {by}, {how}: {'; '.join(who)}"
