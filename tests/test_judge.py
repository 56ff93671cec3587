from __future__ import annotations

import csv

import pytest
from command_line import done, refused

pytest_plugins = ("journey",)


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
        (["--between", "people"], "--between: expected layers, methods"),
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
