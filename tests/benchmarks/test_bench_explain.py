"""`explain` from a windows file to explanation files, against the bare explainer inside it.

What is more: reading, describing, writing, joining. Shards as they are by default, on the network
of the published CP experiments; CPU time on one thread, both from the same runs: what other work on
the machine takes, it takes from both.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from fixtures.cp_network import cp_network
from fixtures.cp_network import windows as background

from hargcn.explainers import DeepSHAP, GradCAM
from hargcn.pipeline.explain_windows import explain_windows
from hargcn.pipeline.prepare import synthesise

pytestmark = pytest.mark.slow
BODIES = {
    "synthetic": {"recordings": 384, "skeleton": "inmotion29", "frames": [150, 160]},
    "windows": {"mode": "whole", "length": 150},
}


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("explainer", "call", "windows", "rounds", "most"),
    [
        (DeepSHAP(background(20)), "__call__", 32, 1, {"most": 1.05}),
        (GradCAM("main.1.attention"), "at_layers", 256, 2, {"most": 1.05, "limit": 1.3}),
        (GradCAM("main.1.attention"), "at_layers", 384, 2, {"most": 1.05, "limit": 1.3}),
    ],
    ids=["shap", "gradcam", "gradcam, two shards"],
)
def test_explain_costs_little_more_than_its_explainer(
    tmp_path, monkeypatch, explainer, call, windows, rounds, most, judge
):
    network = cp_network()
    data = synthesise(tmp_path / "windows.h5", BODIES).subset(slice(0, windows))
    out = tmp_path / "explained.h5"
    bare, own = [], getattr(type(explainer), call)

    def timed(*given, **named):
        start = time.process_time()
        try:
            return own(*given, **named)
        finally:
            bare.append(time.process_time() - start)

    monkeypatch.setattr(type(explainer), call, timed)
    ratios, more = [], []
    for _ in range(rounds + (rounds > 1)):
        out.unlink(missing_ok=True)
        bare.clear()
        start = time.process_time()
        explain_windows(network, data, explainer, out, target="present", progress=False)
        whole = time.process_time() - start
        ratios.append(whole / sum(bare))
        more.append(1e3 * (whole - sum(bare)) / windows)
    what = f"explain, {explainer.name}, {windows} windows"
    bare_and_more = f"the bare explainer ({np.median(more[-rounds:]):.1f} ms a window more)"
    judge(what, np.median(ratios[-rounds:]), bare_and_more, **most)
