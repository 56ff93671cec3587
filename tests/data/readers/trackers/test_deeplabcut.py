from __future__ import annotations

import numpy as np
import pytest

from hargcn.data.readers import find_reader
from hargcn.data.readers.trackers.deeplabcut import DeepLabCut
from tests.fixtures.stick import STICK, stick
from tests.fixtures.tracker_files import deeplabcut, walking

NAME = "v1DLC_resnet50_gaitJun1shuffle1_100000.csv"


def test_body_parts_go_by_name(tmp_path) -> None:
    layout, bodies = stick(tmp_path), walking(5, 6)
    order = [3, 1, 5, 0, 2, 4]
    parts = [*STICK, "cable"]
    path = deeplabcut(tmp_path / NAME, bodies[:, :, order], [parts[i] for i in order])
    assert find_reader(path) is DeepLabCut
    found = DeepLabCut(layout, fps=30).read(path)
    assert found.sample == "v1"
    np.testing.assert_array_equal(found.positions[..., 0], bodies[:, 0, :5, :2].transpose(2, 0, 1))
    assert (found.confidence == 0.5).all()


def test_several_animals_have_a_fourth_row(tmp_path) -> None:
    layout, bodies = stick(tmp_path), walking(5, 5, 3)
    bodies[2:, 0] = np.nan  # the first animal is seen in two frames only
    path = deeplabcut(tmp_path / NAME, bodies, STICK, ["a", "b", "c"])
    found = DeepLabCut(layout, fps=30, persons=2).read(path)
    np.testing.assert_array_equal(found.positions, bodies[:, 1:, :, :2].transpose(3, 0, 2, 1))
    assert found.notes["people_left_out"] == 1


def test_an_empty_scorer_and_missing_frames(tmp_path) -> None:
    layout = stick(tmp_path)
    path = deeplabcut(tmp_path / NAME, walking(5, 5), STICK)
    lines = path.read_text().replace("DLC_resnet50_gaitJun1shuffle1_100000", "").splitlines()
    path.write_text("\n".join([*lines[:4], *lines[6:]]) + "\n")
    found = DeepLabCut(layout, fps=30).read(path)
    assert found.frames == 5
    assert found.observed.all(axis=(1, 2)).tolist() == [True, False, False, True, True]
    assert found.notes["frames_missing"] == 2


def test_without_a_layout_the_parts_are_told(tmp_path) -> None:
    path = deeplabcut(tmp_path / NAME, walking(3, 5), STICK)
    with pytest.raises(ValueError, match="a layout for its head, thorax, .*reader.layout=skeleton"):
        DeepLabCut(fps=30).read(path)


def test_a_column_that_is_there_twice_is_refused(tmp_path) -> None:
    layout, parts = stick(tmp_path), [*STICK[:-1], "head"]
    path = deeplabcut(tmp_path / NAME, walking(3, 5), parts)
    with pytest.raises(ValueError, match="each column once .got animal head x more than once"):
        DeepLabCut(layout, fps=30).read(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("coords,", "cords,", "expected rows scorer, .*got scorer, bodyparts, cords, 0"),
        ("\n2,", "\nlabeled-data,", "line 6: expected a number in column 1"),
        ("\n0,", "\nlabeled-data/v1/img0.png,", "labelled images are no video"),
        ("\n2,", "\n0,", "a column frame of growing whole numbers"),
        ("0.5", "high", "line 4: expected a number in column 4 .got 'high'"),
        ("likelihood\n0,", "likelihood\n", "expected a CSV table|expected a number|labelled"),
    ],
)
def test_defects(tmp_path, old, new, said) -> None:
    layout, path = stick(tmp_path), deeplabcut(tmp_path / NAME, walking(3, 5), STICK)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=rf"{NAME}: .*({said})"):
        DeepLabCut(layout, fps=30).read(path)
