"""The script of `hargcn job --slurm`, run as Slurm would, makes the file of one process."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from fixtures.command_line import done, refused

from hargcn import Explanation, hdf5

ROOT = Path(__file__).resolve().parents[2]
SBATCH = """#!/bin/sh
echo "$@" >> asked.txt
echo 17
"""


@pytest.fixture
def script(checkpoint, waving, tmp_path, monkeypatch):
    """A script in a folder of its own, whose sbatch notes what it is asked."""
    monkeypatch.chdir(tmp_path)
    words = ("explain", checkpoint, waving, "--split", "all", "--limit", 7, "--shard", 2)
    done("job", "--slurm", "--parts", 3, "--option=--time=1:00", "-o", "s.sh", "--", *words,
         "--out", "far.h5")  # fmt: skip
    done(*words, "--out", "here.h5")
    (tmp_path / "sbatch").write_text(SBATCH)
    (tmp_path / "sbatch").chmod(0o755)

    def run(*arguments: str, task: str = "") -> None:
        subprocess.run(
            ["sh", "s.sh", *arguments], check=True, capture_output=True,
            env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
                 "PYTHONPATH": str(ROOT), "SLURM_ARRAY_TASK_ID": task},
        )  # fmt: skip

    return run


def test_it_submits_an_array_and_what_joins_it(script, tmp_path):
    script()
    array, join = map(shlex.split, Path("asked.txt").read_text().splitlines())
    path = str(tmp_path / "s.sh")
    assert array == ["--parsable", "--array=0-2", "--time=1:00", path, "part"]
    assert join == ["--dependency=afterany:17", "--time=1:00", path, "join"]


@pytest.mark.slow
def test_parts_are_joined_to_the_file_of_one_process(script):
    for task in ("2", "0"):  # the one between them never ran: the last job makes what is left
        script("part", task=task)
        assert not Path("far.h5").exists()
    notes = sorted(path.name for path in Path("far.h5.parts").glob("*.done"))
    assert notes == ["00000.done", "00002.done", "00003.done"]
    script("join")
    assert not Path("far.h5.parts").exists()
    one, other = (Explanation.open(name).dataset for name in ("here.h5", "far.h5"))
    assert one.identical(other)
    assert hdf5.sealed_digest("here.h5") == hdf5.sealed_digest("far.h5")


def test_what_makes_no_array_is_refused(tmp_path, checkpoint, waving):
    words = ("job", "--out", tmp_path / "s.sh", "--")
    explain = ("explain", checkpoint, waving, "--out", "x.h5")
    assert refused(*words, *explain).startswith("Expected --slurm")
    slurm = ("job", "--slurm", *words[1:])
    assert refused(*slurm, "rank", "x.h5").startswith("Expected the command explain behind --")
    assert refused(*slurm, *explain, "--part", "0/2").startswith("Expected the command explain")
    assert "No such option" in refused(*slurm, *explain, "--metod", "shap")
    part = ("explain", checkpoint, waving, "--out", tmp_path / "x.h5", "--part")
    assert refused(*part, "2/2").startswith("Expected --part K/N with K from 0 to N - 1")
    assert refused(*part, "0/2", "--engine", "ray").startswith("--part 0/2: expected neither")
    assert not list(tmp_path.iterdir())
