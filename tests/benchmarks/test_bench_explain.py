"""`explain` from a windows file to explanation files, against the bare explainer on the same input.

What is more: reading, one forward pass for the scores that files hold, writing, joining. Shards of
32 windows, on the network of the published CP experiments; CPU time on one thread, in turns.
"""

from __future__ import annotations

import sys

import pytest
import torch
from fixtures.cp_network import cp_network, in_turns
from fixtures.cp_network import windows as background

from hargcn.explainers import DeepSHAP, GradCAM
from hargcn.pipeline.explain_windows import explain_windows
from hargcn.pipeline.prepare import synthesise

pytestmark = pytest.mark.slow
BODIES = {
    "synthetic": {"recordings": 32, "skeleton": "inmotion29", "frames": [150, 160]},
    "windows": {"mode": "whole", "length": 150},
}


@pytest.mark.parametrize(
    ("explainer", "limit"),
    [(DeepSHAP(background(20)), 1.1), (GradCAM("main.1.attention"), 3.0)],
    ids=["shap", "gradcam"],
)
def test_explain_costs_little_more_than_its_explainer(tmp_path, explainer, limit):
    network = cp_network()
    data = synthesise(tmp_path / "windows.h5", BODIES)
    x = network.inputs(data.read())
    target = torch.ones(len(x), dtype=torch.long)
    out = tmp_path / "explained.h5"

    def whole() -> None:
        out.unlink(missing_ok=True)
        explain_windows(network, data, explainer, out, target="present", progress=False)

    found = in_turns(1, {"bare": lambda: explainer(network, x, target), "explain": whole})
    ratio = found["explain"] / found["bare"]
    more = 1e3 * (found["explain"] - found["bare"]) / len(x)
    sys.stdout.write(
        f"\nexplain / {explainer.name} alone: {ratio:.2f} (aim 1.05, limit {limit}), {more:.0f} ms "
        "a window more\n"
    )
    assert ratio <= limit
