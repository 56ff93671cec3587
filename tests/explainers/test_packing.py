"""However a network is packed, every method sees the same: tuples, arguments, orders of axes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.methods import HEADLESS, cam
from fixtures.packed_networks import (
    PACKED_KWARGS,
    PLAIN,
    Core,
    Ordered,
    Packed,
    Pair,
    motion,
)
from torch import nn

import hargcn.explainers.baselines as controls
from hargcn.explainers import Adapter, DeepSHAP, GradCAM, HybridProduct, explain_all

ORDERS = [PLAIN, ("sample", "joint", "time", "person", "channel"),
          ("sample", "channel", "time", "joint", "person")]  # fmt: skip


def packed(**changes):
    return Adapter(Packed(), PLAIN, output="logits", kwargs={**PACKED_KWARGS, **changes})


def same(found, expected, rtol=1e-4):
    scale = float(abs(expected.values).max())
    assert scale > 0
    assert found.dims == expected.dims
    np.testing.assert_allclose(found.values, expected.values, rtol=rtol, atol=1e-5 * scale)


@pytest.mark.parametrize("dims", ORDERS[1:])
@pytest.mark.parametrize("name", HEADLESS)
def test_maps_do_not_depend_on_the_order_of_the_inputs_axes(name, dims):
    expected = cam(name, "second")(Adapter(Core(), PLAIN), motion(), [0, 1, 3])
    found = cam(name, "core.second")(Adapter(Ordered(dims), dims), motion(dims), [0, 1, 3])
    assert expected.values.shape == (3, 4, 5, 2)
    same(found, expected)


@pytest.mark.parametrize("dims", ORDERS[1:])
def test_nor_do_the_inputs_attributions_and_the_controls(dims):
    at = Adapter(Ordered(dims), dims)
    expected = DeepSHAP(motion(seed=2))(Adapter(Core(), PLAIN), motion(), 1)
    found = DeepSHAP(motion(dims, seed=2))(at, motion(dims), 1)
    assert found.dims == dims
    np.testing.assert_allclose(
        found.values.transpose(*PLAIN), expected.values, rtol=1e-3, atol=1e-6
    )
    np.testing.assert_allclose(found.joint_scores(), expected.joint_scores(), rtol=1e-3, atol=1e-6)
    for control in (controls.Constant(), controls.FakeCAM(), controls.Random()):
        assert control(at, motion(dims), 1).values.shape == (3, 8, 5)
    both = HybridProduct(DeepSHAP(motion(dims, seed=2)), GradCAM("core.second"))
    assert both(at, motion(dims), 1).dims == dims


def test_an_input_without_joints_has_no_controls():
    at = Adapter(nn.Flatten(), ("sample", "channel", "time"))
    with pytest.raises(ValueError, match="random: expected an input with axes 'time' and 'joint'"):
        controls.Random()(at, torch.zeros(2, 3, 4), 0)


def test_five_axes_are_taken_as_they_are_where_the_input_has_them():
    core, x = Core(), motion()
    at = Adapter(core, PLAIN)
    seen = core.first(x)
    assert at.unfold("first", seen, 3) is not None
    assert at.unfold("first", seen, 3).equal(seen)
    video = Adapter(nn.Conv3d(3, 2, 1), ("sample", "channel", "time", "y", "x"))
    with pytest.raises(ValueError, match="or an Adapter with `unfold`"):
        video.unfold("", torch.zeros(2, 2, 4, 5, 6), 2)


# -- what a network returns, and what it takes ------------------------------------------------


@pytest.mark.parametrize("output", ["logits", lambda out: out["logits"]], ids=["key", "function"])
def test_an_output_is_picked_from_a_dict(output):
    at = Adapter(Packed(), PLAIN, output=output, kwargs=PACKED_KWARGS)
    assert at(motion()).shape == (3, 4)
    mask, numbers = PACKED_KWARGS["mask"], torch.arange(8.0).expand(3, -1)
    assert at(motion()).equal(at.model(motion(), mask, numbers, loss=False)["logits"])


def test_an_output_that_is_not_there_is_refused_with_those_that_are():
    x = motion()
    with pytest.raises(ValueError, match=r"at 'logit' \(got \[aux\]\[0\] \(\), \[logits\] \(3, 4"):
        Adapter(Packed(), PLAIN, output="logit", kwargs=PACKED_KWARGS)(x)
    with pytest.raises(ValueError, match=r"one tensor \(got .*\); an Adapter's `output` says"):
        Adapter(Packed(), PLAIN, kwargs=PACKED_KWARGS)(x)
    with pytest.raises(ValueError, match=r"one tensor \(got .*\); an Adapter's `output` says"):
        GradCAM("0[0]")(nn.Sequential(Pair()), motion(), 0)
    with pytest.raises(ValueError, match=r"\(got NoneType\)"):
        Adapter(Packed(), PLAIN, output=lambda _: None, kwargs=PACKED_KWARGS)(x)


class Aside(nn.Module):
    """Returns a tuple with what somebody else needs in front."""

    def __init__(self):
        super().__init__()
        self.core = Core()

    def forward(self, x, scale, bias=0.0):
        return bias, self.core(x * scale)


@pytest.mark.parametrize("name", HEADLESS)
def test_a_tuple_and_positional_arguments_change_no_map(name):
    at = Adapter(Aside(), PLAIN, output=1, args=[torch.tensor(1.0, dtype=torch.float64), 3])
    expected = cam(name, "first")(Adapter(Core(), PLAIN), motion(), 2)
    same(cam(name, "core.first")(at, motion(), 2), expected)


LAYERS = ["pair[0]", "core.first", "core.second"]


@pytest.mark.parametrize("name", HEADLESS)
def test_every_method_takes_a_packed_network_batch_by_batch(name):
    """Of three samples each has the map it has alone: arguments follow the batch."""
    at = packed(mask=MASK1)
    for layer in LAYERS if name in ("gradcam", "ablationcam", "liftcam") else LAYERS[:1]:
        together = cam(name, layer)(at, motion(), [0, 1, 3])
        for i, target in enumerate([0, 1, 3]):
            alone = cam(name, layer)(at, motion()[i : i + 1], target)
            np.testing.assert_allclose(
                together.values[i], alone.values[0], rtol=1e-3,
                atol=1e-5 * float(abs(alone.values).max()),
            )  # fmt: skip


MASK1 = PACKED_KWARGS["mask"][:1]


def test_shap_of_a_packed_network_adds_up():
    made = DeepSHAP(motion(seed=2, samples=5), chunk=2)(packed(mask=MASK1), motion(), [0, 1, 3])
    assert float(made.relative_gap.max()) < 1e-5
    assert not made.values.sel(joint=4).any()  # the mask hides it


def test_an_argument_with_a_row_per_sample_is_refused():
    """Three rows for three samples: batches of other sizes would meet the rows of others."""
    at, x = packed(), motion()
    assert at(x).shape == (3, 4)
    for method in (GradCAM("core.first"), DeepSHAP(motion(seed=2)), controls.Random()):
        with pytest.raises(
            ValueError, match=r"\(got 3 rows, one per sample, in 'mask'\); give the"
        ):
            method(at, x, 0)
    with pytest.raises(ValueError, match="one per sample, in 'mask'"):
        explain_all([GradCAM("core.first")], at, x, 0)
    # As many rows as samples by chance is no row per sample.
    graph = Adapter(Graph(), PLAIN, args=[torch.eye(5)])
    assert GradCAM("core.first")(graph, motion(samples=5), 0).values.shape[0] == 5


class Graph(nn.Module):
    def __init__(self):
        super().__init__()
        self.core = Core()

    def forward(self, x, graph):
        return self.core(x @ graph)


def test_logits_of_other_samples_are_refused():
    at = Adapter(Graph(), PLAIN, args=[torch.eye(5).expand(4, 1, 1, 5, 5)])
    with pytest.raises(ValueError, match=r"Expected logits of 1 samples \(got \(4, 4\)\); an arg"):
        at(motion(samples=1))


# -- layers that return several tensors --------------------------------------------------------


def test_a_place_names_one_of_several_tensors():
    at, x = packed(mask=MASK1), motion()
    by_hand, seen = at.model, []
    handle = by_hand.pair.register_forward_hook(lambda *call: seen.append(call[2]))
    logits = at(x)
    handle.remove()
    for layer, value in (("pair[0]", seen[0][0]), ("pair[1][1]", seen[0][1][1])):
        (gradient,) = torch.autograd.grad(logits[:, 2].sum(), value, retain_graph=True)
        expected = (gradient * value).sum(2).permute(0, 2, 3, 1).detach()
        own = Adapter(by_hand, PLAIN, unfold=lambda a, _: a, fold=lambda a: a, output="logits",
                      kwargs={**PACKED_KWARGS, "mask": MASK1})  # fmt: skip
        found = cam("hirescam", layer)(own, x, 2).values
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
    for layer in ("pair", "pair[2]"):
        with pytest.raises(
            TypeError, match=r"expected one tensor .*\[1\]\[0\] \(5, 5\).*'pair\[0\]'"
        ):
            GradCAM(layer)(at, x, 2)


def test_ablation_behind_a_place_is_the_network_with_that_map_at_zero():
    at, x = packed(mask=MASK1), motion()
    weights = cam("ablationcam", "pair[0]")(at, x, 1).dataset["weight"]

    def without(_module, _inputs, output):
        features = output[0].clone()
        features[:, 1, 4] = 0
        return features, output[1]

    full = at(x)[:, 1]
    handle = at.model.pair.register_forward_hook(without)
    drop = full - at(x)[:, 1]
    handle.remove()
    expected = (drop / full).detach()
    np.testing.assert_allclose(weights.isel(person=1, feature=4), expected, rtol=1e-3, atol=1e-5)


# -- what a layer's axes are -------------------------------------------------------------------


class Tokens(nn.Module):
    """Two layers of tokens, one sample first and one time first, behind an embedding of joints."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.core = Core()
            self.joints = nn.Embedding(5, 6)
            self.mix, self.turn = nn.Linear(6, 6), nn.Linear(6, 7)

    def forward(self, x):
        x = self.core.first(x)[:, 0]  # (N, C, T, V)
        x = x.permute(0, 2, 3, 1) + self.joints(torch.arange(5))
        x = self.mix(x).tanh()  # (N, T, V, C)
        x = self.turn(x.transpose(0, 1)).sin()  # (T, N, V, C)
        return self.core.head(x.mean((0, 2)))


