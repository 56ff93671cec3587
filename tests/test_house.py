"""The house as a whole: few rooms, no circles, one meaning a name, tests that run once."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

import hargcn

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = PROJECT["tool"]["importlinter"]["contracts"]
FILES = sorted((ROOT / "hargcn").rglob("*.py"))

SHARED_NAMES = {
    "checked": "settings against their class; a file that is opened against its digest",
    "convert": "a checkpoint file of the published code; the pipeline's reads names of classes too",
    "correlate": "layers' maps with one layer's; the pipeline's makes the maps first",
    "check": "refuses what the functions of its module cannot take",
    "show": "a window in a notebook; the pipeline's draws strips and clips into files",
    "ordering": "joints from the most to the least important; a measure breaks ties at random",
}
"""Public names that several modules define, and why."""


def room(module: str) -> str:
    """Return the top-level module or package that a module belongs to."""
    return ".".join(module.split(".")[:2])


@pytest.fixture(scope="module")
def arrows() -> dict[str, dict[str, str]]:
    """Map every room to the rooms it imports, each with an example."""
    graph = grimp.build_graph("hargcn", exclude_type_checking_imports=True, cache_dir=None)
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for module in sorted(graph.modules - {"hargcn", "hargcn.__main__"}):
        found[room(module)]  # a room is one even if it imports nothing
        for other in sorted(graph.find_modules_directly_imported_by(module)):
            if room(other) != room(module):
                found[room(module)][room(other)] = f"{module} imports {other}"
    return dict(found)


def test_the_house_has_few_rooms(arrows):
    assert 15 <= len(arrows) <= 21, sorted(arrows)


def test_rooms_do_not_import_in_a_circle(arrows):
    order = list(TopologicalSorter(arrows).static_order())  # raises CycleError
    assert order.index("hargcn.checks") < order.index("hargcn.explainers")


def test_every_room_has_its_floor_and_nothing_imports_upwards(arrows):
    floors = next(contract["layers"] for contract in CONTRACTS if contract["type"] == "layers")
    # The front door leads to all rooms below the command line, so only that may use it.
    height = {"hargcn": len(floors) - 1.5}
    for number, floor in enumerate(reversed(floors)):
        height |= dict.fromkeys(floor.split(" : "), number)
    assert set(height) - {"hargcn"} == set(arrows)
    upwards = [
        example
        for here, others in arrows.items()
        for there, example in others.items()
        if height[there] > height[here]
    ]
    assert not upwards


def test_the_contract_is_short_and_without_exceptions():
    layers = [contract for contract in CONTRACTS if contract["type"] == "layers"]
    assert len(layers) == 1
    assert len(layers[0]["layers"]) <= 8
    for contract in CONTRACTS:
        known = {"name", "type", "layers", "source_modules", "forbidden_modules"}
        assert set(contract) <= known, "an exception is a hole in the house"


def test_a_module_has_at_most_500_lines():
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert len(lines) > 100
    assert not [f"{path}: {number}" for path, number in lines.items() if number > 500]


def test_a_public_name_has_one_meaning():
    """Commands apart: each has the name of what it calls."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in FILES:
        module = str(path.relative_to(ROOT))
        if module.startswith("hargcn/cli/"):
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(module)
    shared = {name: where for name, where in places.items() if len(where) > 1}
    new = {name: where for name, where in shared.items() if name not in SHARED_NAMES}
    assert not new, "rename one, or say in SHARED_NAMES why not"
    assert set(SHARED_NAMES) <= set(shared), "no longer shared: strike it from SHARED_NAMES"


def test_the_front_door_shows_all_it_has():
    assert dir(hargcn) == sorted(hargcn.__all__)
    for name in hargcn.__all__:
        assert getattr(hargcn, name) is not None
    with pytest.raises(AttributeError, match="module 'hargcn' has no attribute 'NoSuchThing'"):
        _ = hargcn.NoSuchThing


