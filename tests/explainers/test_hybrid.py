from __future__ import annotations

import numpy as np
import pytest
from fixtures.foreign_cnn import branches
from fixtures.small_model import ours
from scipy.stats import rankdata, spearmanr

from hargcn.explainers import Constant, GradCAM
from hargcn.explainers.hybrid import HybridProduct, HybridRank, product, rank_average
from hargcn.explanation import DIMS, Explanation

RNG = np.random.default_rng(0)
SHAP = RNG.standard_normal((2, 2, 2, 4, 3, 1)).astype(np.float32)
CAM = RNG.standard_normal((2, 2, 3, 1)).astype(np.float32)


def shap(values: np.ndarray = SHAP, target=(0, 1)) -> Explanation:
    coords = {"branch": ["J", "V"], "time": range(4), "joint": ["a", "b", "c"]}
    return Explanation.build(
        values, DIMS, method="shap", target=list(target), score=[1.0, 2.0], coords=coords, frames=4
    )


def cam(values: np.ndarray = CAM, target=(0, 1)) -> Explanation:
    dims = ("sample", "time", "joint", "person")
    coords = {"time": [0.0, 2.0], "joint": ["a", "b", "c"]}
    return Explanation.build(
        values,
        dims,
        method="gradcam",
        layer="main.0.tcn",
        target=list(target),
        score=[1.0, 2.0],
        coords=coords,
        frames=4,
    )


def test_rank_average_lies_between_the_two_orders():
    each = rank_average(shap(), cam())
    assert each.dims == ("sample", "time", "joint", "person")
    spatial = SHAP.mean((1, 2))
    wide = cam().upsample(4).values.to_numpy()
    for n in range(2):
        a, b, both = (m[n].ravel() for m in (spatial, wide, each.values.to_numpy()))
        ranks = [2 * (rankdata(m) - 1) / 11 - 1 for m in (a, b)]
        np.testing.assert_allclose(both, np.mean(ranks, axis=0), atol=1e-6)
        assert spearmanr(a, both).statistic > 0
        assert spearmanr(b, both).statistic > 0
    np.testing.assert_allclose(each.values.sum(["time", "joint", "person"]), 0, atol=1e-5)


def test_ranks_know_no_scale():
    scaled = rank_average(shap(100 * SHAP), cam(np.float32(0.01) * CAM))
    np.testing.assert_allclose(scaled.values, rank_average(shap(), cam()).values, atol=1e-6)


def test_product_gates_every_feature_and_keeps_its_sign():
    each = product(shap(), cam())
    assert each.dims == DIMS
    gate = np.maximum(cam().upsample(4).values.to_numpy(), 0)
    gate = gate / gate.max((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(each.values, SHAP * gate[:, None, None], atol=1e-6)
    assert list(each.values["branch"].to_numpy()) == ["J", "V"]


def test_a_dead_map_leaves_nothing():
    assert not product(shap(), cam(-np.abs(CAM))).values.any()


def test_it_is_an_explanation_like_any_other(tmp_path):
    for form, combine in (("rank", rank_average), ("product", product)):
        each = combine(shap(), cam())
        assert each.method == f"hybrid-{form}"
        assert each.settings == {"shap": "shap", "cam": "gradcam main.0.tcn"}
        assert each.target.to_numpy().tolist() == [0, 1]
        each.save(tmp_path / f"{form}.h5")
        again = Explanation.open(tmp_path / f"{form}.h5")
        np.testing.assert_array_equal(again.values, each.values)


def test_what_both_say_alike_is_kept():
    rest = {"label": [0, 1], "positions": (("sample", "space"), np.zeros((2, 2)))}
    a = shap().assign({**rest, "standard_error": [0.1, 0.2]}, model="m", data="d", seen=30.0)
    b = cam().assign({**rest, "standard_error": [0.3, 0.4]}, model="m", data="d", seen=25.0)
    each = product(a, b)
    assert set(each.dataset) == {"attribution", "target", "score", "label", "positions"}
    assert (each.dataset.attrs["model"], each.dataset.attrs["data"]) == ("m", "d")
    assert "seen" not in each.dataset.attrs
    assert each.layer == "main.0.tcn"


def test_different_questions_are_not_combined():
    with pytest.raises(ValueError, match="of the same windows"):
        product(shap(), cam().assign(coords={"sample": ["1", "0"]}))
    with pytest.raises(ValueError, match="explanations of the same classes"):
        rank_average(shap(), cam(target=(0, 0)))
    with pytest.raises(ValueError, match="the same joints, in the same order"):
        product(shap(), cam().isel(joint=[2, 1, 0]))
    with pytest.raises(ValueError, match="as many joints"):
        product(shap(), cam().isel(joint=[0, 1]))


@pytest.mark.parametrize(("cls", "combine"), [(HybridRank, rank_average), (HybridProduct, product)])
def test_both_explainers_run_and_are_combined(cls, combine):
    model, x = ours(), branches(frames=8)
    parts = Constant(2.0), GradCAM("main.1.tcn")
    each = cls(*parts)(model, x, 1)
    np.testing.assert_array_equal(
        each.values, combine(*(part(model, x, 1) for part in parts)).values
    )
    with pytest.raises(ValueError, match="^hybrid-.*Expected layer of J.init"):
        cls(Constant(), GradCAM("nowhere"))(model, x, 1)
