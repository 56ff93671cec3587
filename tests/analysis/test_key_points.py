"""Maps in a plane, read where joints are: against paper."""

from __future__ import annotations

import numpy as np
import pytest

from hargcn.analysis.key_points import at_key_points
from hargcn.explanation import Explanation


def ramp(persons: int = 1) -> Explanation:
    """Two cells of time at frames 0.5 and 2.5; the map is 10 t + y + 100 x (1 + person)."""
    t, y, x, m = np.meshgrid([0, 1], [0.5, 2.5, 4.5], [1, 3], range(persons), indexing="ij")
    return Explanation.build(
        (10.0 * t + y + 100 * x * (1 + m))[None],
        ("sample", "time", "y", "x", "person"),
        method="toy", layer="conv", target=[1], score=[2.0],
        coords={"time": [0.5, 2.5], "y": [0.5, 2.5, 4.5], "x": [1, 3]}, frames=4,
    )  # fmt: skip


def points(*where: tuple[float, float], persons: int = 1) -> np.ndarray:
    """Return the same points (x, y) in four frames."""
    own = np.array(where, float).T[None, :, None, :, None]
    return np.broadcast_to(own, (1, 2, 4, len(where), persons)).copy()


def test_between_centres_a_map_is_linear_and_beyond_them_constant():
    made = at_key_points(ramp(), points((1, 0.5), (2, 1.5), (0, 9), (9, 4.5)), list("abcd"))
    assert made.dims == ("sample", "time", "joint", "person")
    expected = [100.5, 201.5, 104.5, 304.5]
    np.testing.assert_allclose(made.values[0, 0, :, 0], expected)
    np.testing.assert_allclose(made.values[0, 1, :, 0], np.add(expected, 10))
    assert list(made.values["joint"].to_numpy()) == list("abcd")
    assert (made.layer, float(made.score[0]), made.dataset.attrs["frames"]) == ("conv", 2.0, 4)
    assert made.upsample().values.sizes["time"] == 4
    assert made.joint_scores().shape == (1, 4)


def test_a_cell_meets_the_frame_nearest_to_its_centre():
    moving = points((1, 0.5))
    moving[0, 1, 2] = 2.5  # frame 2, the nearest even one to 2.5
    moving[0, 1, 1] = 4.5  # frame 1: no cell's
    np.testing.assert_allclose(at_key_points(ramp(), moving).values[0, :, 0, 0], [100.5, 112.5])


def test_who_is_nowhere_has_nothing():
    gone = points((1, 0.5), (2, 1.5))
    gone[0, 1, 0, 1] = np.nan
    found = at_key_points(ramp(), gone).values[0, :, :, 0]
    np.testing.assert_allclose(found, [[100.5, 0], [110.5, 211.5]])


def test_persons_share_one_map_or_have_their_own():
    two = points((1, 0.5), persons=2)
    np.testing.assert_allclose(at_key_points(ramp(), two).values[0, 0, 0], [100.5, 100.5])
    np.testing.assert_allclose(at_key_points(ramp(2), two).values[0, 0, 0], [100.5, 200.5])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"expected points \(1 samples, 2, 4 frames, joint, 2 per"):
        at_key_points(ramp(2), points((1, 1), persons=1))
    with pytest.raises(ValueError, match=r"got \(1, 2, 3, 1, 1\)"):
        at_key_points(ramp(), points((1, 1))[:, :, :3])
    with pytest.raises(
        ValueError, match="over sample, time, y, x, person .got sample, time, y, x.$"
    ):
        at_key_points(ramp().mean("person"), points((1, 1)))
