"""Folds of a cross-fitting: everybody is held out once, and in nobody's training then."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hargcn.data.folds import By, Fold, deal


def columns(labels: list[int], per: int = 2) -> dict[str, Any]:
    """A subject of each label with so many windows, seen by cameras 1, 2 in turn."""
    n = len(labels) * per
    return {
        "group": np.repeat([f"s{i}" for i in range(len(labels))], per),
        "label": np.repeat(labels, per),
        "camera": np.arange(n) % 2 + 1,
        "setup": np.full(n, -1),
    }


@given(
    labels=st.lists(st.integers(0, 2), min_size=5, max_size=30),
    count=st.integers(2, 5),
    share=st.sampled_from([0, 0.2]),
    seed=st.integers(0, 99),
)
def test_everybody_is_held_out_once_and_classes_are_spread(
    labels: list[int], count: int, share: float, seed: int
) -> None:
    whole = columns(labels)
    dealt = deal(whole, count, val_share=share, seed=seed)
    assert sorted(name for fold in dealt for name in fold.test) == sorted({*whole["group"]})
    assert [(fold.number, fold.of) for fold in dealt] == [(i + 1, count) for i in range(count)]
    for label in range(3):
        own = {f"s{i}" for i, each in enumerate(labels) if each == label}
        shares = [len(own & {*fold.test}) for fold in dealt]
        assert max(shares) - min(shares) <= 1
    for fold in dealt:
        sets = fold.sets(whole)
        who = {name: {*whole["group"][sets == name]} for name in ("train", "val", "test")}
        assert who["test"] == {*fold.test}
        assert who["val"] == {*fold.val}
        assert bool(who["val"]) == bool(share)
        assert not who["test"] & who["train"]
        assert not who["test"] & who["val"]
        assert not who["train"] & who["val"]
        assert sum(map(len, who.values())) == len(labels)


@given(seed=st.integers(0, 99), count=st.integers(2, 4))
def test_subjects_of_all_sizes_are_in_every_fold(seed: int, count: int) -> None:
    """Sorted by their numbers, each run of as many subjects as there are folds is dealt out."""
    whole = columns([-1] * 12)
    size = {f"s{i}": i for i in range(12)}
    numbers = np.array([size[name] for name in whole["group"]], float)
    numbers[whole["group"] == "s0"] = np.nan  # not known: before all others
    for fold in deal({**whole, "stratum": numbers}, count, seed=seed):
        runs = sorted(size[name] // count for name in fold.test)
        assert runs == list(range(12 // count))


def test_levels_that_are_not_known_are_a_stratum_of_their_own() -> None:
    dealt = deal(columns([-1, 0, 1, -1, 0, 1]), 2)
    for fold in dealt:
        assert sorted(int(name[1:]) % 3 for name in fold.test) == [0, 1, 2]


def test_as_many_folds_as_subjects_leave_one_out() -> None:
    dealt = deal(columns([0, 1] * 4), 8)
    assert sorted(fold.test for fold in dealt) == [(f"s{i}",) for i in range(8)]


def test_seeds_deal_otherwise_and_repeat_themselves() -> None:
    whole = columns([0] * 12)
    assert deal(whole, 3) == deal(whole, 3, seed=1234)
    assert deal(whole, 3) != deal(whole, 3, seed=1)


def test_a_camera_is_held_out_and_subjects_choose_the_epoch() -> None:
    whole = columns([0, 1] * 3)
    first, second = deal(whole, 2, "camera", val_share=0.3)
    assert {first.test, second.test} == {("1",), ("2",)}
    sets = first.sets(whole)
    assert {*whole["camera"][sets == "test"]} == {int(first.test[0])}
    assert {*whole["group"][sets == "val"]} == {*first.val}
    assert not {*whole["group"][sets == "train"]} & {*first.val}


@pytest.mark.parametrize(
    ("count", "by", "changes", "said"),
    [
        (7, "group", {}, r"Expected 2 to 6 folds, as there are groups \(got 7\)"),
        (1, "group", {}, r"Expected 2 to 6 folds, as there are groups \(got 1\)"),
        (3, "camera", {}, r"Expected 2 to 2 folds, as there are cameras \(got 3\)"),
        (2, "setup", {}, r"Expected windows that state their setup \(got 12 without\)"),
        (2, "group", {"group": ["a"] * 6 + [""] * 6}, r"state their group \(got 6 without\)"),
        (2, "group", {"group": ["a", "b"] * 6}, r"Expected more training groups than 1 to draw"),
    ],
)
def test_what_cannot_be_dealt_is_refused(
    count: int, by: By, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        deal({**columns([0, 1] * 3), **changes}, count, by, val_share=0.2)


def test_a_card_without_all_it_needs_is_refused() -> None:
    with pytest.raises(ValueError, match="Field required"):
        Fold.model_validate({"number": 1, "of": 2, "by": "group"})
