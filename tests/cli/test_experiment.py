from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.command_line import SMALL_DEMO, done, refused, run, sets

DEMO = Path(__file__).resolve().parents[2] / "hargcn" / "pipeline" / "demo.yaml"
TINY = f"""
question: What is seen?
extends: {DEMO}
steps: [synthesise: , train: , test: {{out: test.json}}]
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A checkout with one experiment; the command runs inside."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "hargcn"\n', encoding="utf-8")
    config = tmp_path / "experiments" / "tiny" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(TINY, encoding="utf-8")
    monkeypatch.chdir(config.parent)
    return tmp_path


@pytest.mark.usefixtures("checkout")
def test_without_a_name_they_are_listed():
    said = done("experiment")
    assert "tiny" in said
    assert "What is seen?" in said


def test_an_experiment_runs_and_says_where_its_results_are(checkout):
    out = checkout / "out"
    ended = run("experiment", "tiny", "--out", out, *sets(SMALL_DEMO))
    assert (ended.code, ended.out) == (0, f"{out}\n")
    assert "3/3 test test.json" in ended.err
    assert (out / "test.json").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("checkout")
def test_broken_commands_are_refused_in_one_line(tmp_path):
    line = refused("experiment", "tinny")
    assert line == "Expected an experiment of tiny (got 'tinny'; did you mean 'tiny'?)"
    assert "unknown key 'train.epoch'" in refused("experiment", "tiny", "--set", "train.epoch=3")
    (tmp_path / "pyproject.toml").unlink()
    assert "expected a folder in a checkout of hargcn" in refused("experiment")
