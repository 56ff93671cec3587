"""Which people test and validate: drawn so that every set has every class, or not at all."""

from __future__ import annotations

import pytest

from hargcn.pipeline.starting import _drawn


def people(count: int, classes: int, mixed: bool) -> dict[str, set[str]]:
    """Return people who do everything, or one thing each."""
    kinds = [f"c{each}" for each in range(classes)]
    return {f"s{at:02d}": set(kinds) if mixed else {kinds[at % classes]} for at in range(count)}


@pytest.mark.parametrize(
    ("count", "classes", "mixed", "sizes"),
    [
        (10, 2, True, (2, 2)),
        (10, 2, False, (2, 2)),
        (3, 2, True, (1, 1)),
        (2, 2, True, (0, 1)),
        (1, 2, True, (0, 0)),
        (4, 2, False, (0, 2)),
        (3, 2, False, (0, 0)),
        (30, 3, False, (6, 6)),
    ],
)
def test_people_are_spared_for_tests_as_far_as_classes_allow(count, classes, mixed, sizes):
    who = people(count, classes, mixed)
    sets = _drawn(who)
    assert (len(sets["val"]), len(sets["test"])) == sizes
    assert not set(sets["val"]) & set(sets["test"])
    every = set().union(*who.values())
    training = set(who) - set(sets["val"]) - set(sets["test"])
    for chosen in (training, sets["val"], sets["test"]):
        assert not chosen or set().union(*(who[each] for each in chosen)) == every
    assert _drawn(who) == sets  # the same draw again
