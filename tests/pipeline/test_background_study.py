"""How SHAP depends on its background: what a study says is what explaining so would have said."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fixtures.moving_windows import moving_windows
from fixtures.small_model import small_model

from hargcn import Explanation, save_model
from hargcn.pipeline import auto_background
from hargcn.pipeline.background_study import WAYS, _Study, backgrounds
from hargcn.pipeline.explain import explain

pytestmark = pytest.mark.filterwarnings("ignore:.*nobody can say whether its windows are prepared")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path]:
    """Return a network, and windows of three classes and five subjects, of which 48 of 60 train."""
    folder = tmp_path_factory.mktemp("files")
    checkpoint = save_model(small_model(), folder / "model.safetensors")
    windows = moving_windows(folder / "w.h5", groups=5, val=(), test=("g1",), frames=8)
    return checkpoint, windows.path


def study(files, folder, **options) -> pd.DataFrame:
    table = backgrounds(*files, folder / "b.csv", limit=3, progress=False, **options)
    pd.testing.assert_frame_equal(
        pd.read_csv(folder / "b.csv"), table, check_dtype=False, rtol=1e-3, atol=1e-9
    )
    return table.set_index(["way", "size"])


@pytest.fixture(scope="module")
def table(files, tmp_path_factory) -> pd.DataFrame:
    return study(files, tmp_path_factory.mktemp("study"), sizes=(4, 12, 48), draws=4)


def test_every_way_has_the_sizes_that_it_has_rows_for(table):
    sizes = {way: own.index.get_level_values("size").tolist() for way, own in table.groupby("way")}
    assert {*sizes} == {*WAYS}
    assert sizes["random"] == sizes["balanced"] == sizes["herding"] == [4, 12, 48]
    assert sizes["own class"] == sizes["one class"] == sizes["one subject"] == [4, 12]
    assert sizes["other classes"] == [4, 12]
    assert (table["n"] == 3).all()
    assert (table["total"] == 48).all()


def test_all_rows_are_the_reference_and_fewer_are_further_away(table):
    for way in ("random", "balanced", "herding"):
        errors = table.loc[way, "error"]
        assert errors[48] == pytest.approx(0, abs=1e-12)
        assert table.loc[(way, 48), "rho"] == pytest.approx(1)
        assert table.loc[(way, 48), "within"] == pytest.approx(0, abs=1e-12)
        assert 0 < errors[12] < errors[4]
    assert (table.loc[[("random", 48), ("herding", 48)], "expected"] == 0).all()
    assert np.isnan(table.loc[("balanced", 48), "expected"])
    assert table["low"].isna().all()  # one subject says nothing of others


@pytest.fixture
def two_classes() -> _Study:
    """Windows of class 0 and 1 whose map is 1 against every row of class 0, 3 of class 1."""
    labels = np.tile([0, 1], 10)
    by_row = np.tile(np.where(labels == 0, 1.0, 3.0)[:, None, None], (4, 1, 2, 3))
    by_row[..., 0] *= 1.5  # the first joint is first
    train = SimpleNamespace(group=np.repeat([*"abcde"], 4))
    truth = np.zeros((4, 2, 3), bool)
    truth[..., 0] = True
    asked, groups = np.array([0, 0, 1, 1]), np.array([*"xxyy"])
    return _Study(by_row, np.zeros((20, 2)), train, labels, asked, groups, truth)


def test_a_class_alone_is_another_question(two_classes):
    for way in ("own class", "other classes", "one class"):
        row = two_classes.judged(way, 6, 3, seed=1)
        assert row["error"] == pytest.approx(0.5)  # 1 or 3 instead of 2
        assert row["stored"] == pytest.approx(0, abs=1e-9)  # the rows agree with each other
        assert row["covered"] == 0
        assert (row["first"], row["auroc"]) == (1, 1)
    assert two_classes.judged("own class", 6, 3, seed=1)["within"] == pytest.approx(0, abs=1e-9)
    assert two_classes.offers("own class") == two_classes.offers("other classes") == 10
    assert two_classes.offers("one subject") == 4
    assert len(set(two_classes.train.group[two_classes.draw("one subject", 4, 1).rows])) == 1
    own = two_classes.labels[two_classes.draw("own class", 5, 1).rows]
    np.testing.assert_array_equal(own, np.repeat(two_classes.asked[:, None], 5, axis=1))


def test_half_of_each_class_is_no_error(two_classes):
    row = two_classes.judged("balanced", 10, 2, seed=1)
    assert (row["error"], row["within"]) == pytest.approx((0, 0), abs=1e-9)
    # Ten values of 1 and 3: standard deviation sqrt(10 / 9), of the mean a sqrt(10)th.
    assert row["stored"] == pytest.approx(np.sqrt(10 / 9 / 10) / 2)
    assert row["covered"] == 1


@pytest.mark.slow
def test_a_draw_is_what_explaining_with_it_gives(files, tmp_path):
    found = study(files, tmp_path, ways=["herding"], sizes=(6,), draws=1, seed=5)
    options = {"method": "shap", "target": "label", "limit": 3, "keep": "joint-time", "seed": 5}
    few, every = (
        Explanation.open(
            explain(*files, tmp_path / f"{n}.h5", background=n, background_by="herding", **options)[
                0
            ]
        ).values.to_numpy()
        for n in (6, 48)
    )
    norm = [np.linalg.norm(each.reshape(3, -1), axis=1) for each in (few - every, every)]
    assert found["error"].item() == pytest.approx((norm[0] / norm[1]).mean(), rel=1e-3)


@pytest.mark.slow
def test_auto_says_what_it_expected_and_what_was_so(files, tmp_path, monkeypatch):
    for name, value in (("LEAST", 6), ("GROWTH", 2), ("PILOTS", 3)):
        monkeypatch.setattr(auto_background, name, value)
    found = study(files, tmp_path, ways=[], tolerances=[0.25]).reset_index()
    assert found["way"].tolist() == ["auto 25%"]
    assert 6 < found["size"].item() < 48
    assert 0 < found["error"].item() < 0.5
    assert found["expected"].item() < 0.25 + 0.1


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"ways": ["none"]}, "Expected a way"),
        ({"sizes": [1]}, "size"),
        ({"draws": 0}, "draws"),
    ],
)
def test_what_makes_no_sense_is_refused(files, tmp_path, options, match):
    with pytest.raises(ValueError, match=match):
        backgrounds(*files, tmp_path / "b.csv", progress=False, **options)
