from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hargcn
from hargcn.data.readers.keypoints import KeyPoints

JOINTS = hargcn.skeleton("inmotion19").joints


def columns(joints: tuple[str, ...] = JOINTS) -> list[str]:
    return [f"{joint}_{axis}" for joint in joints for axis in "xy"]


def write(path: Path, rows: np.ndarray, names: list[str] | None = None) -> Path:
    """Write numbers under names; NaN becomes an empty cell."""
    lines = [",".join(names or columns())]
    lines += [",".join("" if np.isnan(x) else f"{x:g}" for x in row) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def numbers(frames: int = 5) -> np.ndarray:
    """Cell (frame, column) holds 100 * frame + column."""
    return 100.0 * np.arange(frames)[:, None] + np.arange(38)


def test_columns_go_by_name_in_any_order(tmp_path) -> None:
    order = np.random.default_rng(0).permutation(38)
    names = [columns()[i] for i in order]
    path = write(tmp_path / "v1.csv", numbers()[:, order], names)
    recording = KeyPoints("inmotion19", fps=25).read(path)
    assert recording.positions.shape == (2, 5, 19, 1)
    for joint in range(19):
        np.testing.assert_array_equal(
            recording.positions[:, 3, joint, 0], [300 + 2 * joint, 301 + 2 * joint]
        )
    assert (recording.sample, recording.group, recording.label) == ("v1", "v1", None)
    assert recording.fps == 25
    assert recording.confidence is None


def test_other_columns_are_ignored_and_names_may_have_spaces(tmp_path) -> None:
    path = write(tmp_path / "v.csv", numbers(), columns())
    text = path.read_text().replace(",", ", ").splitlines()
    text = [text[0] + ", note"] + [line + ", fine" for line in text[1:]]
    path.write_text("\n".join(text))
    assert KeyPoints("inmotion19", fps=30).read(path).observed.all()


def test_empty_cells_and_low_likelihood_are_not_observed(tmp_path) -> None:
    rows = np.concatenate([numbers(), np.full((5, 1), 0.9)], axis=1)
    rows[2, 0] = np.nan  # head_top_x
    rows[[1, 4], 38] = 0.3, np.nan
    path = write(tmp_path / "v.csv", rows, [*columns(), "left_wrist_likelihood"])
    recording = KeyPoints("inmotion19", fps=30, likelihood=0.5).read(path)
    wrist = JOINTS.index("left_wrist")
    lost = {(int(t), int(v)) for t, v, _ in np.argwhere(~recording.observed)}
    np.testing.assert_allclose(recording.confidence[[0, 2, 3], wrist, 0], 0.9, rtol=1e-6)
    assert np.isfinite(recording.confidence).sum() == 3
    assert lost == {(2, 0), (1, wrist), (4, wrist)}
    assert recording.notes == {"frames_missing": 0, "low_likelihood": 2}
    rows[:, 38] = 0.3
    write(path, rows, [*columns(), "left_wrist_likelihood"])
    never = KeyPoints("inmotion19", fps=30, likelihood=0.5).read(path).never_seen
    assert np.argwhere(never).tolist() == [[wrist, 0]]


def test_frames_left_out_are_gaps(tmp_path) -> None:
    rows = np.concatenate([[[7], [8], [11]], numbers(3)], axis=1)
    recording = KeyPoints("inmotion19", fps=30).read(
        write(tmp_path / "v.csv", rows, ["frame", *columns()])
    )
    assert recording.frames == 5
    assert np.flatnonzero(~recording.observed.all(axis=(1, 2))).tolist() == [2, 3]
    assert recording.positions[0, 4, 0, 0] == 200
    assert recording.notes["frames_missing"] == 2
    for bad in ([[7], [7], [8]], [[7], [6], [8]], [[7], [7.5], [8]], [[7], [np.nan], [8]]):
        rows[:, :1] = bad
        write(tmp_path / "v.csv", rows, ["frame", *columns()])
        with pytest.raises(ValueError, match="column frame of growing whole numbers"):
            KeyPoints("inmotion19", fps=30).read(tmp_path / "v.csv")
    rows[:, :1] = [[0], [33333], [66667]]
    write(tmp_path / "v.csv", rows, ["frame", *columns()])
    with pytest.raises(ValueError, match=r"frame numbers \(got 3 in 66668 frames\)"):
        KeyPoints("inmotion19", fps=30).read(tmp_path / "v.csv")


def test_missing_columns_are_all_named_with_the_nearest(tmp_path) -> None:
    names = [name.replace("left_wrist", "left_writs").replace("nose_y", "q") for name in columns()]
    path = write(tmp_path / "v.csv", numbers(), names)
    with pytest.raises(ValueError, match=r"v.csv: expected the columns of skeleton inmo") as error:
        KeyPoints("inmotion19", fps=30).read(path)
    for part in (
        "left_wrist_x (nearest: left_writs_x)",
        "left_wrist_y (nearest: left_writs_y)",
        "nose_y (nearest: ",
    ):
        assert part in str(error.value)
    assert "thorax" not in str(error.value)


def test_three_dimensions(tmp_path) -> None:
    joints = hargcn.skeleton("kinect20").joints
    names = [f"{joint}_{axis}" for axis in "xyz" for joint in joints]
    path = write(tmp_path / "v.csv", np.arange(120.0).reshape(2, 60), names)
    recording = KeyPoints("kinect20", fps=30).read(path)
    assert recording.positions[:, 1, 4, 0].tolist() == [64, 84, 104]


def test_foreign_files(tmp_path) -> None:
    path = tmp_path / "v.csv"
    with pytest.raises(FileNotFoundError, match="no such file"):
        KeyPoints(fps=30).read(path)
    path.write_text("")
    with pytest.raises(ValueError, match="v.csv: expected a CSV table"):
        KeyPoints(fps=30).read(path)
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe")
    with pytest.raises(ValueError, match="v.csv: expected a CSV table"):
        KeyPoints(fps=30).read(path)
    path.write_text(",".join(columns()) + "\n")
    with pytest.raises(ValueError, match="expected rows below the header"):
        KeyPoints("inmotion19", fps=30).read(path)
    write(path, numbers())
    path.write_text(path.read_text().replace("205", "many"))
    with pytest.raises(ValueError, match=r"line 4: expected a number in right_ear_y \(got 'many'"):
        KeyPoints("inmotion19", fps=30).read(path)


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("001", "002", "003"):
        write(tmp_path / f"{name}.csv", numbers())
    return tmp_path


def outcomes(folder: Path, text: str) -> Path:
    path = folder / "outcomes.csv"
    path.write_text(text)
    return path


def test_outcomes_rates_and_children_come_from_the_table(folder) -> None:
    table = outcomes(
        folder,
        "clip,result,child,rate\n002.mp4,CP,B,25\n001,no CP,A,30\n003.csv,CP,B,50\n009,CP,C,30\n",
    )
    recordings = KeyPoints(
        "inmotion19", table, video="clip", outcome="result", subject="child", fps="rate"
    ).recordings(folder)
    assert recordings.classes == ("CP", "no CP")
    assert recordings.notes == {"outcomes_without_file": 1}
    found = [(r.sample, r.label, r.group, r.fps) for r in recordings]
    assert found == [("001", 1, "A", 30), ("002", 0, "B", 25), ("003", 0, "B", 50)]


def test_numbers_are_indices_of_named_classes(folder) -> None:
    table = outcomes(folder, "video,outcome\n001,0\n002,1\n003,0\n")
    recordings = KeyPoints(
        "inmotion19", table, subject=None, fps="30", classes=["no CP", "CP"]
    ).recordings(folder)
    assert [(r.label, r.group) for r in recordings] == [(0, "001"), (1, "002"), (0, "003")]
    assert recordings.classes == ("no CP", "CP")
    plain = KeyPoints("inmotion19", table, subject=None, fps=30).recordings(folder)
    assert plain.classes == ("0", "1")
    swapped = KeyPoints("inmotion19", table, subject=None, fps=30, classes=["1", "0"]).recordings(
        folder
    )
    assert [r.label for r in swapped] == [1, 0, 1]  # names come before indices


def test_without_outcomes_nobody_has_a_label(folder) -> None:
    recordings = KeyPoints("inmotion19", fps=30).recordings(folder)
    assert [r.label for r in recordings] == [None] * 3
    with pytest.raises(ValueError, match=r"frames per second for every video.*none for 001, 002"):
        KeyPoints("inmotion19").recordings(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,outcome\n001,a\n002,\n", "an outcome for every video .none for 002, 003"),
        ("video,outcome\n001,a\n001,b\n", "one row per video .got more for 001"),
        ("vidio,outcome\n001,a\n", r"the outcome table; missing video \(nearest: vidio\)"),
        ("video,outcome\n001,a\n002,x\n003,b\n", "outcomes among a, b .got x"),
    ],
)
def test_defects_of_the_table(folder, text, message) -> None:
    with pytest.raises(ValueError, match=f"outcomes.csv: expected {message}|{message}"):
        KeyPoints(
            "inmotion19", outcomes(folder, text), subject=None, fps=30, classes=["a", "b"]
        ).recordings(folder)


