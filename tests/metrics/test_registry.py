from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.toy_networks import explained, three_joints

from hargcn.explainers.baselines import Constant
from hargcn.metrics.registry import METRICS, Case
from hargcn.metrics.runner import Runner
from hargcn.perturbation import InputEdit

NAMES = (
    "pgi,pgu,deletion,insertion,average-drop,increase,add,coherency,complexity,adcc,"
    "sensitivity-n,infidelity,localisation,ris,rrs,ros,randomisation"
)


def case(**more: object) -> Case:
    model, x = three_joints()
    return Case(model, x, explained(torch.tensor([[[0.0, 0, 0], [1, 0, 0]]])), **more)


def test_every_measure_of_the_command_line_is_known_and_says_where_it_is_defined():
    assert set(NAMES.split(",")) <= set(METRICS)
    assert all(metric.source for metric in METRICS.values())


def test_sources_name_the_equation_of_the_definition():
    of_cai = {"average-drop": 18, "coherency": 19, "complexity": 20, "adcc": 21, "increase": 22}
    for name, equation in {**of_cai, "add": 23}.items():
        assert METRICS[name].source.startswith(f"Cai 2025, eq. {equation}"), name
    for name in ("pgi", "pgu"):
        assert METRICS[name].source.startswith("Dai et al. 2022"), name


def test_measures_that_explain_again_know_how_often():
    again = {name: metric.calls(case()) for name, metric in METRICS.items() if metric.calls(case())}
    assert again == {
        "coherency": 1,
        "adcc": 1,
        "adcc-of-means": 1,
        "continuity": 5,
        "ris": 5,
        "rrs": 5,
        "ros": 5,
        "randomisation": 4,
        "class-sensitivity": 1,
    }


def test_what_a_measure_lacks_is_named():
    for name, metric in METRICS.items():
        if metric.calls(case()):
            with pytest.raises(ValueError, match="Expected an explainer for 'toy'"):
                metric.compute(case())
        elif metric.truth:
            with pytest.raises(ValueError, match="Expected planted evidence or marks for "):
                metric.compute(case())
        else:
            assert metric.compute(case()).sizes["sample"] == 1, name


def test_every_measure_runs_the_model_as_it_is_told():
    noise = InputEdit("noise", 0.1)
    for name, metric in METRICS.items():
        calls = []
        run = Runner(lambda x, calls=calls: calls.append(1) or x)
        truth = np.array([[[False] * 3, [True, False, False]]])
        metric.compute(case(explainer=Constant(), truth=truth, run=run, neighbour=noise))
        silent = name in ("complexity", "efficiency-gap", "localisation", "ratios", "segmentation")
        assert bool(calls) is not silent, name
