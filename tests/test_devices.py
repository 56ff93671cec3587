"""Everything is computed where the network lies: on a device in software, and on a GPU.

The former (`fixtures.elsewhere`) is on every machine; a GPU rounds otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from fixtures.elsewhere import THERE, called_cuda, elsewhere, moved
from fixtures.methods import EDGES, GRADIENTS, HIDING, RELEVANCE
from fixtures.small_model import small_model

import hargcn
from hargcn.explainers import methods
from hargcn.explainers.base import make
from hargcn.metrics.runner import Runner
from hargcn.networks.stgcn import ModelConfig, StreamConfig
from hargcn.perturbation import parse_edit
from hargcn.pipeline.evaluate import correlate, evaluate
from hargcn.pipeline.explain import explain
from hargcn.pipeline.perturb import perturb
from hargcn.training.fit import TrainConfig, fit

pytestmark = pytest.mark.slow
SMALL = {**EDGES, **GRADIENTS, **RELEVANCE, **HIDING}
SMALL["shapcam"] = {"permutations": 8, "players": "joints"}
GIVEN = {"mask", "shap", "cam"}
OWN = {n: c for n, c in methods().items() if c.__module__.startswith("hargcn.")}
ALONE = [name for name, cls in OWN.items() if not GIVEN & set(cls.needs)]


@contextmanager
def cuda() -> Iterator[None]:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device, and torch finds none on this machine")
    yield


EXACT = 0.0  # the device in software does the CPU's own arithmetic
DEVICES = [
    pytest.param(elsewhere, THERE, EXACT, id="software"),
    pytest.param(cuda, torch.device("cuda"), 1e-3, id="cuda", marks=pytest.mark.gpu),
]
COMMANDS = [
    pytest.param(called_cuda, 0, id="software"),
    pytest.param(cuda, 1, id="cuda", marks=pytest.mark.gpu),
]
"""Devices, and which of two tolerances is theirs."""


def on(place: torch.device, model: torch.nn.Module) -> torch.nn.Module:
    return moved(model) if place == THERE else model.to(place)


@pytest.mark.parametrize(("device", "place", "atol"), DEVICES)
@pytest.mark.parametrize("name", ALONE)
def test_a_method_explains_where_the_network_lies(name, device, place, atol):
    model = small_model()
    positions = torch.randn(6, 2, 24, 19, 1, generator=torch.Generator().manual_seed(0))
    x = model.features(positions, torch.ones(6, 24, 1, dtype=torch.bool))

    def explained(model, x):
        given = {"layer": model.layer_names()[-1], "background": x[2:], "rate": [30.0, 30.0]}
        needed = {key: value for key, value in given.items() if key in OWN[name].needs}
        return make(name, SMALL.get(name, {}), needed)(model, x[:2], 1).values.to_numpy()

    here = explained(model, x)
    with device():
        there = explained(on(place, small_model()), x.to(place))
    np.testing.assert_allclose(there, here, rtol=0, atol=atol * np.abs(here).max())


@pytest.mark.parametrize(("device", "place", "atol"), DEVICES)
@pytest.mark.parametrize(
    "text", ["edge:self:away:0.35", "edge:all:noise:0.2", "input:freeze", "input:noise:0.1@2-6"]
)
def test_perturbations_are_made_where_the_network_lies(text, device, place, atol):
    positions = torch.randn(3, 2, 9, 19, 1, generator=torch.Generator().manual_seed(0))
    sets = np.random.default_rng(0).random((3, 5, 19)) < 0.3

    def edited(model, positions):
        run = Runner(model.features, batch=4, skeleton=model.skeleton, seed=9)
        return run.edited(model, positions, parse_edit(text), sets, draws=2)

    here = edited(small_model(), positions)
    with device():
        there = edited(on(place, small_model()), positions.to(place))
    np.testing.assert_allclose(there, here, rtol=0, atol=atol)


@pytest.mark.parametrize(("device", "at"), COMMANDS)
@pytest.mark.parametrize(
    ("method", "of"),
    [("shap", "branches"), ("shap", "positions"), ("gradcam", "branches"), ("random", "branches")],
)
def test_explain_takes_a_device(method, of, device, at, checkpoint, waving, tmp_path):
    given = {"method": method, "background": 3, "limit": 2, "on": of}
    (here,) = explain(checkpoint, waving, tmp_path / "here.h5", **given)
    with device():
        (there,) = explain(checkpoint, waving, tmp_path / "there.h5", device="cuda", **given)
    found, wanted = (hargcn.Explanation.open(each).values.to_numpy() for each in (there, here))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=(EXACT, 1e-3)[at] * np.abs(wanted).max())


@pytest.mark.parametrize(("device", "at"), COMMANDS)
def test_judges_take_a_device(device, at, checkpoint, waving, gradcams, tmp_path):
    def judged(where: str) -> list[np.ndarray]:
        given = {"device": where, "progress": False}
        out = tmp_path / where
        table = evaluate(
            checkpoint, waving, gradcams, out.with_suffix(".csv"), metrics="pgi,deletion", **given
        )
        layers = correlate([checkpoint, waving], tmp_path / f"{where}_layers.csv", **given)
        curves = perturb(checkpoint, waving, gradcams, out.with_suffix(".h5"), random=3, **given)
        found = [*table.samples.values(), layers["rho"], curves.dataset["sample_score"]]
        return [each.to_numpy() for each in found]

    wanted = judged("cpu")
    with device():
        found = judged("cuda")
    for one, other in zip(found, wanted, strict=True):
        # In software some probabilities differ in their last digit (measured: 1e-8 at most).
        np.testing.assert_allclose(one, other, rtol=0, atol=(1e-7, 1e-2)[at])


@pytest.mark.parametrize(("device", "at"), COMMANDS)
def test_training_takes_a_device(device, at, waving, tmp_path):
    windows = hargcn.Windows.open(waving)
    stream = StreamConfig(blocks=1, depth=1, window=3)
    config = ModelConfig(
        width=8, min_width=8, max_width=8, last_width=8, branch=stream, main=stream
    )
    settings = TrainConfig(epochs=1, batch_size=4, device="cpu")
    here = fit(config, windows, settings, tmp_path / "here", progress=False)
    with device():
        asked = settings.model_copy(update={"device": "cuda"})
        there = fit(config, windows, asked, tmp_path / "there", progress=False)
    loss, wanted = (each.history[0]["train_loss"] for each in (there, here))
    assert loss == pytest.approx(wanted, rel=(EXACT, 1e-3)[at], abs=0)
