"""What a method says it costs is what it runs."""

from __future__ import annotations

import pytest
import torch
from fixtures.foreign_cnn import branches
from fixtures.methods import CAMS, EDGES, GRADIENTS, HIDING, cam
from fixtures.small_model import small_model

from hargcn.explainers import DeepSHAP, GradCAM, HybridRank, make, methods
from hargcn.explainers.passes import Passes, PassForecast

LAST, EARLY = "main.1.attention", "J.init"
INPUT = {**GRADIENTS, **HIDING}
WHOLE = [n for n in CAMS if "tail" not in methods()[n].cost]


class _Backward(torch.autograd.Function):
    """Count the rows of logits that a gradient comes back to."""

    rows = 0

    @staticmethod
    def forward(_ctx, logits):
        return logits.clone()

    @staticmethod
    def backward(_ctx, gradient):
        _Backward.rows += len(gradient)
        return gradient


def method(name):
    needed = {"background": branches(2, 1, seed=3), "layer": LAST}
    return make(name, {**INPUT, **EDGES}.get(name, {}), needed)


def ran(explainer, model, samples):
    """Return rows that went forward and backward."""
    forward, _Backward.rows = [], 0
    handles = [
        model.register_forward_pre_hook(lambda _m, given: forward.append(len(given[0]))),
        model.register_forward_hook(lambda _m, _x, out: _Backward.apply(out)),
    ]
    explainer(model, branches(samples, 1), 0)
    for handle in handles:
        handle.remove()
    return sum(forward), _Backward.rows


@pytest.mark.parametrize("name", [*INPUT, *EDGES, *WHOLE, "random", "constant"])
def test_one_sample_more_runs_the_passes_that_were_told(name):
    model, explainer = small_model(), method(name)
    told = explainer.passes(model, branches(1, 1))
    more = [two - one for one, two in zip(*(ran(explainer, model, n) for n in (1, 2)), strict=True)]
    if told.most is not None:
        assert told.forward <= more[0]
        assert told.backward <= more[1]
        assert sum(more) <= told.most
    elif getattr(explainer, "second_order", False):
        assert (more[0], told.backward) == (told.forward, 2)
    else:
        assert more == [told.forward, told.backward]


@pytest.mark.parametrize("name", ["lrp", "lrp in a box", "deep-taylor", "rap"])
@pytest.mark.slow
def test_relevance_runs_the_passes_that_were_told(name):
    """The bounds of a box take a pass each, which were not told."""
    own = {"composite": "epsilon-gamma-box"} if "box" in name else {}
    background = branches(2, 1, seed=3)
    explainer = make(name.partition(" ")[0], own, {"background": background})
    model, rows, x = small_model(), [], branches(2, 1)
    told = explainer.forecast(model, x).each
    model.register_forward_pre_hook(lambda _m, given: rows.append(len(given[0])))
    explainer(model, x[:1], 0)
    one = sum(rows)
    rows.clear()
    explainer(model, x, 0)
    assert sum(rows) - one == told.forward
    assert told.backward == 1


def test_every_method_says_what_it_costs():
    model, x = small_model(), branches(1, 1)
    for name in (*INPUT, *EDGES, *CAMS):
        told = method(name).forecast(model, x, 3)
        assert (told.samples, told.passes > 0, told.seconds > 0) == (3, True, True), name
    assert {n for n, c in methods().items() if ".attribution." in c.__module__} == {*INPUT}
    assert {n for n, c in methods().items() if ".explainers.edges." in c.__module__} == {*EDGES}
    both = HybridRank(GradCAM(LAST), method("rise"))
    assert both.passes(model, x) == Passes(1, 1) + method("rise").passes(model, x)
    assert HybridRank(DeepSHAP(x), GradCAM(LAST)).passes(model, x) is None
    assert GradCAM("nowhere").forecast(model, x) is None


def test_tails_are_counted_apart():
    model, x = small_model(), branches(1, 2)
    found = cam("ablationcam", EARLY)(model, x, 0).dataset["weight"]
    assert cam("ablationcam", EARLY).passes(model, x) == Passes(2, tail=1 + found[0].size)
    given = {"players": "joints", "permutations": 10}
    early = make("shapcam", given, {"layer": EARLY})
    assert early.passes(model, x) == Passes(2, tail=10 * (2 * 19 + 1))
    least = make("shapcam", {**given, "tolerance": 0.1}, {"layer": EARLY}).passes(model, x)
    assert least == Passes(2, tail=4 * 39, most=2 + 390)
    assert make("shapcam", {**given, "players": "parts"}, {"layer": EARLY}).passes(
        model, branches(1, 1)
    ).tail == 2 ** len(model.skeleton.parts)
    assert make("shapcam", given, {"layer": LAST}).passes(model, x) == Passes(2)


@pytest.mark.parametrize(
    ("each", "said"),
    [
        (Passes(4), "7 samples x 4 passes: about 30 s, or less in batches"),
        (Passes(2, 1), "7 samples x 3 passes (1 of them backward): about 30 s, or less in batches"),
        (Passes(3, 2, most=90), "7 samples x 5 to 90 passes, as it needs: 30 s to 5 min"),
        (
            Passes(2, tail=8),
            "7 samples x 10 passes (those behind the layer are shorter): about 30 s, or less in "
            "batches",
        ),
    ],
)
def test_it_reads_well(each, said):
    assert str(PassForecast(7, each, 30.0, 300.0)) == said


def test_the_time_is_that_of_the_passes(monkeypatch):
    """A clock that ticks with every pass: forward 1 s, and 2 s more with the way back."""
    now = [0.0]
    monkeypatch.setattr("hargcn.explainers.passes.time.perf_counter", lambda: now[0])

    class Slow(torch.autograd.Function):
        @staticmethod
        def forward(_ctx, x):
            now[0] += 1
            return x.clone()

        @staticmethod
        def backward(_ctx, gradient):
            now[0] += 2
            return gradient

    class Network(torch.nn.Module):
        def forward(self, x):
            return Slow.apply(x.sum((1, 2, 3, 4, 5))[:, None])

    x = branches(2, 1)
    assert make("smoothgrad", {"samples": 5}).forecast(Network(), x).seconds == 2 * (6 + 5 * 2)
    assert make("occlusion", {"by": "person"}).forecast(Network(), x, 10).seconds == 10 * 2
