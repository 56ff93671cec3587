"""What a user installs: it declares what it imports, brings its files, and works elsewhere."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.command_line import SMALL_DEMO, sets

import hargcn

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
VERSIONS = ("3.11", "3.12", "3.13")

# Where a package is imported under another name than it is installed.
IMPORTED_AS = {
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "torch-geometric": "torch_geometric",
}
NOT_IMPORTED = {
    "h5netcdf": "xarray opens an explanation with it",
}
"""Declared although no module imports it, and why."""


def imported() -> set[str]:
    """Return the packages that any module of hargcn imports."""
    names = set()
    for path in (ROOT / "hargcn").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(str(node.module).split(".")[0])
    return names - set(sys.stdlib_module_names) - {"hargcn"}


def test_what_is_declared_is_imported_and_the_reverse():
    declared = {re.match(r"[\w-]+", line)[0] for line in PROJECT["project"]["dependencies"]}
    packages, names = imported(), {name: IMPORTED_AS.get(name, name) for name in declared}
    extras = PROJECT["project"]["optional-dependencies"]
    own = ("formats", "video", "interactions", "ray")
    ours = [re.match(r"[\w-]+", line)[0] for name in own for line in extras[name]]
    optional = {name.replace("-", "_") for name in ours}
    assert packages <= {*names.values(), *optional}, "imported, but not declared"
    unused = {name for name, package in names.items() if package not in packages}
    assert unused == set(NOT_IMPORTED), "declared, but not imported: use it, or make it an extra"


def test_one_place_says_the_version():
    assert PROJECT["project"]["version"] == hargcn.__version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert "version" not in citation
    written = re.compile(rf"""["']{re.escape(hargcn.__version__)}["']""")
    assert not [p for p in (ROOT / "hargcn").rglob("*.py") if written.search(p.read_text())]


def test_the_supported_versions_of_python_are_named():
    lowest = PROJECT["project"]["requires-python"]
    assert lowest == f">={VERSIONS[0]}"
    prefix = "Programming Language :: Python :: "
    named = [c.removeprefix(prefix) for c in PROJECT["project"]["classifiers"]]
    assert tuple(c for c in named if re.fullmatch(r"3\.\d+", c)) == VERSIONS


def test_the_citation_names_us_and_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["authors"] == PROJECT["project"]["authors"]
    assert citation["license"] == PROJECT["project"]["license"]
    (paper,) = citation["references"]
    assert paper["authors"][0]["family-names"] == "Tempel"
    assert paper["title"] in (ROOT / "README.md").read_text(encoding="utf-8")


def done(*command: object, **options: Any) -> str:
    """Run a program that must succeed, apart from this checkout; return what it printed."""
    apart = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    made = subprocess.run(
        list(map(str, command)), env=apart, capture_output=True, text=True, check=False, **options
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy: building leaves files in its source."""
    folder = tmp_path_factory.mktemp("wheel")
    source = shutil.copytree(ROOT / "hargcn", folder / "source" / "hargcn").parent
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    done(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, source)
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(wheel):
    files = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "hargcn").rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert {"hargcn/py.typed", "hargcn/layouts.yaml", "hargcn/pipeline/demo.yaml"} <= files
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if name.startswith("hargcn/")} == files


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(wheel):
    """Its 1.7 GB go at once; pytest would keep them."""
    with tempfile.TemporaryDirectory() as name:
        programs, empty = Path(name) / "env" / "bin", Path(name) / "empty"
        empty.mkdir()
        venv.create(programs.parent, with_pip=True)
        pip = programs / "python", "-m", "pip", "install"
        done(*pip, "--constraint", ROOT / "constraints.txt", wheel)
        assert "hargcn demo" in done(programs / "hargcn", "--help", cwd=empty)
        said = done(programs / "hargcn", "demo", "--out", "out", *sets(SMALL_DEMO), cwd=empty)
        assert "where the positive attribution lies" in said
        assert (empty / "out" / "shap.h5").is_file()
        where = "import hargcn; print(hargcn.__file__, hargcn.__version__)"
        file, version = done(programs / "python", "-c", where, cwd=empty).split()
        assert Path(file).is_relative_to(programs.parent)
        assert version == PROJECT["project"]["version"]
