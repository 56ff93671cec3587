"""Writes folders of key points in CSV files with a table of outcomes, as users have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def videos(folder: Path, joints: tuple[str, ...], frames: int = 40, count: int = 6) -> Path:
    """Write CSVs of key points and, beside the folder, a table of outcomes; return the table."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(5)
    rows = ["video,outcome,subject,fps"]
    for number in range(count):
        place = rng.uniform(100, 300, (1, len(joints), 2))
        moved = place + rng.normal(0, 5, (frames, len(joints), 2)).cumsum(axis=0)
        header = ",".join(f"{joint}_{axis}" for joint in joints for axis in "xy")
        np.savetxt(
            folder / f"v{number}.csv", moved.reshape(frames, -1), "%.3f", ",",
            header=header, comments="",
        )  # fmt: skip
        rows.append(f"v{number},{('low', 'high')[number % 2]},child{number // 2},30")
    table = folder.with_name(f"{folder.name}.csv")
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return table
