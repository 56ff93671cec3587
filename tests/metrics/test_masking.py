from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.toy_networks import Planted, explained, planted_windows, three_joints

from hargcn.explainers.baselines import Constant, FakeCAM, Random
from hargcn.metrics import masking
from hargcn.metrics.masking import (
    adcc,
    add,
    average_drop,
    coherency,
    complexity,
    deletion,
    harmonic_of_means,
    increase,
    insertion,
    places,
    removal_curve,
    strongest,
)
from hargcn.metrics.registry import METRICS, Case


def sigmoid(z: float) -> float:
    return 1 / (1 + np.exp(-z))


# The logit is 4; frozen, that is without the one cell (1, 0) that moves, it is 2.
Y, FROZEN = sigmoid(4), sigmoid(2)
SHARP = torch.tensor([[[0.0, 0, 0], [1, 0, 0]]])
BLIND = 1 - SHARP
# Half of the moving cell: its mean is 1.5, the logit 3, for what is kept and what is left.
HALF = torch.tensor([[[0.0, 0, 1], [0.5, 0, 0]]])


def test_average_drop_increase_and_add_by_hand():
    model, x = three_joints()
    drop = (Y - FROZEN) / Y
    half = (Y - sigmoid(3)) / Y
    for maps, kept, removed in ((SHARP, 0, drop), (BLIND, drop, 0), (HALF, half, half)):
        each = explained(maps)
        assert average_drop(model, x, each).item() == pytest.approx(kept, abs=1e-6)
        assert add(model, x, each).item() == pytest.approx(removed, abs=1e-6)
        assert increase(model, x, each).item() == 0
    # Of the other class the moving joint speaks against: without it confidence rises.
    other = explained(BLIND, target=1)
    assert increase(model, x, other).item() == 1
    assert average_drop(model, x, other).item() == 0


def test_deletion_and_insertion_by_hand():
    model, x = three_joints()
    sharp, blind = explained(SHARP), explained(-SHARP)
    curve = removal_curve(model, x, sharp, steps=6)[0]
    np.testing.assert_allclose(curve, [Y] + [FROZEN] * 6, atol=1e-6)
    first = (Y + FROZEN) / 2
    found = deletion(model, x, sharp, steps=6).item()
    assert found == pytest.approx((first + 5 * FROZEN) / 6, abs=1e-6)
    found = insertion(model, x, sharp, steps=6).item()
    assert found == pytest.approx((first + 5 * Y) / 6, abs=1e-6)
    # The opposite map deletes the evidence last.
    found = deletion(model, x, blind, steps=6).item()
    assert found == pytest.approx((first + 5 * Y) / 6, abs=1e-6)


def test_curves_stop_where_they_are_told():
    model, x = three_joints()
    sharp = explained(SHARP)
    np.testing.assert_allclose(
        removal_curve(model, x, sharp, shares=[0, 1 / 6]), [[Y, FROZEN]], atol=1e-6
    )
    np.testing.assert_allclose(
        removal_curve(model, x, sharp, shares=[0, 1 / 6], insert=True), [[FROZEN, Y]], atol=1e-6
    )


def test_of_positive_cells_the_strongest_are_left():
    maps = np.array([[[3.0, 1.0], [-5.0, 2.0]], [[-1.0, -2.0], [0.0, 0.0]]])
    assert places(maps, np.arange(2), 1)[0].tolist() == [0, 2, 3, 1]
    assert strongest(maps, 1 / 3).tolist() == [[[3, 0], [0, 0]], [[0, 0], [0, 0]]]
    assert strongest(maps, 2 / 3).tolist()[0] == [[3, 0], [0, 2]]
    assert strongest(maps, 1).tolist()[0] == [[3, 1], [0, 2]]
    tied = strongest(np.ones((300, 2, 2)), 0.25)
    assert (tied.sum((1, 2)) == 1).all()
    np.testing.assert_allclose(tied.mean(0), 0.25, atol=0.08)  # whichever by chance


