from __future__ import annotations

import struct

import ezc3d
import numpy as np
import pytest
from fixtures.mutants import mutants, refusals

from hargcn.data.readers import find_reader
from hargcn.data.readers.c3d import C3D
from tests.data.readers.trackers.test_anipose import points, stick3d
from tests.fixtures.motion_files import c3d
from tests.fixtures.stick import STICK

INTEL, DEC, MIPS = 84, 85, 86


def test_markers_go_by_name_the_rate_is_the_files(tmp_path) -> None:
    layout, given = stick3d(tmp_path), points(8)
    given[2, 1] = np.nan
    names = [f"Anna:{name}" for name in STICK[::-1]]
    path = c3d(tmp_path / "walk.c3d", given[:, ::-1], names, rate=120, unit="mm")
    assert find_reader(path) is C3D
    found = C3D(layout).read(path)
    np.testing.assert_array_equal(found.positions[..., 0], given.transpose(2, 0, 1))
    assert found.fps == 120
    assert np.argwhere(~found.observed[..., 0]).tolist() == [[2, 1]]
    assert found.notes["recordings_in_mm"] == 1
    assert C3D(layout, fps=50).read(path).fps == 50


@pytest.mark.parametrize(("markers", "analogs"), [(5, 0), (300, 3)])
def test_ezc3d_reads_the_same(tmp_path, markers, analogs) -> None:
    """Many markers have several lists of labels; analog samples lie between the frames."""
    rng = np.random.default_rng(markers)
    names = [f"m{at}" for at in range(markers)]
    path = c3d(tmp_path / "a.c3d", rng.normal(0, 900, (20, markers, 3)), names, rate=50)
    content = ezc3d.c3d(str(path))
    if analogs:
        content["parameters"]["ANALOG"]["RATE"]["value"] = [100.0]
        content["parameters"]["ANALOG"]["LABELS"]["value"] = [f"a{at}" for at in range(analogs)]
        content["data"]["analogs"] = rng.normal(size=(1, analogs, 40))
        content.write(str(path))
    expected = ezc3d.c3d(str(path))["data"]["points"][:3]
    found = C3D().sightings(path)
    np.testing.assert_array_equal(found.bodies[:, 0], expected.transpose(2, 1, 0))
    assert found.joints == tuple(names)
    assert found.fps == 50


