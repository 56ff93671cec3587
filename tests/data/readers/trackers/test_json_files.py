from __future__ import annotations

import numpy as np
import pytest

from hargcn.data.readers.trackers import json_files
from hargcn.data.readers.trackers.json_files import array, joints, read_json, start_of


def test_flat_lists_are_joints_by_three(tmp_path) -> None:
    found = joints(tmp_path, "frame 1", [1, 2, 0.5, 3, None, 0.25])
    np.testing.assert_array_equal(found, [[1, 2, 0.5], [3, np.nan, 0.25]])


@pytest.mark.parametrize(
    "values", [[], [1, 2], [[1, 2, 3]], None, "123", 5, ["a"] * 3, [10**400] * 3]
)
def test_what_is_no_list_of_joints_is_refused_by_file_and_place(tmp_path, values) -> None:
    with pytest.raises(ValueError, match=r"f\.json: frame 7: expected"):
        joints(tmp_path / "f.json", "frame 7", values)


def test_lists_that_are_not_even_are_no_array(tmp_path) -> None:
    with pytest.raises(ValueError, match="place: expected lists of numbers"):
        array(tmp_path, "place", [[1, 2], [3]])


def test_a_file_is_whole_or_refused(tmp_path, monkeypatch) -> None:
    path = tmp_path / "f.json"
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_json(path)
    path.write_text('{"a": [1, 2]}')
    assert read_json(path) == {"a": [1, 2]}
    assert start_of(path) == '{"a":[1,2]}'
    for text in ('{"a": [1, 2', "", "[" * 10**5, "\xff", "9" * 5000):
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(ValueError, match=r"f\.json: expected whole JSON"):
            read_json(path)
    monkeypatch.setattr(json_files, "LARGEST", 10)
    path.write_text("[" + "1, " * 9 + "1]")
    with pytest.raises(ValueError, match=r"f\.json: expected at most 10 bytes .got 30"):
        read_json(path)
