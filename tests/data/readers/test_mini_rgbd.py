from __future__ import annotations

import numpy as np
import pytest

import hargcn
from hargcn.data.readers.mini_rgbd import MiniRGBD

JOINTS = hargcn.skeleton("minirgbd14").joints


def write(path, frames: int = 4) -> None:
    rows = [";".join(["image", *JOINTS])]
    for frame in range(frames):
        cells = [f"{100 + joint},{200 + joint + frame}" for joint in range(14)]
        rows.append(";".join([f"{frame:05d}_8bit.png", *cells]))
    path.write_text("\n".join(rows) + "\n")


def test_axes_and_names(tmp_path) -> None:
    path = tmp_path / "result_pz107.csv"
    write(path)
    recording = MiniRGBD(frames=4).read(path)
    assert recording.positions.shape == (2, 4, 14, 1)
    assert recording.positions[:, 3, 5, 0].tolist() == [105, 208]
    assert (recording.sample, recording.group, recording.label) == ("pz107", "pz107", None)


def test_labels_go_by_sequence(tmp_path) -> None:
    for sequence in (1, 12):
        write(tmp_path / f"result_pz1{sequence:02d}.csv")
    labels = tmp_path / "labels.csv"
    labels.write_text("sequence,label_abnormal\n1,0\n12,1\n")
    recordings = MiniRGBD(frames=4, labels=labels).recordings(tmp_path)
    assert [(r.sample, r.label) for r in recordings] == [("pz101", 0), ("pz112", 1)]
    assert recordings.classes == ("normal", "abnormal")
    labels.write_text("sequence,label_abnormal\n1,0\n")
    with pytest.raises(ValueError, match=r"label for every file \(none for .*pz112"):
        MiniRGBD(labels=labels).recordings(tmp_path)
    labels.write_text("no,labels\n")
    with pytest.raises(ValueError, match="expected rows sequence,label"):
        MiniRGBD(labels=labels).recordings(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such table"):
        MiniRGBD(labels=tmp_path / "none.csv").recordings(tmp_path)


def test_truncated_and_foreign_files(tmp_path) -> None:
    path = tmp_path / "result_pz101.csv"
    with pytest.raises(FileNotFoundError, match="no such file"):
        MiniRGBD().read(path)
    write(path)
    whole = path.read_text()
    with pytest.raises(ValueError, match=r"pz101.csv: expected 1000 frames \(got 4\)"):
        MiniRGBD().read(path)
    path.write_text(whole[:-30])
    with pytest.raises(ValueError, match="line 5: expected image 00003 and 14 pairs"):
        MiniRGBD(frames=None).read(path)
    path.write_text(whole.replace("00002_8bit", "00003_8bit"))
    with pytest.raises(ValueError, match="line 4: expected image 00002"):
        MiniRGBD(frames=None).read(path)
    path.write_text(whole.replace("105,205", "105.5,205"))
    with pytest.raises(ValueError, match="line 2: .*whole pixels"):
        MiniRGBD(frames=None).read(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"expected the header image;head;.* \(got 'a,b'\)"):
        MiniRGBD().read(path)


@pytest.mark.data
def test_real_sequences(data_root) -> None:
    root = data_root / "mini_rgbd_2d"
    labels = root / "gma_labels_order_unverified.csv"
    recordings = list(MiniRGBD(labels=labels).recordings(root))
    assert [r.frames for r in recordings] == [1000] * 12
    assert sum(r.label or 0 for r in recordings) == 4
    for recording in recordings:
        positions = recording.positions
        assert (positions == np.round(positions)).all()
        assert positions.min() >= 0
        assert positions.max() < 640


@pytest.mark.parametrize("rows", ["1,0,1", "1,0\n1,1", "1", "1,7", "x,1", ""])
def test_tables_of_labels_with_defects_are_refused(tmp_path, rows) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"sequence,label\n{rows}\n")
    (tmp_path / "result_pz101.csv").write_text("image;head\n")
    with pytest.raises(
        ValueError, match=r"labels\.csv: expected rows sequence,label with labels 0 a"
    ):
        MiniRGBD(labels=path).recordings(tmp_path)


@pytest.mark.parametrize("wrong", ["105,205,7", "105"])
def test_a_cell_is_a_pair(tmp_path, wrong) -> None:
    path = tmp_path / "result_pz101.csv"
    write(path)
    path.write_text(path.read_text().replace("105,205", wrong, 1))
    with pytest.raises(ValueError, match="line 2: expected image 00000 and 14 pairs"):
        MiniRGBD(frames=None).read(path)


def test_an_empty_file_is_said_to_be_empty(tmp_path) -> None:
    path = tmp_path / "result_pz101.csv"
    path.write_text("")
    with pytest.raises(ValueError, match=r"expected the header image;head;.* \(got ''\)"):
        MiniRGBD().read(path)
