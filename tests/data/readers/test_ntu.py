from __future__ import annotations

import numpy as np
import pytest
from fixtures import ntu_files
from fixtures.ntu_files import ANNA, BERT, CARL, lying, standing, together, track

from hargcn.data.readers.ntu import NTU
from hargcn.data.readers.ntu_protocols import CLASSES


def test_one_body(tmp_path) -> None:
    frames = together(20, track(standing(), range(20), 0.3, ANNA))
    recording = NTU().read(ntu_files.write(tmp_path, frames, "S017C003P008R002A060"))
    assert recording.positions.shape == (3, 20, 25, 2)
    expected = np.stack([frame[0][1] for frame in frames]).transpose(2, 0, 1)
    np.testing.assert_allclose(recording.positions[..., 0], expected, atol=1e-6)
    assert recording.valid[:, 0].all()
    assert not recording.valid[:, 1].any()
    assert not recording.positions[..., 1].any()
    assert recording.sample == "S017C003P008R002A060"
    assert (recording.group, recording.label) == ("P008", 59)
    assert (recording.camera, recording.setup, recording.fps) == (3, 17, 30)
    assert CLASSES[recording.label] == "walking apart"


def test_frames_without_a_body_stay_and_are_counted(tmp_path) -> None:
    body = track(standing(), range(20), 0.3, ANNA)
    for frame in (0, 7, 8, 19):
        del body[frame]
    recording = NTU().read(ntu_files.write(tmp_path, together(20, body)))
    assert np.flatnonzero(~recording.valid[:, 0]).tolist() == [0, 7, 8, 19]
    assert not recording.positions[:, [0, 7, 8, 19]].any()
    assert recording.notes["frames_empty"] == 4


def test_late_and_leaving_bodies(tmp_path) -> None:
    frames = together(
        50, track(standing(), range(40), 0.5, ANNA), track(standing(1), range(15, 50), 0.1, BERT)
    )
    recording = NTU().read(ntu_files.write(tmp_path, frames))
    assert np.flatnonzero(recording.valid[:, 0]).tolist() == list(range(40))
    assert np.flatnonzero(recording.valid[:, 1]).tolist() == list(range(15, 50))
    np.testing.assert_allclose(recording.positions[0, 15:, 0, 1], 1, atol=1e-6)
    assert not recording.positions[:, 40:, :, 0].any()


def test_bodies_are_followed_through_slot_swaps(tmp_path) -> None:
    """The identities agree as float64, so only exact ones can tell the bodies apart."""
    assert float(ANNA) == float(BERT)
    frames = together(
        30, track(standing(), range(30), 0.5, ANNA), track(standing(1), range(30), 0.1, BERT)
    )
    swapped = [frame if i % 3 else frame[::-1] for i, frame in enumerate(frames)]
    recording = NTU().read(ntu_files.write(tmp_path, swapped))
    np.testing.assert_allclose(recording.positions[0, :, 0, 0], 0, atol=1e-6)
    np.testing.assert_allclose(recording.positions[0, :, 0, 1], 1, atol=1e-6)


def test_of_three_bodies_the_two_that_move_most_are_kept(tmp_path) -> None:
    frames = together(
        30,
        track(standing(0), range(30), 0.2, ANNA),
        track(standing(1), range(30), 0.1, BERT),
        track(standing(2), range(30), 0.9, CARL),
    )
    path = ntu_files.write(tmp_path, frames)
    recording = NTU().read(path)
    np.testing.assert_allclose(recording.positions[0, 0, 0], [2, 0], atol=1e-6)
    assert recording.notes["bodies_dropped"] == 1
    np.testing.assert_allclose(NTU(persons=3).read(path).positions[0, 0, 0], [2, 0, 1], atol=1e-6)
    np.testing.assert_allclose(NTU(persons=1).read(path).positions[0, 0, 0], [2], atol=1e-6)


@pytest.mark.parametrize(("frames", "kept"), [(11, 1), (12, 2)])
def test_short_bodies_are_noise(tmp_path, frames, kept) -> None:
    content = together(
        30, track(standing(), range(30), 0.1, ANNA), track(standing(1), range(frames), 0.9, BERT)
    )
    recording = NTU().read(ntu_files.write(tmp_path, content))
    assert recording.valid.any(axis=0).sum() == kept
    assert recording.notes["bodies_dropped"] == 2 - kept
    assert NTU(clean=False).read(tmp_path / f"{ntu_files.NAME}.skeleton").valid.any(axis=0).all()


