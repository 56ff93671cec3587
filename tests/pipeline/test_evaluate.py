from __future__ import annotations

import csv

import numpy as np
import pytest

from hargcn import Explanation, load_model, save_model
from hargcn.explainers import GradCAM
from hargcn.networks.stgcn import ModelConfig, MultiBranchSTGCN
from hargcn.pipeline.case import ExplainedWindows
from hargcn.pipeline.evaluate import correlate, evaluate
from hargcn.pipeline.explain import explain
from hargcn.pipeline.explain_windows import explain_windows
from hargcn.pipeline.opening import open_windows
from hargcn.pipeline.perturb import perturb
from hargcn.pipeline.prepare import synthesise

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
def test_layers_correlate_with_the_last(checkpoint, waving, tmp_path):
    out = tmp_path / "layers.csv"
    found = correlate([checkpoint, waving], out, split="all", batch=24, **QUIET)
    assert found.attrs["reference"] == LAYER
    assert [row["layer"] for row in rows(out)] == found["layer"].to_numpy().tolist()
    assert out.with_suffix(".png").stat().st_size > 1000
    other = correlate([checkpoint, waving], out, split="all", batch=48, limit=48, **QUIET)
    np.testing.assert_allclose(other["mean"], found["mean"], atol=1e-3)  # whatever the batch


def test_methods_correlate_with_themselves(shap, cam, tmp_path):
    found = correlate([shap, cam], tmp_path / "methods.csv", between="methods", **QUIET)
    rho = found["spearman"].sel({"class": "all"}).to_numpy()
    np.testing.assert_allclose(np.diag(rho), 1)
    assert rows(tmp_path / "methods.csv")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"between": "people"}, r"Expected between of layers, methods \(got 'people'\)"),
        ({"reference": "main.9.tcn"}, r"main\.9\.tcn"),
        ({"split": "tset"}, "expected a set of"),
        ({"class_": "clas1"}, "did you mean 'class1'"),
        ({"batch": 0}, r"Expected batch of at least 1 \(got 0\)"),
        ({"limit": 0}, r"Expected limit of at least 1 \(got 0\)"),
        ({"device": "cuda:99"}, "Expected device cpu"),
    ],
)
def test_correlations_that_make_no_sense_are_refused(checkpoint, waving, tmp_path, given, said):
    with pytest.raises(ValueError, match=said):
        correlate([checkpoint, waving], tmp_path / "x.csv", **given, **QUIET)
    assert not list(tmp_path.iterdir())


def test_correlations_need_their_files(checkpoint, waving, shap, tmp_path):
    with pytest.raises(ValueError, match="Expected a checkpoint and a windows file"):
        correlate([checkpoint], tmp_path / "x.csv", **QUIET)
    with pytest.raises(ValueError, match="at least two explanations"):
        correlate([shap], tmp_path / "x.csv", between="methods", **QUIET)
    with pytest.raises(ValueError, match=r"x\.h5: expected a name ending in \.csv"):
        correlate([checkpoint, waving], tmp_path / "x.h5", **QUIET)
    assert not list(tmp_path.iterdir())


def test_explanations_are_measured_beside_chance(shap, cam, checkpoint, waving, tmp_path):
    out = tmp_path / "table.csv"
    metrics = ["pgi", "complexity"]
    found = evaluate(checkpoint, waving, [shap, cam], out, metrics=metrics, **QUIET)
    pairs = {(row["metric"], row["method"]) for row in rows(out)}
    methods = {"shap", f"gradcam {LAYER}", "random"}
    assert {(metric, method) for metric in metrics for method in methods} == pairs
    assert len(found.rows) == 6
    text = evaluate(checkpoint, waving, [shap, cam], out, metrics="pgi, complexity", **QUIET)
    assert text.rows.equals(found.rows)


def test_measures_explain_again_only_where_allowed_and_announce_it(
    shap, cam, checkpoint, waving, tmp_path
):
    out, heard = tmp_path / "table.csv", []
    common = {"metrics": "coherency", "announce": heard.append, **QUIET}
    left_out = evaluate(checkpoint, waving, [shap, cam], out, **common)
    assert set(left_out.rows.query("method != 'random'")["n"]) == {0}
    assert heard == []
    found = evaluate(checkpoint, waving, [cam], out, remake=True, **common)
    (row,) = [row for row in rows(out) if row["method"] != "random"]
    assert float(row["n"]) == 4
    assert -1 <= float(row["estimate"]) <= 1
    assert len(found.rows) == 2
    (line,) = heard
    assert line.startswith(f"gradcam {LAYER}: explaining again takes about ")


