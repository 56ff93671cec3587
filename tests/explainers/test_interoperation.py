from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from fixtures.toy_networks import Line

from hargcn.explainers import DeepSHAP, explain_func
from hargcn.explanation import Explanation


def test_a_method_as_quantus_calls_it():
    function = explain_func(DeepSHAP(torch.zeros(2, 1, 1, 4, 3, 1)))
    assert list(inspect.signature(function).parameters) == ["model", "inputs", "targets", "kwargs"]
    model, inputs = Line([2.0, 1.0, -1.0]), np.random.default_rng(0).random((2, 1, 1, 4, 3, 1))
    found = function(model=model, inputs=inputs, targets=np.array([0, 0]), device="cpu")
    assert isinstance(found, np.ndarray)
    by_hand = inputs * np.array([2.0, 1.0, -1.0])[:, None] / 4
    np.testing.assert_allclose(found, by_hand, atol=1e-6)


def test_a_long_table_names_every_axis_and_repeats_what_samples_have():
    values = np.arange(12.0).reshape(2, 2, 3)
    made = Explanation.build(
        values, ("sample", "time", "joint"), method="toy", target=[1, 0], score=[0.5, 0.25],
        coords={"joint": ["a", "b", "c"], "time": [0, 8]}, variables={"group": ["p", "q"]},
    )  # fmt: skip
    table = made.to_dataframe()
    assert len(table) == 12
    row = table[(table["sample"] == "1") & (table["time"] == 8) & (table["joint"] == "b")].iloc[0]
    assert row["attribution"] == pytest.approx(10)
    assert (row["target"], row["score"], row["group"]) == (0, 0.25, "q")
