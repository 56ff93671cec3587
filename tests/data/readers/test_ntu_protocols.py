from __future__ import annotations

import pytest

from hargcn.data.readers.ntu import NTU
from hargcn.data.readers.ntu_protocols import (
    CLASSES,
    SampleName,
    check_counts,
    read_missing,
)
from hargcn.data.splits import assign


def test_names() -> None:
    assert SampleName.parse("S032C003P106R002A120") == (32, 3, 106, 2, 120)
    for name in ("S01C001P001R001A001", "S001C001P001R001A121", "S001C001P001R001A000", "x"):
        with pytest.raises(ValueError, match=f"{name}: expected a name SsssCcccPpppRrrrAaaa"):
            SampleName.parse(name)


def test_120_actions_with_names_of_their_own() -> None:
    assert len(CLASSES) == len(set(CLASSES)) == 120
    known = {1: "drink water", 23: "hand waving", 43: "falling down", 60: "walking apart"}
    known |= {61: "put on headphone", 100: "butt kicks", 120: "rock-paper-scissors"}
    assert {action: CLASSES[action - 1] for action in known} == known


def sample(setup: int = 1, camera: int = 1, performer: int = 1, action: int = 1) -> str:
    return f"S{setup:03d}C{camera:03d}P{performer:03d}R001A{action:03d}"


def trains(sample: str, split: str) -> bool:
    name = SampleName.parse(sample)
    columns = {"group": [name.group], "camera": [name.camera], "setup": [name.setup]}
    return bool(assign(columns, NTU.split(split))[0] == "train")


def test_rules() -> None:
    """The lists of the papers: 20 of 40 performers train, and 53 of 106."""
    trained = [p for p in range(1, 41) if trains(sample(performer=p), "xsub")]
    assert len(trained) == 20
    assert trained == [
        1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38,
    ]  # fmt: skip
    trained120 = [p for p in range(1, 107) if trains(sample(performer=p), "xsub120")]
    assert len(trained120) == 53
    assert trained120[:20] == trained
    assert [trains(sample(camera=c), "xview") for c in (1, 2, 3)] == [False, True, True]
    assert [trains(sample(setup=s, action=120), "xset") for s in (1, 2, 31, 32)] == [0, 1, 0, 1]


def test_actions_beyond_60_need_a_protocol_of_120() -> None:
    with pytest.raises(ValueError, match="A061: expected actions 1..60 under xview"):
        check_counts([sample(), sample(action=61)], "xview")


def test_a_part_of_the_data_passes() -> None:
    samples = [sample(performer=p, camera=c) for p in (1, 2, 3) for c in (1, 2)]
    assert check_counts(samples, "xsub") == (4, 2)
    assert check_counts(samples, "xview") == (3, 3)


def test_a_whole_set_with_other_numbers_fails() -> None:
    samples = [
        sample(setup=1 + i % 17, camera=1 + i % 3, performer=1 + i % 40, action=1 + i % 60)
        for i in range(17 * 40 * 60)
    ]
    expected = "expected 40091 recordings to train and 16487 to test on"
    with pytest.raises(ValueError, match=rf"xsub: {expected} \(got 20400 and 20400\)"):
        check_counts(samples, "xsub")


def test_missing_list(tmp_path) -> None:
    path = tmp_path / "missing.txt"
    with pytest.raises(FileNotFoundError, match="no such list"):
        read_missing(path)
    path.write_text("nothing here\n")
    with pytest.raises(ValueError, match="expected names like S001C002P005R002A008"):
        read_missing(path)


@pytest.mark.data
def test_the_official_missing_list(data_root) -> None:
    missing = read_missing(data_root / "ntu_missing_skeletons.txt")
    assert len(missing) == 535
    assert sum(SampleName.parse(name).action <= 60 for name in missing) == 302


def test_the_53_performers_that_train_of_106() -> None:
    """The list of Liu et al. 2020, NTU RGB+D 120, section 3.2, number by number."""
    trained = [p for p in range(1, 107) if trains(sample(performer=p), "xsub120")]
    assert trained == [
        1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38, 45, 46, 47, 49,
        50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89, 91, 92, 93,
        94, 95, 97, 98, 100, 103,
    ]  # fmt: skip
