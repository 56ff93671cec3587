"""What is noted of steps: which are done, how long they took, and how long the rest will take."""

from __future__ import annotations

import pytest

from hargcn.pipeline.journal import Journal, keys, time_left, write_seconds

STEPS = [("prepare", {}), ("train", {"set_": ["train.epochs=2"]}), ("rank", {"out": "a.png"})]


def noted(file, count=3, ended=False):
    journal = Journal.open(file)
    for key, (command, _) in [*zip(keys("", [], STEPS), STEPS, strict=True)][:count]:
        journal.note(key, command, 1.234, ended=ended)
    return Journal.open(file)


def test_what_is_done_is_kept(tmp_path):
    journal = noted(tmp_path / "steps.json")
    assert journal.kept(keys("", [], STEPS)) == 3
    assert [each["seconds"] for each in journal.entries] == [1.23] * 3


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_what_follows_from_another_step_is_not_kept(tmp_path, changed):
    journal = noted(tmp_path / "steps.json")
    steps = [*STEPS]
    steps[changed] = (steps[changed][0], {"out": "another.csv"})
    assert journal.kept(keys("", [], steps)) == changed


@pytest.mark.parametrize(("before", "base"), [("other", []), ("", ["other code"])])
def test_nothing_is_kept_that_follows_from_other_sections_or_code(tmp_path, before, base):
    assert noted(tmp_path / "steps.json").kept(keys(before, base, STEPS)) == 0


def test_a_journal_is_cut_where_steps_are_done_again(tmp_path):
    journal = noted(tmp_path / "steps.json", ended=True)
    assert journal.ended
    journal.cut(1)
    assert [each["command"] for each in Journal.open(tmp_path / "steps.json").entries] == [
        "prepare"
    ]
    journal.cut(0)
    assert not journal.ended


@pytest.mark.parametrize("text", ["", "{}", '[{"key": 1}]', "[1]", "\xff"])
def test_what_is_no_journal_counts_as_none(tmp_path, text):
    (tmp_path / "steps.json").write_text(text, encoding="latin-1")
    assert Journal.open(tmp_path / "steps.json").entries == []


def test_a_forecast_adds_what_such_steps_took(tmp_path):
    took = [("a", "steps", "train", 60.0), ("a", "steps", "explain", 10.0)]
    took += [("a", "steps", "explain", 30.0), ("b", "steps", "explain", 100.0)]
    write_seconds(took, tmp_path / "seconds.csv")
    explains = [("a", "steps", "explain")] * 3  # of 20 s on average in this case
    said = time_left(tmp_path / "seconds.csv", [("a", "steps", "train"), *explains])
    assert said.startswith("4 steps to do: about 2 min 00 s, as on the ")
    unknown = [("c", "steps", "explain")]  # the mean of the cases that are known
    assert "1 step to do: about 1 min 00 s" in time_left(tmp_path / "seconds.csv", unknown)


def test_a_forecast_says_what_it_does_not_know(tmp_path):
    said = time_left(tmp_path / "seconds.csv", [("a", "steps", "train")])
    assert said == "1 step to do; how long they take is not known before a first whole run"
    assert time_left(tmp_path / "seconds.csv", []).startswith("nothing to do")
