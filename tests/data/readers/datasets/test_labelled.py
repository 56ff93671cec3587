"""What readers of whole data sets share: people, layouts, classes and splits."""

from __future__ import annotations

import numpy as np
import pytest

from hargcn.data.readers.datasets.labelled import published
from hargcn.data.readers.datasets.pyskl import Pyskl
from hargcn.data.splits import SplitConfig, assign
from tests.fixtures.tracker_files import walking


def test_parts_become_splits() -> None:
    parts = {
        "xsub_train": ["a"],
        "xsub_val": ["b"],
        "train1": ["c"],
        "test1": ["d"],
        "other": ["e"],
    }
    found = published({**parts, "train": ["f"], "val": ["g"], "test": ["h"]})
    assert found == {
        "xsub": SplitConfig(by="sample", train=("a",), test=("b",)),
        "split1": SplitConfig(by="sample", train=("c",), test=("d",)),
        "published": SplitConfig(by="sample", train=("f",), val=("g",), test=("h",)),
    }
    empty = published({"train": ["a"], "test": []})["published"]
    assert (empty.train, empty.test) == (("a",), ())


def test_a_published_split_may_put_a_subject_on_both_sides() -> None:
    columns = {"sample": ["a", "b"], "group": ["P001", "P001"]}
    given = SplitConfig(by="sample", train=("a",), test=("b",))
    assert assign(columns, Pyskl.split("xview", {"xview": given})).tolist() == ["train", "test"]
    with pytest.raises(ValueError, match="train and test share the groups P001"):
        assign(columns, given)


def test_a_split_of_fifty_thousand_names_takes_no_time() -> None:
    names = [f"v{i}" for i in range(50_000)]
    given = SplitConfig(by="sample", train=tuple(names[::2]), test=tuple(names[1::2]), partial=True)
    assert (assign({"sample": names, "group": names}, given)[:2] == ["train", "test"]).all()


def test_who_is_there_and_who_is_kept() -> None:
    bodies = walking(6, 17, 3)[..., :2]
    bodies[3:, 0] = 0  # the first leaves after three frames
    bodies[:, 2] = 0  # the third was never there
    bodies[2, 1, 4] = 0  # a lost joint
    found = Pyskl(persons=2).recording("it", bodies, None, "S001C002P003R001A004", 3)
    assert found.valid.T.tolist() == [[True] * 6, [True] * 3 + [False] * 3]
    np.testing.assert_array_equal(found.positions[:, 0, :, 0], bodies[0, 1].T)
    assert np.argwhere(~found.observed[..., 0]).tolist() == [[2, 4]]
    assert (found.group, found.camera, found.setup, found.label) == ("P003", 2, 1, 3)
    assert found.notes == {"people_left_out": 0, "zeros_unseen": 1}
    one = Pyskl(persons=1, zeros="seen").recording("it", bodies, None, "v1")
    assert (one.persons, one.group, one.notes["people_left_out"]) == (1, "v1", 1)


def test_confidence_is_kept_and_unlikely_joints_are_not_seen() -> None:
    bodies = walking(4, 18)
    bodies[1, 0, 3, 2] = 0.1
    found = Pyskl(likelihood=0.2).recording("it", bodies, None, "v1")
    assert found.skeleton.name == "openpose18"
    assert found.notes["low_likelihood"] == 1
    assert not found.observed[1, 3, 0]
    assert found.confidence[0, 0, 0] == 0.5


def test_defects() -> None:
    with pytest.raises(ValueError, match=r"it: expected somebody in its frames \(got nobody"):
        Pyskl().recording("it", np.zeros((3, 2, 17, 2)))
    with pytest.raises(ValueError, match="it: expected a layout for 17 joints of 3 numbers"):
        Pyskl().recording("it", walking(3, 17))
    with pytest.raises(ValueError, match="expected 25 joints of 3 numbers, .*got 17 of 3"):
        Pyskl(layout="ntu25").recording("it", walking(3, 17))
    with pytest.raises(ValueError, match="p: expected labels of 2 classes, 0..1 .got 2"):
        Pyskl(classes=("a", "b")).names_of("p", [0, 2])
    with pytest.raises(ValueError, match="p: expected labels below 10000"):
        Pyskl().names_of("p", [10**9])
    assert Pyskl().names_of("p", [0, 2]) == ("0", "1", "2")