NAMED = {
    "mix": ("sample", "time", "joint", "feature"),
    "tur*": ("time", "sample", "joint", "feature"),
}
CALLED = {
    "mix": lambda a, _n: a.permute(0, 3, 1, 2)[:, None],
    "turn": lambda a, _n: a.permute(1, 3, 0, 2)[:, None],
}
FOLDS = {
    "mix": lambda m: m[:, 0].permute(0, 2, 3, 1),
    "turn": lambda m: m[:, 0].permute(2, 0, 3, 1),
}
ONE = ("sample", "channel", "time", "joint")


class OnePerson(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = Tokens()

    def forward(self, x):
        return self.tokens(x[:, None])


@pytest.mark.parametrize("layer", ["mix", "turn"])
@pytest.mark.parametrize("name", HEADLESS)
def test_axes_by_name_are_functions_by_hand(name, layer):
    x = motion()[:, 0]
    named = Adapter(OnePerson(), ONE, unfold={f"tokens.{k}": v for k, v in NAMED.items()})
    called = Adapter(
        OnePerson(), ONE,
        unfold={f"tokens.{k}": v for k, v in CALLED.items()},
        fold={f"tokens.{k}": v for k, v in FOLDS.items()},
    )  # fmt: skip
    made = cam(name, f"tokens.{layer}")
    same(made(named, x, 1), made(called, x, 1))
    assert made(named, x, 1).values.shape == (3, 8, 5, 1)


def test_tails_of_tokens_are_the_network_with_a_map_at_zero():
    """Time first, behind an embedding that no sample owns; the embedding has as many rows."""
    at = Adapter(OnePerson(), ONE, unfold={f"tokens.{k}": v for k, v in NAMED.items()})
    x = motion(samples=5)[:, 0]
    for layer, feature in (("mix", 2), ("turn", 3)):
        weights = cam("ablationcam", f"tokens.{layer}")(at, x, 1).dataset["weight"]

        def without(_module, _inputs, output, feature=feature):
            output = output.clone()
            output[..., feature] = 0
            return output

        full = at(x)[:, 1]
        handle = at.get_layer(f"tokens.{layer}").register_forward_hook(without)
        expected = ((full - at(x)[:, 1]) / full).detach()
        handle.remove()
        found = weights.isel(person=0, feature=feature)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_a_head_that_is_another_is_refused():
    at = Adapter(Core(), PLAIN, linear_head={"second": nn.Linear(7, 4)})
    with pytest.raises(ValueError, match="'second': expected logits = weight @ mean"):
        cam("ablationcam", "second")(at, motion(), 1)
    core = Core()
    right = Adapter(core, PLAIN, linear_head={"second": core.head})
    for name in ("cam", "ablationcam", "shapcam"):
        assert cam(name, "second")(right, motion(), 1).values.shape == (3, 4, 5, 2)
    assert right.linear_head("first") is None


# -- what makes no sense is said -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"input_dims": ("time", "sample")}, "Expected input_dims, the first 'sample'"),
        ({"unfold": {"firts": ("row", "feature", "time")}}, "got 'firts'; did you mean 'first'"),
        ({"strides": {"third": 2}}, "Expected layer of first, second, head"),
        ({"unfold": ("sample", "feature", "joints")}, "Expected different axes of .*, joints"),
        ({"unfold": ("feature", "time")}, "Expected either 'sample' or"),
        ({"unfold": ("row", "person", "time")}, "Expected either 'sample' or"),
        ({"unfold": ("sample", "feature", "x", "y")}, "Expected 'y' and, right behind it, 'x'"),
    ],
)  # fmt: skip
def test_names_that_make_no_sense_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Adapter(Core(), **given)


