"""A method is one class in one file: everything else finds it, and what it says of itself."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from fixtures.command_line import done, refused
from fixtures.methods import CAMS
from fixtures.plug_in import installed
from fixtures.small_model import small_model
from torch import nn

import hargcn.explainers
from hargcn.explainers import DeepSHAP, GradCAM, make, methods
from hargcn.explainers.base import METHODS, about
from hargcn.explanation import Explanation
from hargcn.plots import plot_ranking
from hargcn.registry import fields_of, meanings

METHOD = '''
"""Weighs feature maps by a power of their mean gradient."""

from typing import Annotated

from pydantic import Field

from hargcn.explainers.cam.base import GradientCAM
from hargcn.registry import settings


@settings
class PowerCAM(GradientCAM):
    """sum_k mean(G_k)^p A_k.

    Parameters
    ----------
    power
        The exponent p.
    """

    name = "powercam"
    label = "Power-CAM"
    source = "nobody"

    power: Annotated[int, Field(ge=1)] = 2

    def rule(self, maps):
        """Weigh the features."""
        weights = maps.gradient.mean(dim=(-2, -1), keepdim=True) ** self.power
        return (weights * maps.activation).sum(dim=2)
'''


@pytest.fixture
def powercam(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("site")
    with installed(METHODS, "power_cam", METHOD, folder, monkeypatch):
        yield METHODS.find("powercam")


@pytest.mark.usefixtures("powercam")
def test_a_method_of_ones_own_is_listed_with_its_settings(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert "Power-CAM" in done("methods")
    said = json.loads(done("methods", "powercam", "--json"))["powercam"]
    assert said["needs"] == ["layer"]
    assert {"name": "power", "type": "int", "default": "2", "meaning": "The exponent p."} in said[
        "settings"
    ]


@pytest.mark.usefixtures("powercam")
def test_it_explains_is_judged_and_named_in_pictures(checkpoint, waving, tmp_path):
    path = tmp_path / "power.h5"
    # By name: which class is predicted follows the processor.
    asked = ("--method", "powercam", "--class", "class2", "--limit", 4)
    common = ("explain", checkpoint, waving, *asked)
    done(*common, "--set", "power=3", "--out", path)
    found = Explanation.open(path)
    assert (found.settings["power"], found.title) == (3, "Power-CAM main.0.attention")
    _, axis = plot_ranking(found)
    assert axis.get_title() == "Power-CAM main.0.attention\nfor class2"
    out = tmp_path / "table.csv"
    done(
        "evaluate", checkpoint, waving, path, "--metrics", "pgi,coherency", "--top", 2, "--remake",
        "--out", out,
    )  # fmt: skip
    with out.open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["method"] == found.name]
    assert {row["metric"]: row["n"] for row in rows} == {"pgi": "4", "coherency": "4"}
    said = refused(*common, "--set", "powr=3", "--out", path)
    assert said == "method powercam: unknown key 'powr'; did you mean 'power'?"


def test_nobody_knows_it_any_more():
    assert "powercam" not in METHODS.all()


OURS = [name for name, cls in methods().items() if cls.__module__.startswith("hargcn.")]


@pytest.mark.parametrize("name", OURS)
def test_every_method_says_what_it_is(name):
    cls = methods()[name]
    said = about(cls)
    assert all(said[key] for key in ("label", "summary", "source", "promise", "cost"))
    assert set(cls.needs) <= {"layer", "background", "mask", "shap", "cam", "rate"}
    told = meanings(cls)
    assert not [field for field in fields_of(cls) if not told.get(field)]


@pytest.mark.parametrize("name", CAMS)
def test_what_is_not_supported_is_said_before_anything_runs(name):
    class Silent(nn.Module):
        def forward(self, _x):
            raise AssertionError("it ran")

    explainer = make(name, {}, {"layer": "nowhere"})
    network = Silent()
    assert "Expected layer of" in explainer.supports(network, torch.zeros(1, 2, 3, 4))
    with pytest.raises(ValueError, match=f"^{name.replace('+', '.')}: Expected layer of"):
        explainer(network, torch.zeros(1, 2, 3, 4), 0)


def test_needs_and_names():
    with pytest.raises(ValueError, match=r"^gradcam: expected a layer \(got none\)"):
        make("gradcam", {})
    with pytest.raises(ValueError, match="did you mean 'gradcam'"):
        make("gradcan", {}, {"layer": "x"})
    assert make("constant", {"value": "2.5"}).value == 2.5


def test_settings_are_stored_without_what_shapes_nothing():
    assert GradCAM("a", relu=True).settings == {"utility": "logit", "relu": True}
    stored = DeepSHAP(torch.zeros(3, 2), dtype="float64", progress=True, memory_limit=2).settings
    assert stored["dtype"] == "float64"
    assert {"progress", "memory_limit"}.isdisjoint(stored)
    assert stored["background"]["shape"] == [3, 2]
    other = DeepSHAP(torch.ones(3, 2)).settings
    assert stored["background"]["digest"] != other["background"]["digest"]
    assert json.dumps(stored)


def test_a_float64_network_keeps_its_values():
    model = small_model("inmotion19").double()
    x = torch.randn(5, 4, 4, 9, 19, 1, generator=torch.Generator().manual_seed(0)).double()
    found = DeepSHAP(x[:3])(model, x[3:], 1)
    assert found.values.dtype == "float64"
    assert found.dataset.attrs["dtype"] == "float64"
    total = found.values.sum([d for d in found.dims if d != "sample"]) + found.base_value
    assert float(abs(total - found.score).max() / abs(found.score - found.base_value).max()) < 1e-9


def test_the_explainers_show_all_they_have():
    assert set(hargcn.explainers.__all__) <= set(dir(hargcn.explainers))
    assert Path(hargcn.explainers.__file__).is_file()
