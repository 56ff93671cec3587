"""Class activation maps against a plain forward and backward pass, and against grad-cam.

Everything is measured in the same run, in turns, on the network of the published CP experiments
(four branches, 29 points, 150 frames, 64 channels); only ratios of medians of CPU time are judged.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.cp_network import cp_network, in_turns, windows
from fixtures.peer_packages import grad_cam, raw_map
from torch import Tensor, nn

from hargcn.explainers import AblationCAM, GradCAM, Occlusion, ScoreCAM
from hargcn.explainers.hooks import undisturbed
from hargcn.networks.stgcn import MultiBranchSTGCN

pytestmark = pytest.mark.slow
LAST = "main.1.attention"
BRANCH = "J.0.attention"
TABLE = [
    *(f"{b}.{layer}" for b in "JVBA" for layer in ("init", "1.tcn", "1.attention")),
    *(f"main.{i}.{layer}" for i in (0, 1) for layer in ("tcn", "attention")),
]


@pytest.fixture(scope="module")
def network() -> MultiBranchSTGCN:
    return cp_network()


def floor(model: MultiBranchSTGCN, x: Tensor, layer: str | None) -> None:
    """Run one forward pass and one backward pass to a layer, or to the input."""
    start = [x.clone().requires_grad_()] if layer is None else []

    def begin(_module: nn.Module, _inputs: object, out: Tensor) -> Tensor:
        start.append(out.detach().requires_grad_())
        return start[0]

    handle = None if layer is None else model.get_layer(layer).register_forward_hook(begin)
    with undisturbed(model):
        logits = model(start[0] if layer is None else x)
        torch.autograd.grad(logits[:, 1].sum(), start)
    if handle is not None:
        handle.remove()


@pytest.mark.parametrize("layer", [LAST, BRANCH])
def test_gradcam_costs_a_forward_and_a_backward_pass_to_its_layer(network, layer, judge):
    x = windows(4)
    took = in_turns(
        9, {"floor": lambda: floor(network, x, layer), "cam": lambda: GradCAM(layer)(network, x, 1)}
    )
    ratio = took["cam"] / took["floor"]
    judge(f"gradcam at {layer}", ratio, "forward + backward to it", most=1.1)


def test_all_layers_of_the_correlation_table_come_from_one_pass(network, judge):
    x = windows(4)
    assert len(TABLE) == 16
    took = in_turns(
        5,
        {
            "floor": lambda: floor(network, x, None),
            "cam": lambda: GradCAM(LAST).at_layers(network, x, 1, TABLE),
        },
    )
    ratio = took["cam"] / took["floor"]
    judge("gradcam at 16 layers", ratio, "forward + backward to the input", most=1.5)


class Flat(nn.Module):
    """What grad-cam can meet: four axes, (sample, branch * channel, time, joint)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x.unflatten(1, (4, 4)).unsqueeze(-1))


def theirs(model: MultiBranchSTGCN, name: str, x: Tensor) -> np.ndarray:
    net = Flat(model)
    for parameter in model.parameters():
        parameter.grad = None
    package, quiet = grad_cam(), contextlib.redirect_stderr(io.StringIO())
    with quiet, getattr(package, name)(net, [model.get_layer(LAST)]) as cam:
        found = raw_map(cam, x.squeeze(-1).flatten(1, 2), [1] * len(x))
    for parameter in model.parameters():
        parameter.grad = None
    return found


def test_gradcam_is_faster_than_the_package(network, judge):
    x = windows(16)
    mine = GradCAM(LAST)(network, x, 1).values.to_numpy()[..., 0]
    other = theirs(network, "GradCAM", x)
    np.testing.assert_allclose(mine, other, rtol=1e-3, atol=1e-4 * abs(other).max())
    took = in_turns(
        3,
        {
            "mine": lambda: GradCAM(LAST)(network, x, 1),
            "theirs": lambda: theirs(network, "GradCAM", x),
        },
    )
    ratio = took["theirs"] / took["mine"]
    judge("grad-cam's GradCAM, 16 windows", ratio, "gradcam", least=2.5)


