"""The table of what can be explained: what it says is what happens."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from fixtures.foreign_cnn import adapted_stgcn, clips
from fixtures.methods import CAMS, HEADLESS
from fixtures.packed_networks import MASK, PACKED_KWARGS, PLAIN, Core, Packed, motion
from fixtures.small_model import half_trained, traces
from torch import nn

from hargcn.explainers import Adapter, GradCAM, methods
from hargcn.explainers import check as module

BOTH = {"hybrid-rank", "hybrid-product"}
RECTIFIED = {"guided-backprop", "deconvnet", "guided-gradcam"}
"""Of networks with rectifiers, which the packed one has not."""


def packed(**given):
    kwargs = {**PACKED_KWARGS, "mask": MASK[:1]}
    return Adapter(Packed(), PLAIN, **{"output": "logits", "kwargs": kwargs, **given})


def test_every_layer_and_every_method_is_in_the_table():
    at = packed(linear_head={"core.second": nn.Linear(7, 4)})
    rows = {row.layer: row for row in at.check(motion()).rows}
    assert list(rows) == [
        "", "core.first", "pair[0]", "pair[1][0]", "pair[1][1]", "core.second", "core.head",
    ]  # fmt: skip
    first = rows["core.first"]
    assert {*first.methods} == {*HEADLESS} | BOTH
    assert first.missing.startswith("cam: expected a layer followed by a global average")
    assert "expected a network with rectifiers" in first.missing
    assert "deconvnet, guided-backprop: expected a network with rectifiers" in rows[""].missing
    assert first.understood == "person 2, feature 6, time 8, joint 5, a cell per frame"
    assert rows["pair[0]"].shape == (1, 2, 6, 8, 5)
    assert "expected an activation (row, feature, time[, joint])" in rows["pair[1][0]"].missing
    assert "`unfold`" in rows["pair[1][1]"].missing
    assert rows["pair[1][1]"].methods == ()
    assert "with its linear_head (got others)" in rows["core.second"].missing
    every = {name for name, cls in methods().items() if cls.__module__.startswith("hargcn.")}
    assert every - {*CAMS} - BOTH - RECTIFIED == {*rows[""].methods}
    assert rows[""].understood == "sample 3, person 2, channel 3, time 8, joint 5"


def test_what_the_table_says_of_a_method_is_what_the_method_does():
    at, x = adapted_stgcn(), clips()
    for row in at.check(x, ["blocks.1", "fcn", "blocks.0.tcn"]).rows[1:]:
        if "gradcam" in row.methods:
            assert GradCAM(row.layer)(at, x[:1], 0).values.shape[0] == 1
        else:
            assert row.layer == "fcn"
            with pytest.raises(ValueError, match=re.escape(row.missing)):
                GradCAM(row.layer)(at, x[:1], 0)


def test_printed_it_is_a_table_with_a_line_per_row():
    lines = str(packed().check(motion(), ["core.second", "pair[1][0]"])).splitlines()
    assert lines[0].split() == ["layer", "shape", "understood", "as", "methods", "missing"]
    assert lines[1].startswith("(input)")
    assert lines[2].startswith("core.second")
    assert "every 2 frames" in lines[2]
    assert lines[3].startswith("pair[1][0]")
    assert lines[4].startswith("(a) ")
    assert "shap-library" in lines[4]
    assert lines[5].startswith("(b) ablationcam, gradcam, ")
    assert len(lines) == 6


def test_a_check_leaves_no_trace():
    at = packed()
    half_trained(at)
    before, state = traces(at), copy.deepcopy(at.state_dict())
    randomness, x = torch.get_rng_state(), motion()
    at.check(x)
    assert traces(at) == before
    assert all(value.equal(state[key]) for key, value in at.state_dict().items())
    assert torch.get_rng_state().equal(randomness)
    assert x.equal(motion())


def test_passes_for_every_feature_map_are_only_asked_where_there_are_many(monkeypatch):
    monkeypatch.setattr(module, "MOST", 12)
    found = Adapter(Core(), PLAIN).check(motion(), ["first", "second"])
    rows = {row.layer: row for row in found.rows}
    assert {"ablationcam", "scorecam"} <= {*rows["first"].methods}
    assert {"ablationcam*", "scorecam*"} <= {*rows["second"].methods}
    assert "* asked, not run" in str(found)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.core, self.again = Core(), nn.Identity()
        self.never = nn.Identity()

    def forward(self, x):
        return self.core(self.again(self.again(x)))


def test_modules_that_run_twice_or_never_are_no_layers():
    rows = {r.layer: r for r in Adapter(Twice(), PLAIN).check(motion(), ["again", "never"]).rows}
    assert rows["again"].missing == (
        "Expected a layer that runs once (got 'again', which the network calls again)"
    )
    assert "expected a layer that runs" in rows["never"].missing
    assert "never" not in [r.layer for r in Adapter(Twice(), PLAIN).check(motion()).rows]


class Mixing(Core):
    def forward(self, x):
        return super().forward(x - x.mean(0))


@pytest.mark.parametrize(
    ("at", "missing"),
    [
        (packed(output=None), "an Adapter's `output` says which they are"),
        (packed(kwargs=PACKED_KWARGS), "one per sample, in 'mask'); give the Adapter a function"),
        (packed(kwargs={}), "missing 2 required positional arguments: 'mask' and 'numbers'"),
        (Adapter(Core(), PLAIN, axis_names={"class": "abc"}), "expected 3 classes"),
        (Adapter(Core(), ("sample", "time", "joint")), "Expected an input (sample, time, joint)"),
        (Adapter(Mixing(), PLAIN), "the same logits for a sample beside others and alone"),
        (Adapter(nn.Identity(), PLAIN), "expected logits (sample, class) (got (3, 2, 3, 8, 5))"),
    ],
)
def test_a_network_that_does_not_run_has_one_row_that_says_so(at, missing):
    (row,) = at.check(motion()).rows
    assert missing in row.missing
    assert row.methods == ()


def test_what_an_input_of_one_sample_cannot_show_is_made():
    (row, *_) = Adapter(Core(), PLAIN).check(motion(samples=1)).rows
    assert "shap" in row.methods
