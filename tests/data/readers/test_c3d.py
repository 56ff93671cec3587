from __future__ import annotations

import builtins
import struct

import numpy as np
import pytest

from hargcn.data.readers import find_reader
from hargcn.data.readers.c3d import C3D
from tests.data.readers.trackers.test_anipose import points, stick3d
from tests.fixtures.motion_files import c3d
from tests.fixtures.stick import STICK


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
    assert found.notes["metres_per_unit"] == 0.001
    assert C3D(layout, fps=50).read(path).fps == 50


def test_names_of_two_people_keep_what_tells_them_apart(tmp_path) -> None:
    names = [*(f"Anna:{name}" for name in STICK), *(f"Bert:{name}" for name in STICK)]
    path = c3d(tmp_path / "two.c3d", np.concatenate([points(), points()], axis=1), names)
    with pytest.raises(ValueError, match=r"two\.c3d: .*missing head.* \(it has Anna:head, "):
        C3D(stick3d(tmp_path)).read(path)
    with pytest.raises(ValueError, match="a layout for its Anna:head, .*reader.layout=skeleton"):
        C3D().read(path)


def test_a_file_that_is_cut_off_is_refused(tmp_path) -> None:
    """The library alone would read fewer frames, or invent them."""
    layout, path = stick3d(tmp_path), c3d(tmp_path / "walk.c3d", points(60), STICK)
    whole = path.read_bytes()
    for end in (len(whole) - 600, 1000, 100, 0):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"walk\.c3d: expected"):
            C3D(layout).read(path)


def test_declared_frames_and_points_are_believed_in_no_case(tmp_path) -> None:
    layout, path = stick3d(tmp_path), c3d(tmp_path / "walk.c3d", points(60), STICK)
    whole = bytearray(path.read_bytes())
    for place, number, said in (
        (2, 60000, "expected 60 frames of 60000 points, .* bytes"),
        (8, 60000, "expected 60000 frames of 5 points"),
        (8, 30, "expected 30 frames and a label .*got 60 and 5|expected a whole C3D"),
        (2, 0, "expected points and frames .got 0 points"),
    ):
        changed = whole.copy()
        struct.pack_into("<H", changed, place, number)
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=rf"walk\.c3d: ({said})"):
            C3D(layout).read(path)


def test_other_files_are_refused(tmp_path) -> None:
    path = tmp_path / "walk.c3d"
    path.write_bytes(b"\x02\x51" + bytes(2000))
    assert not C3D.sniff(path)
    with pytest.raises(ValueError, match=r"walk\.c3d: expected a C3D file, which begins"):
        C3D().read(path)


def test_without_the_package_the_remedy_is_told(tmp_path, monkeypatch) -> None:
    layout, path = stick3d(tmp_path), c3d(tmp_path / "walk.c3d", points(), STICK)
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "ezc3d":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        ValueError, match=r"walk\.c3d: expected the package ezc3d .*hargcn\[formats"
    ):
        C3D(layout).read(path)
