"""Maps over a plane, read at the key points: from (time, y, x) to (time, joint)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hargcn.explanation import Explanation

_DIMS = ("sample", "time", "y", "x", "person")


def at_key_points(
    explanation: Explanation, points: np.ndarray, joints: Sequence[str] = ()
) -> Explanation:
    """Sample a map at where the joints are, bilinearly between its cells' centres.

    Each time cell meets the points of the frame nearest to its centre. Beyond the outermost centres
    the outermost cells hold; a point that is nowhere (NaN) has 0. Values are those of the map, not
    shares of it: they add up to nothing.

    Parameters
    ----------
    explanation
        Over (sample, time, y, x, person), in pixels of the input's plane.
    points : array of shape (sample, 2, frame, joint, person)
        x and y in these pixels, whose centres are at whole numbers. A map of one person serves all.
    joints
        Their names.

    Returns
    -------
    Explanation
        Over (sample, time, joint, person).

    Raises
    ------
    ValueError
        For an explanation of other axes, or points of other samples, frames or persons.
    """
    if {*explanation.dims} != {*_DIMS}:
        raise ValueError(
            f"key points: expected an explanation over {', '.join(_DIMS)} (got "
            f"{', '.join(explanation.dims)})"
        )
    maps = explanation.values.transpose(*_DIMS)
    frames, people = int(explanation.dataset.attrs["frames"]), maps.sizes["person"]
    if (
        points.ndim != 5
        or points.shape[:3] != (len(maps), 2, frames)
        or people not in (1, points.shape[4])
    ):
        raise ValueError(
            f"key points: expected points ({len(maps)} samples, 2, {frames} frames, joint, "
            f"{people} persons) (got {points.shape})"
        )
    nearest = np.rint(maps["time"].to_numpy()).astype(int).clip(0, frames - 1)
    there = np.moveaxis(points[:, :, nearest], 1, 0)  # (2, sample, cell, joint, person)
    seen = np.isfinite(there).all(axis=0)
    cells = [
        np.interp(np.where(seen, place, 0), maps[axis].to_numpy(), np.arange(maps.sizes[axis]))
        for axis, place in zip(("x", "y"), there, strict=True)
    ]
    values = np.where(seen, _bilinear(maps.to_numpy(), *cells), 0).astype(maps.dtype)
    attrs = explanation.dataset.attrs
    made = Explanation.build(
        values,
        ("sample", "time", "joint", "person"),
        method=explanation.method,
        label=str(attrs.get("method_label", "")),
        layer=explanation.layer,
        utility=explanation.utility,
        target=explanation.target,
        score=explanation.score,
        predicted=explanation.dataset.get("predicted"),
        settings=explanation.settings,
        coords={
            "sample": maps["sample"].to_numpy(),
            "time": maps["time"].to_numpy(),
            **({"joint": list(joints)} if joints else {}),
        },
        skeleton=explanation.skeleton,
        frames=frames,
        variables={"versus": explanation.dataset.get("versus")},
    )
    kept = {name: value for name, value in attrs.items() if name not in made.dataset.attrs}
    return made.assign(**kept)


def _bilinear(maps: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return maps (n, t, h, w, p) at fractional cells x and y (n, t, joint, person)."""
    height, width, people = maps.shape[2:]
    n, t, _, m = np.ogrid[tuple(slice(size) for size in x.shape)]
    m = m % people
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    found = np.zeros(x.shape)
    for row, high in ((top, 1 - (y - top)), ((top + 1).clip(max=height - 1), y - top)):
        for column, wide in ((left, 1 - (x - left)), ((left + 1).clip(max=width - 1), x - left)):
            found += high * wide * maps[n, t, row, column, m]
    return found
