from __future__ import annotations

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch
from fixtures.mutants import mutants, refusals

from hargcn.networks.convert import read_published
from hargcn.networks.torch_file import is_stored, read_torch

CONTENT = {
    "model": {"main_stream": {"a.weight": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)}},
    "actions": {"act": "relu", "rate": np.float64(0.25), "deep": [1, (2, 3)]},
    "best": torch.nn.Parameter(torch.ones(2)),
}


def saved(content: object = CONTENT) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def rewritten(whole: bytes, change, packing: int = zipfile.ZIP_STORED) -> bytes:
    """Write the members of a checkpoint anew, each as `change(name, bytes)` gives it."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(whole)) as old,
        zipfile.ZipFile(stream, "w", packing) as new,
    ):
        for each in old.infolist():
            new.writestr(each.filename, change(each.filename, old.read(each)))
    return stream.getvalue()


def with_pickle(data: bytes) -> bytes:
    return rewritten(saved(), lambda name, old: data if name.endswith(".pkl") else old)


def test_a_checkpoint_is_read_as_torch_reads_it(tmp_path):
    path = tmp_path / "x.pth.tar"
    path.write_bytes(saved())
    found = read_torch(path)
    weight = found["model"]["main_stream"]["a.weight"]
    assert torch.equal(weight, torch.arange(6.0).reshape(2, 3))
    assert found["actions"] == {"act": "relu", "rate": 0.25, "deep": [1, (2, 3)]}
    assert is_stored(weight, path)
    assert not is_stored(weight[:1, :1].expand(10**5, 10**6), path)
    assert not is_stored([1.0], path)


def call(name: str, *arguments: object) -> bytes:
    """Return a pickle that calls a function."""
    module, _, function = name.rpartition(".")
    given = pickle.dumps(arguments, 2)[2:-1]
    return b"\x80\x02c" + f"{module}\n{function}\n".encode() + given + b"R."


DOUBLED = b"\x80\x02K\x01\x85q\x00" + b"".join(
    b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86q" + bytes([i + 1]) for i in range(60)
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no zip archive"),
        (b"hello", "no zip archive"),
        (pickle.dumps({"model": 1}, 2), r"no zip archive, .* torch\.save it again"),
        (saved()[: len(saved()) // 2], "no zip archive"),
        (rewritten(saved(), lambda _, old: old, zipfile.ZIP_DEFLATED), "members packed"),
        (with_pickle(call("builtins.bytearray", 2**36)), r"the name builtins bytearray"),
        (with_pickle(call("numpy.dtype", "V9999999999")), "the entries 'model' and 'actions'"),
        (with_pickle(b"\x80\x02}q\x00" + DOUBLED[2:] + b"K\x01s."), r"used again 120 times"),
        (with_pickle(b"\x80\x02" + b"N0" * 2**20 + b"N."), "more than 1048576 bytes besides"),
        (with_pickle(b"\x80\x02" + b"(" * 9999 + b"N."), "."),
    ],
    ids=[
        "empty",
        "text",
        "plain",
        "half",
        "packed",
        "bytearray",
        "dtype",
        "tuples",
        "long",
        "deep",
    ],
)
def test_bombs_and_foreign_files_are_refused_in_a_line(tmp_path, content, said):
    path = tmp_path / "x.pth.tar"
    path.write_bytes(content)
    line = refusals(lambda: read_published(path), 2, 32)
    assert line.startswith(f"{path}: expected "), line
    with pytest.raises(ValueError, match=said):
        read_published(path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path, zeros = tmp_path / "x.pth.tar", bytes(2**26)

    def swollen(name, old):
        return zeros if name.endswith("data/0") else old

    path.write_bytes(rewritten(saved(), swollen, zipfile.ZIP_DEFLATED))
    assert path.stat().st_size < 2**17
    assert "expected a torch checkpoint" in refusals(lambda: read_published(path), 1, 8)


def test_tensors_never_reach_beyond_the_file(tmp_path):
    """The pickle says that a storage of 6 numbers holds 10 million."""
    path = tmp_path / "x.pth.tar"
    small, large = b"K\x06tq", b"J" + struct.pack("<i", 10**7) + b"tq"
    whole = saved({"model": {"a": {"b": torch.arange(6.0)}}, "actions": {}})

    def longer(name, old):
        assert old.count(small) == name.endswith(".pkl")
        return old.replace(small, large) if name.endswith(".pkl") else old

    def wider(name, old):
        old = longer(name, old)
        assert old.count(b"K\x06\x85q") == name.endswith(".pkl")
        return old.replace(b"K\x06\x85q", b"J" + struct.pack("<i", 10**7) + b"\x85q")

    path.write_bytes(rewritten(whole, longer))
    assert torch.equal(read_published(path)[0]["a.b"], torch.arange(6.0))
    path.write_bytes(rewritten(whole, wider))
    assert "expected a torch checkpoint" in refusals(lambda: read_published(path), 1, 8)


def attacked(path, count):
    """Read mutants of the archive and of its pickle; return the refusals."""
    whole, said = saved(), []
    for mutant in mutants(whole, count // 2):
        path.write_bytes(mutant)
        said.append(refusals(lambda: _looked_through(path), 2, 32))
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        inner = archive.read("archive/data.pkl")
    for mutant in mutants(inner, count - count // 2):
        path.write_bytes(with_pickle(mutant))
        said.append(refusals(lambda: _looked_through(path), 2, 32))
    return said


def _looked_through(path):
    for value in read_published(path)[0].values():
        value.double().sum()


@pytest.mark.parametrize("count", [200, pytest.param(4000, marks=pytest.mark.slow)])
def test_mutants_are_read_or_refused_in_a_line(tmp_path, count):
    path = tmp_path / "bad.pth.tar"
    said = attacked(path, count)
    assert len(said) == count
    assert sum(map(bool, said)) > count / 4
    for line in filter(None, said):
        assert line.startswith(f"{path}: expected ")
        assert "\n" not in line
