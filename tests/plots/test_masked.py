"""What a map leaves of a body, drawn over the whole one."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from hargcn.plots.masked import MaskedPanel, plot_masked
from hargcn.skeleton import skeleton

BODY = skeleton("kinect20")


def moving(persons=1):
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, 12, len(BODY.joints), persons))


def test_the_whole_body_lies_below_what_is_left_in_every_panel():
    whole = moving()
    panels = [MaskedPanel("kept", whole * 0.5), MaskedPanel("removed", whole)]
    _, axes = plot_masked(panels, whole, BODY, across=2, frames=3)
    assert [axis.get_title() for axis in axes] == ["kept", "removed"]
    for axis in axes:
        below, above = (each for each in axis.collections if isinstance(each, LineCollection))
        assert len(below.get_segments()) == 3 * len(BODY.edges)
        assert below.get_linewidths()[0] > above.get_linewidths()[0]
    same, other = ([each.get_segments() for each in axis.collections] for axis in axes[::-1])
    np.testing.assert_allclose(same[0], same[1])
    assert not np.allclose(other[0], other[1])


def test_who_is_absent_has_no_bones():
    whole = moving(persons=2)
    whole[..., 1] = 0
    _, axes = plot_masked([MaskedPanel("kept", whole)], whole, BODY, across=1, frames=2)
    drawn = np.ravel(np.asarray(axes, dtype=object))[0].collections[0].get_segments()
    assert len(drawn) == 2 * len(BODY.edges)


def test_axes_are_one_per_panel():
    whole = moving()
    _, axes = plot_masked([MaskedPanel("a", whole)], whole, BODY, across=1)
    with pytest.raises(ValueError, match="Expected 2 axes, one per panel .got 1"):
        plot_masked([MaskedPanel("a", whole)] * 2, whole, BODY, 2, ax=axes)