def by_hand(processor: int, whole: bool, given: np.ndarray) -> bytes:
    """Write a file as the guide says: header, one block of parameters, frames; scale 0.5.

    The last marker of the first frame was not seen.
    """
    order = ">" if processor == MIPS else "<"

    def real(number: float) -> bytes:
        if processor != DEC:
            return struct.pack(f"{order}f", number)
        halves = struct.pack("<f", 4 * number)
        return halves[2:] + halves[:2]

    def record(group: int, name: str, rest: bytes = b"\0") -> bytes:
        onwards = struct.pack(f"{order}h", len(rest) + 2)
        return struct.pack("bb", len(name), group) + name.encode() + onwards + rest

    labels = "".join(name.ljust(12) for name in STICK).encode()
    parameters = bytes([1, 0x50, 1, processor]) + record(-1, "POINT")
    parameters += record(1, "LABELS", bytes([255, 2, 12, len(STICK)]) + labels + b"\0")
    parameters += record(1, "RATE", bytes([4, 0]) + real(25) + b"\0")
    if len(given) > 2**16:  # more than 16 bits hold: low and high halves
        fields = {"START": (1, 0), "END": (len(given) % 2**16, len(given) // 2**16)}
        parameters += record(-2, "TRIAL")
        for name, halves in fields.items():
            value = bytes([2, 1, 2]) + struct.pack(f"{order}2H", *halves) + b"\0"
            parameters += record(2, f"ACTUAL_{name}_FIELD", value)
    last = min(len(given), 2**16 - 1)
    header = bytes([2, 0x50]) + struct.pack(f"{order}5H", len(STICK), 0, 1, last, 0)
    header += real(0.5 if whole else -0.5) + struct.pack(f"{order}2H", 3, 0) + real(25)
    cells = np.concatenate([given, np.zeros((*given.shape[:2], 1))], axis=2)
    cells[0, -1, 3] = -1
    if whole:
        cells[..., :3] *= 2
        data = cells.astype(f"{order}i2").tobytes()
    else:
        data = b"".join(map(real, cells.ravel()))
    return header.ljust(512, b"\0") + parameters.ljust(512, b"\0") + data


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("processor", [INTEL, DEC, MIPS])
def test_processors_and_scaled_integers(tmp_path, processor, whole) -> None:
    path, given = tmp_path / "a.c3d", points(6)
    path.write_bytes(by_hand(processor, whole, given))
    found = C3D(stick3d(tmp_path)).read(path)
    given[0, -1] = np.nan
    np.testing.assert_array_equal(found.positions[..., 0], given.transpose(2, 0, 1))
    assert found.fps == 25


def test_more_frames_than_16_bits_hold(tmp_path) -> None:
    path = tmp_path / "long.c3d"
    path.write_bytes(by_hand(INTEL, True, np.ones((70_000, 5, 3))))
    assert C3D().sightings(path).bodies.shape == (70_000, 1, 5, 3)


def test_one_of_decs_floats_is_known_from_its_manual() -> None:
    """1.0 is the bytes 80 40 00 00."""
    assert bytes([0x80, 0x40, 0, 0]) in by_hand(DEC, False, np.ones((1, 5, 3)))


def test_names_of_two_people_keep_what_tells_them_apart(tmp_path) -> None:
    names = [*(f"Anna:{name}" for name in STICK), *(f"Bert:{name}" for name in STICK)]
    path = c3d(tmp_path / "two.c3d", np.concatenate([points(), points()], axis=1), names)
    with pytest.raises(ValueError, match=r"two\.c3d: .*missing head.* \(it has Anna:head, "):
        C3D(stick3d(tmp_path)).read(path)
    with pytest.raises(ValueError, match="a layout for its Anna:head, .*reader.layout=skeleton"):
        C3D().read(path)
    path = c3d(tmp_path / "twice.c3d", points(), ["head"] * 5)
    with pytest.raises(ValueError, match=r"twice\.c3d: expected each label once .got 'head'"):
        C3D(stick3d(tmp_path)).read(path)


def test_a_file_that_is_cut_off_is_refused(tmp_path) -> None:
    """The usual library would read fewer frames, or invent them."""
    layout, path = stick3d(tmp_path), c3d(tmp_path / "walk.c3d", points(60), STICK)
    whole = path.read_bytes()
    for end in (len(whole) - 600, 1000, 100, 0):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"walk\.c3d: expected"):
            C3D(layout).read(path)


@pytest.mark.parametrize(
    ("place", "number", "said"),
    [
        (2, 60000, "expected 60 frames of 60000 points, .* bytes"),
        (2, 6, "expected 60 frames of 6|expected a label for each of 6 points .got 5"),
        (2, 0, "expected points and frames .got 0 points"),
        (8, 60000, "expected 60000 frames of 5 points"),
        (8, 0, "expected points and frames .got 5 points, 0 frames"),
        (16, 0, "expected points and frames"),
    ],
)
def test_no_count_is_believed(tmp_path, place, number, said) -> None:
    path = c3d(tmp_path / "walk.c3d", points(60), STICK)
    changed = bytearray(path.read_bytes())
    struct.pack_into("<H", changed, place, number)
    path.write_bytes(changed)
    with pytest.raises(ValueError, match=rf"walk\.c3d: ({said})"):
        C3D(stick3d(tmp_path)).read(path)


def test_other_files_are_refused(tmp_path) -> None:
    path = tmp_path / "walk.c3d"
    path.write_bytes(b"\x02\x51" + bytes(2000))
    assert not C3D.sniff(path)
    with pytest.raises(ValueError, match=r"walk\.c3d: expected a C3D file, which begins"):
        C3D().read(path)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numbers too large for arithmetic
def test_damage_is_read_or_refused_in_a_line(tmp_path) -> None:
    layout, path = stick3d(tmp_path), c3d(tmp_path / "walk.c3d", points(12), STICK)
    said = set()
    for changed in mutants(path.read_bytes(), 60):
        path.write_bytes(changed)
        said.add(refusals(lambda: C3D(layout).read(path)))
    assert len(said) > 5
    assert all(not line or line.startswith((f"{path}: ", "walk: ")) for line in said)