def test_ablationcam_is_faster_than_the_package(network, judge):
    x = windows(1)
    took = in_turns(
        1,
        {
            "mine": lambda: AblationCAM(LAST)(network, x, 1),
            "theirs": lambda: theirs(network, "AblationCAM", x),
        },
    )
    ratio = took["theirs"] / took["mine"]
    judge("grad-cam's AblationCAM", ratio, "ablationcam", least=3)


def test_scorecam_runs_the_network_as_often_as_the_package(network, judge):
    """So there is nothing left to save but passes of the whole network."""
    rows: list[int] = []
    handle = network.register_forward_hook(lambda _m, inputs, _out: rows.append(len(inputs[0])))
    try:
        ScoreCAM(LAST)(network, windows(1), 1)
        mine = sum(rows)
        rows.clear()
        theirs(network, "ScoreCAM", windows(1))
    finally:
        handle.remove()
    most, theirs_is = sum(rows) + 2, f"grad-cam's {sum(rows)}"
    judge("passes of scorecam", mine, theirs_is, most=most, unit="passes")


ALONE = """
import sys, time
import torch
import test_bench_cam as bench
from hargcn.allocator import keep_freed_memory

torch.set_num_threads(1)
model, x = bench.cp_network(), bench.windows(1)
if sys.argv[1] == "ours":
    keep_freed_memory()
best = float("inf")
for _ in range(3):
    start = time.process_time()
    if sys.argv[1] == "ours":
        bench.ScoreCAM(bench.LAST)(model, x, 1)
    else:
        bench.theirs(model, "ScoreCAM", x)
    best = min(best, time.process_time() - start)
print(best)
"""


def alone(whose: str) -> float:
    """Return the CPU seconds of Score-CAM in a process of its own, as its package is used.

    Our command line keeps freed memory; a script that calls grad-cam does nothing of the kind.
    """
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent), str(here.parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", ALONE, whose],
        env={**os.environ, "PYTHONPATH": paths}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return float(done.stdout.split()[-1])


def test_scorecam_against_the_package_at_its_best(network, judge):
    """In one process that keeps freed memory both cost the same: the network's passes."""
    took = in_turns(
        3,
        {
            "mine": lambda: ScoreCAM(LAST)(network, windows(1), 1),
            "theirs": lambda: theirs(network, "ScoreCAM", windows(1)),
        },
    )
    ratio = took["theirs"] / took["mine"]
    judge("grad-cam's ScoreCAM, memory kept for it", ratio, "scorecam", least=1, limit=0.9)


def test_scorecam_against_the_package_as_each_is_used(judge):
    """Both run the network as often (see above): what differs is how memory is kept."""
    grad_cam()  # skips without it
    took = {whose: min(alone(whose) for _ in range(2)) for whose in ("ours", "theirs")}
    ratio = took["theirs"] / took["ours"]
    # What new memory costs, which the package takes for every pass, is the machine's.
    judge("grad-cam's ScoreCAM, each as it is used", ratio, "scorecam", least=1.5, limit=1.2)


def forwards(model: nn.Module, x: Tensor, rows: int, size: int) -> None:
    """Run plain forward passes of so many rows, `size` at a time."""
    with undisturbed(model), torch.no_grad():
        for start in range(0, rows, size):
            model(x.expand(min(size, rows - start), *x.shape[1:]).contiguous())


@pytest.mark.parametrize(
    ("method", "size"),
    [(ScoreCAM(LAST), 16), (Occlusion(), Occlusion().batch)],
    ids=["scorecam", "occlusion"],
)
def test_methods_of_forwards_cost_their_forwards(network, method, size, judge):
    x = windows(1)
    passes = method.passes(network, x).forward
    took = in_turns(
        3,
        {
            "floor": lambda: forwards(network, x, passes, size),
            "method": lambda: method(network, x, 1),
        },
    )
    ratio = took["method"] / took["floor"]
    judge(method.name, ratio, f"{passes} forward passes, {size} at a time", most=1.1)
