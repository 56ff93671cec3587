from __future__ import annotations

import os
import time

import pytest

from hargcn.checks import at_least, nearest, one_of, plain_yaml, read_yaml, writable


def test_one_of_names_the_argument_its_values_and_the_nearest():
    assert one_of("--on", "a", ("a", "b")) == "a"
    expected = r"Expected --on of branches, positions \(got 'branch'; did you mean 'branches'\?\)"
    with pytest.raises(ValueError, match=expected):
        one_of("--on", "branch", ("branches", "positions"))


def test_nothing_is_near_to_a_word_of_its_own():
    assert nearest("zzz", ("branches", "positions")) == ""
    assert nearest("gradcan", ("shap", "gradcam")) == "; did you mean 'gradcam'?"


def test_at_least_refuses_what_is_less_and_takes_none():
    for value in (None, 1, 7):
        at_least("limit", value, 1)
    with pytest.raises(ValueError, match=r"^Expected limit of at least 1 \(got 0\)$"):
        at_least("limit", 0, 1)


def test_outputs_that_can_be_written_come_as_paths(tmp_path):
    given = tmp_path / "in.h5"
    given.write_text("", "utf-8")
    out = tmp_path / "new" / "deep" / "out.h5"
    assert writable(str(out), given, str(given), suffix=".h5") == out
    assert writable(given) == given  # an earlier result
    assert not out.parent.exists()


def test_outputs_that_cannot_be_written_are_refused(tmp_path):
    given, block, pipe = (tmp_path / name for name in ("in.h5", "file", "pipe"))
    given.write_text("", "utf-8")
    block.write_text("", "utf-8")
    os.mkfifo(pipe)
    for out, said in [
        (tmp_path, r"expected a file to write \(it is a folder\)"),
        (pipe, r"pipe: expected a file to write \(it is neither file nor folder\)"),
        ("/dev/null", r"/dev/null: expected a file to write \(it is neither"),
        (block / "deep" / "x.h5", "expected a file in a folder .*file is a file"),
        (tmp_path / "." / "in.h5", "expected another file to write than an input"),
    ]:
        with pytest.raises(ValueError, match=said):
            writable(out, tmp_path / "no.h5", given)
    with pytest.raises(ValueError, match=r"x\.png: expected a name ending in \.csv"):
        writable(tmp_path / "x.png", suffix=".csv")


def test_a_checkpoints_card_is_an_input_as_well(tmp_path):
    checkpoint, card = tmp_path / "m.safetensors", tmp_path / "m.json"
    for path in (checkpoint, card):
        path.write_text("kept", encoding="utf-8")
    for path in (checkpoint, card):
        with pytest.raises(ValueError, match="expected another file to write than an input"):
            writable(path, checkpoint)
    assert writable(tmp_path / "n.json", checkpoint) == tmp_path / "n.json"


DOUBLED = "\n".join(
    ["a0: &a0 [1, 1]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60))]
)
"""Sixty lines of aliases that stand for 2 ** 60 values."""


@pytest.mark.parametrize(
    "text",
    [
        DOUBLED,
        DOUBLED.replace("&a59 [*a58, *a58]", "&a59 {<<: [*a58, *a58]}"),
        "a: &a [*a]",
        "[" * 5000,
        "a: " + "[" * 5000 + "]" * 5000,
        "? " * 5000,
        "\n".join(" " * i + "a:" for i in range(300)),
        "[" + "1, " * 30_000 + "]",
        "a: 1\n" * 20_000,
        "x" * 10**6,
    ],
    ids=["aliases", "merges", "endless", "open", "lists", "keys", "indented", "values", "pairs",
         "bytes"],
)  # fmt: skip
def test_yaml_bombs_are_refused_in_a_line_before_anything_is_built(tmp_path, text):
    path = tmp_path / "bomb.yaml"
    path.write_text(text, "utf-8")
    began = time.perf_counter()
    with pytest.raises(ValueError, match=r"bomb\.yaml: expected YAML of at most 65536 bytes") as no:
        read_yaml(path)
    assert time.perf_counter() - began < 5  # seconds; less than one on a machine at rest
    assert len(str(no.value)) < 300


@pytest.mark.parametrize(
    "text",
    [
        "a: [", "!!bool x", "!!int ''", "!!timestamp x", "2026-99-99", "*b", "!!python/name:os.x",
        "'" + "x" * 9000, "9" * 5000, "? [a]\n: 1", "a: !" + "t" * 3000 + " 1",
    ],
)  # fmt: skip
def test_what_is_no_yaml_is_refused_in_a_short_line(text):
    with pytest.raises(ValueError, match=r"^--set: expected YAML \(") as no:
        plain_yaml(text, "--set")
    assert "\n" not in str(no.value)
    assert len(str(no.value)) < 200


def test_yaml_with_aliases_and_merges_is_read():
    text = "a: &a {x: [1, 2]}\nb: {<<: *a, y: 2026-01-31}\nc: [*a, *a]"
    found = plain_yaml(text, "--set")
    assert found["b"]["x"] == [1, 2]
    assert found["c"] == [{"x": [1, 2]}] * 2
