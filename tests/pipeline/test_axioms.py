from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from fixtures.attribution_toys import Wrong

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