def test_children_and_rates_must_be_complete(folder) -> None:
    table = outcomes(folder, "video,outcome,subject,fps\n001,a,A,30\n002,b,,30\n003,b,C,0\n")
    with pytest.raises(ValueError, match=r"an? subject for every video \(none for 002\)"):
        KeyPoints("inmotion19", table).recordings(folder)
    with pytest.raises(ValueError, match=r"frames per second .*\(none for 003\)"):
        KeyPoints("inmotion19", table, subject=None).recordings(folder)
    outcomes(folder, "video,outcome,fps\n001,a,fast\n")
    with pytest.raises(ValueError, match=r"line 2: expected a number in fps \(got 'fast'\)"):
        KeyPoints("inmotion19", table, subject=None).recordings(folder)


def test_broken_files_can_be_left_out(folder) -> None:
    (folder / "002.csv").write_text("a,b\n1,2\n")
    recordings = KeyPoints("inmotion19", fps=30).recordings(folder, on_error="skip")
    assert [r.sample for r in recordings] == ["001", "003"]
    assert "002.csv" in recordings.skipped[0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (lambda cells: [*cells, "7"], r"line 4: expected 38 cells, as in the header \(got 39\)"),
        (lambda cells: cells[1:], r"line 4: expected 38 cells, as in the header \(got 37\)"),
        (lambda cells: cells[:1], r"line 4: expected 38 cells, as in the header \(got 1\)"),
    ],
)
def test_rows_of_another_length_than_the_header_are_refused(tmp_path, line, said) -> None:
    path = write(tmp_path / "v.csv", numbers())
    lines = path.read_text().splitlines()
    lines[3] = ",".join(line(lines[3].split(",")))
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=rf"v\.csv: {said}"):
        KeyPoints("inmotion19", fps=30).read(path)
    # All rows alike, as of a trailing comma: no less wrong.
    lines[1:] = [",".join(line(each.split(",")[:38])) for each in lines[1:3]]
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"line 2: expected 38 cells"):
        KeyPoints("inmotion19", fps=30).read(path)


