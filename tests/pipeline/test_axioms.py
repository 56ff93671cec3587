from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from fixtures.attribution_toys import Wrong
from fixtures.moving_windows import still_windows
from fixtures.small_model import small_model

from hargcn import save_model
from hargcn.metrics.axioms import AXIOMS
from hargcn.pipeline import axioms as pipeline
from hargcn.pipeline.axioms import axioms

FEW = {"limit": 1, "background": 2}


class Crashes(Wrong):
    def __call__(self, *_asked: Any) -> Any:
        raise RuntimeError("CUDA out of memory")


def test_one_method_that_breaks_does_not_stop_the_others(checkpoint, waving, tmp_path, monkeypatch):
    def build(network, data, request, layers):
        if request["method"] == "random":
            raise NotImplementedError("not on this machine")
        if request["method"] == "saliency":
            return Crashes()
        return real(network, data, request, layers)

    real = pipeline.build_explainer
    monkeypatch.setattr(pipeline, "build_explainer", build)
    out, said = tmp_path / "axioms.csv", []
    names = ("random", "saliency", "constant")
    found = axioms(checkpoint, waving, out, method=names, say=said.append, **FEW)
    assert list(found["method"].unique()) == ["random", "wrong", "constant"]
    broken = found[(found["method"] != "constant") & (found["verdict"] != "not applicable")]
    assert set(broken["verdict"]) == {"error"}
    assert len(broken) == 2 * len(AXIOMS) - 1  # to some axioms the windows have nothing to say
    assert set(broken["why"]) == {
        "NotImplementedError: not on this machine", "RuntimeError: CUDA out of memory",
    }  # fmt: skip
    assert (found[found["method"] == "constant"]["verdict"] != "error").all()
    more = sum(axiom.maps for axiom in AXIOMS.values())
    assert said[0].startswith(f"2 methods x {len(AXIOMS)} axioms, {more} explanations each: about")
    pd.testing.assert_frame_equal(
        pd.read_csv(out, keep_default_na=False, na_values={"figure": "", "threshold": ""}),
        found, check_dtype=False, rtol=1e-4,
    )  # fmt: skip


def test_an_interrupt_stops_the_job_and_leaves_nothing(checkpoint, waving, tmp_path, monkeypatch):
    def interrupted(*_asked: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "build_explainer", interrupted)
    out = tmp_path / "axioms.csv"
    with pytest.raises(KeyboardInterrupt):
        axioms(checkpoint, waving, out, method=["random"], **FEW)
    assert list(tmp_path.iterdir()) == []


def test_bad_windows_are_one_line_and_leave_the_table(checkpoint, waving, tmp_path):
    out, cut = tmp_path / "axioms.csv", tmp_path / "cut.h5"
    out.write_text("earlier", encoding="utf-8")
    cut.write_bytes(waving.read_bytes()[:30_000])
    names = tmp_path / "names.txt"
    names.write_text("nobody\n", encoding="utf-8")
    for windows, split, match in (
        (cut, "test", r"cut\.h5: expected a whole HDF5 windows file, found something else or a"),
        (waving, "exam", r"expected a set of .*got 'exam'"),
        (waving, str(names), "nobody"),
        (tmp_path / "none.h5", "test", r"none\.h5: no such windows file"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=match):
            axioms(checkpoint, windows, out, method=["shap"], split=split, **FEW)
    assert out.read_text(encoding="utf-8") == "earlier"
    assert sorted(tmp_path.iterdir()) == [out, cut, names]


def test_a_run_that_is_killed_among_axioms_leaves_the_table(checkpoint, waving, tmp_path):
    """Also where the picture is drawn: by then the table is written."""
    out, picture, rows = tmp_path / "a.csv", tmp_path / "p.png", []
    out.write_text("earlier", encoding="utf-8")

    def killed(*_given: Any, **_named: Any) -> Any:
        rows.append(1)
        if len(rows) == 3:
            raise KeyboardInterrupt("killed")
        return real(*_given, **_named)

    real = pipeline.check_axiom
    words = {"method": ["constant"], "picture": picture, **FEW}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "check_axiom", killed)
        with pytest.raises(KeyboardInterrupt, match="killed"):
            axioms(checkpoint, waving, out, **words)
    assert out.read_text(encoding="utf-8") == "earlier"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "save_figure", killed)
        rows[:] = [1, 1]
        with pytest.raises(KeyboardInterrupt, match="killed"):
            axioms(checkpoint, waving, out, **words)
    assert len(pd.read_csv(out)) == len(AXIOMS)
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.filterwarnings("ignore:.*nobody can say whether its windows are prepared")
@pytest.mark.parametrize("train", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_background_of_one_window_or_none(tmp_path, train):
    """All of one class and equal to each other and to what is explained: nothing is credited."""
    checkpoint = save_model(small_model(), tmp_path / "model.safetensors")
    windows = still_windows(tmp_path / "w.h5", train)
    found = axioms(checkpoint, windows, tmp_path / "a.csv", method=["shap", "constant"], **FEW)
    verdicts = found.set_index(["method", "axiom"])["verdict"]
    assert verdicts["constant", "randomisation"] == "fail"  # whatever becomes of the other
    if not train:
        assert set(verdicts["shap"]) == {"not applicable"}
        assert set(found[found["method"] == "shap"]["why"].str.contains("set of test")) == {True}
    else:
        assert verdicts["shap", "completeness"] == verdicts["shap", "null-player"] == "pass"
        assert "error" not in set(verdicts["shap"])


def test_kinds_curves_and_times_are_columns(checkpoint, waving, tmp_path):
    found = axioms(checkpoint, waving, tmp_path / "a.csv", method=["constant"], **FEW)
    rows = found.set_index("axiom")
    assert rows.loc["null-player", "kind"] == "theorem"
    assert rows.loc["randomisation", "kind"] == "criterion"
    steps = AXIOMS["randomisation"].maps
    assert rows.loc["randomisation", "curve"] == " ".join(["1.000"] * steps)
    assert rows.loc["null-player", "curve"] == ""
    assert (found["seconds"] > 0).all()


@pytest.mark.parametrize("name", ["windows.h5", "axioms.csv", "axioms.txt"])
def test_a_picture_takes_the_place_of_nothing_else(checkpoint, waving, tmp_path, name):
    out = tmp_path / "axioms.csv"
    picture = waving if name == "windows.h5" else tmp_path / name
    with pytest.raises(ValueError, match=picture.name):
        axioms(checkpoint, waving, out, method=["constant"], picture=picture, **FEW)
    assert not out.exists()


def test_an_unknown_layer_is_no_verdict_of_every_method(checkpoint, waving, tmp_path):
    out = tmp_path / "axioms.csv"
    with pytest.raises(ValueError, match=r"--layer.*main\.1\.tcm"):
        axioms(checkpoint, waving, out, method=["gradcam"], layer="main.1.tcm", **FEW)
    assert not out.exists()
