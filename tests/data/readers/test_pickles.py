"""Pickles are taken to pieces, never run: what they hold comes back, what they call is refused."""

from __future__ import annotations

import builtins
import collections
import io
import os
import pickle
import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from fixtures.mutants import mutants, refusals

from hargcn.data.readers.pickles import object_array, unpickled

PLAIN = {
    "split": {"train": ["a", "b"], "val": []},
    "annotations": [
        {"frame_dir": "a", "label": 3, "total_frames": 5, "share": 0.25, "img_shape": (1080, 1920)},
        {"none": None, "yes": True, "no": False, "bytes": b"x" * 30, "large": 2**63, "less": -7},
    ],
    7: {1, 2, 3},
    (1, "two"): frozenset("ab"),
    "ordered": collections.OrderedDict(b=1, a=2),
    "many": collections.defaultdict(list, a=[1]),
    "empty": [b"", (), [], {}, set(), ""],
}
ARRAYS = [
    np.arange(12, dtype="f2").reshape(1, 3, 2, 2),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(3, dtype=">i4"),
    np.array([True, False]),
    np.array(["anna", "otto"]),
    np.array([b"x", b"yz"]),
    np.zeros((0, 17, 2)),
    np.array(3.5),
    np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1),
]


@pytest.mark.parametrize("protocol", range(6))
def test_containers_come_back(protocol, tmp_path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(PLAIN, protocol))
    assert unpickled(path, path) == PLAIN
    assert unpickled(path.read_bytes(), "it") == PLAIN
    with path.open("rb") as stream:
        found = unpickled(stream, "it")
    assert list(found["ordered"]) == ["b", "a"]
    assert type(found["many"]) is dict


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_come_back_in_every_protocol_and_from_every_numpy(protocol) -> None:
    whole = pickle.dumps([*ARRAYS, np.float32(0.5), np.int64(-3)], protocol)
    old = whole.replace(b"numpy._core.", b"numpy.core.") if protocol < 4 else whole
    for content in (whole, old):
        found = unpickled(content, "it")
        for array, wanted in zip(found, [*ARRAYS, np.float32(0.5), np.int64(-3)], strict=True):
            assert array.dtype == wanted.dtype
            np.testing.assert_array_equal(array, wanted)
        assert isinstance(found[-1], np.int64)
    if protocol < 4:
        assert b"numpy.core." in old


def test_bytes_as_python_2_wrote_them() -> None:
    """`cPickle.dumps(numpy.array([1., 2.]), 2)` of Python 2.7, NumPy 1.16."""
    content = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b"
        b"\x87Rq\x03(K\x01K\x02\x85cnumpy\ndtype\nq\x04U\x02f8K\x00K\x01\x87Rq\x05(K\x03U\x01<NNNJ"
        b"\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x10" + struct.pack("<2d", 1, 2) + b"tb."
    )
    assert unpickled(content, "it").tolist() == [1, 2]


def test_large_arrays_stay_in_the_file(tmp_path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"x": np.arange(1000.0), "again": [1, 2]}, 4))
    found = unpickled(path, path)["x"]
    assert not found.flags.owndata
    assert not found.flags.writeable
    np.testing.assert_array_equal(found, np.arange(1000.0))


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_objects_go_through_the_same_gate(protocol) -> None:
    array = np.empty((2, 2), object)
    array[:] = [["a", None], [np.arange(3), {"b": [1]}]]
    found = unpickled(pickle.dumps(array, protocol), "it")
    assert found.shape == (2, 2)
    assert found[0].tolist() == ["a", None]
    np.testing.assert_array_equal(found[1, 0], np.arange(3))
    array[0, 0] = os.system
    with pytest.raises(ValueError, match=r"it: .* \(the name posix.system\)"):
        unpickled(pickle.dumps(array, protocol), "it")


class Calls:
    """Pickles as a call."""

    def __init__(self, function, *arguments) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