def test_columns_of_one_name_are_refused(tmp_path) -> None:
    names = [*columns(), "nose_x", " nose_x "]
    path = write(tmp_path / "v.csv", np.concatenate([numbers(), numbers()[:, :2]], axis=1), names)
    with pytest.raises(ValueError, match=r"v\.csv: line 1: expected each column once \(got nose_x"):
        KeyPoints("inmotion19", fps=30).read(path)


def test_blank_lines_and_marks_of_byte_order_do_no_harm(tmp_path) -> None:
    path = write(tmp_path / "v.csv", numbers())
    path.write_text("\n" + path.read_text().replace("\n", "\n\n"), encoding="utf-8-sig")
    assert KeyPoints("inmotion19", fps=30).read(path).frames == 5


@pytest.mark.parametrize("last", ["1e300", "1e9", "9" * 400, "inf"])
def test_frame_numbers_beyond_all_bounds_are_refused(tmp_path, last) -> None:
    path = write(
        tmp_path / "v.csv", np.concatenate([[[0], [1]], numbers(2)], 1), ["frame", *columns()]
    )
    lines = path.read_text().splitlines()
    lines[2] = last + lines[2][1:]
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"v\.csv: expected (frame numbers|a column frame)"):
        KeyPoints("inmotion19", fps=30).read(path)


@pytest.mark.parametrize("rate", ["inf", "nan", "1e5", "-30"])
def test_rates_beyond_all_bounds_are_refused(folder, rate) -> None:
    table = outcomes(folder, f"video,outcome,fps\n001,a,30\n002,b,{rate}\n003,b,30\n")
    with pytest.raises(ValueError, match=r"frames per second .*\(none for 002\)"):
        KeyPoints("inmotion19", table, subject=None).recordings(folder)
    with pytest.raises(ValueError, match="fps"):
        KeyPoints("inmotion19", fps=float(rate)).recordings(folder)


def test_a_hundred_frames_a_row_are_the_most(tmp_path) -> None:
    names = ["frame", *columns()]
    rows = np.concatenate([[[0], [199]], numbers(2)], axis=1)
    assert (
        KeyPoints("inmotion19", fps=30).read(write(tmp_path / "v.csv", rows, names)).frames == 200
    )
    rows[1, 0] = 200
    with pytest.raises(ValueError, match="expected frame numbers .got 2 in 201 frames"):
        KeyPoints("inmotion19", fps=30).read(write(tmp_path / "v.csv", rows, names))