@pytest.mark.slow
def test_a_long_run_is_announced(cam, checkpoint, waving, tmp_path, monkeypatch):
    heard = []
    given = (checkpoint, waving, [cam])
    few = {"edit": "input:freeze", "top": 1, "random": 1, **QUIET}
    perturb(*given, tmp_path / "a.h5", **few, announce=heard.append)
    evaluate(*given, tmp_path / "a.csv", metrics="pgi", **QUIET, announce=heard.append)
    assert heard == []  # a matter of a moment
    monkeypatch.setattr("hargcn.pipeline.case._WORTH_A_WORD", 0)
    monkeypatch.setattr("hargcn.pipeline.perturb.curves_seconds", lambda *_, **__: 4000)
    monkeypatch.setattr("hargcn.pipeline.evaluate.table_seconds", lambda *_: 75)
    perturb(*given, tmp_path / "b.h5", **few, announce=heard.append)
    evaluate(*given, tmp_path / "b.csv", metrics="pgi", **QUIET, announce=heard.append)
    hint = "(--limit N takes fewer windows)"
    assert heard == [f"about 1 h 06 min {hint}", f"about 1 min 15 s {hint}"]


@pytest.mark.slow
def test_some_of_the_explained_windows_are_enough(shap, cam, checkpoint, waving, tmp_path):
    """They give the values that they have among all."""
    given, some = (checkpoint, waving, [shap, cam]), {"limit": 2, "limit_seed": 3}
    few = {"edit": "input:freeze", "top": 2, "random": 2, **QUIET}
    whole = perturb(*given, tmp_path / "whole.h5", **few).dataset
    part = perturb(*given, tmp_path / "part.h5", **few, **some).dataset
    names = [str(name) for name in part["sample"].to_numpy()]
    every = [str(name) for name in whole["sample"].to_numpy()]
    assert len(names) == 2
    assert names != every[:2] == ExplainedWindows.open(*given, limit=2).windows.names
    assert names == sorted(names, key=every.index)
    methods = ["shap", f"gradcam {LAYER}"]
    mine, all_of = (
        each["sample_score"].sel(explanation=methods, sample=names) for each in (part, whole)
    )
    np.testing.assert_allclose(mine, all_of, atol=1e-6)
    table = evaluate(*given, tmp_path / "t.csv", metrics="pgi,deletion", **QUIET, **some)
    assert list(table.samples["sample"].to_numpy()) == names
    assert set(table.rows["n"]) == {2}


def test_a_limit_is_at_least_one(cam, checkpoint, waving, tmp_path):
    for command, out in ((perturb, "x.h5"), (evaluate, "x.csv")):
        with pytest.raises(ValueError, match=r"Expected limit of at least 1 \(got 0\)"):
            command(checkpoint, waving, [cam], tmp_path / out, limit=0, **QUIET)


def test_all_measures_are_those_that_apply(cam, checkpoint, waving, tmp_path):
    out = tmp_path / "table.csv"
    found = evaluate(checkpoint, waving, [cam], out, metrics="all", top=2, **QUIET)
    names = set(found.rows["metric"])
    assert {"pgi", "deletion", "infidelity"} <= names
    # The first explains again, the second needs planted evidence.
    assert not [name for name in names if name.startswith(("coherency", "localisation"))]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "given", "said"),
    [
        (perturb, {"edit": "edge:self:sideways:1"}, "Expected"),
        (perturb, {"edit": "input:freeze", "range_": "recomputed"}, "Expected an edge edit with a"),
        (perturb, {"range_": "anew"}, "Expected range of original, recomputed"),
        (perturb, {"order": "size"}, r"Expected order of signed, positive, magnitude .got 'size'"),
        (perturb, {"top": 99}, "Expected top from 1"),
        (perturb, {"random": 0}, "at least one random ordering"),
        (perturb, {"draws": 0}, r"Expected draws of at least 1 \(got 0\)"),
        (perturb, {"segments": 99}, "Expected 1 to 16 segments"),
        (perturb, {"batch": 0}, r"Expected batch of at least 1 \(got 0\)"),
        (perturb, {"device": "tpu"}, "Expected device cpu"),
        (evaluate, {"metrics": "beauty"}, r"Expected metrics of pgi.*\(got 'beauty'"),
        (evaluate, {"metrics": "compexity"}, "did you mean 'complexity'"),
        (evaluate, {"metrics": []}, "Expected metrics of"),
        (evaluate, {"edit": "sideways"}, "Expected"),
        (evaluate, {"substrate": "edge:incident:zero"}, "Expected an input edit as substrate"),
        (evaluate, {"batch": -1}, r"Expected batch of at least 1 \(got -1\)"),
    ],
)
def test_what_makes_no_sense_is_refused(cam, checkpoint, waving, tmp_path, call, given, said):
    out = tmp_path / ("x.h5" if call is perturb else "x.csv")
    with pytest.raises(ValueError, match=said):
        call(checkpoint, waving, [cam], out, **given, **QUIET)
    assert [path.name for path in tmp_path.iterdir()] == ["cam.h5"]


