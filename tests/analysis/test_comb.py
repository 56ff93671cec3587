from __future__ import annotations

import numpy as np
import pytest
from fixtures.fake_explanations import cam_like, explanation, shap_like

from hargcn.analysis.comb import comb_share, own_step, said_of_comb, with_comb

T = 48


def over_time(*series):
    """One window whose joints have these series over time."""
    values = np.stack(series, axis=1)[None]
    return explanation(values, ("sample", "time", "joint"), frames=len(values[0]))


def test_a_pure_comb_has_all_of_it_and_slow_change_none():
    time = np.arange(T)
    teeth = np.where(time % 3 == 0, 1.0, 0.0)
    slow = np.sin(2 * np.pi * time / T)
    assert comb_share(over_time(teeth), 3) == pytest.approx([1])
    assert comb_share(over_time(slow), 3) == pytest.approx([0], abs=1e-12)
    assert comb_share(over_time(time / T), 3) < 0.04  # a slope has an edge where it begins anew
    assert comb_share(over_time(np.full(T, 0.1)), 3) == 0


def test_equal_energies_of_both_are_a_half_also_of_different_joints():
    time = np.arange(T)
    comb, slow = (-1.0) ** time, np.sqrt(2) * np.sin(2 * np.pi * time / T)
    assert comb_share(over_time(comb + slow), 2) == pytest.approx([0.5])
    assert comb_share(over_time(comb, slow), 2) == pytest.approx([0.5])
    assert comb_share(over_time(comb, np.sqrt(3) * slow), 2) == pytest.approx([0.25])


def test_a_comb_that_changes_its_height_and_sign_is_one_still():
    time = np.arange(96)
    comb = np.sin(2 * np.pi * time / 96) * np.where(time % 4 == 1, 1, -1 / 3)
    assert comb_share(over_time(comb), 4) == pytest.approx([1])


def test_frames_beyond_the_last_whole_step_do_not_count():
    teeth = np.where(np.arange(50) % 9 == 2, 1.0, 0.0)
    teeth[45:] = [7, -8, 9, 10, -3]
    assert comb_share(over_time(teeth), 9) == pytest.approx([1])


@pytest.mark.parametrize("step", [2, 3, 9])
def test_noise_has_what_the_bands_take(step):
    noise = np.random.default_rng(0).normal(size=(3600, 20))
    expected = (step - 1) / (2 * step)
    assert comb_share(over_time(*noise.T), step) == pytest.approx([expected], abs=0.02)


def test_steps_of_one_frame_have_none_and_short_windows_are_unknown():
    made = over_time(np.arange(7.0) % 2)
    assert comb_share(made, 1) == 0
    assert np.isnan(comb_share(made, 2))


def test_it_is_stored_where_cells_are_frames_and_said():
    made = with_comb(shap_like(3), 2)
    assert made.dataset["comb"].dims == ("sample",)
    assert 0.1 < float(made.dataset["comb"].mean()) < 0.4
    (said,) = said_of_comb(made)
    assert "at the network's step of 2 frames (of noise 25%)" in said
    assert "comb" not in with_comb(cam_like(3), 2).dataset
    assert with_comb(cam_like(3), 2).dataset.attrs["time_step"] == 2
    assert "time_step" not in with_comb(shap_like(3), None).dataset.attrs
    assert not said_of_comb(with_comb(shap_like(3), 1))
    assert not said_of_comb(shap_like(3))


def test_sums_over_the_networks_own_step_stay_the_same():
    made = shap_like(3).assign(time_step=5)
    binned = own_step(made)
    assert binned.values["time"].to_numpy().tolist() == [2, 7, 12, 17, 22]  # the last one of four
    other = [d for d in made.dims if d != "sample"]
    np.testing.assert_allclose(binned.values.sum(other), made.values.sum(other), atol=1e-9)
    assert binned.dataset.attrs["summed"] == 5
    assert own_step(made, 1) is made
    assert own_step(binned) is binned
    assert own_step(shap_like(2)).values.sizes["time"] == 24
    coarse = cam_like(2).assign(time_step=2)
    assert own_step(coarse) is coarse
    with pytest.raises(ValueError, match="attributions of frames to add up over 3 of them"):
        own_step(coarse, 3)


def test_a_step_longer_than_the_window_is_refused():
    made = shap_like(2)
    assert own_step(made, 24).values.sizes["time"] == 1
    with pytest.raises(ValueError, match=r"'shap': expected a time step of 1 to 24 .*\(got 25\)"):
        own_step(made, 25)


def test_what_is_said_of_the_comb_leaves_open_whose_it_is():
    """A movement as fast as the stride has the same energy there."""
    (said,) = said_of_comb(with_comb(over_time(np.arange(T) % 2.0), 2))
    assert "at the network's step of 2 frames (of noise 25%): the comb of its stride, or" in said
    assert said.endswith(
        "movement as fast, which cannot be told apart; pictures add up over the step"
    )
