from __future__ import annotations

import copy

import pytest
import torch
from fixtures.cut_networks import CASES, NETWORKS
from fixtures.foreign_cnn import adapted_cnn, branches, image
from fixtures.small_model import half_trained, ours, traces
from fixtures.toy_networks import Reuse
from torch import nn

from hargcn.explainers.adapter import Adapter, adapted
from hargcn.explainers.hooks import record
from hargcn.explainers.tail import replay, run_and_keep, tail, unread


@pytest.mark.parametrize("layer", ["first", "side", "second", "third", "first.0"])
def test_a_tail_survives_reuse_comparisons_and_work_in_place(layer):
    torch.manual_seed(0)
    model, x = Reuse().eval(), image()
    with torch.no_grad():
        expected = model(x)
        with tail(model, adapted(model, x), layer, x) as (activation, run):
            rows = torch.tensor([2, 0, 2, 1])
            torch.testing.assert_close(run(activation[rows], rows), expected[rows])
            kept = activation.clone()
            run(activation, torch.arange(3))
            assert activation.equal(kept)


@pytest.mark.parametrize("layer", ["act", "absent"])
def test_a_layer_that_does_not_run_exactly_once_is_refused(layer):
    model, x = Reuse().eval(), image()
    model.absent = nn.ReLU()
    at = adapted(model, x)
    message = "runs once" if layer == "act" else "never called 'absent'"

    def cut():
        with tail(model, at, layer, x):
            pass

    before = traces(model)
    with pytest.raises(ValueError, match=message):
        cut()
    assert traces(model) == before
    if layer == "act":

        def look():
            with record(model, at, [layer]):
                model(x)

        with pytest.raises(ValueError, match=message):
            look()


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_the_tail_of_an_activation_is_the_whole_network(name, layer):
    build, inputs, _ = NETWORKS[name]
    model, x = build(), inputs()
    state = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        expected = model(x)
    model = half_trained(copy.deepcopy(model))
    before = traces(model)
    at = adapted(model, x)
    with tail(model, at, layer, x) as (activation, run):
        rows = torch.tensor([1, 0, 1])
        persons = len(activation) // len(x)
        changed = activation.unflatten(0, (len(x), persons))[rows].flatten(0, 1)
        torch.testing.assert_close(run(changed, rows), expected[rows], rtol=1e-4, atol=1e-5)
    assert traces(model) == before
    assert all(value.equal(state[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_the_tail_of_a_changed_activation_is_the_network_with_it(name, layer):
    build, inputs, _ = NETWORKS[name]
    model, x = build(), inputs()
    at = adapted(model, x)
    handle = at.get_layer(layer).register_forward_hook(lambda _m, _i, out: out * 0.5 - 0.1)
    with torch.no_grad():
        expected = model(x)
    handle.remove()
    with tail(model, at, layer, x) as (activation, run):
        logits = run(activation * 0.5 - 0.1, torch.arange(len(x)))
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


def test_the_tail_does_not_run_what_lies_before_the_layer():
    model, x = ours(), branches()
    calls = []
    with tail(model, model, "main.1.tcn", x) as (activation, run):
        for name in ("J.stem", "main.0.tcn", "main.1.gcn", "main.1.attention"):
            module = model.get_submodule(name)
            original = module.forward

            def counted(*args, name=name, original=original):
                calls.append(name)
                return original(*args)

            module.forward = counted
        run(activation, torch.arange(len(x)))
        for name in ("J.stem", "main.0.tcn", "main.1.gcn", "main.1.attention"):
            del model.get_submodule(name).forward
    assert calls == ["main.1.attention"]


class WritesBefore(nn.Module):
    """Reads a tensor again after a module has changed it in place."""

    def __init__(self):
        super().__init__()
        self.stem, self.relu = nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True)
        self.conv, self.fc = nn.Conv2d(4, 4, 1), nn.Linear(4, 2)

    def forward(self, x):
        x = self.stem(x)
        y = self.conv(self.relu(x))
        return self.fc((x + y.tanh()).mean((2, 3)))


@pytest.mark.parametrize("hooked", [False, True])
def test_a_tail_that_is_another_network_is_refused(hooked):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, x = WritesBefore().eval(), torch.randn(2, 3, 5, 4)
    model.relu.inplace = not hooked
    if hooked:
        model.stem.register_forward_hook(lambda _m, _x, out: 2 * out)
    at = Adapter(model, ("sample", "channel", "time", "joint"))
    with (
        pytest.raises(ValueError, match="'conv': expected a rest of the network that runs alone"),
        tail(model, at, "conv", x),
    ):
        pass


def test_a_finished_module_stands_for_its_children():
    model, x = ours(), branches()
    with torch.no_grad():
        _, finished = run_and_keep(model, "main.1.gcn", model.get_submodule("main.1.gcn"), x)
    assert set(finished) == {model.J, model.V, model.B, model.A, model.get_submodule("main.0")}


def test_only_what_leads_past_the_layer_is_read():
    model, x = Reuse().eval(), image()
    with torch.no_grad():
        activation, finished = run_and_keep(model, "second", model.second, x)
        idle = unread(model, {model.second: [activation[:1]]}, finished, x)
    assert model.side not in idle  # a comparison, and a sum
    assert model.first in idle


def test_a_forward_of_the_modules_own_comes_back():
    model, x = adapted_cnn(), image()
    relu = model.model.features[2]

    def own(x):
        return x * 2

    relu.forward = own
    replay(model, {relu: [torch.zeros(3, 6, 8, 6)]}, x)
    assert relu.__dict__["forward"] is own
