from __future__ import annotations

import errno

import h5py
import numpy as np
import pytest
from fixtures.fake_explanations import cam_like
from fixtures.moving_windows import moving_windows

from hargcn import Explanation, Windows, hdf5


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A windows file and an explanation file, with what reads each."""
    folder = tmp_path_factory.mktemp("whole")
    windows = moving_windows(folder / "w.h5", groups=2, per_group=1).path
    explanation = folder / "e.h5"
    seconds = (("sample", "frame"), np.random.default_rng(0).random((4, 24)))
    cam_like(4).assign({"group": np.array(list("abcd")), "seconds": seconds}).save(explanation)
    return {windows: lambda path: Windows.open(path).read(), explanation: Explanation.open}


def flipped(whole: bytes, rng: np.random.Generator) -> bytes:
    """Change one byte anywhere: one bit of it, or all of it."""
    at = int(rng.integers(len(whole)))
    change = 1 << int(rng.integers(8)) if rng.random() < 0.5 else int(rng.integers(1, 256))
    return whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :]


def said(read, path) -> str:
    """Return how a file is refused, nothing where it is read."""
    try:
        read(path)
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.slow
def test_no_flipped_byte_passes_unnoticed(files, tmp_path):
    rng, bad = np.random.default_rng(1234), tmp_path / "bad.h5"
    for path, read in files.items():
        assert said(read, path) == ""
        whole = path.read_bytes()
        for _ in range(300):
            bad.write_bytes(flipped(whole, rng))
            assert said(read, bad).startswith(f"{bad}: expected ")
            verified = said(lambda path: hdf5.verify(path, "file"), bad)
            assert verified.startswith(f"{bad}: expected ")


def test_of_large_files_chunks_are_checked_when_read_and_all_bytes_by_verify(
    files, tmp_path, monkeypatch
):
    rng, bad = np.random.default_rng(1), tmp_path / "bad.h5"
    monkeypatch.setattr(hdf5, "QUICK", 0)
    path = next(iter(files))
    whole = path.read_bytes()
    with h5py.File(path) as file:
        chunk = file["positions"].id.get_chunk_info(0)
    for _ in range(20):
        at = chunk.byte_offset + int(rng.integers(chunk.size))
        bad.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        Windows.open(bad)
        said = r"bad\.h5: expected the chunks that were written \(got a damaged one in positions: "
        with pytest.raises(ValueError, match=said):
            Windows.open(bad).read()
        with pytest.raises(ValueError, match=said):
            hdf5.verify(bad, "windows file")
    Windows.open(bad).read([-1])  # another chunk
    hdf5.verify(path, "windows file")
    digit = b"1" if whole[-10:-9] == b"0" else b"0"  # of the digest, which HDF5 does not know
    bad.write_bytes(whole[:-10] + digit + whole[-9:])
    Windows.open(bad).read()
    with pytest.raises(ValueError, match=r"bad\.h5: expected the bytes that the digest"):
        hdf5.verify(bad, "windows file")


@pytest.fixture
def changed(files, tmp_path):
    """Change the copy of a windows file and seal it again, as an attacker would."""

    def change(act, seal: bool = True):
        bad = tmp_path / "bad.h5"
        bad.write_bytes(next(iter(files)).read_bytes())
        with h5py.File(bad, "r+", libver=hdf5.LIBVER) as file:
            act(file, tmp_path)
        if seal:
            hdf5.seal(bad)
        return bad

    return change


def external_link(file, folder):
    with h5py.File(folder / "secret.h5", "w") as other:
        other["x"] = np.zeros(3)
    file["extra"] = h5py.ExternalLink("secret.h5", "/x")


def dangling_link(file, _):
    file["extra"] = h5py.SoftLink("/nowhere")


def external_storage(file, folder):
    (folder / "secret.bin").write_bytes(bytes(24))
    outside = [(str(folder / "secret.bin"), 0, 24)]
    file.create_dataset("extra", (3,), "f8", external=outside)


def virtual(file, folder):
    external_link(file, folder)
    del file["extra"]
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "x", (3,))
    file.create_virtual_dataset("extra", layout)


def group(file, _):
    file.create_group("extra")


def huge(file, _):
    file.create_dataset("extra", (8,), "f8", maxshape=(None,), chunks=(8,), compression="gzip")
    file["extra"][0] = 1
    file["extra"].resize(2**40, 0)


def plain_and_huge(file, _):
    file.create_dataset("extra", (2**40,), "f8")


def huge_chunk(file, _):
    file.create_dataset("extra", (4,), "f8", maxshape=(None,), chunks=(2**28,), compression="gzip")


def other_type(file, _):
    file["extra"] = np.zeros(2, [("a", "f4")])


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (external_link, r"'extra', a link to '/x' in the file 'secret\.h5'"),
        (dangling_link, "'extra', a link to '/nowhere'"),
        (external_storage, r"'extra', stored in the file '.*secret\.bin'"),
        (virtual, "'extra', a virtual data set"),
        (group, "'extra', a group"),
        (huge, r"'extra' of shape \(1099511627776,\) in \d+ bytes"),
        (plain_and_huge, r"'extra' of shape \(1099511627776,\) in 0 bytes"),
        (huge_chunk, r"'extra' of shape \(4,\) in 0 bytes"),
        (other_type, r"'extra' of type \[\('a', '<f4'\)\]"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_lies_elsewhere_or_cannot_be_there_is_refused_by_name(changed, act, said, monkeypatch):
    bad = changed(act, seal=False)
    for quick in (0, hdf5.QUICK):
        monkeypatch.setattr(hdf5, "QUICK", quick)
        for refuse in (Windows.open, lambda path: hdf5.verify(path, "windows file")):
            with pytest.raises(ValueError, match=rf"bad\.h5: expected data of its own.*{said}"):
                refuse(bad)


@pytest.mark.parametrize(
    "act",
    [
        lambda file, _: file["label"].__setitem__(0, 2),
        lambda file, _: file["sample"].__setitem__(0, "other"),
        lambda file, _: file.attrs.__setitem__("source", "elsewhere"),
        lambda file, _: file["time"].attrs.__setitem__("units", "h"),
        lambda file, _: file["positions"].resize(3, 0),
        lambda file, _: file.__setitem__("more", np.zeros(3)),
    ],
    ids=["label", "sample", "attribute", "units", "shape", "data set"],
)
def test_changed_structure_attributes_and_columns_are_noticed_on_opening(changed, act):
    bad = changed(act, seal=False)
    with pytest.raises(ValueError, match=r"bad\.h5: expected the attributes and columns that"):
        Windows.open(bad)


def test_changed_chunks_are_noticed_by_the_missing_last_line(changed):
    def act(file, _):
        file["positions"][0] = 0

    bad = changed(act, seal=False)
    with pytest.raises(
        ValueError, match=r"bad\.h5: expected the digest of the whole file in its l"
    ):
        Windows.open(bad)
    Windows.open(changed(act))  # whoever seals it anew stands for it


def test_the_digest_of_the_file_is_in_its_last_line(files):
    path = next(iter(files))
    *_, line = path.read_bytes().splitlines()
    assert line.decode() == f"sha256 {hdf5.sealed_digest(path)}"


def test_chunks_hold_whole_rows():
    assert hdf5.chunks((100, 10, 10), 4) == (40, 10, 10)
    assert hdf5.chunks((7, 10, 10), 4) == (7, 10, 10)
    assert hdf5.chunks((100, 1000, 10), 4) == (1, 1000, 10)
    assert hdf5.chunks((0, 3), 4) == (1, 3)


class Full(hdf5.Sink):
    """A disk with room for so many bytes."""

    room = 0

    def _tried(self, act, given):
        end = self.tell() + len(given) if isinstance(given, memoryview) else given or 0
        if self.error is None and end > self.room:
            self.error = OSError(errno.ENOSPC, "No space left on device")
        return super()._tried(act, given)


@pytest.mark.parametrize("room", [0, 1, 90, 500, 3000, 9000, 20000, 45000])
def test_a_full_disk_is_an_error_and_no_crash(tmp_path, monkeypatch, room):
    """HDF5 reads back what it wrote, so all of it must be there until the file is closed."""
    monkeypatch.setattr(Full, "room", room)
    monkeypatch.setattr(hdf5, "Sink", Full)
    path = tmp_path / "x.h5"
    values = np.random.default_rng(0).normal(size=(40, 300))

    def fill():
        with hdf5.writing(path) as sink, h5py.File(sink, "w", libver=hdf5.LIBVER) as file:
            file.create_dataset("name", data=["a", "b"], dtype=h5py.string_dtype())
            stored = file.create_dataset(
                "values", (0, 300), "f4", maxshape=(None, 300), chunks=(7, 300)
            )
            for row in range(40):
                stored.resize(row + 1, axis=0)
                stored[row] = values[row]
            np.testing.assert_array_equal(stored[()], values.astype("f4"))
            assert list(file["name"].asstr()) == ["a", "b"]
            sink.expect_written()

    with pytest.raises(OSError, match=r"No space left on device: '.*x\.h5'"):
        fill()
    assert path.stat().st_size <= room
