"""Explanations with known content, for tests of what only reads explanations."""

from __future__ import annotations

import numpy as np

from hargcn.explanation import Explanation
from hargcn.skeleton import Skeleton, skeleton

FRAMES = 24


def explanation(values, dims, *, method="shap", layer="", targets=None, frames=FRAMES, **names):
    """Build an explanation of (sample, ...) values; `skeleton` and coordinates by keyword."""
    values = np.asarray(values, dtype=float)
    layout = names.pop("skeleton", None)
    if layout is not None and "joint" in dims:
        names.setdefault("joint", layout.joints)
    count = len(values)
    return Explanation.build(
        values,
        dims,
        method=method,
        layer=layer,
        target=np.zeros(count, int) if targets is None else targets,
        score=np.linspace(1.5, 2.5, count),
        coords=names,
        skeleton=layout,
        frames=frames,
    )


def shap_like(count=8, layout: Skeleton | None = None, persons=1, seed=0, **names) -> Explanation:
    """Input attributions (sample, branch, channel, time, joint, person), random."""
    layout = layout or skeleton("kinect20")
    channels = 2 * layout.ndim
    values = np.random.default_rng(seed).normal(
        size=(count, 2, channels, FRAMES, layout.n_joints, persons)
    )
    dims = ("sample", "branch", "channel", "time", "joint", "person")
    return explanation(values, dims, skeleton=layout, branch=["J", "V"], **names)


def cam_like(
    count=8,
    layout: Skeleton | None = None,
    persons=1,
    cells=6,
    seed=1,
    layer="main.1.attention",
    **names,
) -> Explanation:
    """A class activation map (sample, time, joint, person) on coarse cells, random."""
    layout = layout or skeleton("kinect20")
    values = np.random.default_rng(seed).normal(size=(count, cells, layout.n_joints, persons))
    step = FRAMES / cells
    names.setdefault("time", (np.arange(cells) + 0.5) * step - 0.5)
    dims = ("sample", "time", "joint", "person")
    return explanation(values, dims, method="gradcam", layer=layer, skeleton=layout, **names)
