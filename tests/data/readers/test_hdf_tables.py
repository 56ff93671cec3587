from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from hargcn.data.readers.hdf_tables import is_table, read_hdf_table

SAMPLES = Path(__file__).resolve().parents[2] / "fixtures" / "samples"
SCORER = "DLC_resnet50_gaitJun1shuffle1_100000"


@pytest.fixture
def fixed(tmp_path):
    """Return a copy of a table in pandas' layout "fixed", to be damaged."""
    return Path(shutil.copy(SAMPLES / "deeplabcut_fixed_two.h5", tmp_path / "two.h5"))


@pytest.mark.parametrize("layout", ["deeplabcut_table_two", "deeplabcut_fixed_two"])
def test_both_layouts_hold_the_same_table(layout):
    path = SAMPLES / f"{layout}.h5"
    found = read_hdf_table(path)
    assert is_table(path)
    assert found.columns[:3] == [
        (SCORER, "anna", "head", axis) for axis in ("x", "y", "likelihood")
    ]
    assert found.values.shape == (4, 30)
    assert found.values.dtype == float
    np.testing.assert_array_equal(found.rows, [0, 1, 2, 3])
    other = read_hdf_table(SAMPLES / "deeplabcut_table_two.h5")
    np.testing.assert_array_equal(found.values, other.values)
    assert found.columns == other.columns


def test_rows_that_are_no_numbers_have_none():
    found = read_hdf_table(SAMPLES / "deeplabcut_labels.h5")
    assert found.rows is None
    assert found.values.shape[1] == len(found.columns) == 10


def test_what_holds_no_table_or_several_is_refused(tmp_path, fixed):
    with pytest.raises(FileNotFoundError, match=r"none\.h5"):
        read_hdf_table(tmp_path / "none.h5")
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    assert not is_table(tmp_path / "empty.h5")
    with pytest.raises(ValueError, match=r"empty\.h5: expected one table .*got none"):
        read_hdf_table(tmp_path / "empty.h5")
    with h5py.File(fixed, "a") as file:
        (name,) = file
        file.copy(name, "again")
    assert not is_table(fixed)
    with pytest.raises(ValueError, match=r"two\.h5: expected one table .*got again, "):
        read_hdf_table(fixed)
    (tmp_path / "text.h5").write_text("no table")
    assert not is_table(tmp_path / "text.h5")


@pytest.mark.parametrize("damage", ["text", "columns", "places", "rows"])
def test_damaged_tables_are_refused_by_name(fixed, damage):
    with h5py.File(fixed, "a") as file:
        group = file[next(iter(file))]
        if damage == "text":
            del group["block0_values"]
            group["block0_values"] = np.full((4, 30), b"x")
        elif damage == "columns":
            kept = group["block0_values"][:, :-1]
            del group["block0_values"]
            group["block0_values"] = kept
        elif damage == "places":
            group["block0_items_label1"][0] = 99
        else:
            kind = dict(group["axis1"].attrs)
            del group["axis1"]
            group["axis1"] = np.arange(3)
            group["axis1"].attrs.update(kind)
    said = {
        "text": "expected 30 columns of numbers", "columns": "expected 30 columns of numbers",
        "places": "expected the places of names as whole numbers",
        "rows": "expected a number for each of 4 rows",
    }  # fmt: skip
    with pytest.raises(ValueError, match=rf"two\.h5: .*{said[damage]}"):
        read_hdf_table(fixed)
