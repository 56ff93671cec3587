from __future__ import annotations

import pytest
import torch

from hargcn.explainers.axes import MAP_DIMS, Axes, default_axes, for_layer, named_axes

NAMES = [
    ("sample", "time", "joint", "feature"),
    ("row", "feature", "time", "joint"),
    ("row", "feature"),
    ("person", "sample", "joint", "time", "feature"),
    MAP_DIMS,
]


@pytest.mark.parametrize("names", NAMES)
def test_folding_undoes_unfolding(names):
    sizes = {"sample": 2, "person": 3, "row": 6, "feature": 4, "time": 5, "joint": 7}
    activation = torch.arange(1.0 * torch.tensor([sizes[n] for n in names]).prod())
    activation = activation.view([sizes[n] for n in names])
    maps = Axes(names).unfold("layer", activation, samples=2)
    whole = {*names, "sample"} | ({"person"} if "row" in names else set())
    assert maps.shape == tuple(sizes[n] if n in whole else 1 for n in MAP_DIMS)
    assert torch.equal(Axes(names).fold(maps), activation)


def test_persons_are_counted_faster_than_samples_in_rows():
    rows = torch.arange(6.0)[:, None]
    maps = Axes(("row", "feature")).unfold("layer", rows, samples=2)
    assert maps[1, 2, 0, 0, 0] == 5  # row = sample * persons + person


def test_places_of_a_plane_stand_for_joints_and_stay_one_axis():
    axes = Axes(("sample", "feature", "y", "x"))
    image = torch.arange(2.0 * 3 * 4 * 5).view(2, 3, 4, 5)
    maps = axes.unfold("layer", image, samples=2)
    assert axes.plane
    assert maps.shape == (2, 1, 3, 1, 20)
    assert torch.equal(axes.fold(maps), image.flatten(2))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("sample", "joints"), r"Expected different axes of .*got sample, joints"),
        (("sample", "time", "time"), "Expected different axes"),
        (("feature", "time"), "Expected either 'sample' or, with the persons in it, 'row'"),
        (("row", "person", "time"), "Expected either 'sample' or, with the persons in it, 'row'"),
        (("sample", "x", "y"), "Expected 'y' and, right behind it, 'x'"),
        (("sample", "y", "x", "joint"), "Expected 'y' and, right behind it, 'x'"),
    ],
)
def test_axes_that_make_no_sense_are_refused(names, said):
    with pytest.raises(ValueError, match=said):
        Axes(names)


def test_an_activation_of_other_axes_is_refused():
    with pytest.raises(ValueError, match=r"layer 'a': expected an activation .*got \(2, 3\)"):
        Axes(("sample", "feature", "time")).unfold("a", torch.ones(2, 3), 2)


def test_forms_that_say_their_axes():
    assert default_axes(torch.ones(6, 4, 5), 2) == Axes(("row", "feature", "time"))
    assert default_axes(torch.ones(6, 4, 5, 7), 2) == Axes(("row", "feature", "time", "joint"))
    assert default_axes(torch.ones(2, 3, 4, 5, 7), 2) == Axes(MAP_DIMS)
    for other in (torch.ones(5, 4, 5), torch.ones(6, 4), torch.ones(3, 3, 4, 5, 7)):
        assert default_axes(other, 2) is None


def test_a_layer_is_found_by_its_name_before_a_pattern():
    given = {"blocks.*": 1, "blocks.2": 2}
    assert [for_layer(given, name) for name in ("blocks.1", "blocks.2", "head")] == [1, 2, None]
    assert for_layer("all", "head") == "all"
    assert named_axes({"a": ("sample", "time")}) == {"a": Axes(("sample", "time"))}
    assert named_axes(len) is len