@pytest.mark.parametrize(("wide", "kept"), [(69, 2), (70, 1)])
def test_bodies_mostly_wider_than_high_are_furniture(tmp_path, wide, kept) -> None:
    """The share of wide frames that counts is 0.69754, of 100 frames here."""
    sofa = track(lying(1), range(wide), 0.5, BERT) | track(standing(1), range(wide, 100), 0.5, BERT)
    content = together(100, sofa, track(standing(), range(100), 0.1, ANNA))
    recording = NTU().read(ntu_files.write(tmp_path, content))
    assert recording.valid.any(axis=0).sum() == kept


def test_a_body_alone_is_kept_however_it_looks(tmp_path) -> None:
    recording = NTU().read(
        ntu_files.write(tmp_path, together(5, track(lying(), range(5), 0.1, ANNA)))
    )
    assert recording.valid[:, 0].all()


def test_clean_up_never_drops_everybody(tmp_path) -> None:
    short = together(
        20, track(standing(), range(5), 0.5, ANNA), track(standing(1), range(8), 0.1, BERT)
    )
    recording = NTU().read(ntu_files.write(tmp_path, short))
    assert np.flatnonzero(recording.valid[:, 0]).tolist() == list(range(8))
    wide = together(20, track(lying(), range(20), 0.5, ANNA), track(lying(1), range(20), 0.1, BERT))
    assert NTU().read(ntu_files.write(tmp_path, wide)).valid.any(axis=0).tolist() == [True, False]


def test_a_lost_body_is_one_person_again_on_request(tmp_path) -> None:
    content = together(
        40, track(standing(), range(20), 0.5, ANNA), track(standing(), range(22, 40), 0.1, BERT)
    )
    path = ntu_files.write(tmp_path, content)
    assert NTU().read(path).valid.any(axis=0).all()
    joined = NTU(join=True).read(path)
    assert joined.valid[:, 0].sum() == 38
    assert not joined.valid[:, 1].any()


def test_truncated_files_name_what_was_found(tmp_path) -> None:
    path = ntu_files.write(tmp_path, together(10, track(standing(), range(10), 0.1, ANNA)))
    whole = path.read_text()
    lines = whole.splitlines(keepends=True)
    for cut in (1 + 28 * 4, 1 + 28 * 4 + 3, 1 + 28 * 4 + 1):  # on and within the fifth frame
        path.write_text("".join(lines[:cut]))
        with pytest.raises(ValueError, match=r"A001.skeleton: expected 10 frames \(got 4 whole"):
            NTU().read(path)
    path.write_text(whole[:-3])
    with pytest.raises(ValueError, match=r"expected 10 frames \(got 9 whole ones"):
        NTU().read(path)
    path.write_text("")
    with pytest.raises(ValueError, match=r"expected a number of frames \(got an empty file\)"):
        NTU().read(path)


def test_wrong_joint_count(tmp_path) -> None:
    frames = together(3, track(standing(), range(3), 0.1, ANNA))
    frames[2] = [(ANNA, standing()[:20])]
    path = ntu_files.write(tmp_path, frames)
    with pytest.raises(ValueError, match=r"A001.skeleton: frame 2 .*25 joints \(got 20\)"):
        NTU().read(path)


def test_other_defects(tmp_path) -> None:
    path = ntu_files.write(tmp_path, together(3, track(standing(), range(3), 0.1, ANNA)))
    whole = path.read_text()
    path.write_text(whole + "1\n")
    with pytest.raises(ValueError, match="expected the end after 3 frames"):
        NTU().read(path)
    path.write_text(whole.replace("3.0000000", "far", 1))
    with pytest.raises(ValueError, match="frame 0 is not in the grammar.*'far'"):
        NTU().read(path)
    twice = [[(ANNA, standing()), (ANNA, standing())]]
    with pytest.raises(ValueError, match=f"each body once per frame .*{ANNA} twice"):
        NTU().read(ntu_files.write(tmp_path, twice))
    with pytest.raises(ValueError, match="expected a body in some frame .*none in 2 frames"):
        NTU().read(ntu_files.write(tmp_path, [[], []]))
    with pytest.raises(FileNotFoundError, match="no such file"):
        NTU().read(tmp_path / "S001C001P001R001A002.skeleton")
    with pytest.raises(ValueError, match="walk: expected a name SsssCcccPpppRrrrAaaa"):
        NTU().read(tmp_path / "walk.skeleton")


