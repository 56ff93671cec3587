"""Jobs are the same only where code, network and settings are."""

from __future__ import annotations

import importlib.util
import sys

import pytest
import torch
from fixtures.small_model import small_model
from torch import nn

from hargcn.explainers import DeepSHAP, GradCAM, HybridProduct
from hargcn.networks.branches import PositionModel
from hargcn.pipeline.job import code_of, identity

PLUG_IN = """
from hargcn.explainers import GradCAM
class Mine(GradCAM):
    def rule(self, maps):
        return maps.activation.sum(dim=2) * {factor}
"""


def plug_in(path, factor):
    path.write_text(PLUG_IN.format(factor=factor), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"plug_in_{factor}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.Mine.__module__ = "plug_in"
    sys.modules["plug_in"] = module
    return module.Mine("layer")


@pytest.fixture(autouse=True)
def _no_plug_in():
    yield
    sys.modules.pop("plug_in", None)


def test_a_network_is_what_it_holds():
    one = identity(small_model())
    assert identity(small_model()) == one
    assert identity(small_model(seed=1)) != one
    assert identity(PositionModel(small_model())) != one
    other = small_model()
    other.classes = (*other.classes[:-1], "another")
    assert identity(other) != one
    tuned = small_model()
    with torch.no_grad():
        next(tuned.parameters()).view(-1)[0] += 1e-6
    assert identity(tuned) != one


class Shown(nn.Linear):
    """A module that prints a function of its own, and so where it lies in memory."""

    def extra_repr(self) -> str:
        return f"gate={self.gate}"


def shown(gate) -> Shown:
    made = Shown(2, 1)
    nn.init.ones_(made.weight), nn.init.zeros_(made.bias)
    made.gate = gate
    return made


def test_where_something_lies_in_memory_makes_no_other_network():
    def made():
        def gate():
            return 1

        return gate

    one, other = shown(made()), shown(made())
    assert repr(one) != repr(other)
    assert identity(one) == identity(other)
    assert identity(one) != identity(shown(small_model))


def test_code_is_that_of_hargcn_and_of_a_plug_in(tmp_path, monkeypatch):
    own = code_of(GradCAM("layer"))
    assert code_of(GradCAM("other")) == own
    path = tmp_path / "plug_in.py"
    mine = code_of(plug_in(path, 1))
    assert mine != own
    assert code_of(plug_in(path, 1)) == mine
    changed = plug_in(path, 2)
    assert code_of(changed) != mine
    assert code_of(HybridProduct(shap=changed, cam=changed)) != code_of(
        HybridProduct(shap=plug_in(path, 1), cam=changed)
    )
    monkeypatch.setattr("hargcn.pipeline.job.package", lambda: "hargcn changed")
    assert code_of(GradCAM("layer")) != own


def test_code_without_a_file_is_never_the_same():
    space = {"DeepSHAP": DeepSHAP, "__name__": "__main__typed"}
    exec("class Typed(DeepSHAP):\n    'as at a prompt'", space)
    typed = space["Typed"](torch.zeros(2, 3))
    assert code_of(typed) != code_of(typed)
