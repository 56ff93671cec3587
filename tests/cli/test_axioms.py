from __future__ import annotations

import pandas as pd
import pytest
from fixtures.command_line import done, refused, run

from hargcn.explainers import Constant, methods
from hargcn.metrics.axioms import AXIOMS


@pytest.mark.slow
def test_axioms_are_a_table_with_reasons(checkpoint, waving, tmp_path):
    out, picture = tmp_path / "axioms.csv", tmp_path / "axioms.png"
    few = ("--method", "shap", "--method", "gradcam", "--limit", 1, "--background", 2)
    said = done("axioms", checkpoint, waving, *few, "--out", out, "--picture", picture)
    found = pd.read_csv(out, keep_default_na=False)
    assert list(found["axiom"]) == [*AXIOMS] * 2
    verdicts = found.set_index(["method", "axiom"])["verdict"]
    assert verdicts["shap", "completeness"] == verdicts["shap", "null-player"] == "pass"
    assert "completeness: figure: the method promises no sum: gradcam\n" in said
    assert said.index("axioms: kept or not") < said.index("criteria, without a threshold in theory")
    assert said.endswith(f"{out}\n{picture}\n")
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_every_method_is_judged_and_none_stops_the_others(checkpoint, waving, tmp_path):
    out = tmp_path / "axioms.csv"
    done("axioms", checkpoint, waving, "--limit", 1, "--background", 2, "--out", out)
    found = pd.read_csv(out, keep_default_na=False)
    own = [
        name
        for name, cls in methods().items()
        if not {"mask", "shap", "cam", "rate"} & {*cls.needs}
    ]
    assert list(found["method"].unique()) == own
    assert (found.groupby("method").size() == len(AXIOMS)).all()
    told = found[found["verdict"].isin(["fail", "not applicable"])]
    assert told["why"].str.len().min() > 0
    sums = found[found["axiom"] == "completeness"].set_index("method")["verdict"]
    assert sums["shap"] == sums["integrated-gradients"] == sums["expected-gradients"] == "pass"
    assert sums["random"] == "figure"
    changed = found[found["axiom"] == "randomisation"].set_index("method")["verdict"]
    assert changed["constant"] == changed["fakecam"] == "fail"


def test_a_method_that_breaks_is_told_by_the_exit_code(checkpoint, waving, tmp_path, monkeypatch):
    def crash(*_asked: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Constant, "maps", crash)
    out = tmp_path / "axioms.csv"
    ended = run(
        "axioms", checkpoint, waving, "-m", "constant", "-m", "random", "--limit", 1, "--out", out
    )
    assert ended.code == 1
    assert "linearity: error: RuntimeError: out of memory: constant\n" in ended.out
    assert "linearity: fail: the map of a sum of outputs is not the sum" in ended.out
    assert "explanations each: about" in ended.err
    found = pd.read_csv(out, keep_default_na=False).set_index(["method", "axiom"])["verdict"]
    assert found["constant", "completeness"] == found["constant", "relabelling"] == "error"
    assert found["random", "relabelling"] == "fail"


def test_a_hybrid_has_no_axioms_of_its_own(checkpoint, waving, tmp_path):
    out = tmp_path / "axioms.csv"
    said = refused("axioms", checkpoint, waving, "--method", "hybrid-rank", "--out", out)
    assert "hybrid-rank: expected a method of its own" in said
    assert not out.exists()
