from __future__ import annotations

import csv

import pytest
from fixtures.command_line import done, refused

from hargcn import Explanation


def rows(path):
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_correlation_between_layers(checkpoint, waving, tmp_path):
    out = tmp_path / "layers.csv"
    said = done("correlate", checkpoint, waving, "--split", "all", "--batch", 24, "--out", out)
    assert "Spearman rho of Grad-CAM with main.0.attention" in said
    found = rows(out)
    assert found
    for row in found:
        assert -1 <= float(row["low"]) <= float(row["mean"]) <= float(row["high"]) <= 1
        assert row["layer"] in said
    assert out.with_suffix(".png").stat().st_size > 1000


def test_correlation_between_methods(shap, checkpoint, waving, tmp_path):
    cam, out = tmp_path / "cam.h5", tmp_path / "methods.csv"
    done("explain", checkpoint, waving, "--limit", 4, "--class", "label", "--out", cam)
    said = done("correlate", shap, cam, "--between", "methods", "--out", out)
    assert "Spearman rho between methods" in said
    assert "+1.00" in said  # each with itself
    assert rows(out)
    assert out.with_suffix(".png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--between", "people"], "Expected --between of layers, methods"),
        (["--reference", "main.9.tcn"], "main.9.tcn"),
        (["--split", "tset"], "expected a set of"),
        (["--class", "clas1"], "did you mean 'class1'"),
    ],
)
def test_broken_options_of_correlate(checkpoint, waving, tmp_path, options, said):
    out = tmp_path / "x.csv"
    assert said in refused("correlate", checkpoint, waving, *options, "--out", out)
    assert not out.exists()


def test_correlate_needs_a_network_and_windows(checkpoint, tmp_path):
    line = refused("correlate", checkpoint, "--out", tmp_path / "x.csv")
    assert "Expected a checkpoint and a windows file" in line


@pytest.fixture
def cam(checkpoint, waving, tmp_path):
    out = tmp_path / "cam.h5"
    done("explain", checkpoint, waving, "--limit", 4, "--class", "label", "--out", out)
    return out


@pytest.mark.parametrize("edit", ["edge:incident:zero", "input:freeze"])
def test_perturbing_the_joints_of_two_explanations(shap, cam, checkpoint, waving, tmp_path, edit):
    out = tmp_path / "curves.h5"
    few = ("--edit", edit, "--top", 2, "--random", 3)
    said = done("perturb", checkpoint, waving, shap, cam, *few, "--out", out)
    found = rows(out.with_suffix(".csv"))
    assert {row["explanation"] for row in found} == {"shap", "gradcam main.0.attention", "random"}
    assert {row["k"] for row in found} == {"0", "1", "2"}
    assert {row["n"] for row in found} == {"4"}
    untouched = [row for row in found if (row["k"], row["set"]) == ("0", "important")]
    assert len(untouched) == 3
    assert all(abs(float(row["gap"])) < 1e-6 for row in untouched)
    for picture in ("curves.accuracy.png", "curves.gap.png"):
        assert picture in said
        assert (tmp_path / picture).stat().st_size > 1000


def test_judging_explanations_beside_chance(shap, cam, checkpoint, waving, tmp_path):
    out = tmp_path / "table.csv"
    said = done(
        "evaluate", checkpoint, waving, shap, cam, "--metrics", "pgi,complexity", "--out", out
    )
    found = {(row["metric"], row["method"]) for row in rows(out)}
    methods = {"shap", "gradcam main.0.attention", "random"}
    assert {(metric, m) for metric in ("pgi", "complexity") for m in methods} <= found
    assert "complexity" in said


def test_measures_that_explain_again(cam, checkpoint, waving, tmp_path):
    out = tmp_path / "table.csv"
    common = ("evaluate", checkpoint, waving, cam, "--metrics", "coherency", "--out", out)
    done(*common, "--remake")
    (row,) = [row for row in rows(out) if row["method"] != "random"]
    assert float(row["n"]) == 4
    assert -1 <= float(row["estimate"]) <= 1


@pytest.mark.parametrize(
    ("command", "options", "said"),
    [
        ("perturb", ["--edit", "edge:self:sideways:1"], "Expected"),
        ("perturb", ["--order", "size"], "Expected --order of signed, magnitude"),
        ("perturb", ["--top", 99], "Expected top from 1"),
        ("evaluate", ["--metrics", "beauty"], "beauty"),
        ("evaluate", ["--substrate", "edge:incident:zero"], "--substrate: expected an input edit"),
    ],
)
def test_broken_options_of_perturb_and_evaluate(
    cam, checkpoint, waving, tmp_path, command, options, said
):
    out = tmp_path / "x.h5"
    assert said in refused(command, checkpoint, waving, cam, *options, "--out", out)
    assert not out.exists()


@pytest.mark.parametrize("command", ["perturb", "evaluate"])
def test_only_explanations_of_one_question_are_judged(command, cam, checkpoint, waving, tmp_path):
    out = tmp_path / ("x.h5" if command == "perturb" else "x.csv")
    other, turned = tmp_path / "other.h5", tmp_path / "turned.h5"
    given = ("--metrics", "complexity") if command == "evaluate" else ()
    done("explain", checkpoint, waving, "--limit", 4, "--class", "class1", "--out", other)
    Explanation.open(cam).isel(sample=[3, 2, 1, 0]).save(turned)
    for file, what in ((other, "classes"), (turned, "windows, in the same order,")):
        line = refused(command, checkpoint, waving, cam, file, *given, "--out", out)
        assert line == f"{file}: expected an explanation of the same {what} as in {cam}"
    before = cam.read_bytes()
    assert "--out: expected" in refused(command, checkpoint, waving, cam, "--out", cam)
    assert cam.read_bytes() == before


def test_an_input_is_never_written_over(checkpoint, waving, cam):
    before = waving.read_bytes()
    line = refused("explain", checkpoint, waving, "--limit", 1, "--out", waving)
    assert line.startswith("--out: expected another file than the input")
    assert "--out: expected another" in refused("combine", cam, cam, "--out", cam)
    assert waving.read_bytes() == before
