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


def test_preparing_costs_little_more_than_parsing(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    files = ntu_files.as_recorded(folder, FILES)
    megabytes = sum(file.stat().st_size for file in files) / 1e6
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
    table = [
        f"  {name:<24} {megabytes / took:6.0f} MB/s {took / floor:6.2f} x the floor\n"
        for name, took in found.items()
    ]
    sys.stdout.write(f"\n{FILES} files of NTU RGB+D, {megabytes:.0f} MB:\n" + "".join(table))
    assert found["reading"] <= 1.5 * floor
    assert found["prepare"] <= 3 * floor


def spent(*words: object) -> float:
    """Return the CPU seconds of a command and of the processes it began."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "hargcn", *map(str, words)]
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_two_processes_cost_little_more_than_one(tmp_path):
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
    whole = {workers: 56_880 * each / workers / 60 for workers, each in seconds.items()}
    sys.stdout.write(
        f"\nprepare of NTU RGB+D, CPU time a file: {1e3 * seconds[1]:.1f} ms in one process, "
        f"{1e3 * seconds[2]:.1f} ms in all where two read; 56,880 files at that: "
        f"{whole[1]:.1f} min on one core, {whole[2]:.1f} min on two\n"
    )
    assert seconds[2] <= 1.5 * seconds[1]
    assert whole[2] < 8
