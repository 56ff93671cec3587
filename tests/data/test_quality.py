from __future__ import annotations

import json

import numpy as np
from fixtures.recordings import drifting

from hargcn.data.quality import Entry, Quality, report
from hargcn.outputs import Outputs


def entries() -> list[Entry]:
    valid = np.ones((60, 2))
    valid[:, 1] = 0
    return [
        Entry.of(drifting(label=0, notes={"dropped": 2}), 3),
        Entry.of(drifting(label=1, frames=40, notes={"dropped": 1, "gaps": 4}), 2),
        Entry.of(drifting(label=1, group="bert", persons=2), 0),
        Entry.of(drifting(label=None, group="carl", persons=2, valid=valid), 1),
    ]


def test_sums_per_set() -> None:
    quality = report(entries(), ["train", "train", "train", "test"], ["calm", "wild"])
    train, test = quality.sets["train"], quality.sets["test"]
    assert (train.recordings, train.windows, train.groups, train.frames) == (3, 5, 2, 160)
    assert train.classes == {"calm": 1, "wild": 2}
    assert train.persons == {"1": 2, "2": 1}
    assert train.notes == {"dropped": 3, "gaps": 4}
    assert test.classes == {"calm": 0, "wild": 0, "(no label)": 1}
    assert test.persons == {"1": 1}


def test_round_trip_through_json() -> None:
    quality = report(entries(), ["", "", "train", "train"], ["calm", "wild"])
    quality.notes["missing_list"] = 7
    quality.skipped.append("x.skeleton: broken")
    assert Quality.from_dict(json.loads(json.dumps(quality.to_dict()))) == quality


def test_lines_say_everything() -> None:
    quality = report(entries(), ["", "", "train", "train"], ["calm", "wild"])
    quality.notes["missing_list"] = 7
    quality.skipped.append("x.skeleton: broken")
    text = "\n".join(quality.lines())
    assert text.index("train: 2 recordings of 2 groups, 120 frames, 1 windows") < text.index(
        "no set: 2 recordings of 1 groups, 100 frames, 5 windows"
    )
    for part in (
        "calm 1 (3 windows), wild 1 (2 windows)",
        "persons: 1 2",
        "dropped 3, gaps 4",
        "missing_list 7",
    ):
        assert part in text
    assert text.endswith("skipped: x.skeleton: broken")


def test_outcomes_other_than_classes() -> None:
    nan = np.nan
    each = [
        Entry.of(drifting(label=None, outcome=values), 1)
        for values in ([10, 1], [30, nan], [nan, nan])
    ]
    numbers = report(each, [""] * 3, Outputs("regression", ("score", "pain")))
    assert numbers.sets[""].outcomes == {
        "score": {"known": 2, "least": 10, "mean": 20, "most": 30},
        "pain": {"known": 1, "least": 1, "mean": 1, "most": 1},
    }
    said = "\n".join(numbers.lines())
    assert "score: 10 to 30, mean 20 (2 of 3 recordings)" in said
    assert "classes" not in said
    assert Quality.from_dict(json.loads(json.dumps(numbers.to_dict()))) == numbers
    labels = [Entry.of(drifting(label=None, outcome=row), 1) for row in ([1, 0], [1, nan])]
    found = report(labels, ["", ""], Outputs("multi-label", ("tremor", "ataxia")))
    assert found.sets[""].classes == {"tremor": 2, "ataxia": 0}
    nowhere = report(each[2:], [""], Outputs("regression", ("score", "pain")))
    assert "pain: nowhere known (0 of 1 recordings)" in "\n".join(nowhere.lines())


def test_a_report_of_classes_has_no_place_for_other_outcomes() -> None:
    content = report(entries(), ["", "", "", ""], ["calm", "wild"]).to_dict()
    assert set(content["sets"][""]) == {
        "recordings", "windows", "groups", "frames", "persons", "classes", "class_windows",
        "notes",
    }  # fmt: skip
