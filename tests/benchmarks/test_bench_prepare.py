"""NTU RGB+D: reading `.skeleton` files, and `prepare`, against plain parsing of the same numbers.

The floor splits the text of the files into words and makes a Python float of each. Files are
generated with the sizes and digits of the published ones; CPU time on one thread, in turns.
"""

from __future__ import annotations

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
