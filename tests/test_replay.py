from __future__ import annotations

import torch
from fixtures.foreign_cnn import adapted_cnn, branches, image
from fixtures.small_model import ours
from fixtures.toy_networks import Reuse

from hargcn.replay import replay, run_and_keep, unread


def test_a_finished_module_stands_for_its_children():
    model, x = ours(), branches()
    with torch.no_grad():
        _, finished = run_and_keep(model, "main.1.gcn", model.get_submodule("main.1.gcn"), x)
    assert set(finished) == {model.J, model.V, model.B, model.A, model.get_submodule("main.0")}


def test_only_what_leads_past_the_layer_is_read():
    model, x = Reuse().eval(), image()
    with torch.no_grad():
        activation, finished = run_and_keep(model, "second", model.second, x)
        idle = unread(model, model.second, activation, finished, x)
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
