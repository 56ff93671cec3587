from __future__ import annotations

import csv

import pytest
from fixtures.command_line import done, refused


@pytest.fixture
def cam(checkpoint, waving, tmp_path):
    out = tmp_path / "cam.h5"
    done("explain", checkpoint, waving, "--limit", 4, "--class", "label", "--out", out)
    return out


def test_correlation_between_layers_is_a_table(checkpoint, waving, tmp_path):
    out = tmp_path / "layers.csv"
    said = done("correlate", checkpoint, waving, "--batch", 24, "--out", out)
    assert "Spearman rho of Grad-CAM with main.0.attention" in said
    lines = out.read_text("utf-8").splitlines()
    assert len(lines) > 5
    for line in lines[1:]:
        assert line.split(",")[0] in said
    assert said.endswith(f"{out}\n{out.with_suffix('.png')}\n")


def test_correlation_between_methods_is_a_table(shap, cam, tmp_path):
    out = tmp_path / "methods.csv"
    said = done("correlate", shap, cam, "--between", "methods", "--out", out)
    assert "Spearman rho between methods" in said
    assert "+1.00" in said  # each with itself


def test_perturbing_prints_areas_and_names_what_it_wrote(shap, cam, checkpoint, waving, tmp_path):
    out = tmp_path / "curves.h5"
    few = ("--edit", "edge:incident:zero", "--top", 2, "--random", 3)
    said = done("perturb", checkpoint, waving, shap, cam, *few, "--out", out)
    assert "mean |change of p| over k = 0..2, edge:incident:zero" in said
    for name in ("shap important", "gradcam main.0.attention complement", "random unimportant"):
        assert name in said
    written = ("curves.h5", "curves.csv", "curves.accuracy.png", "curves.gap.png")
    assert said.endswith("\n".join(str(tmp_path / name) for name in written) + "\n")
    assert all((tmp_path / name).stat().st_size > 1000 for name in written)


def test_evaluating_prints_methods_beside_chance(shap, cam, checkpoint, waving, tmp_path):
    out = tmp_path / "table.csv"
    given = ("--metrics", "pgi,complexity,coherency", "--out", out)
    said = done("evaluate", checkpoint, waving, shap, cam, *given)
    for word in ("pgi", "complexity", "shap", "gradcam", "random", "higher", "lower"):
        assert word in said
    (coherency,) = [line for line in said.splitlines() if "coherency" in line]
    assert coherency.split("│")[2].strip() == "-"  # would explain again
    assert said.endswith(f"{out}\n")


@pytest.mark.slow
def test_fewer_windows_where_a_limit_says_so(cam, checkpoint, waving, tmp_path):
    some = ("--limit", 2, "--limit-seed", 5)
    few = ("--edit", "input:freeze", "--top", 1, "--random", 1)
    done("perturb", checkpoint, waving, cam, *few, *some, "--out", tmp_path / "c.h5")
    done(
        "evaluate", checkpoint, waving, cam, "--metrics", "add", *some, "--out", tmp_path / "t.csv"
    )
    for name in ("c.csv", "t.csv"):
        with (tmp_path / name).open(encoding="utf-8") as stream:
            assert {row["n"] for row in csv.DictReader(stream)} == {"2"}


@pytest.mark.parametrize(
    ("command", "options", "said"),
    [
        ("correlate", ["--between", "people"], "Expected between of layers, methods"),
        ("perturb", ["--order", "size"], "Expected order of signed, positive, magnitude"),
        ("evaluate", ["--substrate", "edge:all:zero"], "Expected an input edit as substrate"),
    ],
)
def test_broken_options_are_refused_in_one_line(
    cam, checkpoint, waving, tmp_path, command, options, said
):
    out = tmp_path / ("x.h5" if command == "perturb" else "x.csv")
    files = (checkpoint, waving) if command == "correlate" else (checkpoint, waving, cam)
    assert said in refused(command, *files, *options, "--out", out)
    assert not out.exists()


def test_an_input_is_never_written_over(checkpoint, waving, cam):
    before = waving.read_bytes()
    said = "expected another file to write than an input"
    assert said in refused("explain", checkpoint, waving, "--limit", 1, "--out", waving)
    assert said in refused("combine", cam, cam, "--out", cam)
    assert said in refused("perturb", checkpoint, waving, cam, "--out", cam)
    assert waving.read_bytes() == before
