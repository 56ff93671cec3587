from __future__ import annotations

import numpy as np
import pytest
from fixtures.fake_explanations import FRAMES, cam_like, explanation, shap_like

from hargcn.analysis.recordings import of_recording, said_of_recording
from hargcn.explanation import Explanation


def named(made, *names, **variables):
    return made.assign(variables, {"sample": list(names)})


def test_two_overlapping_windows_by_hand():
    """Windows of 4 frames at 0 and 2: frames 2 and 3 are seen twice and count once each."""
    made = explanation(
        [[1.0, 2, 3, 4], [10, 20, 30, 40]], ("sample", "time"), frames=4, targets=[1, 1]
    )
    whole = of_recording(named(made, "a@10", "a@12"), "a")
    assert whole.values.to_numpy().tolist() == [[0.5, 1, 6.5, 12, 15, 20]]
    assert whole.dataset["windows"].to_numpy().tolist() == [[1, 1, 2, 2, 1, 1]]
    assert whole.values["time"].to_numpy().tolist() == [0, 1, 2, 3, 4, 5]
    assert whole.values["sample"].to_numpy().tolist() == ["a"]
    assert float(whole.score[0]) == float(made.score.mean())
    assert whole.dataset.attrs["averaged"] == 2
    assert whole.dataset.attrs["frames"] == 6
    assert whole.target.to_numpy().tolist() == [1]


@pytest.mark.parametrize("starts", [(0, 12, 24), (0, 12, 19), (5, 40, 41)])
def test_values_and_mean_base_add_up_to_the_mean_score(starts):
    made = shap_like(4, persons=2)
    sums = made.values.sum([d for d in made.dims if d != "sample"]).to_numpy()
    base = np.array([0.3, -1, 2, 9])
    made = made.assign({"base_value": base, "score": sums + base})
    samples = [f"a@{start}" for start in starts]
    whole = of_recording(named(made, *samples, "b@0"), "a")
    total = float(whole.values.sum()) + float(whole.base_value[0])
    assert total == pytest.approx(float(made.score[:3].mean()), abs=1e-6)
    assert float(whole.score[0]) == pytest.approx(float(made.score[:3].mean()), abs=1e-12)
    assert whole.dims == made.dims


def test_a_single_window_is_itself_whatever_its_rate():
    """As windows of mode "whole" are: one of a recording, resampled, with a rate of its own."""
    made = shap_like(2).assign({"fps": [12.5, 31.0]})
    made = named(made, "a@3", "b@7")
    for row, name in enumerate("ab"):
        whole = of_recording(made, name)
        np.testing.assert_array_equal(whole.values[0], made.values[row])
        assert whole.dataset.attrs["frames"] == FRAMES


def test_coarse_cells_share_between_places_and_sums_stay():
    """Cells 4 frames apart; the second window begins 2 frames past a place of the first one's."""
    made = cam_like(2, time=np.arange(6) * 4.0)
    whole = of_recording(named(made, "a@0", "a@6"), "a")
    np.testing.assert_allclose(np.diff(whole.values["time"]), 4)
    own = made.values.to_numpy()
    assert float(whole.values.sum()) == pytest.approx(own.sum() / 2, abs=1e-12)
    found = whole.values.to_numpy()[0]
    np.testing.assert_allclose(found[0], own[0, 0] / 2)
    np.testing.assert_allclose(found[1], (own[0, 1] + own[1, 0] / 2) / 2)
    np.testing.assert_allclose(found[2], (own[0, 2] + own[1, 0] / 2 + own[1, 1] / 2) / 2)
    np.testing.assert_allclose(whole.dataset["windows"][0, :3], [1, 1.5, 2])


