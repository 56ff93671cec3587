from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.small_model import small_model
from fixtures.toy_networks import Line

from hargcn.explainers.baselines import Constant, FakeCAM, Random, Truth


def windows(n: int = 4) -> torch.Tensor:
    return torch.randn(n, 1, 1, 5, 3, 1, generator=torch.Generator().manual_seed(0))


def test_random_depends_on_seed_window_class_and_model_and_on_nothing_else():
    model, other, x = Line([1.0, 2.0, -1.0]), Line([3.0, 2.0, -1.0]), windows()

    def maps(seed=1, model=model, x=x, target=0):
        return Random(seed)(model, x, target).values.to_numpy()

    assert np.array_equal(maps(), maps())
    assert np.array_equal(maps(), np.concatenate([maps(x=x[:1]), maps(x=x[1:])]))
    for changed in (maps(seed=2), maps(x=x + 1e-3), maps(target=1), maps(model=other)):
        assert not np.isclose(maps(), changed).any(axis=(1, 2)).all()
    assert abs(maps().mean()) < 0.2
    assert 0.5 < np.abs(maps()).max() <= 1


def test_constant_and_fake():
    model, x = Line([1.0, 2.0, -1.0]), windows()
    assert (Constant(2.5)(model, x, 0).values == 2.5).all()
    fake = FakeCAM()(model, x, 0).values
    assert float(fake.sum()) == 4 * (15 - 1)
    assert not fake[:, 0, 0].any()


def test_truth_is_the_mask_of_exactly_these_windows():
    mask = np.zeros((4, 5, 3), bool)
    mask[:, 2, 1] = True
    each = Truth(mask)(Line([1.0, 2.0, -1.0]), windows(), 0)
    assert np.array_equal(each.values, mask.astype(np.float32))
    with pytest.raises(ValueError, match=r"Expected a truth mask of shape \(2, 5, 3\)"):
        Truth(mask)(Line([1.0, 2.0, -1.0]), windows(2), 0)


def test_an_explanation_names_what_it_explains():
    model = small_model("inmotion19").train()
    x = torch.randn(2, 4, 4, 9, 19, 1, generator=torch.Generator().manual_seed(0))
    each = Random()(model, x, torch.tensor([2, 0]))
    assert model.training
    logits = model.eval()(x).detach()
    np.testing.assert_allclose(each.score, logits[[0, 1], [2, 0]], atol=1e-5)
    assert each.predicted.to_numpy().tolist() == logits.argmax(1).tolist()
    assert each.target.to_numpy().tolist() == [2, 0]
    assert tuple(each.values["joint"].to_numpy()) == model.skeleton.joints
    assert each.skeleton == model.skeleton
    assert each.settings == {"seed": 1234}
