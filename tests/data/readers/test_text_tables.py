from __future__ import annotations

import numpy as np
import pytest
import yaml

from hargcn.data.readers.text_tables import TextTables
from hargcn.data.recording import ABSENT, INTERPOLATED, OBSERVED
from tests.data.readers.trackers.test_anipose import points, stick3d
from tests.fixtures.motion_files import table
from tests.fixtures.stick import STICK

KINDS = [
    {"columns": ["x", "y", "z"]},
    {"columns": ["x", "y", "z", "confidence"]},
    {"columns": ["-", "confidence", "z", "x", "y"], "before": 2, "header": 3, "separator": ";"},
    {"columns": ["x", "y", "z", "-"], "rows": "joint"},
    {"columns": ["x", "y", "z"], "rows": "joint", "between": 2, "before": 1, "separator": ","},
]


def written(folder, kind, cells=None):
    """A YAML, a table of the stick in the order of its joints turned round, and the reader."""
    how = {"joints": STICK[::-1], **kind}
    (folder / "table.yaml").write_text(yaml.safe_dump(how), "utf-8")
    if cells is None:
        given = points()[:, ::-1]
        known = {"x": 0, "y": 1, "z": 2}
        cells = np.full((*given.shape[:2], len(kind["columns"])), 0.5)
        for place, column in enumerate(kind["columns"]):
            if column in known:
                cells[..., place] = given[..., known[column]]
    path = table(folder / "v1.txt", cells, how)
    return path, TextTables(stick3d(folder), fps=30, table=folder / "table.yaml")


def test_tracking_states_say_what_was_lost_and_what_was_inferred(tmp_path) -> None:
    kind = {"joints": "coco17", "columns": ["x", "y", "state"], "rows": "joint"}
    cells = np.full((3, 17, 3), 2.0)
    cells[..., 0] = np.arange(1, 52).reshape(3, 17)
    cells[1, 4, 2], cells[2, 5, 2] = 0, 1
    path, _ = written(tmp_path, kind, cells)
    reader = TextTables("coco17", fps=30, table=tmp_path / "table.yaml")
    state = reader.read(path).state[..., 0]
    assert (state[1, 4], state[2, 5]) == (ABSENT, INTERPOLATED)
    assert (state == OBSERVED).sum() == 3 * 17 - 2
    cells[0, 0, 2] = 3
    path, _ = written(tmp_path, kind, cells)
    with pytest.raises(ValueError, match=r"v1\.txt: expected states 0, 1 and 2"):
        reader.read(path)


@pytest.mark.parametrize("kind", KINDS)
def test_tables_of_every_kind(tmp_path, kind) -> None:
    path, reader = written(tmp_path, kind)
    found = reader.read(path)
    np.testing.assert_array_equal(found.positions[..., 0], points().transpose(2, 0, 1))
    known = "confidence" in kind["columns"]
    assert (found.confidence == 0.5).all() if known else found.confidence is None


def test_joints_in_the_order_of_a_layout_and_empty_cells(tmp_path) -> None:
    kind = {"joints": "coco17", "columns": ["x", "y"], "separator": ","}
    cells = np.arange(1.0, 3 * 17 * 2 + 1).reshape(3, 17, 2)
    path, _ = written(tmp_path, kind, cells)
    path.write_text(path.read_text("utf-8").replace("1.0,2.0", ",", 1), "utf-8")
    found = TextTables("coco17", fps=30, table=tmp_path / "table.yaml").read(path)
    assert not found.observed[0, 0, 0]
    np.testing.assert_array_equal(found.positions[:, 2, 16, 0], cells[2, 16])


@pytest.mark.parametrize(
    ("kind", "old", "new", "said"),
    [
        (0, "76.0", "many", "line 6: expected numbers .*many"),
        (0, "76.0 ", "", "line 6: expected 15 numbers behind 0 columns .got 14"),
        (3, "13.0", "13.0 5", "line 1: expected 4 numbers behind 0 columns .got 5"),
        (3, "1.0 2.0 3.0 0.5\n", "", "expected frames of 5 lines below 0 lines .*got 29 lines"),
        (2, "a header\n", "", r"line 4: .*|expected"),
    ],
)
def test_defects_name_file_and_line(tmp_path, kind, old, new, said) -> None:
    path, reader = written(tmp_path, KINDS[kind])
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    if kind == 2:  # one line of data is taken for the header then
        assert reader.read(path).frames == 5
        return
    with pytest.raises(ValueError, match=rf"v1\.txt: {said}"):
        reader.read(path)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"columns": ["x", "y"]}, "expected a value for 'joints'"),
        ({"joints": ["a"], "columns": ["x"]}, "Expected x and y"),
        ({"joints": ["a"], "columns": ["x", "y", "x"]}, "at most once"),
        ({"joints": ["a", "a"], "columns": ["x", "y"]}, "each name once"),
        ({"joints": "coco", "columns": ["x", "y"]}, "a layout of ntu25"),
        ({"joints": ["a"], "columns": ["x", "w"]}, r"columns\.1"),
        (
            {"joints": ["a"], "columns": ["x", "y"], "between": 1},
            "between only where rows is joint",
        ),
        ({"joints": ["a"], "columns": ["x", "y"], "colums": 1}, "unknown key 'colums'"),
        ([1], "expected keys and values"),
    ],
)
def test_a_yaml_that_makes_no_sense(tmp_path, how, said) -> None:
    (tmp_path / "table.yaml").write_text(yaml.safe_dump(how), "utf-8")
    (tmp_path / "v.txt").write_text("1 2\n", "utf-8")
    with pytest.raises(ValueError, match=rf"table\.yaml: .*{said}"):
        TextTables("coco17", fps=30, table=tmp_path / "table.yaml").read(tmp_path / "v.txt")


def test_names_of_any_length_are_told_in_a_line(tmp_path) -> None:
    path, reader = written(tmp_path, {"columns": ["x", "y", "z"]})
    how = {"joints": ["x" * 20_000, *STICK[1:]], "columns": ["x", "y", "z"]}
    (tmp_path / "table.yaml").write_text(yaml.safe_dump(how), "utf-8")
    with pytest.raises(ValueError, match=r"missing head .it has xxx.*\.\.\.") as no:
        reader.read(path)
    assert len(str(no.value)) < 500


def test_without_a_yaml_nothing_can_be_read(tmp_path) -> None:
    (tmp_path / "v.txt").write_text("1 2\n", "utf-8")
    with pytest.raises(ValueError, match=r"expected a YAML file .*--set reader.table=table.yaml"):
        TextTables("coco17", fps=30).read(tmp_path / "v.txt")
    with pytest.raises(FileNotFoundError, match=r"none\.yaml: no such file"):
        TextTables("coco17", fps=30, table=tmp_path / "none.yaml").read(tmp_path / "v.txt")
    assert not TextTables.sniff(tmp_path)