class Filled:
    """Pickles as an array that is filled with a state of its own."""

    def __init__(self, state) -> None:
        self.state = state

    def __reduce__(self):
        return np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), self.state


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("given", "named"),
    [
        (Calls(os.system, "touch x"), "the name posix.system"),
        (Calls(eval, "open('x', 'w')"), "the name builtins.eval"),
        (Calls(exec, "open('x', 'w')"), "the name builtins.exec"),
        (Calls(getattr, "", "x"), "the name builtins.getattr"),
        (Calls(open, "x", "w"), r"the name _?io\.open"),
        (Calls(np.load, "x.npy", None, True), r"the name numpy\.load"),
        (Calls(np.memmap, "x", "f4", "w+", 0, (9,)), r"the name numpy\.memmap"),
        (Calls(np.frombuffer, b"12345678"), r"the name numpy\S*\.frombuffer"),
        (Calls(np.ndarray, (10**12,)), "a call of something else than a name"),
        (Calls(np.dtype, "V2147483647"), "an array of the type 'V2147483647'"),
        (Calls(np.dtype, "f4,f4"), "an array of the type 'f4,f4'"),
        (Calls(np._core.multiarray._reconstruct, np.ndarray, (10**9,), b"b"), "without its conte"),
        (Calls(np._core.multiarray._reconstruct, dict, (0,), b"b"), "of a class of its own"),
        (Calls(pickle.loads, b"."), r"the name _?pickle\.loads"),
        (Calls(collections.OrderedDict, [[1, 2, 3]]), "too many values|expected 2"),
        (Filled((1, (10**12,), np.dtype("f8"), False, b"12345678")), "8000000000000 bytes"),
        (Filled((1, (2,), np.dtype("O"), False, [1])), "more or fewer objects than its shape"),
        (Filled((1, (-1,), np.dtype("f8"), False, b"12345678")), "an array without a shape"),
        (Filled((1, (2**62, 2**62), np.dtype("f8"), False, b"")), "an array without a shape"),
        (Filled((1, (1,), "f8", False, b"12345678")), "an array without type or shape"),
        (Filled([1]), "not enough values"),
        (np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]), "of the type 'V12'"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "of the type 'M8'"),
        (collections.Counter("aa"), r"the name collections\.Counter"),
        (Path("x"), r"the name pathlib\S*\.PosixPath"),
        (10**40, "a number of more than 64 bits"),
        ({((1, 2), (3, 4)): 1}, "a key that is neither text nor number"),
        (sys.exit, r"the name sys\.exit"),
    ],
)
def test_what_is_called_is_refused_and_nothing_happens(
    protocol, given, named, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({"a": [given]}, protocol)
    said = refusals(lambda: unpickled(content, "it.pkl"), mib=2)
    assert said.startswith("it.pkl: expected a whole pickle of arrays and plain containers (")
    assert re.search(named, said), said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot mmap an empty file|exhausted|not enough"),
        (b"garbage", "no newline found"),
        (b"\x80\x09.", "a value that is not there|one value"),
        (b"Pid\n.", "the instruction PERSID"),
        (b"NQ.", "the instruction BINPERSID"),
        (b"\x82\x01.", "the instruction EXT1"),
        (b"\x83\x01\x00.", "the instruction EXT2"),
        (b"\x84\x01\x00\x00\x00.", "the instruction EXT4"),
        (b"(ios\nsystem\n.", "the instruction INST"),
        (b"(cos\nsystem\nS'x'\no.", "the name os.system"),
        (b"ccollections\nOrderedDict\n)\x81.", "the instruction NEWOBJ"),
        (b"ccollections\nOrderedDict\n.", "more or less than one value"),
        (b"N2.", "the instruction DUP"),
        (b"\x97.", "the instruction NEXT_BUFFER"),
        (
            b"Nr\xff\xff\xff\x7fh\x00.",
            "0 of its memo",
        ),  # a memo of 2 ** 31 places, of which none is 0
        (b"(((((N.", "more or less than one value"),
        (b"NN.", "more or less than one value"),
        (b".", "a value that is not there"),
        (b"N.N.", "2 bytes behind its end"),
        (b"]N]a.", "no list|more or less"),
        (b"}(]Nu.", "a key that is neither"),
        (b"}(Nu.", "argument 2 is shorter"),
        (b"}N.", "more or less"),
        (b"Na.", "not there|no list"),
        (b"(t(t0t.", "a list that never began"),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.", "but only 1 remain"),
        (b"\x8e\x00\x00\x00\x00\x00\x00\x10\x00.", "but only 1 remain"),
        (b"\x96\x00\x00\x00\x00\x00\x00\x10\x00.", "but only 1 remain"),
        (b"B\xff\xff\xff\x7f.", "but only 1 remain"),
        (b"L" + b"9" * 5000 + b"L\n.", "Exceeds the limit|64 bits"),
        (b"\x95\xff\xff\xff\xff\xff\xff\xff\x00N", "exhausted|no end"),
    ],
)
def test_damaged_ones_and_other_instructions(content, said, tmp_path) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(content)
    found = refusals(lambda: unpickled(path, path), mib=2)
    assert found.startswith(f"{path}: expected a whole pickle"), found
    assert re.search(said, found), found