def test_adcc_by_hand():
    model, x = three_joints()
    each = explained(HALF)
    assert complexity(each, 2).item() == 0.25
    same = coherency(model, x, each, lambda *_: each)
    assert same.item() == pytest.approx(1)
    opposite = coherency(model, x, each, lambda *_: explained(-HALF))
    assert opposite.item() == pytest.approx(0, abs=1e-7)
    drop = (Y - sigmoid(3)) / Y
    by_hand = 3 / (1 + 1 / 0.75 + 1 / (1 - drop))
    assert adcc(model, x, each, lambda *_: each)["adcc"].item() == pytest.approx(by_hand, abs=1e-6)


def test_a_map_that_keeps_everything_has_no_adcc():
    model, x = three_joints()
    constant = Constant()(model, x, 0)
    assert average_drop(model, x, constant).item() == 0
    assert increase(model, x, constant).item() == 0
    assert complexity(constant, 2).item() == 1
    assert coherency(model, x, constant, Constant()).item() == 0.5
    assert adcc(model, x, constant, Constant())["adcc"].item() == 0


def test_the_fake_wins_average_drop_and_is_exposed_by_complexity_and_adcc():
    model, x = three_joints()
    x = x.repeat(1, 1, 1, 20, 1, 1)
    fake, honest = FakeCAM()(model, x, 0), explained(SHARP.repeat(1, 20, 1))
    assert average_drop(model, x, fake).item() == pytest.approx(0, abs=1e-6)
    assert average_drop(model, x, honest).item() == pytest.approx(0, abs=1e-6)
    assert complexity(fake, 40).item() > 0.99
    assert complexity(honest, 40).item() < 0.2
    assert adcc(model, x, fake, FakeCAM())["adcc"].item() < 0.03
    assert adcc(model, x, honest, lambda *_: honest)["adcc"].item() > 0.9


def test_a_random_explainer_is_no_more_coherent_than_chance():
    model, x = three_joints()
    x = x.repeat(12, 1, 1, 20, 1, 1) + torch.arange(12.0)[:, None, None, None, None, None] / 100
    each = Random(3)(model, x, 0)
    assert float(coherency(model, x, each, Random(3)).mean()) == pytest.approx(0.5, abs=0.08)


def test_adcc_is_made_of_its_parts_for_windows_without_branches():
    x, _, truth = planted_windows(n=4)
    noise = torch.rand(4, 12, 6, generator=torch.Generator().manual_seed(0))
    model, each = Planted(2, slice(4, 8)), explained(truth + 0.2 * noise, 1)
    parts = [
        coherency(model, x, each, lambda *_: each),
        1 - complexity(each, 12),
        1 - average_drop(model, x, each),
    ]
    by_hand = 3 / sum(1 / part for part in parts)
    found = adcc(model, x, each, lambda *_: each)["adcc"]
    np.testing.assert_allclose(found, by_hand, rtol=1e-6)


def test_adcc_of_means_is_not_the_mean_of_adcc_by_hand():
    """Parts (1, 1/2, 1/2) and (1, 1/2, 0): 3 / 5 and 0 singly; of means (1, 1/2, 1/4) 3 / 7."""
    parts = np.array([[1, 0.5, 0.5], [1, 0.5, 0]])
    assert harmonic_of_means(parts[:1]) == pytest.approx(3 / 5)
    assert harmonic_of_means(parts[1:]) == 0
    assert harmonic_of_means(parts) == pytest.approx(3 / 7)
    assert harmonic_of_means(parts[None]).tolist() == pytest.approx([3 / 5, 0])


def test_what_masked_windows_say_is_asked_once_for_all_measures(monkeypatch):
    model, x = three_joints()
    case = Case(model, x, explained(HALF), explainer=lambda *_: explained(HALF))
    asked = []
    real = masking.masked

    def counted(*given, **more):
        asked.append(given)
        return real(*given, **more)

    monkeypatch.setattr(masking, "masked", counted)
    found = {name: METRICS[name].compute(case) for name in ("average-drop", "increase", "add")}
    whole = METRICS["adcc"].compute(case)
    assert len(asked) == 1
    assert found["average-drop"].item() == average_drop(model, x, explained(HALF)).item()
    by_hand = adcc(model, x, explained(HALF), lambda *_: explained(HALF))
    assert whole["adcc"].item() == by_hand["adcc"].item()