def test_an_input_of_other_axes_is_refused():
    names = {"joint": list("abcde"), "channel": list("xyz")}
    at = Adapter(Core(), ("sample", "person", "feature", "time", "joint"), axis_names=names)
    assert at.input_dims == PLAIN  # features of an input are its channels
    for method in (GradCAM("first"), DeepSHAP(motion()[:, 0]), controls.Random()):
        with pytest.raises(ValueError, match=r"Expected an input \(sample, person, channel, time"):
            method(at, motion()[:, 0], 0)
    turned = motion(("sample", "joint", "channel", "time", "person"))
    for method in (GradCAM("first"), DeepSHAP(turned), controls.Random()):
        with pytest.raises(ValueError, match=r"of 5 along 'joint', as the Adapter names .*joint 2"):
            method(at, turned, 0)


def test_an_activation_of_other_axes_than_named_is_refused():
    at = Adapter(Core(), PLAIN, unfold={"first": ("sample", "feature", "time", "joint")})
    with pytest.raises(ValueError, match=r"'first': expected an activation \(sample, feature, tim"):
        GradCAM("first")(at, motion(), 0)


def test_strides_say_where_cells_lie_and_must_fit():
    at = Adapter(Core(), PLAIN, strides={"second": 2})
    np.testing.assert_array_equal(GradCAM("second")(at, motion(), 0).values["time"], [0, 2, 4, 6])
    np.testing.assert_array_equal(GradCAM("first")(at, motion(), 0).values["time"], np.arange(8))
    with pytest.raises(ValueError, match="'first': expected the centres of 8 time cells within 8"):
        GradCAM("first")(Adapter(Core(), PLAIN, strides=2), motion(), 0)
    few = Adapter(Core(), PLAIN, cell_frames=lambda _layer, cells, _frames: np.arange(cells - 1))
    with pytest.raises(ValueError, match=r"by cell_frames or strides \(got 7"):
        GradCAM("first")(few, motion(), 0)
