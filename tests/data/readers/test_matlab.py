from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from fixtures.mutants import mutants, refusals
from scipy.io import loadmat, savemat

from hargcn.data.readers.matlab import read_array

JOINTS = np.random.default_rng(0).normal(size=(20, 3, 9))


def saved(content: dict[str, object], packed: bool = False) -> bytes:
    stream = io.BytesIO()
    savemat(stream, content, do_compression=packed)
    return stream.getvalue()


def packed(whole: bytes) -> bytes:
    """Pack everything behind the header as one element, as MATLAB does for one variable."""
    inner = zlib.compress(whole[128:])
    return whole[:128] + struct.pack("<II", 15, len(inner)) + inner


def part(kind: int, data: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)


def by_hand(
    shape=(2, 3), cls=6, kind=1, data=bytes(range(6)), name=b"x", order="<", flags=0
) -> bytes:
    """Write one variable as the format says it, defects included."""
    header = b"MATLAB 5.0 MAT-file".ljust(124) + (b"\x00\x01IM" if order == "<" else b"\x01\x00MI")
    inner = part(6, struct.pack(f"{order}II", cls | flags, 0), order)
    inner += part(5, struct.pack(f"{order}{len(shape)}i", *shape), order)
    inner += part(1, name, order) + part(kind, data, order)
    return header + part(14, inner, order)


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("kind", ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_arrays_come_as_scipy_reads_them(tmp_path, kind, packing):
    path, first = tmp_path / "x.mat", np.arange(12).reshape(2, 3, 2).astype(kind)
    path.write_bytes(saved({"abcd": first, "longer_name": JOINTS, "s": "text"}, packing))
    for name in ("abcd", "longer_name"):
        found = read_array(path, name)
        np.testing.assert_array_equal(found, loadmat(path)[name])
        assert found.dtype == loadmat(path)[name].dtype


@pytest.mark.parametrize("order", ["<", ">"])
def test_numbers_may_be_stored_smaller_and_in_either_order_of_bytes(tmp_path, order):
    path = tmp_path / "x.mat"
    path.write_bytes(by_hand(order=order))
    np.testing.assert_array_equal(read_array(path, "x"), [[0, 2, 4], [1, 3, 5]])
    data = struct.pack(f"{order}6d", *range(6))
    path.write_bytes(by_hand(kind=9, data=data, order=order))
    np.testing.assert_array_equal(read_array(path, "x"), [[0, 2, 4], [1, 3, 5]])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (by_hand(shape=(2, 4)), r"x of shape \(2, 4\) in 6 bytes of type 1"),
        (by_hand(shape=(-2, -3)), r"x of shape \(-2, -3\) in 6 bytes"),
        (by_hand(kind=77), "in 6 bytes of type 77"),
        (by_hand(cls=1), "x of real numbers expected, got MATLAB's class 1"),
        (by_hand(flags=0x800), "x of real numbers expected, got complex numbers"),
        (by_hand()[:-8], "element of type 14 and"),
        (by_hand()[:128] + part(14, b""), "unpack_from requires"),
        (by_hand()[:128] + part(3, b"12345678"), "element of type 3 and 8 bytes at byte 128"),
        (by_hand()[:124] + b"\x00\x03IM", "its header is another one"),
        (by_hand()[:124] + b"\x00\x02IM", r"version 7\.3: .* save\(FILE, '-v7'\)"),
        (packed(by_hand())[:-1] + b"x", "incorrect data check"),
        (packed(by_hand()[:-8]), r"expected \d+ packed bytes and their checksum"),
        (packed(by_hand()[:132] + struct.pack("<I", 2**31)), "packed element of type 14 and 2147"),
        (by_hand()[:128] + by_hand(name=b"y")[128:] * 1001, "more than 1000 variables"),
    ],
)
def test_headers_that_lie_are_refused_in_words(tmp_path, content, said):
    path = tmp_path / "x.mat"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"x\.mat: expected a whole MATLAB 5 file \(.*{said}"):
        read_array(path, "x")


def test_bombs_are_refused_before_they_are_unpacked(tmp_path):
    path = tmp_path / "x.mat"
    zeros = zlib.compressobj(9)
    inner = struct.pack("<II", 14, 2**31) + bytes(48)
    body = zeros.compress(inner) + b"".join(zeros.compress(bytes(2**20)) for _ in range(32))
    body += zeros.flush()
    path.write_bytes(by_hand()[:128] + struct.pack("<II", 15, len(body)) + body)
    assert path.stat().st_size < 2**20
    assert "packed element of type 14" in refusals(lambda: read_array(path, "x"), 1, 8)
    liar = zlib.compress(by_hand()[128:] + bytes(2**26), 9)  # says 64 bytes, holds 64 MiB
    path.write_bytes(by_hand()[:128] + struct.pack("<II", 15, len(liar)) + liar)
    assert "packed bytes and their checksum" in refusals(lambda: read_array(path, "x"), 1, 40)
    with path.open("wb") as stream:
        stream.truncate(2**24 + 1)
    assert "expected at most 16777216 bytes" in refusals(lambda: read_array(path, "x"), 1, 1)


def attacked(path, count):
    """Read mutants of plain and of packed files, and of what is packed; return the refusals."""
    plain = saved({"d_skel": JOINTS, "other": np.arange(5)})
    said = []
    for whole in (plain, saved({"d_skel": JOINTS}, packed=True)):
        for mutant in mutants(whole, count // 3):
            path.write_bytes(mutant)
            said.append(refusals(lambda: read_array(path, "d_skel"), 1, 32))
    for mutant in mutants(plain[128:], count - 2 * (count // 3)):
        path.write_bytes(packed(plain[:128] + mutant))
        said.append(refusals(lambda: read_array(path, "d_skel"), 1, 32))
    return said


@pytest.mark.parametrize("count", [300, pytest.param(6000, marks=pytest.mark.slow)])
def test_mutants_are_read_or_refused_in_a_line(tmp_path, count):
    path = tmp_path / "bad.mat"
    said = attacked(path, count)
    assert len(said) == count
    assert sum(map(bool, said)) > count / 4  # most changes of headers are noticed
    for line in filter(None, said):
        assert line.startswith(f"{path}: expected ")
        assert "\n" not in line