@pytest.mark.slow
@pytest.mark.parametrize(("call", "name"), [(perturb, "x.h5"), (evaluate, "x.csv")])
def test_explanations_must_be_of_one_question(call, name, cam, checkpoint, waving, tmp_path):
    out, other, turned = (tmp_path / each for each in (name, "other.h5", "turned.h5"))
    explain_windows(
        load_model(checkpoint), open_windows(waving, "test", 4), GradCAM(LAYER), other,
        target="class1", **QUIET,
    )  # fmt: skip
    Explanation.open(cam).isel(sample=[3, 2, 1, 0]).save(turned)
    for file, what in ((other, "classes"), (turned, "windows, in the same order,")):
        said = f"{file}: expected an explanation of the same {what} as in {cam}"
        with pytest.raises(ValueError, match=f"^{said}$"):
            call(checkpoint, waving, [cam, file], out, **QUIET)
    assert not out.exists()


@pytest.mark.parametrize("call", [perturb, evaluate])
def test_an_input_is_never_written_over(call, checkpoint, waving, tmp_path):
    files = [tmp_path / f"x{number}{suffix}" for number, suffix in enumerate((".h5", ".csv"))]
    for file in files:
        file.write_bytes(b"mine")
    with pytest.raises(ValueError, match="expected another file to write than an input"):
        call(checkpoint, waving, files, files[call is evaluate])
    assert [file.read_bytes() for file in files] == [b"mine", b"mine"]


def test_windows_are_matched_by_name_and_strangers_refused(cam, checkpoint, waving, tmp_path):
    case = ExplainedWindows.open(checkpoint, waving, [cam])
    names = [str(name) for name in Explanation.open(cam).dataset["sample"].to_numpy()]
    assert case.windows.names == names
    assert len(case.data) == 48
    assert case.positions.shape == (4, *case.data.shape)
    found = Explanation.open(cam)
    strange = tmp_path / "strange.h5"
    Explanation(found.dataset.assign_coords(sample=["a@0", *names[1:]])).save(strange)
    with pytest.raises(ValueError, match=r"expected the explained windows \(it has no 'a@0'\)"):
        ExplainedWindows.open(checkpoint, waving, [strange])
    for attribute, what in (("model", "this network"), ("data", "the windows of .*waving")):
        Explanation(found.dataset.assign_attrs({attribute: "0123456789abcdef"})).save(strange)
        with pytest.raises(ValueError, match=rf"strange\.h5: expected an explanation of {what}"):
            ExplainedWindows.open(checkpoint, waving, [strange])


@pytest.mark.slow
def test_decoys_may_be_what_is_looked_for(tmp_path):
    plant = ["synthetic.recordings=12", "synthetic.plant.distractors=1"]
    made = synthesise(tmp_path / "w.h5", {}, plant)
    small = ModelConfig(branches=("J",), width=4, min_width=4, max_width=8, last_width=8)
    network = MultiBranchSTGCN(small, made.skeleton, made.classes)
    checkpoint = save_model(network, tmp_path / "m.safetensors", {"input": made.preparation})
    given = checkpoint, made.path
    explain(*given, tmp_path / "s.h5", method="saliency", split="all", of=["with"])
    some = made.subset(np.flatnonzero(made.label == 1))
    for evidence, mask in (("sign", some.truth()), ("decoys", some.distractor())):
        found = evaluate(
            *given, [tmp_path / "s.h5"], tmp_path / "t.csv", metrics="localisation",
            evidence=evidence, **QUIET,
        )  # fmt: skip
        rows = found.rows.set_index(["metric", "method"])["estimate"]
        assert rows["localisation:area", "saliency"] == pytest.approx(mask.mean())
        assert rows["localisation:auroc", "truth"] == 1
    with pytest.raises(ValueError, match="Expected evidence of sign, decoys .got 'shortcut'"):
        evaluate(*given, [tmp_path / "s.h5"], tmp_path / "t.csv", evidence="shortcut", **QUIET)