def test_a_pickle_cannot_copy_itself_larger() -> None:
    """One text that is encoded, one list that is copied, again and again."""
    text = b"\x8d" + struct.pack("<Q", 2**20) + b"x" * 2**20 + b"\x94"
    encode = b"c_codecs\nencode\n\x94X\x06\x00\x00\x00latin1\x94"
    again = b"h\x01h\x00h\x02\x86R"
    bomb = b"\x80\x04" + text + encode + again * 10_000
    said = refusals(lambda: unpickled(bomb, "it"), mib=64)
    assert "more copies than it has bytes" in said
    copied = (
        b"\x80\x04](" + b"N" * 2**16 + b"e\x94c__builtin__\nlist\n\x94" + b"h\x01h\x00\x85R" * 9000
    )
    assert "more copies" in refusals(lambda: unpickled(copied, "it"), mib=64)


def test_a_list_that_holds_itself_is_not_walked() -> None:
    own: list[object] = []
    own.append(own)
    found = unpickled(pickle.dumps(own), "it")
    assert found[0] is found
    deep = b"]" * 5000 + b"a" * 4999 + b"."
    assert len(unpickled(deep, "it")) == 1
    doubled = b"N" + b"".join(b"\x94h%c\x86" % at for at in range(100)) + b"."  # 2 ** 100 None
    assert len(unpickled(doubled, "it")) == 2


def test_mutants_are_read_or_refused_in_a_line() -> None:
    for protocol in (0, 2, 4, 5):
        whole = pickle.dumps({**PLAIN, "arrays": ARRAYS}, protocol)
        noticed = sum(
            bool(refusals(lambda m=m: unpickled(m, "it"), mib=8)) for m in mutants(whole, 300)
        )
        assert noticed > 100


def test_object_arrays_of_numpys_files(tmp_path) -> None:
    array = np.empty(2, object)
    array[:] = [{"pose": np.ones((3, 2))}, None]
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    np.testing.assert_array_equal(object_array(tmp_path / "x.npy")[0]["pose"], np.ones((3, 2)))
    np.savez(tmp_path / "x.npz", metadata=np.array({"keypoints": 3}), numbers=np.arange(4))
    assert object_array(tmp_path / "x.npz", "metadata").item() == {"keypoints": 3}
    assert object_array(tmp_path / "x.npz", "numbers").tolist() == [0, 1, 2, 3]
    np.savez(tmp_path / "x.npz", evil=np.array(Calls(os.system, "touch x"), object))
    with pytest.raises(ValueError, match=r"x\.npz: evil: .*the name posix\.system"):
        object_array(tmp_path / "x.npz", "evil")
    content = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(content.replace(b"(2,)", b"(3,)"))
    with pytest.raises(ValueError, match=r"x\.npy: expected objects of shape \(3,\)"):
        object_array(tmp_path / "x.npy")
    with pytest.raises(FileNotFoundError, match="none.npy: no such file"):
        object_array(tmp_path / "none.npy")


def test_nothing_of_python_is_used_to_unpickle(monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it was run")

    content = pickle.dumps({"a": ARRAYS})
    for name in ("load", "loads", "Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(builtins, "eval", refuse)
    assert len(unpickled(io.BytesIO(content), "it")["a"]) == len(ARRAYS)