def test_of_several_defects_the_first_is_named(tmp_path) -> None:
    path = ntu_files.write(tmp_path, together(6, track(standing(), range(6), 0.1, ANNA)))
    lines = path.read_text().splitlines()
    lines[1 + 28 * 2 + 5] = lines[1 + 28 * 2 + 5].replace("3.0000000", "far")
    lines[1 + 28 * 3 + 2] = "24"
    path.write_text("\n".join(lines[: 1 + 28 * 4]))
    with pytest.raises(ValueError, match="frame 2 is not in the grammar.*'far'"):
        NTU().read(path)
    del lines[1 + 28 * 2 + 5]
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match="frame 3 is not in the grammar"):
        NTU().read(path)


def test_numbers_are_read_as_python_reads_them(tmp_path) -> None:
    """To the last bit, whatever the notation; a sensor's file ends its lines as Windows does."""
    path = ntu_files.write(tmp_path, together(1, track(standing(), range(1), 0.1, ANNA)))
    written = ["0.1234567891234567891", "-1.5e-3", "+2", "1_0", ".3", "4.35e2", "1e-310"]
    words = path.read_text().split()
    for joint, number in enumerate(written):
        words[13 + 12 * joint] = number
    path.write_bytes("\r\n".join(words).encode())
    found = NTU().read(path).positions[0, 0, : len(written), 0]
    np.testing.assert_array_equal(found, np.array([float(word) for word in written], np.float32))


def test_coordinates_that_are_no_numbers_are_not_observed(tmp_path) -> None:
    frames = together(20, track(standing(), range(20), 0.1, ANNA))
    frames[4][0][1][7, 0] = np.nan
    recording = NTU().read(ntu_files.write(tmp_path, frames))
    assert (~recording.observed[..., 0]).sum() == 1
    assert not recording.observed[4, 7, 0]


def test_folder(tmp_path) -> None:
    frames = together(5, track(standing(), range(5), 0.1, ANNA))
    for name in ("S001C001P001R001A001", "S001C002P001R001A060", "S018C001P001R001A061"):
        ntu_files.write(tmp_path, frames, name)
    missing = tmp_path / "missing.txt"
    missing.write_text("# heading\nS001C002P001R001A060\n")
    assert [r.label for r in NTU().recordings(tmp_path)] == [0, 59, 60]
    recordings = NTU(actions=60, missing=missing, persons=1).recordings(tmp_path)
    assert recordings.notes == {"other_actions": 1, "missing_list": 1}
    assert recordings.classes == CLASSES[:60]
    assert [(r.label, r.persons) for r in recordings] == [(0, 1)]
    assert len(NTU().recordings(tmp_path, published="xsub")) == 2
    assert len(NTU().recordings(tmp_path, published="xset").classes) == 120
    with pytest.raises(ValueError, match="actions: .*less than or equal to 120 .*got 121"):
        NTU(actions=121)
    (tmp_path / "walk.skeleton").write_text("")
    with pytest.raises(ValueError, match="walk: expected a name SsssCcccPpppRrrrAaaa"):
        NTU().recordings(tmp_path)


def test_nothing_left_to_read_is_an_error(tmp_path) -> None:
    frames = together(5, track(standing(), range(5), 0.1, ANNA))
    ntu_files.write(tmp_path, frames, "S018C001P001R001A061")
    with pytest.raises(ValueError, match=r"expected recordings of NTU RGB\+D \(got none\)"):
        NTU().recordings(tmp_path, published="xsub")
    assert len(NTU().recordings(tmp_path, published="xset")) == 1


def test_actions_beyond_60_need_a_split_of_120(tmp_path) -> None:
    ntu_files.write(
        tmp_path, together(5, track(standing(), range(5), 0.1, ANNA)), "S018C001P001R001A061"
    )
    with pytest.raises(ValueError, match="A061: expected actions 1..60 under xview"):
        NTU(actions=120).recordings(tmp_path, published="xview")


def test_a_whole_set_with_other_numbers_is_refused_before_it_is_read(tmp_path) -> None:
    for i in range(17 * 40 * 60):
        name = f"S{1 + i % 17:03d}C001P{1 + i % 40:03d}R001A{1 + i % 60:03d}"
        (tmp_path / f"{name}.skeleton").touch()
    with pytest.raises(ValueError, match="xsub: expected 40091 recordings to train"):
        NTU().recordings(tmp_path, published="xsub", on_error="skip")
