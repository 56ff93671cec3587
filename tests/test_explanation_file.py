"""Damaged explanation files are refused, by name."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from hargcn.explanation import Explanation
from hargcn.explanation_file import FORMAT, read


def explanation() -> Explanation:
    return Explanation.build(
        np.ones((2, 3)), ("sample", "joint"), method="gradcam", target=[0, 1], score=[1.0, 2.0],
        coords={"sample": ["a@0", "b@0"]},
    )  # fmt: skip


def test_reads_what_was_saved(tmp_path):
    explanation().save(tmp_path / "e.h5")
    found = read(tmp_path / "e.h5")
    assert found.attrs["format"] == FORMAT
    np.testing.assert_array_equal(found["attribution"], np.ones((2, 3)))


def lose_method(dataset: xr.Dataset) -> None:
    del dataset.attrs["method"]


def cut_json(dataset: xr.Dataset) -> None:
    dataset.attrs["skeleton"] = '{"name": '


def spoil(dataset: xr.Dataset) -> None:
    dataset["attribution"][1, 2] = np.nan


def lose_target(dataset: xr.Dataset) -> None:
    del dataset["target"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lose_method, "expected an explanation with method"),
        (lose_target, "expected an explanation with target"),
        (cut_json, "expected JSON in attribute 'skeleton'"),
        (spoil, "expected finite attributions .* in b@0"),
    ],
)
def test_damage_is_named(tmp_path, damage, said):
    dataset, path = explanation().dataset.copy(deep=True), tmp_path / "e.h5"
    damage(dataset)
    dataset.to_netcdf(path, engine="h5netcdf")
    with pytest.raises(ValueError, match=f"e.h5: {said}"):
        read(path)


def test_no_file_and_another_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such explanation file"):
        read(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("nothing", "utf-8")
    with pytest.raises(ValueError, match="found something else or a truncated file"):
        read(tmp_path / "text.h5")
