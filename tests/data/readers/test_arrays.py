"""Arrays stay in NumPy's files; whatever these say is compared with their bytes."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from fixtures.mutants import mutants, refusals

from hargcn.data.readers.arrays import mapped, members, stored


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["f4", ">f8", "i8", "U3"])
def test_arrays_come_back_from_their_place(order, kind, tmp_path) -> None:
    array = np.asarray(np.arange(24).reshape(2, 3, 4), dtype=kind, order=order)
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", x_train=array, y=np.arange(2))
    np.savez_compressed(tmp_path / "packed.npz", x_train=array)
    assert members(tmp_path / "x.npz") == ("x_train", "y")
    for found in (
        mapped(tmp_path / "x.npy"),
        mapped(tmp_path / "x.npz", "x_train"),
        mapped(tmp_path / "packed.npz", "x_train"),
    ):
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype
        assert not found.flags.owndata
        assert not found.flags.writeable


def test_objects_stay_bytes(tmp_path) -> None:
    np.save(tmp_path / "x.npy", np.array([None]), allow_pickle=True)
    assert stored(tmp_path / "x.npy").dtype.kind == "O"
    with pytest.raises(
        ValueError, match=r"x\.npy: expected a NumPy array of numbers or text .got the type \|O"
    ):
        mapped(tmp_path / "x.npy")


def test_defects(tmp_path) -> None:
    path, archive = tmp_path / "x.npy", tmp_path / "x.npz"
    np.save(path, np.arange(6.0))
    np.savez(archive, x=np.arange(6.0))
    whole = path.read_bytes()
    path.write_bytes(whole[:-8])
    with pytest.raises(ValueError, match=r"x\.npy: expected 48 bytes of numbers \(got 40\)"):
        mapped(path)
    path.write_bytes(whole.replace(b"(6,)", b"(-6,)"))
    with pytest.raises(ValueError, match=r"x\.npy: expected (-48 bytes|a NumPy array)"):
        mapped(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"x\.npy: expected a NumPy array \(cannot mmap an empty"):
        mapped(path)
    with pytest.raises(FileNotFoundError, match=r"none\.npy: no such file"):
        mapped(tmp_path / "none.npy")
    with pytest.raises(ValueError, match=r"x\.npz: y: expected .*an array of x \(got 'y'\)"):
        mapped(archive, "y")
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-30])
    with pytest.raises(ValueError, match=r"x\.npz: x: expected a NumPy array .*not a zip file"):
        mapped(archive, "x")
    with pytest.raises(ValueError, match=r"x\.npz: expected a whole \.npz of NumPy"):
        members(archive)
    archive.write_bytes(whole.replace(b"PK\x03\x04", b"PK\x03\x05"))
    with pytest.raises(ValueError, match="a damaged zip file"):
        mapped(archive, "x")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (b"PK\x01\x02", b"PK\x01\x03", "Bad magic number for central directory"),
        ("ä".encode(), b"\xff\xff", "'utf-8' codec can't decode byte 0xff"),
        (b"PK\x01\x02-\x03-", b"PK\x01\x02-\x03\xff", "zip file version 25.5"),
    ],
)
def test_a_damaged_directory_is_refused_whatever_zipfile_raises(before, after, said, tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, ä=np.arange(3))
    whole = path.read_bytes()
    assert before in whole
    path.write_bytes(whole.replace(before, after))
    with pytest.raises(ValueError, match=rf"x\.npz: expected a whole \.npz of NumPy \({said}"):
        members(path)


def test_what_unpacks_to_more_than_memory_is_refused(tmp_path, monkeypatch) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, x=np.zeros(10_000))
    monkeypatch.setattr("hargcn.data.readers.arrays.MOST_UNPACKED", 1000)
    with pytest.raises(ValueError, match="packed bytes of 80128; save it again with numpy.savez"):
        mapped(path, "x")


@pytest.mark.parametrize("packed", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_mutants_are_read_or_refused_in_a_line(packed, tmp_path) -> None:
    path = tmp_path / "x.npz"
    (np.savez_compressed if packed else np.savez)(path, x=np.arange(50.0))
    whole, noticed = path.read_bytes(), 0
    for mutant in mutants(whole, 200):
        path.write_bytes(mutant)
        noticed += bool(refusals(lambda: mapped(path, "x"), mib=8))
    assert noticed > 50
