"""Steps of an experiment: which there are, what they are given, and what they write."""

from __future__ import annotations

from pathlib import Path

import pytest

from hargcn.pipeline.steps import (
    COMMANDS,
    by_command,
    one_by_one,
    run_step,
    with_files,
    written,
)


def test_files_lie_in_the_folder_of_a_part_and_nothing_else_does():
    found = with_files(
        {
            "out": "a.csv", "explanations": ["x.h5", "y.h5"], "table": "t.csv",
            "split": "decided.txt", "method": "shap", "windows": "../with.h5",
        },
        Path("part"),
    )  # fmt: skip
    assert found == {
        "out": Path("part/a.csv"),
        "explanations": [Path("part/x.h5"), Path("part/y.h5")],
        "table": Path("part/t.csv"),
        "split": "part/decided.txt",
        "method": "shap",
        "windows": Path("with.h5"),
    }
    assert with_files({"split": "test"}, Path("part")) == {"split": "test"}


@pytest.mark.parametrize(
    ("command", "out", "table"),
    [
        ("perturb", "cut.h5", "cut.csv"),
        ("rank", "ranking.png", "ranking.csv"),
        ("test", "test.json", "test.csv"),
        ("explain", "shap.h5", None),
        ("combine", "both.h5", None),
        # They draw a table of their own stem, which must stay.
        ("draw", "cut.png", None),
        ("draw_means", "correlation.png", None),
    ],
)
def test_tables_lie_beside_what_a_step_writes(command, out, table):
    assert written(command, {"out": out}) == table
    assert written(command, {}) is None


def test_own_arguments_win_and_changes_add_up(monkeypatch):
    called = {}

    def train(config, set_, out="", progress=True):
        called.update(config=config, set_=set_, out=out, progress=progress)

    monkeypatch.setitem(COMMANDS, "train", train)
    given = {"config": "c.yaml", "set_": ["train.seed=1"], "progress": False, "parts": {}}
    run_step("train", {"set_": ["train.epochs=2"], "out": "run"}, given)
    assert called == {
        "config": "c.yaml", "set_": ["train.epochs=2", "train.seed=1"], "out": "run",
        "progress": False,
    }  # fmt: skip


def test_reserved_words_need_no_underscore():
    assert one_by_one([{"train": {"set": ["train.epochs=1"]}}, {"rank": {"class": "wave"}}]) == [
        ("train", {"set_": ["train.epochs=1"]}),
        ("rank", {"class_": "wave"}),
    ]
    assert by_command({"test": None}) == {"test": {}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"train": {}}, r"Expected a list of \{command: \{argument: value\}\}"),
        ([{"train": {}, "test": {}}], "Expected a list of"),
        ([{"trian": {}}], "Expected a command of .*'trian'; did you mean 'train'"),
        ([{"train": {"ouut": 1}}], "Expected arguments of train .got 'ouut'; did you mean 'out'"),
        ([{"train": 3}], "Expected arguments of train, or nothing .got 3"),
    ],
)
def test_what_is_no_list_of_steps_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        one_by_one(given)


def test_what_is_no_mapping_of_commands_is_refused():
    with pytest.raises(ValueError, match=r"Expected \{command: \{argument: value\}\}"):
        by_command(["train"])
