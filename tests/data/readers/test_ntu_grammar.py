"""By lines or word by word: both must give the same, of whole files and of broken ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures import ntu_files
from fixtures.ntu_files import ANNA, BERT, standing, together, track
from hypothesis import given, settings
from hypothesis import strategies as st

from hargcn.data.readers import ntu_grammar
from hargcn.data.readers.ntu_grammar import read_bodies

WHOLE = ntu_files.text(
    together(6, track(standing(), range(6), 0.3, ANNA), track(standing(1), range(2, 5), 0.1, BERT))
)
WORDS = (
    "far", "nan", "-inf", "1_0", "", "26", "24", "-1", "0", "2", "1e400", "0x1", "1.5", "\x1c", "é",
    "\x00", "1\x00", "1.0-2.0", "1,2", '"1"', "#", "9" * 20, "+3", "٣", "1\u00a02", "\r", ANNA,
)  # fmt: skip


def outcome(path: Path) -> tuple[Any, ...]:
    """Return what was read, or what was said."""
    try:
        seen = read_bodies(path)
    except ValueError as error:
        return (str(error),)
    return (seen.frames, seen.frame, seen.slot, seen.identity, seen.joints.tobytes())


def both(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    with monkeypatch.context() as patch:
        patch.setattr(ntu_grammar, "_by_lines", lambda _text: None)
        slow = outcome(path)
    return [outcome(path), slow]


def test_bodies_in_the_order_of_the_file(tmp_path):
    path = tmp_path / "a.skeleton"
    path.write_text(WHOLE)
    seen = read_bodies(path)
    assert (seen.frames, seen.frame) == (6, [0, 1, 2, 2, 3, 3, 4, 4, 5])
    assert seen.slot == [0, 0, 0, 1, 0, 1, 0, 1, 0]
    assert seen.identity == [ANNA, ANNA, *[ANNA, BERT] * 3, ANNA]
    np.testing.assert_allclose(seen.joints[3, :, :3], standing(1) + _wave(2, 0.1), atol=1e-6)
    assert (seen.joints[..., 3:] == [280.1, 190.2, 970.3, 420.4, 0.1, 0.2, 0.9, 0.3, 2]).all()


def _wave(frame: int, amplitude: float) -> np.ndarray:
    moved = np.zeros((25, 3))
    moved[11, 1] = amplitude * np.sin(frame / 2)
    return moved


def test_whole_files_are_read_by_lines_alone(tmp_path, monkeypatch):
    path = tmp_path / "a.skeleton"
    monkeypatch.delattr(ntu_grammar, "_by_words")
    for text in (WHOLE, WHOLE.replace("\n", "\r\n"), WHOLE + " \n\n", WHOLE.rstrip()):
        path.write_bytes(text.encode())
        assert len(read_bodies(path).frame) == 9


def test_lines_that_are_broken_elsewhere_are_the_same_file(tmp_path, monkeypatch):
    path = tmp_path / "a.skeleton"
    path.write_text(WHOLE)
    expected = outcome(path)
    for text in (
        WHOLE.replace("\n", " "),
        WHOLE.replace(" ", "\n"),
        WHOLE.replace("25\n", "25\n\n"),
    ):
        path.write_text(text)
        assert both(path, monkeypatch) == [expected, expected]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("line", [0, 1, 2, 3, 4, 28, 29, 62, 63, 64, 65, 89])
def test_a_wrong_word_is_found_by_both(tmp_path, monkeypatch, line, word):
    lines = WHOLE.split("\n")
    for place in (0, -1):
        words = lines[line].split(" ")
        words[place] = word
        path = tmp_path / "a.skeleton"
        path.write_bytes("\n".join([*lines[:line], " ".join(words), *lines[line + 1 :]]).encode())
        fast, slow = both(path, monkeypatch)
        assert fast == slow


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_lost_doubled_and_cut_off_lines_are_found_by_both(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("ntu") / "a.skeleton"
    separator = data.draw(st.sampled_from(["\n", " "]))
    parts = WHOLE.split(separator)
    for _ in range(data.draw(st.integers(1, 2))):
        at = data.draw(st.integers(0, len(parts) - 1))
        other = parts[data.draw(st.integers(0, len(parts) - 1))]
        change = data.draw(st.sampled_from([[], [other], [parts[at], other], None]))
        parts[at : at + 1 if change is not None else None] = change or []
        parts = parts or ["1"]
    path.write_text(separator.join(parts))
    with pytest.MonkeyPatch.context() as monkeypatch:
        fast, slow = both(path, monkeypatch)
    assert fast == slow
