from __future__ import annotations

import csv

import numpy as np
import pytest

from hargcn import load_model
from hargcn.explainers import GradCAM
from hargcn.metrics.gap_curve import GapCurve
from hargcn.pipeline.explain_windows import explain_windows
from hargcn.pipeline.opening import open_windows
from hargcn.pipeline.perturb import curve_pictures, perturb

LAYER = "main.0.attention"
QUIET = {"progress": False}


def rows(path):
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def cam(checkpoint, waving, tmp_path):
    """Grad-CAM of the windows and classes that `shap` explains."""
    (path,) = explain_windows(
        load_model(checkpoint), open_windows(waving, "test", 4), GradCAM(LAYER),
        tmp_path / "cam.h5", target="label", **QUIET,
    )  # fmt: skip
    return path


@pytest.mark.slow
@pytest.mark.parametrize("edit", ["edge:incident:zero", "input:freeze"])
def test_curves_begin_with_windows_as_they_are(shap, cam, checkpoint, waving, tmp_path, edit):
    out = tmp_path / "curves.h5"
    found = perturb(checkpoint, waving, [shap, cam], out, edit=edit, top=2, random=3, **QUIET)
    assert list(found.dataset["explanation"]) == ["shap", f"gradcam {LAYER}", "random"]
    untouched = found.dataset["gap"].sel(k=0, set="important")
    np.testing.assert_allclose(untouched, 0, atol=1e-6)
    table = rows(out.with_suffix(".csv"))
    assert {row["k"] for row in table} == {"0", "1", "2"}
    assert {row["n"] for row in table} == {"4"}
    pictures = list(curve_pictures(found, out))
    assert [path.name for path in pictures] == ["curves.accuracy.png", "curves.gap.png"]
    assert all(path.stat().st_size > 1000 for path in pictures)
    np.testing.assert_array_equal(GapCurve.open(out).dataset["gap"], found.dataset["gap"])


@pytest.mark.slow
def test_the_range_of_an_edge_edit_may_be_recomputed(cam, checkpoint, waving, tmp_path):
    options = {"edit": "edge:self:away:0.9", "top": 3, "random": 1, **QUIET}
    plain, again = (
        perturb(checkpoint, waving, [cam], tmp_path / f"{of}.h5", range_=of, **options)
        for of in ("original", "recomputed")
    )
    assert again.dataset.attrs["edit"] == "edge:self:away:0.9:recomputed"
    assert not np.allclose(plain.dataset["sample_score"], again.dataset["sample_score"])


@pytest.mark.slow
def test_every_segment_has_pictures_of_its_own(cam, checkpoint, waving, tmp_path):
    out = tmp_path / "curves.h5"
    options = {"edit": "input:freeze", "top": 1, "random": 1, "segments": 2, **QUIET}
    found = perturb(checkpoint, waving, [cam], out, **options)
    names = {path.name: of for path, of in curve_pictures(found, out).items()}
    assert names["curves.0-8.accuracy.png"] == ("accuracy", "0-8")
    assert names["curves.8-16.gap.png"] == ("gap", "8-16")
    assert len(names) == 4
    assert {path.name for path in tmp_path.glob("*.png")} == set(names)


def test_measures_are_drawn_together(cam, checkpoint, waving, tmp_path):
    out = tmp_path / "curves.h5"
    options = {"edit": "input:freeze", "top": 1, "random": 1, "sets": "important", **QUIET}
    found = perturb(checkpoint, waving, [cam], out, measures="accuracy, f1", **options)
    assert found.dataset["set"].to_numpy().tolist() == ["important"]
    pictures = curve_pictures(found, out, "accuracy, f1, mae")
    assert pictures[tmp_path / "curves.measures.png"] == (["accuracy", "f1"], None)
    assert {path for path in tmp_path.glob("*.png")} == set(pictures)
    assert {"f1", "ppv_low", "sensitivity_band_high"} <= set(rows(out.with_suffix(".csv"))[0])


def test_several_amounts_have_a_picture_of_the_area(cam, checkpoint, waving, tmp_path):
    out = tmp_path / "sweep.h5"
    options = {"edit": "edge:self:away:0.35", "top": 1, "random": 1, **QUIET}
    found = perturb(checkpoint, waving, [cam], out, amounts="0.1,0.9", **options)
    assert found.dataset["amount"].to_numpy().tolist() == [0.1, 0.9]
    assert [path.name for path in tmp_path.glob("*.png")] == ["sweep.area.png"]
    assert {row["amount"] for row in rows(out.with_suffix(".csv"))} == {"0.1", "0.9"}


@pytest.mark.slow
def test_parts_and_positive_parts(cam, checkpoint, waving, tmp_path):
    out = tmp_path / "parts.h5"
    options = {"edit": "input:freeze", "random": 1, "by": "part", "order": "positive", **QUIET}
    found = perturb(checkpoint, waving, [cam], out, **options)
    parts = load_model(checkpoint).skeleton.parts
    assert found.dataset.sizes["k"] == len(parts) + 1
    about = found.dataset.attrs
    assert (about["units"], about["order"]) == ("body parts", "positive")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"by": "limb"}, r"Expected by of joint, part \(got 'limb'"),
        ({"sets": "best"}, "Expected sets of important, unimportant, complement"),
        ({"amounts": "much"}, r"Expected amounts in numbers \(got 'much'\)"),
        ({"amounts": [0.1], "edit": "input:freeze"}, "Expected an edit that has an amount"),
        ({"measures": "beauty"}, "Expected measures of .*f1.* .got 'beauty'"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_runs(
    cam, checkpoint, waving, tmp_path, given, said
):
    with pytest.raises(ValueError, match=said):
        perturb(checkpoint, waving, [cam], tmp_path / "x.h5", **{"random": 1, **given}, **QUIET)
    assert [path.name for path in tmp_path.iterdir()] == ["cam.h5"]
