from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from fixtures.mutants import mutants, refusals

from hargcn.data.readers import find_reader
from hargcn.data.readers.trackers.deeplabcut import DeepLabCut
from tests.fixtures.stick import STICK, stick
from tests.fixtures.tracker_files import deeplabcut, walking

SAMPLES = Path(__file__).parents[3] / "fixtures" / "samples"
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


@pytest.mark.parametrize(
    ("sample", "animals"), [("table_one", 1), ("table_two", 2), ("fixed_two", 2)]
)
def test_tables_that_pandas_wrote(tmp_path, sample, animals) -> None:
    layout, bodies = stick(tmp_path), walking(4, 5, animals)
    path = tmp_path / NAME.replace(".csv", ".h5")
    path.write_bytes((SAMPLES / f"deeplabcut_{sample}.h5").read_bytes())
    assert find_reader(path) is DeepLabCut
    found = DeepLabCut(layout, fps=30, persons=animals).read(path)
    assert found.sample == "v1"
    np.testing.assert_array_equal(found.positions, bodies[..., :2].transpose(3, 0, 2, 1))
    assert (found.confidence == 0.5).all()


def test_labelled_images_in_hdf5_are_no_video(tmp_path) -> None:
    with pytest.raises(ValueError, match="frames by number .got names of images.: labelled images"):
        DeepLabCut(stick(tmp_path), fps=30).read(SAMPLES / "deeplabcut_labels.h5")


def test_of_the_csv_beside_an_hdf5_file_one_is_read(tmp_path) -> None:
    layout = stick(tmp_path)
    folder = tmp_path / "videos"
    folder.mkdir()
    for stem in ("v1DLC_x", "v2DLC_x"):
        deeplabcut(folder / f"{stem}.csv", walking(4, 5), STICK)
    (folder / "v1DLC_x.h5").write_bytes((SAMPLES / "deeplabcut_table_one.h5").read_bytes())
    assert find_reader(folder) is DeepLabCut
    assert [path.name for path in DeepLabCut.files(folder)] == ["v1DLC_x.h5", "v2DLC_x.csv"]
    found = list(DeepLabCut(layout, fps=30).recordings(folder))
    np.testing.assert_array_equal(found[0].positions, found[1].positions)


def test_names_of_columns_are_never_unpickled(tmp_path) -> None:
    path = tmp_path / "v1.h5"
    path.write_bytes((SAMPLES / "deeplabcut_table_one.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        table = file["df_with_missing/table"]
        table.attrs["values_block_0_kind"] = np.bytes_(b"cos\nsystem\n(Vtouch x\ntR.")
    with pytest.raises(ValueError, match=r"v1\.h5: names of columns: .*the name os\.system"):
        DeepLabCut(stick(tmp_path), fps=30).read(path)


def test_tables_that_lie_elsewhere_are_refused(tmp_path) -> None:
    path, other = tmp_path / "v1.h5", tmp_path / "other.h5"
    for file in (path, other):
        file.write_bytes((SAMPLES / "deeplabcut_fixed_two.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        del file["df_with_missing/block0_values"]
        file["df_with_missing/block0_values"] = h5py.ExternalLink(
            str(other), "df_with_missing/block0_values"
        )
    with pytest.raises(ValueError, match=r"v1\.h5: expected data of its own.*a link to"):
        DeepLabCut(stick(tmp_path), fps=30).read(path)
    with h5py.File(path, "r+") as file:
        del file["df_with_missing"]
        file["df_with_missing"] = h5py.ExternalLink(str(other), "df_with_missing")
    with pytest.raises(ValueError, match=r"v1\.h5: expected one table that pandas wrote .got none"):
        DeepLabCut(stick(tmp_path), fps=30).read(path)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("block0_values", np.zeros((4, 29)), r"30 columns of numbers .got float64"),
        ("block0_values", np.full((4, 30), b"x"), "30 columns of numbers"),
        ("block0_items_label1", np.full(30, 7), "the places of names as whole numbers"),
        ("axis1", np.arange(3), "a number for each of 4 rows"),
        ("axis1", np.zeros(4, int), "growing whole numbers"),
    ],
)
def test_defects_of_tables(tmp_path, place, value, said) -> None:
    path = tmp_path / "v1.h5"
    path.write_bytes((SAMPLES / "deeplabcut_fixed_two.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        attrs = dict(file["df_with_missing"][place].attrs)
        del file["df_with_missing"][place]
        made = file["df_with_missing"].create_dataset(place, data=value)
        made.attrs["transposed"], made.attrs["kind"] = 1, attrs.get("kind", b"")
    with pytest.raises(ValueError, match=rf"v1\.h5: .*({said})"):
        DeepLabCut(stick(tmp_path), fps=30).read(path)


def test_damaged_tables_are_refused_in_a_line(tmp_path) -> None:
    path, layout = tmp_path / "v1.h5", stick(tmp_path)
    for sample in ("table_two", "fixed_two"):
        whole = (SAMPLES / f"deeplabcut_{sample}.h5").read_bytes()
        noticed = 0
        for mutant in mutants(whole, 40):
            path.write_bytes(mutant)
            noticed += bool(refusals(lambda: DeepLabCut(layout, fps=30).read(path)))
        assert noticed > 10
