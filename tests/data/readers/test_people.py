from __future__ import annotations

import numpy as np

from hargcn.data.readers.people import follow
from tests.fixtures.tracker_files import walking


def test_people_are_followed_by_where_they_are_not_by_their_order() -> None:
    bodies = walking(6, 5, 2)
    frames = [people[::-1] if at % 2 else people for at, people in enumerate(bodies)]
    found, notes = follow(frames, 2)
    np.testing.assert_array_equal(found, bodies)
    assert notes == {"people_left_out": 0, "frames_without_people": 0}


def test_names_are_believed() -> None:
    bodies = walking(4, 5, 2)
    found, _ = follow(list(bodies), 2, [[7, 8], [8, 7], [7, 8], [7, 8]])
    np.testing.assert_array_equal(found[1], bodies[1, ::-1])
    np.testing.assert_array_equal(found[2:], bodies[2:])


def test_somebody_new_is_not_who_left() -> None:
    """Person 1 leaves after two frames; far away a third one comes: three tracks, two are kept."""
    bodies = walking(6, 5, 3)
    frames = [people[:2] if at < 2 else people[[0, 2]] for at, people in enumerate(bodies)]
    found, notes = follow(frames, 2)
    np.testing.assert_array_equal(found[:, 0], bodies[:, 0])
    np.testing.assert_array_equal(found[2:, 1], bodies[2:, 2])
    assert np.isnan(found[:2, 1]).all()
    assert notes["people_left_out"] == 2


def test_after_frames_without_anybody_the_same_person_goes_on() -> None:
    bodies = walking(5, 5)
    frames = [bodies[0], np.empty((0, 5, 3)), np.empty((0, 5, 3)), bodies[3], bodies[4]]
    found, notes = follow(frames, 1)
    np.testing.assert_array_equal(found[[0, 3, 4], 0], bodies[[0, 3, 4], 0])
    assert np.isnan(found[1:3]).all()
    assert notes["frames_without_people"] == 2


def test_a_joint_that_lacks_one_coordinate_is_no_place() -> None:
    """Half-seen joints say nothing of the distance: without them the two poses lie together."""
    bodies = walking(2, 5)
    bodies[0, 0, 0, 0] = np.nan  # x of one joint before
    bodies[1, 0, 1, 1] = np.nan  # y of another now
    found, notes = follow(list(bodies), 1)
    np.testing.assert_array_equal(found, bodies)
    assert notes["people_left_out"] == 0
