"""What a long explanation costs and what the machine has."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Forecast:
    """Cost of an explanation, extrapolated from a few rows.

    Attributes
    ----------
    seconds : float
        Time.
    bytes : int
        Memory of the background's graph.
    chunk : int
        Background rows per graph that fit the memory limit.
    samples, rows : int
        Explained samples and background rows.
    """

    seconds: float
    bytes: int
    chunk: int
    samples: int
    rows: int

    def __str__(self) -> str:
        return (
            f"{self.samples} samples x {self.rows} background rows in chunks of {self.chunk}: "
            f"about {duration(self.seconds)}, {self.bytes / 2**30:.1f} GiB"
        )


def duration(seconds: float) -> str:
    """Return a time in words: minutes and seconds, or hours and minutes."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def available_memory(device: torch.device | None = None) -> int:
    """Bytes that are free on a device, by default the main memory."""
    if device is not None and device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
