from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from fixtures.attribution_toys import DIMS, network, windows
from fixtures.small_model import ours
from fixtures.toy_networks import Line
from torch import nn

from hargcn.explainers import DeepSHAP, GradCAM, explain_func, make
from hargcn.explanation import Explanation


def test_a_method_as_quantus_calls_it():
    function = explain_func(DeepSHAP(torch.zeros(2, 1, 1, 4, 3, 1)))
    assert list(inspect.signature(function).parameters) == ["model", "inputs", "targets", "kwargs"]
    model, inputs = Line([2.0, 1.0, -1.0]), np.random.default_rng(0).random((2, 1, 1, 4, 3, 1))
    found = function(model=model, inputs=inputs, targets=np.array([0, 0]), device="cpu")
    assert isinstance(found, np.ndarray)
    by_hand = inputs * np.array([2.0, 1.0, -1.0])[:, None] / 4
    np.testing.assert_allclose(found, by_hand, atol=1e-6)


class Metric:
    """How Quantus 0.5 asks for explanations, and what it requires of them.

    `Metric.general_preprocess`, `explain_batch` and the metrics that explain again call with these
    keywords; `assert_attributions` and `infer_attribution_axes` know axes by their sizes.
    """

    def __init__(self, function, **explain_func_kwargs):
        self.function, self.kwargs = function, explain_func_kwargs

    def batch(self, model: nn.Module, x_batch: np.ndarray, y_batch: np.ndarray) -> np.ndarray:
        a_batch = self.function(model=model, inputs=x_batch, targets=y_batch, **self.kwargs)
        assert type(a_batch) is np.ndarray
        assert a_batch.ndim == x_batch.ndim
        assert len(a_batch) == len(x_batch)
        sizes, of_x = [n for n in a_batch.shape[1:] if n != 1], list(x_batch.shape[1:])
        # Axes are found only at one end of the input's, in its order.
        assert sizes in ([*of_x[: len(sizes)]], [*of_x[-len(sizes) :]])
        assert len(np.unique(a_batch)) > 1
        return a_batch

    def instance(self, model: nn.Module, x: np.ndarray, y: int) -> np.ndarray:
        return self.batch(model, np.expand_dims(x, axis=0), np.array([y]))[0]


@pytest.mark.parametrize("persons", [1, 2])
@pytest.mark.parametrize("method", ["shap", "gradcam", "occlusion", "random"])
def test_quantus_finds_the_axes_of_every_method(method, persons):
    """Coarse maps, and maps without branch and channel, included."""
    model = ours()
    shape = (2, len(model.streams), 2 * model.skeleton.ndim, 8, model.skeleton.n_joints, persons)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    explainer = make(method, {}, {"layer": "main.1.tcn", "background": torch.zeros(shape)[:1]})
    metric = Metric(explain_func(explainer), device="cpu")
    together = metric.batch(model, x, np.array([0, 2]))
    alone = metric.instance(model, x[1], 2)
    own = explainer(model, torch.from_numpy(x), torch.tensor([0, 2]))
    assert together.shape == x.shape
    if method != "random":  # whose numbers are those of a question, up to its score's rounding
        np.testing.assert_allclose(alone, together[1], atol=1e-4 * abs(together[1]).max())
    if method == "gradcam":
        assert own.values.sizes["time"] == 4
        up = own.upsample(8).values.to_numpy()
        np.testing.assert_allclose(together, np.broadcast_to(up[:, None, None], x.shape))
    if method == "shap":
        np.testing.assert_array_equal(together, own.values)


def test_axes_come_in_the_inputs_order_and_the_models_copy_may_be_another():
    """Quantus explains copies with random parameters, and passes them alone."""
    model, x = network(), windows().numpy()
    function = explain_func(GradCAM(layer="act"))
    found = function(model, x, np.array([0, 1, 2]))
    own = GradCAM(layer="act")(model, torch.from_numpy(x), torch.tensor([0, 1, 2]))
    expected = own.values.transpose(*(d for d in DIMS if d in own.dims)).to_numpy()
    np.testing.assert_allclose(found, np.broadcast_to(expected[:, None], x.shape))
    found[:] = 0  # a copy, of one's own
    assert abs(function(model, x, 1)).max() > 0


def test_a_map_of_other_axes_is_refused():
    class Edges(GradCAM):
        def __call__(self, *_asked):
            return Explanation.build(
                np.ones((1, 3)), ("sample", "edge"), method="edges", target=[0], score=[0.0]
            )

    with pytest.raises(ValueError, match=r"expected a map of the input's axes .* \(got edge\)"):
        explain_func(Edges(layer="act"))(network(), windows(1).numpy(), np.array([0]))


def test_a_long_table_names_every_axis_and_repeats_what_samples_have():
    values = np.arange(12.0).reshape(2, 2, 3)
    made = Explanation.build(
        values, ("sample", "time", "joint"), method="toy", target=[1, 0], score=[0.5, 0.25],
        coords={"joint": ["a", "b", "c"], "time": [0, 8]}, variables={"group": ["p", "q"]},
    )  # fmt: skip
    table = made.to_dataframe()
    assert list(table) == ["sample", "time", "joint", "attribution", "target", "score", "group"]
    assert len(table) == 12
    row = table[(table["sample"] == "1") & (table["time"] == 8) & (table["joint"] == "b")].iloc[0]
    assert row["attribution"] == pytest.approx(10)
    assert (row["target"], row["score"], row["group"]) == (0, 0.25, "q")
