"""A wrong name ends a command before it computes anything, with the nearest right one."""

from __future__ import annotations

import pytest
from fixtures.command_line import refused

from hargcn.networks.stgcn import MultiBranchSTGCN

SHAP = ("--method", "shap", "--background", 6)
WRONG = [
    ("test", ["--split", "tset"], "test"),
    ("test", ["--aggregate", "meen"], "mean"),
    ("explain", ["--split", "tarin"], "train"),
    ("explain", ["--class", "clas1"], "class1"),
    ("explain", ["--class", "labell"], "label"),
    ("explain", ["--of", "clas1"], "class1"),
    ("explain", ["--layer", "main.0.tcm"], "main.0.tcn"),
    ("explain", ["--method", "gradcan"], "gradcam"),
    ("explain", ["--set", "utilty=prob"], "utility"),
    ("explain", ["--keep", "joint-tim"], "joint-time"),
    ("explain", ["--on", "position"], "positions"),
    ("explain", [*SHAP, "--class", "clas1"], "class1"),
    ("explain", [*SHAP, "--background-class", "clas1"], "class1"),
    ("explain", [*SHAP, "--background-by", "medoid"], "medoids"),
    ("correlate", ["--class", "clas1"], "class1"),
    ("correlate", ["--reference", "main.0.tcm"], "main.0.tcn"),
    ("correlate", ["--split", "tset"], "test"),
    ("correlate", ["--between", "layer"], "layers"),
    ("perturb", ["--order", "magnitud"], "magnitude"),
    ("perturb", ["--range", "orignal"], "original"),
    ("evaluate", ["--metrics", "pgi,deletoin"], "deletion"),
    ("rank", ["--class", "clas1"], "class1"),
    ("show", ["--sample", "g3_c0_7@0"], "g3_c0_"),
]
SUFFIX = {"correlate": ".csv", "evaluate": ".csv", "rank": ".png", "show": ".png"}


@pytest.fixture
def idle(checkpoint, gradcams, monkeypatch):
    """Refuse every pass through the network, and every choice of a background."""
    assert all(path.is_file() for path in (checkpoint, *gradcams))

    def forbidden(*_, **__):
        raise AssertionError("computed before the names were checked")

    monkeypatch.setattr(MultiBranchSTGCN, "forward", forbidden)
    monkeypatch.setattr("hargcn.pipeline.background.choose", forbidden)


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize(
    ("command", "options", "right"), WRONG, ids=[f"{c} {o[-2]} {o[-1]}" for c, o, _ in WRONG]
)
def test_a_wrong_name_is_refused_before_anything_is_computed(
    checkpoint, gradcams, waving, tmp_path, command, options, right
):
    network, explained = [checkpoint, waving], [gradcams[0]]
    given = explained if command in ("rank", "show") else network
    given += explained if command in ("perturb", "evaluate") else []
    out = tmp_path / f"x{SUFFIX.get(command, '.json' if command == 'test' else '.h5')}"
    said = refused(command, *given, *options, "--out", out)
    assert f"did you mean '{right}" in said
    assert not list(tmp_path.iterdir())
