from __future__ import annotations

import copy

import pytest
import torch
from fixtures.foreign_cnn import adapted_cnn, adapted_stgcn, branches, clips, image
from fixtures.small_model import half_trained, ours, traces
from fixtures.toy_networks import Reuse
from torch import nn

from hargcn.explanation import DIMS
from hargcn.tap import Adapter, map_axes, record, tail, tappable, undisturbed

NETWORKS = {
    "ours": (ours, branches, ["J.init", "J.stem.gcn", "J.0.attention", "B.0.tcn"]),
    "ours main": (ours, branches, ["main.0.attention", "main.1.tcn", "main.1.attention"]),
    "cnn": (adapted_cnn, image, ["features.0", "features.2", "features.3", "features"]),
    "stgcn": (adapted_stgcn, clips, ["data_bn", "blocks.0.tcn", "blocks.0", "blocks.1"]),
}
CASES = [(name, layer) for name, (_, _, layers) in NETWORKS.items() for layer in layers]


def test_our_networks_answer_for_themselves_and_others_are_adapted():
    model, x = ours(), branches()
    assert tappable(model, x) is model
    plain = nn.Sequential(nn.Conv2d(3, 2, 1))
    assert tappable(plain, image()).input_dims == ("sample", "axis1", "axis2", "axis3")
    assert tappable(plain, x).input_dims == DIMS


def test_an_adapter_without_names_takes_each_inputs_and_keeps_none():
    adapter = Adapter(nn.Flatten())
    assert tappable(adapter, image()).input_dims == ("sample", "axis1", "axis2", "axis3")
    assert tappable(adapter, torch.zeros(2, 3, 4)).input_dims == ("sample", "axis1", "axis2")
    assert adapter.input_dims == ()


@pytest.mark.parametrize(
    ("shape", "unfolded"),
    [((4, 5, 6, 7), (2, 2, 5, 6, 7)), ((4, 5, 6), (2, 2, 5, 6, 1))],
)
def test_an_adapter_unfolds_rows_into_persons_and_back(shape, unfolded):
    adapter, activation = Adapter(nn.Identity()), torch.arange(4 * 5 * 6 * 7.0)
    activation = activation[: torch.Size(shape).numel()].view(shape)
    maps = adapter.unfold("x", activation, 2)
    assert maps.shape == unfolded
    assert maps[1, 0].flatten().equal(activation[2].flatten())
    assert adapter.fold("x", maps).view(shape).equal(activation)


def test_what_an_adapter_cannot_know_it_says():
    adapter = Adapter(nn.Sequential(nn.ReLU()))
    with pytest.raises(ValueError, match=r"Expected a layer of 0 \(got 'nothing'\)"):
        adapter.get_layer("nothing")
    with pytest.raises(ValueError, match="or an Adapter with `unfold`"):
        adapter.unfold("x", torch.zeros(4, 5), 4)
    with pytest.raises(ValueError, match="or an Adapter with `unfold`"):
        adapter.unfold("x", torch.zeros(5, 3, 2, 2), 4)
    with pytest.raises(ValueError, match="with `fold` beside `unfold`"):
        Adapter(nn.ReLU(), unfold=lambda a, _: a).fold("x", torch.zeros(1))


def test_maps_follow_named_axes_or_the_last_ones():
    assert map_axes(ours(), branches()) == (3, 4, 5)
    assert map_axes(tappable(nn.ReLU(), image()), image()) == (2, 3, None)
    series = torch.zeros(2, 3, 9)
    assert map_axes(tappable(nn.ReLU(), series), series) == (2, None, None)
    table = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="whose input_dims name 'time'"):
        map_axes(tappable(nn.ReLU(), table), table)


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


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_recording_changes_neither_the_logits_nor_the_network(name, layer):
    build, inputs, _ = NETWORKS[name]
    model, x = build(), inputs()
    expected = model(x).detach()
    model = half_trained(copy.deepcopy(model))
    before, state = traces(model), copy.deepcopy(model.state_dict())
    at = tappable(model, x)
    for grad in (True, False):
        with record(model, at, [layer], grad=grad) as seen:
            logits = model(x)
        assert seen[layer].requires_grad is grad
        torch.testing.assert_close(logits.detach(), expected)
    assert traces(model) == before
    assert all(value.equal(state[key]) for key, value in model.state_dict().items())


def test_record_keeps_what_an_operation_in_place_would_overwrite():
    model, x = adapted_cnn(), image()
    with record(model, tappable(model, x), ["features.1", "features.2"]) as seen:
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


@pytest.mark.parametrize("layer", ["first", "side", "second", "third", "first.0"])
def test_a_tail_survives_reuse_comparisons_and_work_in_place(layer):
    torch.manual_seed(0)
    model, x = Reuse().eval(), image()
    with torch.no_grad():
        expected = model(x)
        with tail(model, tappable(model, x), layer, x) as (activation, run):
            rows = torch.tensor([2, 0, 2, 1])
            torch.testing.assert_close(run(activation[rows], rows), expected[rows])
            kept = activation.clone()
            run(activation, torch.arange(3))
            assert activation.equal(kept)


@pytest.mark.parametrize("layer", ["act", "absent"])
def test_a_layer_that_does_not_run_exactly_once_is_refused(layer):
    model, x = Reuse().eval(), image()
    model.absent = nn.ReLU()
    at = tappable(model, x)
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


def test_a_layer_must_return_one_tensor():
    model = nn.Sequential(Pair(), nn.Identity())

    def look():
        with record(model, tappable(model, image()), ["0"]):
            model(image())

    with pytest.raises(TypeError, match="layer '0': expected one tensor \\(got tuple\\)"):
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
    at = tappable(model, x)
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
    at = tappable(model, x)
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
