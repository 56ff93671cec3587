"""The pages' own JavaScript: linted, its types checked, and without a name twice."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from hargcn.report.page import MODULES, _script

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STATIC = ROOT / "hargcn/report/static"
PACKAGES = HERE / "node_modules"
NODE = shutil.which("node")

needs_node = pytest.mark.skipif(NODE is None, reason="needs node on the PATH")


def run(program: str, *arguments: object, said: str | None = None) -> tuple[int, str]:
    """Run a program of an npm package; return its status and what it found."""
    package = program.partition("/")[0]
    if not (PACKAGES / program).is_file():
        pytest.skip(f"needs the npm package {package}: `make browser` installs it")
    made = subprocess.run(
        [NODE, PACKAGES / program, *map(str, arguments)],
        cwd=ROOT, input=said, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return made.returncode, made.stdout + made.stderr


def lint(*arguments: object, said: str | None = None) -> tuple[int, str]:
    settings = HERE / "eslint.config.mjs"
    return run("eslint/bin/eslint.js", "--config", settings, *arguments, said=said)


def types(project: Path) -> tuple[int, str]:
    return run("typescript/bin/tsc", "--project", project)


@needs_node
def test_eslint_finds_nothing():
    assert lint(*STATIC.glob("*.mjs"), *HERE.glob("*.mjs")) == (0, "")


@needs_node
def test_eslint_would_find_a_fault():
    status, found = lint(
        "--stdin", "--stdin-filename", STATIC / "fault.mjs",
        said="export const size = () => documnet.title;\n",
    )  # fmt: skip
    assert status == 1
    assert "'documnet' is not defined" in found


@needs_node
def test_types_hold():
    assert types(HERE) == (0, "")


@needs_node
@pytest.mark.parametrize(
    ("module", "right", "wrong", "found"),
    [
        ("map", "@param {number[]} times centre frames of", "@param {string} times of", "TS2345"),
        ("dom", " * @param {HTMLCanvasElement} canvas\n", "", "TS7006"),
    ],
)
def test_a_wrong_type_would_be_found(tmp_path, module, right, wrong, found):
    """In a copy of the modules, with the project's own settings."""
    for file in STATIC.glob("*.mjs"):
        shutil.copy(file, tmp_path)
    text = (tmp_path / f"{module}.mjs").read_text(encoding="utf-8")
    assert right in text
    (tmp_path / f"{module}.mjs").write_text(text.replace(right, wrong), encoding="utf-8")
    settings = json.loads((HERE / "tsconfig.json").read_text(encoding="utf-8"))
    settings["compilerOptions"]["typeRoots"] = [str(PACKAGES)]
    settings["include"] = ["*.mjs"]
    (tmp_path / "tsconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    status, said = types(tmp_path)
    assert status != 0
    assert found in said
    assert "cannot find" not in said.lower(), "it fails for another reason"


@needs_node
def test_modules_share_a_scope_without_a_name_twice(tmp_path):
    """A page puts them together in one; node refuses a name that is declared again."""
    whole = tmp_path / "page.js"
    whole.write_text(_script(), encoding="utf-8")
    made = subprocess.run([NODE, "--check", whole], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


def test_every_module_stands_on_the_page():
    """But data.mjs, which holds types alone."""
    assert {file.stem for file in STATIC.glob("*.mjs")} == {*MODULES, "data"}
    code = (STATIC / "data.mjs").read_text(encoding="utf-8").partition("*/")[2]
    assert code.strip() == "export {};"


def test_the_charts_types_are_those_of_their_library():
    """The types come from npm, the library lies here: one version of both."""
    packages = json.loads((HERE / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    note = (STATIC / "uPlot.md").read_text(encoding="utf-8")
    assert note.startswith(f"uPlot {packages['uplot']},")
    assert all(version[0].isdigit() for version in packages.values()), "exact versions"