def test_positions_states_and_times_are_the_recordings():
    frames = np.arange(10.0)
    made = explanation(np.ones((2, 4)), ("sample", "time"), frames=4)
    at = np.stack([frames[0:4], frames[5:9]])
    made = named(
        made, "a@5", "a@10",
        seconds=(("sample", "frame"), at / 10),
        positions=(("sample", "space", "frame", "joint", "person"), at[:, None, :, None, None]),
        state=(("sample", "frame", "joint", "person"), np.ones((2, 4, 1, 1), np.uint8)),
        group=np.array(["s", "s"]), predicted=np.array([0, 1]),
    )  # fmt: skip
    whole = of_recording(made, "a").dataset
    np.testing.assert_allclose(whole["seconds"][0], frames[:9] / 10)
    assert whole["positions"].to_numpy().ravel().tolist() == [0, 1, 2, 3, 0, 5, 6, 7, 8]
    assert whole["state"].to_numpy().ravel().tolist() == [1, 1, 1, 1, 0, 1, 1, 1, 1]
    assert whole["windows"].to_numpy().tolist() == [[1, 1, 1, 1, 0, 1, 1, 1, 1]]
    assert whole["group"].to_numpy().tolist() == ["s"]
    assert "predicted" not in whole  # the windows differ


def test_what_is_of_no_mean_is_left_out_and_files_can_be_written(tmp_path):
    made = shap_like(2)
    error = (made.dims, np.ones(made.values.shape))
    made = named(made.assign({"standard_error": error, "relative_gap": np.ones(2)}), "a@0", "a@8")
    whole = of_recording(made, "a")
    assert not {"standard_error", "relative_gap"} & {*whole.dataset}
    whole.save(tmp_path / "a.h5")
    np.testing.assert_array_equal(Explanation.open(tmp_path / "a.h5").values, whole.values)


def test_without_time_it_is_the_plain_mean():
    made = named(explanation([[1.0, 2], [3, 6]], ("sample", "joint")), "a@0", "a@4")
    assert of_recording(made, "a").values.to_numpy().tolist() == [[2, 4]]


def test_what_cannot_be_averaged_is_refused():
    made = named(shap_like(3), "anna@0", "anna@5", "ben@0")
    with pytest.raises(
        ValueError, match=r"its 2 recordings, such as 'anna' \(got 'bem'.*mean 'ben'"
    ):
        of_recording(made, "bem")
    other = made.assign({"target": [0, 1, 1]}).assign(classes='["wave", "sit"]')
    with pytest.raises(ValueError, match=r"anna explained for one class \(got wave and sit\)"):
        of_recording(other, "anna")
    with pytest.raises(ValueError, match=r"at one rate \(got 10 to 20 frames per second\)"):
        of_recording(made.assign({"fps": [10.0, 20, 20]}), "anna")
    stored = {"recording": np.array(["anna", "anna", "ben"])}
    with pytest.raises(ValueError, match=r"named recording@start \(got '0'\)"):
        of_recording(shap_like(3).assign(stored), "anna")
    uneven = named(cam_like(2, time=[0, 1, 2, 3, 4, 9]), "a@0", "a@4")
    with pytest.raises(ValueError, match=r"at even distances .* \(got 1 to 5 frames\)"):
        of_recording(uneven, "a")


def test_it_is_said_of_which_score_the_values_are():
    made = named(shap_like(3), "a@0", "a@8", "b@0")
    assert not said_of_recording(made)
    (said,) = said_of_recording(of_recording(made, "a"))
    mean = float(made.score[:2].mean())
    assert said == (
        "the recording's attribution and the base value add up to the mean logit of its 2 windows "
        f"in the file, {mean:.3g}; nobody asked the network of all of it at once"
    )
    bare = named(cam_like(2), "a@0", "a@8")
    assert "attribution is of the mean logit" in said_of_recording(of_recording(bare, "a"))[0]


def test_one_window_is_no_mean():
    (said,) = said_of_recording(of_recording(named(shap_like(2), "a@0", "b@0"), "b"))
    assert said == "the file has one window of the recording, whose attribution this is"
