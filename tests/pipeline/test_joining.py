"""Files joined part by part are those that were joined in memory, at the memory of one part."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from hargcn import Explanation, hdf5
from hargcn.pipeline import joining
from hargcn.pipeline.joining import join


def part(number: int, count: int, joints: int = 3, **variables) -> Explanation:
    draws = np.random.default_rng(number)
    return Explanation.build(
        draws.normal(size=(count, 2, 5, joints)).astype("f4"),
        ("sample", "branch", "time", "joint"),
        method="m",
        target=[number] * count,
        score=draws.normal(size=count),
        coords={
            "sample": [f"part {number}" * number + f"@{i}" for i in range(count)],
            "branch": ["J", "V"],
            "channel_name": (("branch", "kind"), [["x", "y"], ["dx", "dy"]]),
        },
        variables={
            "group": np.array([f"subject {number}"] * count),
            "state": (("sample", "frame", "joint"), np.full((count, 5, joints), number, "u1")),
            "present": (("sample", "person"), np.ones((count, 1), bool)),
            "edges": (("edge", "end"), np.arange(4).reshape(2, 2)),
            **variables,
        },
    ).assign(request="{}", frames=5)


def saved(folder, parts):
    files = [folder / f"{number}.h5" for number in range(len(parts))]
    for each, file in zip(parts, files, strict=True):
        each.save(file)
    return files


def test_joined_files_are_those_joined_in_memory(tmp_path):
    files = saved(tmp_path, [part(1, 3), part(2, 70), part(3, 1)])
    join(files, tmp_path / "joined.h5", "sample")
    Explanation.concat([Explanation.open(file) for file in files]).save(tmp_path / "memory.h5")
    hdf5.verify(tmp_path / "joined.h5", "explanation file")
    joined, memory = (Explanation.open(tmp_path / name) for name in ("joined.h5", "memory.h5"))
    assert joined.dataset.identical(memory.dataset)
    with h5py.File(tmp_path / "joined.h5") as one, h5py.File(tmp_path / "memory.h5") as other:
        # Of names, types, shapes, chunks, filters, axes, attributes and small columns.
        assert one.attrs["digest"] == other.attrs["digest"]


@pytest.mark.parametrize(
    ("other", "name"),
    [
        (part(2, 3, joints=4), "(attribution|state)"),
        (part(2, 3, edges=(("edge", "end"), np.zeros((2, 2), int))), "edges"),
        (part(2, 3, extra=np.zeros(3)), "extra"),
        (part(2, 3, group=np.zeros(3)), "group"),
    ],
    ids=["shape", "content", "more", "type"],
)
def test_parts_unlike_the_first_are_refused(tmp_path, other, name):
    files = saved(tmp_path, [part(1, 3), other])
    for given in (files, files[::-1]):
        with pytest.raises(ValueError, match=rf"{given[1].name}: expected '{name}' as in "):
            join(given, tmp_path / "joined.h5", "sample")


STORAGE = Path(__file__).parents[2] / "experiments" / "scale" / "storage.py"


@pytest.mark.parametrize(
    "at", [None, [[0, 1, 6, 7], [2, 3, 4, 5, 8]], [[1, 2, 3, 8], [0, 4, 5, 6, 7]]]
)
@pytest.mark.parametrize("size", [1, 2, 4])
def test_packed_chunks_are_copied_only_where_they_are_chunks_of_the_whole(
    tmp_path, monkeypatch, size, at
):
    monkeypatch.setattr(hdf5, "chunks", lambda shape, _itemsize: (min(shape[0], size), *shape[1:]))
    parts = [part(1, 4), part(2, 5)]
    files, out = saved(tmp_path, parts), tmp_path / "joined.h5"
    join(files, out, "sample", at=at and [np.array(rows) for rows in at])
    hdf5.verify(out, "explanation file")  # also every chunk's checksum
    order = np.argsort(np.concatenate(at)) if at else np.arange(9)
    expected = Explanation.concat(parts).dataset.isel(sample=order)
    xr.testing.assert_equal(Explanation.open(out).dataset, expected)
    with h5py.File(out) as file:
        assert file["state"].chunks[0] == size


def test_chunks_of_parts_are_not_packed_anew(tmp_path, monkeypatch):
    packed = []
    monkeypatch.setattr(hdf5, "chunks", lambda shape, _itemsize: (min(shape[0], 2), *shape[1:]))
    files = saved(tmp_path, [part(1, 4), part(2, 3)])
    put = joining._put
    monkeypatch.setattr(joining, "_put", lambda *given: packed.append(given[0].name) or put(*given))
    join(files, tmp_path / "joined.h5", "sample")
    with h5py.File(files[0]) as file:
        chunked = {f"/{name}" for name in file if file[name].chunks and file[name].ndim > 1}
        moved = chunked - {"/channel_name", "/edges"}  # of the first file
    assert "/attribution" in moved
    assert not moved & {*packed}


@pytest.mark.slow
def test_joining_takes_the_memory_of_one_part(tmp_path):
    """Parts of 7.3 MiB: 40 of them, 293 MiB together, are joined in the memory of a few."""
    more, script = {}, runpy.run_path(str(STORAGE))["JOIN"]
    for parts in (2, 40):
        said = subprocess.run(
            [sys.executable, "-c", script, tmp_path, str(parts)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        size, more[parts] = map(float, said.stdout.split())
    assert size * 40 > 290
    assert more[40] < more[2] + 2 * size
    assert more[40] < 4 * size


def test_rows_go_where_they_are_told(tmp_path):
    files = saved(tmp_path, [part(1, 3), part(2, 4)])
    at = [np.array([1, 2, 6]), np.array([0, 3, 4, 5])]
    columns = {"fold": np.array([2, 1, 1, 2, 2, 2, 1])}
    asked = {"request": '{"seed": 1}'}
    join(files, tmp_path / "joined.h5", "sample", at=at, columns=columns, attrs=asked)
    joined = Explanation.open(tmp_path / "joined.h5").dataset
    in_turn = Explanation.concat([Explanation.open(file) for file in files]).dataset
    back = np.argsort(np.concatenate(at))
    assert joined.attrs == {**in_turn.attrs, **asked}
    assert joined.drop_vars("fold").drop_attrs().identical(in_turn.isel(sample=back).drop_attrs())
    assert joined["fold"].dims == ("sample",)
    assert joined["fold"].to_numpy().tolist() == columns["fold"].tolist()


def test_what_differs_from_part_to_part_can_be_left_out(tmp_path):
    parts = [part(n, 2, against=(("sample", "background"), np.zeros((2, n)))) for n in (1, 2)]
    files = saved(tmp_path, parts)
    with pytest.raises(ValueError, match="expected 'against' as in"):
        join(files, tmp_path / "joined.h5", "sample")
    join(files, tmp_path / "joined.h5", "sample", without=["background"])
    joined = Explanation.open(tmp_path / "joined.h5").dataset
    assert "against" not in joined
    assert "background" not in joined.dims
    assert len(joined["sample"]) == 4
