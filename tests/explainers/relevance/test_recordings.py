"""Relevance on both real data sets, by one call from the windows to the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hargcn.explanation import Explanation
from hargcn.pipeline.explain import explain
from hargcn.pipeline.prepare import prepare

ROOT = Path(__file__).resolve().parents[3]
SETS = {"utd_mhad": "utd_mhad/raw", "mini_rgbd_planted": "mini_rgbd_2d/raw"}
WAYS = [
    ("lrp", {"composite": "epsilon-plus"}, "branches"),
    ("lrp", {"composite": "epsilon-gamma-box"}, "branches"),
    ("lrp", {"composite": "alpha2-beta1"}, "positions"),
    ("deep-taylor", {}, "branches"),
    ("rap", {}, "positions"),
    ("rap", {}, "branches"),
]


@pytest.fixture(scope="module")
def windows(data_root, tmp_path_factory):
    """Prepared once for all methods, by name."""
    folder, made = tmp_path_factory.mktemp("windows"), {}
    for name, recordings in SETS.items():
        config = ROOT / "configs" / f"{name}.yaml"
        given = {"plant": True} if name.endswith("planted") else {}
        made[name] = folder / f"{name}.h5"
        prepare(data_root / recordings, made[name], config, **given)
    return made


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(("method", "settings", "on"), WAYS)
def test_on_real_recordings(name, method, settings, on, windows, tmp_path) -> None:
    said: list[str] = []
    (path,) = explain(
        ROOT / "checkpoints" / f"{name}.safetensors", windows[name], tmp_path / "e.h5",
        method=method, settings=settings, on=on, limit=2, say=said.append,
    )  # fmt: skip
    assert any("2 samples" in line for line in said)
    found = Explanation.open(path)
    lost = found.dataset["relevance_lost"].sum("operation")
    size = abs(found.score)
    np.testing.assert_allclose(lost / size, -found.additivity_gap / size, atol=1e-3)
    assert float(abs(found.values).max()) > 0
    if method == "rap":  # it loses nothing but the angle of a bone that lies nowhere
        by = found.dataset["relevance_lost"]
        angles = np.array(["acos" in name for name in by["operation"].to_numpy()])
        assert angles.any() == (on == "positions")
        assert float(abs(by[:, ~angles]).sum("operation").max() / size.min()) < 0.02
        if on == "branches":
            assert float(found.relative_gap.max()) < 1e-3
