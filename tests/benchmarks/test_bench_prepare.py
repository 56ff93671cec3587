"""NTU RGB+D: reading `.skeleton` files, and `prepare`, against plain parsing of the same numbers.

The floor splits the text of the files into words and makes a Python float of each. Files are
generated with the sizes and digits of the published ones; CPU time on one thread, in turns.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures import ntu_files
from fixtures.cp_network import in_turns

from hargcn.data.readers.ntu import NTU
from hargcn.pipeline.prepare import prepare

pytestmark = pytest.mark.slow
FILES, ROUNDS = 60, 5
SPLIT = {"split": {"test": ["P003", "P006"]}}


def plain(files: list[Path]) -> None:
    for file in files:
        list(map(float, file.read_bytes().split()))


def test_preparing_costs_little_more_than_parsing(tmp_path, judge):
    folder = tmp_path / "files"
    folder.mkdir()
    files = ntu_files.as_recorded(folder, FILES)
    reader = NTU()
    found = in_turns(
        ROUNDS,
        {
            "floor: words and floats": lambda: plain(files),
            "reading": lambda: [reader.read(file) for file in files],
            "prepare": lambda: prepare(
                folder, tmp_path / "out.h5", SPLIT, format="ntu", force=True
            ),
        },
    )
    floor = found["floor: words and floats"]
    words = "words of the files made floats"
    judge("reading NTU RGB+D", found["reading"] / floor, words, most=1.5)
    judge("prepare of NTU RGB+D", found["prepare"] / floor, words, most=3)


def spent(*words: object) -> float:
    """Return the CPU seconds of a command and of the processes it began."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "hargcn", *map(str, words)]
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_two_processes_cost_little_more_than_one(tmp_path, judge):
    """Seconds per file without what a start costs: of 420 files less those of 60, through links."""
    few, many = tmp_path / "few", tmp_path / "many"
    few.mkdir()
    many.mkdir()
    for file in ntu_files.as_recorded(few, FILES):
        for copy in range(7):
            (many / file.name.replace("C001", f"C{copy:03d}")).symlink_to(file)
    seconds = {}
    for workers in (1, 2):
        words = ("--set", "split={test: [P003]}", "--force", "--workers", workers)
        took = [
            min(spent("prepare", folder, *words, "--out", tmp_path / "out.h5") for _ in range(2))
            for folder in (few, many)
        ]
        seconds[workers] = (took[1] - took[0]) / (6 * FILES)
    judge("prepare --workers 2, CPU time", seconds[2] / seconds[1], "one process", most=1.5)
    whole = 56_880 * seconds[2] / 2 / 60
    judge("prepare of 56,880 files, two cores", whole, "extrapolated", most=8, unit="min")
