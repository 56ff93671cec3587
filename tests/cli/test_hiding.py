"""Methods that hide parts of the input, from the command line to the pictures."""

from __future__ import annotations

import pytest
from fixtures.command_line import done

from hargcn import Explanation

SETTINGS = {
    "occlusion": ["-s", "by=joint-time", "-s", "bins=2"],
    "lime": ["-s", "by=part", "-s", "masks=20"],
    "rise": ["-s", "masks=20"],
    "mask": ["-s", "steps=5"],
    "prediction-difference": ["--background", "2"],
}


@pytest.mark.parametrize("on", ["branches", pytest.param("positions", marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", SETTINGS)
def test_explained_ranked_and_shown(checkpoint, waving, tmp_path, method, on):
    out = tmp_path / "e.h5"
    options = [*SETTINGS[method], "--on", on, "--limit", "2", "--out", out]
    done("explain", checkpoint, waving, "--method", method, *options)
    found = Explanation.open(out)
    assert (found.method, len(found)) == (method, 2)
    assert found.joint_scores().to_numpy().any()
    done("rank", out, "--out", tmp_path / "r.png")
    done("show", out, "--out", tmp_path / "s.png")
