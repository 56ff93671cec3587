"""Every method but maps of layers, by one command, on trained networks and real recordings."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.command_line import run
from fixtures.methods import GRADIENTS, HIDING, RELEVANCE

from hargcn import Explanation
from hargcn.pipeline.prepare import prepare

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = {
    "utd_mhad": "utd_mhad",
    "utd_planted": "utd_mhad",
    "mini_rgbd_planted": "mini_rgbd_2d",
}
"""Networks that come with the project, and the folders of their recordings."""

SMALL = {
    **{name: {**own, "samples": 4} if "samples" in own else own for name, own in GRADIENTS.items()},
    **HIDING,
    **RELEVANCE,
}


@pytest.fixture(scope="session")
def real_windows(data_root, tmp_path_factory):
    """Return what prepares the windows of a network, once."""
    folder, made = tmp_path_factory.mktemp("real"), {}

    def windows(network: str) -> Path:
        if network not in made:
            recipe = ROOT / "configs" / f"{network}.yaml"
            out = folder / f"{network}.h5"
            prepare(data_root / NETWORKS[network], out, recipe, plant="planted" in network)
            made[network] = out
        return made[network]

    return windows


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", SMALL)
def test_one_command_explains_them_with_a_forecast(real_windows, tmp_path, name, network):
    checkpoint = ROOT / "checkpoints" / f"{network}.safetensors"
    out = tmp_path / "made.h5"
    own = [f"--set={key}={value}" for key, value in SMALL[name].items()]
    ended = run(
        "explain", checkpoint, real_windows(network), "--method", name, *own, "--limit", 2,
        "--background", 4, "--out", out,
    )  # fmt: skip
    assert ended.code == 0
    assert "2 samples x " in ended.err
    found = Explanation.open(out)
    assert len(found) == 2
    assert found.joint_scores().to_numpy().any()
    if name == "integrated-gradients":
        assert float(found.relative_gap.max()) <= 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_one_command_tells_their_rhythms_with_a_forecast(real_windows, tmp_path, network):
    checkpoint, out = ROOT / "checkpoints" / f"{network}.safetensors", tmp_path / "made.h5"
    ended = run(
        "explain", checkpoint, real_windows(network), "--method", "shap-rhythm", "--limit", 2,
        "--set", "bands=0-2,2-4,4-6", "--set", "stretches=4", "--background", 4, "--out", out,
    )  # fmt: skip
    assert ended.code == 0
    assert "2 samples x 4 background rows in chunks of 4: about" in ended.err
    found = Explanation.open(out)
    assert found.dataset["frequency"].to_numpy().tolist() == ["0-2 Hz", "2-4 Hz", "4-6 Hz", "rest"]
    assert float(found.relative_gap.max()) <= 1e-3
    assert (abs(found.values).sum(["sample", *found.dims[1:-1]]) > 0).all()
    drawn = run("rank", out, "--by", "joint,frequency", "--out", tmp_path / "map.png")
    assert drawn.code == 0
