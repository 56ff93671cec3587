"""How much Shap-CAM depends on its seed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hargcn.pipeline.sampling_study import _spread, samplings


def test_seeds_are_compared_with_the_reference_and_with_each_other():
    true = np.array([[3.0, 4.0, 0.0]])
    maps = np.array([[[3.0, 4.0, 1.0]], [[3.0, 4.0, -1.0]]])
    found = _spread(maps, true)
    assert found["error"].item() == pytest.approx(1 / 5)
    assert found["spread"].item() == pytest.approx(np.sqrt(2) / 5)
    assert found["rho"].item() == pytest.approx(1)
    assert found["first"].item() == 1
    assert _spread(np.stack([true, -true]), true)["rho"].item() == pytest.approx(-1)
    rng = np.random.default_rng(0)
    true = rng.random((3, 40))
    noise = rng.normal(size=(5, 3, 40))
    near, far = (_spread(true + scale * noise, true) for scale in (0.01, 0.1))
    assert (near["rho"] > far["rho"]).all()
    np.testing.assert_allclose(far["error"], 10 * near["error"])


@pytest.mark.slow
def test_more_orders_come_nearer_and_few_players_need_none(checkpoint, waving, tmp_path):
    asked = {"layer": "attention", "limit": 2, "seeds": 4}
    found = samplings(
        checkpoint, waving, tmp_path / "s.csv", permutations=[4, 400], reference=2000, **asked
    )
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "s.csv"), found, check_dtype=False, rtol=1e-3
    )
    at = found.set_index(["figure", "permutations"])["estimate"].sort_index()
    assert at["error", 400] < at["error", 4] / 3  # a tenth, give or take
    assert at["spread", 400] == pytest.approx(at["stored", 400], rel=0.3)
    # Which is nearer is asked of the pairs above: here four orders may rank all cells alike.
    assert at["rho", 400] == pytest.approx(1, abs=1e-3)
    assert at["rho", 400] >= at["rho", 4] - 1e-9
    assert at["deletion of the mean", 400] <= at["deletion of the mean", 4] + 1e-9
    exact = samplings(
        checkpoint, waving, tmp_path / "e.csv", permutations=[4], reference=4,
        settings={"players": "parts"}, **asked,
    ).set_index("figure")["estimate"]  # fmt: skip
    assert exact["error"] == exact["spread"] == exact["deletion"] == 0
    assert exact["rho"] == pytest.approx(1)


def test_one_seed_has_no_spread(checkpoint, waving, tmp_path):
    with pytest.raises(ValueError, match="Expected seeds less one of at least 1"):
        samplings(
            checkpoint, waving, tmp_path / "s.csv", layer="attention", permutations=[4],
            reference=4, seeds=1,
        )  # fmt: skip
