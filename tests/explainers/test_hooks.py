from __future__ import annotations

import copy
from contextlib import contextmanager

import pytest
import torch
from fixtures.cut_networks import CASES, NETWORKS
from fixtures.foreign_cnn import adapted_cnn, image
from fixtures.small_model import half_trained, ours, traces
from torch import nn

from hargcn.explainers import hooks
from hargcn.explainers.adapter import adapted
from hargcn.explainers.hooks import record, undisturbed, watch


def test_undisturbed_restores_each_flag_also_after_an_exception():
    model = half_trained(copy.deepcopy(ours()))
    before = traces(model)

    def fail():
        with undisturbed(model):
            assert not any(m.training for m in model.modules())
            assert not any(p.requires_grad for p in model.parameters())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert traces(model) == before


def test_whoever_watches_sees_what_ends_in_order_and_leaves_no_trace():
    model, x, seen = adapted_cnn(), image(), []
    inner = half_trained(model)
    before = traces(inner)
    leaves = [module for module in model.modules() if not any(module.children())]

    def note(module, given, output):
        assert (module.training, torch.is_grad_enabled()) == (False, False)
        seen.append((module, given[0].shape, output))

    watch(model, x, leaves, note)
    assert [module for module, *_ in seen] == leaves  # one after another, each once
    assert seen[0][1] == x.shape
    assert seen[-1][2].equal(adapted_cnn()(x))
    assert traces(inner) == before

    def fail(*_given):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        watch(model, x, leaves, fail)
    assert traces(inner) == before


def test_hooks_are_gone_before_another_thread_has_its_turn(monkeypatch):
    model, left = ours(), []

    @contextmanager
    def watched(network):
        with undisturbed(network):
            yield
            left.append([len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net_modules])

    net_modules = list(model.modules())
    monkeypatch.setattr(hooks, "undisturbed", watched)
    with record(model, model, ["main.0.tcn"]):
        assert any(m._forward_hooks for m in net_modules)
    assert left == [[0] * len(net_modules)]


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_recording_changes_neither_the_logits_nor_the_network(name, layer):
    build, inputs, _ = NETWORKS[name]
    model, x = build(), inputs()
    expected = model(x).detach()
    model = half_trained(copy.deepcopy(model))
    before, state = traces(model), copy.deepcopy(model.state_dict())
    at = adapted(model, x)
    for grad in (True, False):
        with record(model, at, [layer], grad=grad) as seen:
            logits = model(x)
        assert seen[layer].requires_grad is grad
        torch.testing.assert_close(logits.detach(), expected)
    assert traces(model) == before
    assert all(value.equal(state[key]) for key, value in model.state_dict().items())


def test_record_keeps_what_an_operation_in_place_would_overwrite():
    model, x = adapted_cnn(), image()
    with record(model, adapted(model, x), ["features.1", "features.2"]) as seen:
        model(x)
    assert seen["features.1"].min() < 0
    assert seen["features.2"].equal(seen["features.1"].clamp(min=0))


def test_record_is_gone_after_an_exception_and_filled_anew_by_each_pass():
    model, x = adapted_cnn(), image()
    before = traces(model)

    def fail():
        with record(model, model, ["features"]):
            model(x[:, :1])

    with pytest.raises(RuntimeError, match="channels"):
        fail()
    assert traces(model) == before
    with record(model, model, ["features"], grad=False) as seen:
        model(x)
        first = seen["features"]
        model(x[:1])
    assert len(first) == len(x)
    assert len(seen["features"]) == 1


class Pair(nn.Module):
    def forward(self, x):
        return x, x


def test_a_layer_must_return_one_tensor():
    model = nn.Sequential(Pair(), nn.Identity())

    def look():
        with record(model, adapted(model, image()), ["0"]):
            model(image())

    wanted = r"layer '0': expected one tensor \(got \[0\] .*; name one, as '0\[0\]'\)"
    with pytest.raises(TypeError, match=wanted):
        look()
