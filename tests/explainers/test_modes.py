"""Whoever calls, from whatever thread and mode: the same explanation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch
from fixtures.foreign_cnn import adapted_cnn, adapted_stgcn, clips, image, out_of_place
from fixtures.methods import CAMS, cam
from fixtures.small_model import traces
from torch import nn

from hargcn.explainers import Adapter, DeepSHAP, GradCAM, HiResCAM, LibrarySHAP
from hargcn.explainers.hooks import lock_of, ordinary

MODES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}
EXPLAINERS = {
    **{name: (adapted_stgcn, clips, lambda name=name: cam(name, "blocks.1")) for name in CAMS},
    "shap": (adapted_stgcn, clips, lambda: DeepSHAP(clips(3, seed=2))),
    "shap-library": (
        lambda: out_of_place(adapted_cnn()),
        image,
        lambda: LibrarySHAP(image(3, seed=2)),
    ),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", EXPLAINERS)
def test_the_callers_mode_changes_nothing(name, mode):
    build, inputs, make = EXPLAINERS[name]
    model, expected = build(), make()(build(), inputs(), 1)
    with MODES[mode]():
        explainer, x = make(), inputs()
        states = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        found = explainer(model, x, 1)
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == states
        assert x.is_inference() == states[1]
        assert torch.is_autocast_enabled("cpu") == (mode == "autocast")
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.score, expected.score)


@pytest.mark.parametrize("mode", MODES)
def test_gradients_are_recorded_where_they_were(mode):
    with MODES[mode]():
        before = torch.is_grad_enabled()
        with ordinary():
            assert torch.is_grad_enabled() == before
            assert not torch.is_inference_mode_enabled()
            assert not torch.is_autocast_enabled("cpu")


def test_threads_take_turns_at_one_network():
    """Four threads, methods mixed, through one explainer and several adapters of one network."""
    net, x = adapted_stgcn().model, clips()
    net.train()
    dims = ("sample", "channel", "time", "joint", "person")
    jobs = [GradCAM("blocks.1"), HiResCAM("blocks.0"), DeepSHAP(clips(3, seed=2))] * 4
    expected = [each(Adapter(net, dims), x, 1) for each in jobs[:3]] * 4
    before, start = traces(net), Barrier(4)

    def ask(each):
        start.wait(timeout=60)
        return each(Adapter(net, dims), x, 1)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, jobs))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
    assert traces(net) == before


def test_a_network_has_one_lock_and_another_has_another():
    net = adapted_cnn().model
    assert lock_of(Adapter(net)) is lock_of(net)
    assert lock_of(adapted_cnn()) is not lock_of(net)
    bare = nn.Flatten()
    assert lock_of(bare) is lock_of(bare)
