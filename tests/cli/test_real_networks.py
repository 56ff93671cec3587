"""Every method but maps of layers, by one command, on trained networks and real recordings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from fixtures.command_line import done, run
from fixtures.methods import EDGES, GRADIENTS, HIDING, RELEVANCE

from hargcn import Explanation
from hargcn.explainers.attribution.groups import By
from hargcn.explainers.relevance.recipes import COMPOSITES
from hargcn.pipeline.prepare import prepare

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = {
    "utd_mhad": "utd_mhad",
    "utd_planted": "utd_mhad",
    "mini_rgbd_planted": "mini_rgbd_2d",
}
"""Networks that come with the project, and the folders of their recordings."""

BY_LAYER = {
    **{f"lrp {name}": {"composite": name} for name in COMPOSITES},
    **{name: own for name, own in RELEVANCE.items() if name != "lrp"},
}
SHAPLEY = {f"shapley-groups {by}": {"by": by, "budget": 600} for by in get_args(By)}
BY_EDGE = {**EDGES, "edge-shapley edge": {"by": "edge", "orders": 4}}
SMALL: dict[str, Mapping[str, object]] = {
    **{name: {**own, "samples": 4} if "samples" in own else own for name, own in GRADIENTS.items()},
    **{name: own for name, own in HIDING.items() if name != "shapley-groups"},
    **BY_LAYER,
    **SHAPLEY,
    **BY_EDGE,
}
"""Methods, behind a blank in which of their ways, and their settings."""

FORECAST = re.compile(r"2 samples x (\d+)( to \d+)? passes.*: (about )?\d+ (s|min)")


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


def explained(network: str, windows: Path, out: Path, name: str, **own: object) -> Explanation:
    """Explain two windows by one command that says what it will take, and shows how far it is."""
    sets = [f"--set={key}={value}" for key, value in own.items()]
    ended = run(
        "explain", ROOT / "checkpoints" / f"{network}.safetensors", windows, "--method",
        name.partition(" ")[0], *sets, "--limit", 2, "--background", 4, "--out", out,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    told = FORECAST.search(ended.err)
    assert told is not None, ended.err
    assert int(told[1]) > 0
    assert "explaining" in ended.err
    found = Explanation.open(out)
    assert len(found) == 2
    assert set(found.skeleton.joints) == set(found.dataset[_joints(found)].to_numpy())
    assert np.isfinite(found.values).all()
    assert found.values.any([dim for dim in found.dims if dim != "sample"]).all()
    return found


def _joints(found: Explanation) -> str:
    return "joint" if "joint" in found.dims else "source_joint"


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", SMALL)
def test_one_command_explains_them_with_progress_and_a_forecast(
    real_windows, tmp_path, name, network
):
    out = tmp_path / "made.h5"
    found = explained(network, real_windows(network), out, name, **SMALL[name])
    if "integrated-gradients" in name:
        assert float(found.relative_gap.max()) <= 1e-3
    if name in BY_LAYER and name != "pattern-net":  # whose values are no shares of the score
        lost = found.dataset["relevance_lost"].sum("operation")
        np.testing.assert_allclose(lost, -found.additivity_gap, rtol=1e-4, atol=1e-5)
    if name in SHAPLEY or name.startswith("edge-shapley"):
        size = abs(found.score - found.base_value)
        assert float((abs(found.additivity_gap) / size).max()) < 1e-4
    if name in BY_EDGE:
        done("rank", out, "--out", tmp_path / "rank.png")


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_two_commands_draw_which_branches_act_together(real_windows, tmp_path, network):
    out, picture = tmp_path / "groups.h5", tmp_path / "together.png"
    explained(
        network, real_windows(network), out, "shapley-groups", by="branch", interactions="k-SII"
    )
    said = " ".join(done("interactions", out, "--out", picture).split())
    assert "pairs that act together (k-SII), of 2 windows" in said
    assert picture.stat().st_size > 5000


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
