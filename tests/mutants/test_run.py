from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

for needed in ("mutmut", "libcst", "coverage"):
    pytest.importorskip(needed, reason="needs the extra `mutants`")
HERE = Path(__file__).parent
ROOT = HERE.parents[1]

SUMS = '''"""Sums."""

from typing import NamedTuple

LIMIT = 3


class Span(NamedTuple):
    """A span."""

    start: int = 0

    @property
    def next(self) -> int:
        """One more."""
        return self.start + 1


def total(values: list[int]) -> int:
    """Add up."""
    found = 0
    while values:
        found += values.pop()
    if found < 0:
        raise ValueError("expected more than " + str(0))
    return found


def limited(value: int) -> int:
    """At most."""
    return min(value, LIMIT)
'''
TESTS = """
from toy.room.sums import Span, limited, total

def test_total(): assert total([1, 2]) == 3
def test_limited(): assert limited(1) == 1
def test_span(): assert Span().next == 1
"""
NAMED = [
    ("total starts at 1", "found = 0", "found = 1", "failed"),
    ("it never ends", "found += values.pop()", "found += 1", "SIGXCPU"),
    ("a property", "self.start + 1", "self.start + 2", "failed"),
    ("a setting", "start: int = 0", "start: int = 1", "failed"),
    ("no module", "LIMIT = 3", "LIMIT = absent", "failed"),
    ("a larger limit", "LIMIT = 3", "LIMIT = 4", ""),
    ("listed", "found < 0", "found < -1", ""),
]


def files(root: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in root.rglob("*.py")}


def toy(root: Path) -> None:
    for folder in ("toy/room", "tests/room"):
        (root / folder).mkdir(parents=True)
    for package in ("toy/__init__.py", "toy/room/__init__.py"):
        (root / package).touch()
    (root / "toy/room/sums.py").write_text(SUMS)
    (root / "tests/room/test_sums.py").write_text(TESTS)
    rows = [{"what": w, "file": "toy/room/sums.py", "old": o, "new": n} for w, o, n, _ in NAMED]
    (root / "named.yaml").write_text(yaml.safe_dump(rows))
    excuse = {"old": "if found < 0:", "new": "if found < -1:", "reason": "Nobody sums debts."}
    (root / "unnoticed.yaml").write_text(yaml.safe_dump([{"file": "toy/room/sums.py", **excuse}]))


def run(root: Path, number: int = 0) -> str:
    command = [sys.executable, HERE / "run.py", "--root", root, "--package", "toy"]
    command += ["--rooms", "room", "--lists", root, "--warm", "", "--patience", "1"]
    made = subprocess.run(
        [*map(str, command), "--number", str(number)],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout


@pytest.mark.slow
def test_faults_are_noticed_or_listed_and_no_file_is_changed(tmp_path):
    toy(tmp_path)
    before = files(tmp_path)
    told = run(tmp_path)
    for number, (_, _, _, how) in enumerate(NAMED[:6], 1):
        line = next(row for row in told.splitlines() if row.startswith(f"{number}/6 "))
        assert (how or "NOT NOTICED") in line, told
    assert "| all | 7 | 5 | 71.4% |" in told
    assert "LIMIT = 4`\n    - NO REASON GIVEN" in told
    assert "found < -1:`\n    - Nobody sums debts." in told
    assert files(tmp_path) == before
    assert "1/" not in run(tmp_path), "what is known is done again"


def making():
    spec = importlib.util.spec_from_file_location("making", HERE / "making.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["making"] = module
    spec.loader.exec_module(module)
    return module


def test_a_sample_is_repeated_by_its_seed_and_leaves_texts_alone(tmp_path):
    toy(tmp_path)
    make = making()
    whole = make.sample(tmp_path, ["toy/room"], 200, 1)
    assert [m.key for m in whole] == [m.key for m in make.sample(tmp_path, ["toy/room"], 200, 1)]
    assert len({m.key for m in whole}) == len(whole) >= 10
    for mutant in whole:
        compile(mutant.text, mutant.file, "exec")
        assert mutant.old != mutant.new
        assert not {"expected", '"""', "->", "int:"} & set(mutant.old.split())
    few, other = (make.sample(tmp_path, ["toy/room"], 6, seed) for seed in (1, 2))
    assert {m.key for m in few} < {m.key for m in whole}
    assert {m.key for m in few} != {m.key for m in other}
    # A change elsewhere leaves the choice alone.
    source = tmp_path / "toy/room/sums.py"
    source.write_text(SUMS + "\n\ndef same(value: int) -> int:\n    return value\n")
    assert {m.new for m in make.sample(tmp_path, ["toy/room"], 6, 1)} == {m.new for m in few}


def test_every_named_fault_has_its_place():
    found = making().named(ROOT, HERE / "named.yaml")
    assert len(found) >= 11
    assert all(mutant.what and mutant.lines for mutant in found)


def test_every_fault_that_is_given_up_has_its_reason():
    listed = yaml.safe_load((HERE / "unnoticed.yaml").read_text(encoding="utf-8"))
    changes = [(each["file"], each["old"], each["new"]) for each in listed]
    assert len(set(changes)) == len(changes)
    for each in listed:
        assert set(each) == {"file", "old", "new", "reason"}
        kind, _, why = each["reason"].partition(". ")
        assert kind in ("Equivalent", "A choice", "A text")
        assert len(why.split()) >= 3
        assert (ROOT / each["file"]).is_file()
