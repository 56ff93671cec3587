from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from hargcn.data.readers.ntu import NTU
from hargcn.data.splits import SplitConfig, assign


def columns(**changes) -> dict:
    """Ten children with two recordings each, from two cameras; every fifth child is ill."""
    base = {
        "sample": [f"c{i}_{j}" for i in range(10) for j in (1, 2)],
        "group": [f"c{i}" for i in range(10) for _ in (1, 2)],
        "camera": [1, 2] * 10,
        "setup": [None] * 20,
        "label": [int(i % 5 == 0) for i in range(10) for _ in (1, 2)],
    }
    return base | changes


def split(config: dict, **changes) -> list[str]:
    return list(assign(columns(**changes), SplitConfig(**config)))


def groups(found: list[str], name: str) -> set[str]:
    return {g for g, s in zip(columns()["group"], found, strict=True) if s == name}


def test_listed_groups() -> None:
    found = split({"train": ["c1", "c3"], "val": ["c5"], "test": ["c0"]})
    assert groups(found, "train") == {"c1", "c3"}
    assert groups(found, "val") == {"c5"}
    assert groups(found, "test") == {"c0"}
    assert Counter(found)[""] == 12


def test_the_rest_trains_or_tests() -> None:
    assert groups(split({"train": ["c1"]}), "test") == {f"c{i}" for i in range(10)} - {"c1"}
    assert groups(split({"test": ["c1"]}), "train") == {f"c{i}" for i in range(10)} - {"c1"}


def test_numbers_are_ids_too() -> None:
    found = split({"by": "camera", "train": [2]})
    assert found == ["test", "train"] * 10


def test_unknown_ids() -> None:
    with pytest.raises(
        ValueError, match=r"ids of group for test among c0, .* \(got c11, k; did you mean 'c1'\?\)"
    ):
        split({"test": ["c1", "c11", "k"]})


def test_ids_in_two_lists() -> None:
    with pytest.raises(ValueError, match=r"Expected group c1 in one set \(got train and test\)"):
        split({"train": ["c1", "c2"], "test": ["c1"]})


def test_a_group_on_both_sides() -> None:
    with pytest.raises(ValueError, match="train and test share the groups c1"):
        split({"by": "sample", "train": ["c1_1"], "test": ["c1_2"]})


def test_a_view_nobody_stated() -> None:
    with pytest.raises(ValueError, match="recordings that state their setup"):
        split({"by": "setup", "train": [1]})


def test_shares_are_drawn_by_group_and_keep_the_classes_in_proportion() -> None:
    config = {"test_share": 0.5, "val_share": 0.4}
    found = split(config)
    assert [len(groups(found, name)) for name in ("test", "val", "train")] == [5, 2, 3]
    assert not groups(found, "test") & groups(found, "train")
    assert not groups(found, "val") & groups(found, "train")
    assert len(groups(found, "test") & {"c0", "c5"}) == 1  # one of the two ill children
    assert found == split(config)
    assert any(split({**config, "seed": seed}) != found for seed in range(5))


def test_validation_is_drawn_from_what_trains() -> None:
    tested = [f"c{i}" for i in range(6)]
    for seed in range(5):
        found = split({"test": tested, "val_share": 0.25, "seed": seed})
        assert groups(found, "test") == set(tested)
        assert len(groups(found, "val")) == 1


def test_too_few_groups_to_draw_from() -> None:
    with pytest.raises(ValueError, match=r"more training groups than 1 to draw \(got 1\)"):
        split({"train": ["c1"], "val_share": 0.5})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "a published split, ids, or a share"),
        ({"train": ["a"], "published": "xsub"}, "one of a published split"),
        ({"train": ["a"], "test_share": 0.1}, "one of a published split"),
        ({"val": ["a"], "val_share": 0.1}, "not both"),
        ({"val": ["a"], "published": "xsub"}, "not both"),
        ({"protocol": "xsub"}, "protocol"),
        ({"subjects": [1]}, "subjects"),
    ],
)
def test_contradictions(config, message) -> None:
    with pytest.raises(ValueError, match=message):
        SplitConfig(**config)


def test_ids_of_a_split_of_which_only_a_part_is_there() -> None:
    rule = {"train": ["c1", "c99"], "test": ["c2"]}
    with pytest.raises(ValueError, match=r"ids of group for train .*\(got c99"):
        split(rule)
    assert groups(split({**rule, "partial": True}), "train") == {"c1"}
    with pytest.raises(ValueError, match="Expected group c1 in one set"):
        split({"train": ["c1"], "test": ["c1"], "partial": True})


def test_a_published_split_is_nothing_without_its_ids() -> None:
    with pytest.raises(ValueError, match="the ids of the published split 'xview'"):
        split({"published": "xview"})


def test_published_splits_of_ntu() -> None:
    names = [f"S001C{c:03d}P{p:03d}R001A001" for p in (1, 2, 3, 4) for c in (1, 2, 3)]
    found = {
        "sample": names,
        "group": [name[8:12] for name in names],
        "camera": [int(name[5:8]) for name in names],
        "label": [0] * 12,
    }
    assert Counter(assign(found, NTU.split("xsub"))) == {"train": 9, "test": 3}
    views = assign(found, NTU.split(SplitConfig(published="xview", val_share=0.25)))
    assert Counter(views) == {"test": 4, "train": 6, "val": 2}
    assert np.unique(np.array(found["group"])[views == "val"]).size == 1


def test_groups_of_all_sizes_of_an_outcome_are_drawn() -> None:
    """Ten children whose outcome grows: of every five neighbours one is drawn."""
    size = [float(i) for i in range(10) for _ in (1, 2)]
    for seed in range(5):
        found = split({"test_share": 0.2, "seed": seed}, stratum=size)
        low, high = sorted(int(name[1:]) for name in groups(found, "test"))
        assert low < 5 <= high
    unknown = split({"test_share": 0.2}, stratum=[np.nan] * 20)
    assert len(groups(unknown, "test")) == 2
