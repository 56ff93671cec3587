from __future__ import annotations

import numpy as np
import pytest
from fixtures.fake_explanations import cam_like, explanation, shap_like

from hargcn.analysis.observed import (
    cell_states,
    joint_shares,
    said_of_unseen,
    seen,
    unseen,
)
from hargcn.analysis.ranking import Ranking, write_csv
from hargcn.data.recording import ABSENT, INTERPOLATED, OBSERVED


def with_states(made, states):
    """Add states: (frame, joint, person) of every sample, or (sample, frame, joint, person)."""
    states = np.asarray(states, dtype=np.uint8)
    if states.ndim == 3:
        states = np.broadcast_to(states, (len(made), *states.shape))
    return made.assign({"state": (("sample", "frame", "joint", "person"), states)})


def small(values, states, dims=("sample", "time", "joint", "person"), **names):
    """One sample of (frame, joint, person) values and states."""
    made = explanation(
        [values], dims, joint=["hand", "foot", "head"][: np.shape(values)[1]], **names
    )
    return with_states(made, states)


def test_a_coarse_cell_was_seen_for_the_share_of_its_frames():
    """Cells of frames 0 to 3 and 4 to 7; at 1.5 and 5.5 frame 3.5 would be the border."""
    states = np.full((8, 1, 1), OBSERVED)
    states[[0, 3, 4]] = INTERPOLATED
    made = small([[[1.0]], [[1.0]]], states, time=[1.5, 5.5], frames=8)
    assert seen(made).to_numpy()[0, :, 0, 0].tolist() == [0.5, 0.75]
    assert seen(made, INTERPOLATED).to_numpy()[0, :, 0, 0].tolist() == [0.5, 0.25]


def test_cells_finer_than_frames_take_the_nearest_one():
    made = small(np.ones((4, 1, 1)), [[[1]], [[2]]], time=[0.0, 0.25, 0.75, 1.0], frames=2)
    assert seen(made).to_numpy()[0, :, 0, 0].tolist() == [1, 1, 0, 0]


def test_without_time_or_persons_those_who_are_there_count():
    states = np.full((4, 2, 2), ABSENT)
    states[..., 0] = OBSERVED
    states[:2, 1, 0] = INTERPOLATED
    made = with_states(explanation([[1.0, 1.0]], ("sample", "joint")), states)
    assert seen(made).to_numpy().tolist() == [[1, 0.5]]
    both = states.copy()
    both[2:, :, 1] = OBSERVED
    made = with_states(explanation([[1.0, 1.0]], ("sample", "joint")), both)
    assert seen(made).to_numpy().tolist() == [[0.75, 0.5]]


def test_most_frames_decide_what_a_cell_is():
    states = np.array([1, 2, 2, 0, 0, 2, 0, 0, 2, 2]).reshape(10, 1, 1)
    made = small(np.ones((5, 1, 1)), states, time=np.arange(5) * 2 + 0.5, frames=10)
    expected = [OBSERVED, INTERPOLATED, INTERPOLATED, ABSENT, INTERPOLATED]
    assert cell_states(made)[0, :, 0, 0].tolist() == expected


def test_where_all_was_seen_scores_are_the_usual_ones():
    for made in (shap_like(3, persons=2), cam_like(3)):
        frames, joints = 24, made.values.sizes["joint"]
        whole = with_states(made, np.ones((frames, joints, made.values.sizes["person"])))
        assert (joint_shares(whole) == 1).all()
        assert (unseen(whole) == 0).all()


def test_only_what_was_seen_counts_for_a_ranking(tmp_path):
    """The hand's large value lies on a frame that was interpolated, the foot's was seen."""
    values = np.array([[9.0, 1.0, 0.0], [1.0, 3.0, 0.0]])[..., None]
    states = np.array([[2, 1, 2], [1, 1, 2]])[..., None]
    made = small(values, states)
    assert Ranking.of(made).features == ("hand", "foot", "head")
    ranking = Ranking.of(made, cells="observed")
    assert ranking.features == ("foot", "hand", "head")
    np.testing.assert_array_equal(ranking.medians, [2, 1, np.nan])
    assert ranking.seen.to_numpy().tolist() == [0.5, 1, 0]
    np.testing.assert_array_equal(ranking.ranks[0], [2, 1, np.nan])
    table = ranking.summary()
    assert table["seen"].to_numpy().tolist() == [1, 0.5, 0]
    write_csv(table, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text("utf-8").splitlines()[3].startswith("head,,")


def test_an_absent_person_takes_nothing_from_the_share_that_was_seen():
    states = np.zeros((2, 1, 2))
    states[:, :, 0] = [[1], [2]]
    made = small(np.ones((2, 1, 2)), states)
    assert joint_shares(made).to_numpy().tolist() == [0.5]
    assert unseen(made).to_numpy().tolist() == [[0.75]]  # but what it is credited nobody saw


@pytest.mark.parametrize(("share", "warns"), [(0.19, False), (0.2, False), (0.21, True)])
@pytest.mark.parametrize("state", [ABSENT, INTERPOLATED])
def test_more_than_a_fifth_on_cells_that_nobody_saw_is_said(share, warns, state):
    """Negative attributions, of whatever size, neither hide nor add to it."""
    values = np.array([[share, 1 - share - 0.1, 0.1], [-5.0, -7.0, 0.0]])[..., None]
    states = np.array([[state, 1, 1], [1, state, 1]])[..., None]
    said = said_of_unseen(unseen(small(values, states)))
    assert bool(said) == warns
    if warns:
        assert said.startswith("21% of the positive attribution lies on cells that nobody saw")
        assert said.endswith("most of it on hand 21%")


def test_windows_count_alike_and_the_worst_joints_are_named_first():
    values = np.array([[100.0, 0, 0], [0.1, 0.3, 0.6], [-1, -1, -1]])[:, None, :, None]
    states = np.full((3, 1, 3, 1), 1)
    states[1:, :, 1:] = 2
    made = with_states(
        explanation(values, ("sample", "time", "joint", "person"), joint=["a", "b", "c"]), states
    )
    shares = unseen(made)
    np.testing.assert_allclose(shares.sum("joint", skipna=False), [0, 0.9, np.nan])
    assert "45% of" in said_of_unseen(shares)
    assert said_of_unseen(shares).endswith("on c 30%, b 15%")


def test_branches_and_channels_are_added_up_before_the_sign_counts():
    values = np.array([[2.0, -2.0], [1.0, 1.0]])[:, None, None, :, None]
    made = explanation([values], ("sample", "branch", "channel", "time", "joint", "person"))
    states = np.array([[2, 1]])[..., None]
    assert unseen(with_states(made, states)).to_numpy().tolist() == [[1, 0]]


def test_an_explanation_that_does_not_tell_is_refused():
    with pytest.raises(ValueError, match=r"'shap': expected joints and what was seen .*no states"):
        seen(shap_like(1))
    parts = with_states(explanation([[1.0]], ("sample", "player")), np.ones((1, 1, 1)))
    with pytest.raises(ValueError, match=r"got axes sample, player and states of other axes"):
        seen(parts)