@pytest.mark.slow
def test_a_type_checker_knows_every_public_name(tmp_path):
    names = ", ".join(hargcn.__all__)
    lines = [
        f"from hargcn import {names}",
        "from hargcn import NoSuchThing  # wrong",
        "import hargcn",
        "hargcn.load_model('model.safetensors').classes",
        "hargcn.load_model(1)  # wrong",
        "hargcn.no_such_thing  # wrong",
        "from hargcn.explainers import DeepSHAP, GradCAM",
        "from hargcn.explainers import NoSuchThing  # wrong",
        "GradCAM('main.1.tcn', relu=True)",
        "GradCAM('main.1.tcn', rely=True)  # wrong",
        "hargcn.explainers.NoSuchMethod  # wrong",
    ]
    file = tmp_path / "user.py"
    file.write_text("\n".join(lines), encoding="utf-8")
    made = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", str(file)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = [int(line) for line in re.findall(r"user\.py:(\d+): error", made.stdout)]
    wrong = [number for number, line in enumerate(lines, 1) if line.endswith("# wrong")]
    assert found == wrong, made.stdout + made.stderr


def test_make_runs_the_tests_of_every_marker():
    """`data` and `gpu` say what a test needs, `remake` has a target, the others test-rest."""
    marks = {mark.split(":")[0] for mark in PROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    rest = re.search(r"^REST := (.+)$", makefile, re.M)[1]
    assert set(rest.split(" or ")) == marks - {"data", "gpu", "remake"}
    assert '-m "not ($(REST) or remake)"' in makefile
    assert '-m "$(REST)"' in makefile
    assert "-m remake" in makefile


@pytest.fixture
def apart(tmp_path):
    """A folder with the Makefile, an environment that is up to date, and programs of its own."""
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text(encoding="utf-8"))
    for name in ("pyproject.toml", "constraints.txt", "requirements-peers.txt"):
        (tmp_path / name).touch()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / ".installed").touch()
    (tmp_path / "bin").mkdir()

    def program(name: str, does: str) -> None:
        file = tmp_path / name
        file.write_text(f"#!/bin/sh\n{does.replace('SAY', f'echo {file.name} $* >> {log}')}\n")
        file.chmod(0o755)

    def browser() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [shutil.which("make"), "browser"], cwd=tmp_path, env={"PATH": str(tmp_path / "bin")},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    log = tmp_path / "log"
    return program, browser, log


@pytest.mark.parametrize("user", [0, 1000])
def test_what_browser_tests_need_is_said_where_it_cannot_be_had(apart, user):
    program, browser, _ = apart
    program(".venv/bin/python", "exit 1")
    program("bin/id", f"echo {user}")
    if user:
        program("bin/apt-get", "echo may not; exit 1")
    made = browser()
    assert made.returncode == 0, made.stderr
    lines = made.stdout.splitlines()
    assert [line.split(":")[1].split()[1] for line in lines] == ["playwright", "chromium", "eslint"]


def test_what_browser_tests_need_is_installed_where_it_can_be(apart):
    program, browser, log = apart
    for name in (".venv/bin/python", "bin/apt-get", "bin/npm"):
        program(name, "SAY")
    program("bin/id", "echo 0")
    made = browser()
    assert (made.returncode, made.stdout) == (0, "")
    python, update, install, npm = log.read_text().splitlines()
    assert "-c constraints.txt" in python
    assert python.endswith(".[browser]")
    assert (update, install.split()[-1]) == ("apt-get update -q", "chromium")
    assert "--prefix tests/report --no-package-lock" in npm
    program("bin/chromium", "exit 0")
    log.unlink()
    browser()
    assert "apt-get" not in log.read_text(), "it is there already"


def test_ci_runs_the_browser_s_tests_where_it_may():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("make")] == [
        "make test", "make browser", "make test-rest"
    ]  # fmt: skip


@pytest.mark.slow
def test_what_reads_outside_files_is_marked_and_skipped_without_them(tmp_path):
    (tmp_path / "empty").mkdir()
    file = tmp_path / "test_outside.py"
    file.write_text(
        "def test_recordings(data_root): raise AssertionError\n"
        "def test_networks(golden_root): raise AssertionError\n"
        "def test_neither(): raise AssertionError\n",
        encoding="utf-8",
    )
    made = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", ROOT / "pyproject.toml", "-p", "conftest",
         "-p", "no:cacheprovider", "-m", "data", file],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT}",
             "HARGCN_DATA": str(tmp_path / "empty"), "HARGCN_GOLDEN": str(tmp_path / "absent")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "2 skipped, 1 deselected" in made.stdout, made.stdout + made.stderr
    assert "set HARGCN_DATA" in made.stdout
    assert "set HARGCN_GOLDEN" in made.stdout
