"""Windows of a small figure that waves one joint per class: what training tests learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hargcn.cutting import WindowConfig
from hargcn.recording import Recording
from hargcn.skeleton import skeleton
from hargcn.splits import SplitConfig
from hargcn.windows import Windows, write_windows

LAYOUT = "inmotion19"
WAVING = (7, 11, 15)  # right wrist, left wrist, right ankle


def moving_windows(
    path: Path,
    classes: int = 3,
    groups: int = 4,
    per_group: int = 2,
    frames: int = 16,
    labels: bool = True,
    val: tuple[str, ...] = ("g1",),
    test: tuple[str, ...] = (),
) -> Windows:
    """Write recordings of two windows each; every group shows every class `per_group` times."""
    rng = np.random.default_rng(7)
    layout = skeleton(LAYOUT)
    pose = rng.normal(0, 0.5, (2, 1, layout.n_joints, 1))
    length = frames + frames // 2
    recordings = []
    for group in range(groups):
        for label in range(classes):
            for take in range(per_group):
                positions = pose + rng.normal(0, 0.02, (2, length, layout.n_joints, 1))
                phase = rng.uniform(0, 2 * np.pi)
                positions[1, :, WAVING[label], 0] += np.sin(np.arange(length) + phase)
                recordings.append(
                    Recording(
                        positions=positions,
                        valid=np.ones((length, 1), bool),
                        fps=30.0,
                        skeleton=layout,
                        sample=f"g{group}_c{label}_{take}",
                        group=f"g{group}",
                        label=label if labels else None,
                    )
                )
    return write_windows(
        path,
        recordings,
        [f"class{i}" for i in range(classes)],
        WindowConfig(length=frames, overlap=frames // 2),
        split=SplitConfig(test=test, val=val),
    )
