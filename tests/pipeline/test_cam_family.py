"""Class activation maps at several layers and of several scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hargcn import Windows, load_model
from hargcn.explainers import GradCAM
from hargcn.metrics.masking import complexity
from hargcn.pipeline.cam_family import compare_maps, second_order, show_masked

METHODS = ["gradcam", "shapleycam", "fakecam"]


@pytest.mark.slow
def test_a_row_for_every_layer_score_substrate_measure_and_method(checkpoint, waving, tmp_path):
    out = tmp_path / "maps.csv"
    metrics = ["average-drop", "complexity", "adcc-of-means"]
    found = compare_maps(
        checkpoint, waving, out, method=METHODS, layer=["attention"], utility=["logit", "rest"],
        metrics=metrics, limit=4, limit_seed=7,
    )  # fmt: skip
    read = pd.read_csv(out, keep_default_na=False)
    assert len(read) == len(found) == 2 * (2 * len(metrics) * 4 + 3)  # "random" has no size
    assert read["substrate"].unique().tolist() == ["", "input:freeze", "input:origin"]
    at = read.set_index(["utility", "substrate", "metric", "method"])["estimate"]
    model, windows = load_model(checkpoint), Windows.open(waving)
    rows = windows.subset("test")
    rows = rows.subset(np.sort(np.random.default_rng(7).permutation(len(rows))[:4]))
    x = model.inputs(rows.read())
    made = GradCAM([*model.layer_names()][-1])(model, x, model(x).argmax(1))
    own = float(complexity(made, windows.frames).mean())
    assert at["logit", "input:freeze", "complexity", "gradcam"] == pytest.approx(own, rel=1e-3)
    apart = at.xs("average-drop", level="metric").unstack("substrate")
    assert (apart["input:freeze"] - apart["input:origin"]).abs().max() > 1e-4
    assert at["logit", "", "size", "gradcam"] != at["rest", "", "size", "shapleycam"]
    assert at["logit", "", "size", "fakecam"] == at["rest", "", "size", "fakecam"]


def test_maps_of_the_least_likely_class_are_of_another_class(checkpoint, waving, tmp_path):
    asked = {"method": ["gradcam"], "layer": ["attention"], "utility": ["prob"]}
    asked |= {"metrics": ["complexity"], "substrate": ["input:freeze"], "limit": 4}
    first = compare_maps(checkpoint, waving, tmp_path / "a.csv", **asked)
    least = compare_maps(checkpoint, waving, tmp_path / "b.csv", **asked, class_="least")
    assert first["estimate"].iloc[0] != least["estimate"].iloc[0]


def test_second_order_values_of_a_linear_head_are_shapley_values(checkpoint, waving, tmp_path):
    found = second_order(
        checkpoint, waving, tmp_path / "s.csv", layer=["attention"], utility=["logit", "rest"],
        players=["time"], most=4, limit=2,
    )  # fmt: skip
    at = found.set_index(["utility", "figure"])["estimate"]
    assert at["logit", "second"] < 1e-4
    assert at["rest", "second"] > 1e-4
    assert at["rest", "theorem"] < 1e-4


def test_the_theorem_holds_behind_attention_whose_maps_lie_channels_last(
    checkpoint, waving, tmp_path
):
    found = second_order(
        checkpoint, waving, tmp_path / "s.csv", layer=["tcn"], utility=["logit", "prob"],
        players=["time"], most=4, limit=2,
    )  # fmt: skip
    at = found.set_index(["utility", "figure"])["estimate"]
    assert at["logit", "second"] > 1e-4  # not linear, as it is before the pooling
    assert at["logit", "theorem"] < 1e-4
    assert at["prob", "theorem"] < 1e-4


@pytest.mark.slow
def test_what_is_kept_and_left_is_drawn(checkpoint, waving, tmp_path):
    show_masked(checkpoint, waving, tmp_path / "m.png", dpi=60)
    with Image.open(tmp_path / "m.png") as picture:
        assert min(picture.size) > 200


def test_what_cannot_be_asked_is_refused(checkpoint, waving, tmp_path):
    out = tmp_path / "maps.csv"
    for given, match in (
        ({"utility": ["softmax"]}, "utility.*got 'softmax'"),
        ({"metrics": ["aopc"]}, "metrics.*got 'aopc'"),
        ({"substrate": ["edge:self:zero"]}, "Expected an input edit as substrate .got 'edge:self"),
        ({"layer": ["nowhere"]}, "layer.*got 'nowhere'"),
        ({"class_": "nothing"}, "nothing"),
    ):
        with pytest.raises(ValueError, match=match):
            compare_maps(checkpoint, waving, out, **{"method": ["gradcam"], **given})
    with pytest.raises(ValueError, match="Expected a utility for each method .got 1, 2"):
        show_masked(checkpoint, waving, tmp_path / "m.png", method=METHODS[:2], utility=["logit"])
    assert list(tmp_path.iterdir()) == []
