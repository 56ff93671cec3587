from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from fixtures.interactions import together
from matplotlib.figure import Figure

from hargcn import Explanation
from hargcn.pipeline.interactions import interactions


@pytest.fixture
def file(tmp_path):
    matrices = [np.full((3, 3), value) for value in (1.0, 2.0, 6.0)]
    made = together(matrices).assign({"target": np.array([0, 1, 1])},
                                     {"sample": ["a@0", "b@0", "c@0"]},
                                     classes=json.dumps(["walk", "wave"]))  # fmt: skip
    made.save(tmp_path / "e.h5")
    return tmp_path / "e.h5"


@pytest.mark.slow
def test_all_windows_those_of_a_class_or_one(file, tmp_path):
    out = tmp_path / "p.svg"
    for given, mean, title in (
        ({}, 3, "SHAP for 2 classes (mean of 3 windows)"),
        ({"class_": "wave"}, 4, "SHAP for wave (mean of 2 windows)"),
        ({"sample": "b@0"}, 2, "b@0: SHAP for wave (1 window)"),
    ):
        found = interactions(file, out, **given)
        assert found.matrix[0, 1] == mean
        assert title in out.read_text("utf-8")


def test_a_mean_over_several_classes_is_said(file, tmp_path):
    out, said = tmp_path / "p.svg", []
    interactions(file, out, say=said.append)
    (line,) = said
    assert line == (
        f"{file}: the mean over 2 classes (1 of walk, 2 of wave); --class for one alone"
    )
    interactions(file, out, class_="wave", say=said.append)
    interactions(file, out, sample="b@0", say=said.append)
    assert len(said) == 1


def damaged(file: Path, how: str) -> None:
    """Cut a file in half, or write it anew without windows, numbers, or what they mean."""
    if how == "cut":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        return
    made = Explanation.open(file)
    if how == "no window":
        made = made.isel(sample=[])
    if how == "nan":
        values = made.dataset["interaction"].to_numpy().copy()
        values[1, 0, 2] = np.nan
        made = made.assign({"interaction": (("sample", "player", "player_b"), values)})
    if how == "no index":
        made = made.assign({}, settings="{}")
    made.save(file)


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ("cut", "expected a whole HDF5 explanation file, found something else or a damaged file"),
        ("no window", "expected explanations of at least one sample .got none."),
        ("nan", "expected finite interactions .got NaN or infinity in b@0."),
        ("no index", "expected interactions .got none.: explain with --method shapley-groups"),
    ],
)
def test_a_damaged_file_is_one_line_and_leaves_the_picture(file, tmp_path, how, match):
    out = tmp_path / "p.png"
    interactions(file, out)
    before = out.read_bytes()
    damaged(file, how)
    with pytest.raises(ValueError, match=match):
        interactions(file, out)
    assert out.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [file, out]


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_draws_leaves_the_picture(file, tmp_path, monkeypatch):
    out = tmp_path / "p.png"
    interactions(file, out)
    before = out.read_bytes()

    def killed(_figure: Figure, path: Path, **_given: object) -> None:
        Path(path).write_bytes(before[:100])
        raise KeyboardInterrupt("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Figure, "savefig", killed)
        with pytest.raises(KeyboardInterrupt, match="killed"):
            interactions(file, out, class_="wave")
    assert out.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [file, out]
    interactions(file, out, class_="wave")
    assert out.read_bytes() != before


def test_whoever_draws_needs_no_shapiq(file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "shapiq", None)
    assert interactions(file, tmp_path / "p.png").index == "STII"


def test_what_cannot_be_drawn_is_refused(file, tmp_path):
    out = tmp_path / "p.png"
    for given, match in (
        ({"class_": "wav"}, "expected a class that was explained .got 'wav'; did you mean 'wave'"),
        ({"sample": "a@1"}, "expected a window that was explained .got 'a@1'; did you mean 'a@0'"),
        ({"sample": "a@0", "class_": "wave"}, "expected 'a@0' explained for 'wave'"),
    ):
        with pytest.raises(ValueError, match=match):
            interactions(file, out, **given)
    with pytest.raises(ValueError, match=r"e\.h5"):
        interactions(file, file)
    with pytest.raises(ValueError, match="expected a picture"):
        interactions(file, tmp_path / "p.txt")
    assert not out.exists()
