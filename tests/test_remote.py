"""Windows are read by ranges from a server, results are uploaded whole, errors are one line."""

from __future__ import annotations

import fsspec
import numpy as np
import pytest
from fixtures.moving_windows import moving_windows
from fixtures.object_store import object_store

from hargcn import Explanation, Windows, remote
from hargcn.checks import writable
from hargcn.files import at_hand, locked, replacing


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    path = tmp_path_factory.mktemp("windows") / "w.h5"
    return moving_windows(path, groups=8, per_group=20, frames=90)


@pytest.fixture
def memory():
    """A folder in memory, empty before and after."""
    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()


def explanation(count: int = 600) -> Explanation:
    values = np.random.default_rng(0).normal(size=(count, 50, 60)).astype("f4")
    return Explanation.build(
        values, ("sample", "time", "joint"), method="m", target=[0] * count, score=[0.0] * count
    )


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("s3://bucket/w.h5", "s3://bucket/w.h5"), ("s3:/bucket/w.h5", "s3://bucket/w.h5"),
        ("C:/w.h5", ""), ("C://w.h5", ""), ("w.h5", ""), ("/a/b:/w.h5", ""), ("a:b/w.h5", ""),
        ("memory://w.h5", "memory://w.h5"), ("s3:///w.h5", ""),
    ],
)  # fmt: skip
def test_a_name_is_a_url_or_a_file_of_this_machine(name, found):
    assert remote.url(name) == found


def test_reading_one_window_fetches_its_ranges_only(windows):
    content = windows.path.read_bytes()
    assert len(content) > 40 * remote.BLOCK
    with object_store({"some/w.h5": content}) as store:
        there = Windows.open(store.url("some/w.h5"))
        assert (there.names, there.digest) == (windows.names, windows.digest)
        store.asked.clear()
        store.sent = 0
        found, expected = there.read([700]), windows.read([700])
        assert store.sent < len(content) / 5
        assert all("bytes=" in each for each in store.asked if each.startswith("GET"))
        np.testing.assert_array_equal(found.positions, expected.positions)
        np.testing.assert_array_equal(found.state, expected.state)


def test_one_sample_of_an_explanation_elsewhere_fetches_its_ranges_only(tmp_path):
    whole = explanation()
    whole.save(tmp_path / "x.h5")
    content = (tmp_path / "x.h5").read_bytes()
    with object_store({"x.h5": content}) as store:
        one = Explanation.open(store.url("x.h5"), samples=[500])
        assert store.sent < len(content) / 3
        np.testing.assert_array_equal(one.values[0], whole.values[500])
        with pytest.raises(ValueError, match=r"x\.h5: expected a windows file of format"):
            Windows.open(store.url("x.h5"))


def test_what_cannot_be_read_is_said_in_a_line(windows):
    content = windows.path.read_bytes()
    with object_store({"w.h5": content}) as store:
        with pytest.raises(FileNotFoundError, match=r"^http://.*/none\.h5: no such windows file"):
            Windows.open(store.url("none.h5"))
        there = Windows.open(store.url("w.h5"))
        store.patience = 0
        with pytest.raises(OSError, match=r"^http://.*/w\.h5: expected to be let at it \(500"):
            there.read([1])
    with pytest.raises(OSError, match=r"^http://.*/w\.h5: expected to be let at it \(Cannot conn"):
        Windows.open("http://127.0.0.1:9/w.h5")
    with (
        object_store({"w.h5": content}, ranges=False) as store,
        pytest.raises(OSError, match=r"^http://.*: expected ranges of it \(its server sends wh"),
    ):
        Windows.open(store.url("w.h5"))
    with pytest.raises(ValueError, match=r"^s3://b/w\.h5: .*Install s3fs"):
        Windows.open("s3://b/w.h5")
    with pytest.raises(ValueError, match=r"^moon://b/w\.h5: .*Protocol not known"):
        Windows.open("moon://b/w.h5")


@pytest.mark.parametrize("answers", range(1, 8, 2))
def test_a_server_that_stops_in_the_middle_is_said_in_a_line(windows, answers):
    with object_store({"w.h5": windows.path.read_bytes()}) as store:
        there = Windows.open(store.url("w.h5"))
        store.patience = answers
        with pytest.raises((OSError, ValueError), match=r"^http://.*/w\.h5: expected .*500"):
            there.read(slice(None, None, 400))


def test_a_damaged_file_elsewhere_is_noticed(windows):
    content = bytearray(windows.path.read_bytes())
    content[len(content) // 2] ^= 1
    with (
        object_store({"w.h5": bytes(content)}) as store,
        pytest.raises(ValueError, match="damaged"),
    ):
        Windows.open(store.url("w.h5")).read()


def test_a_result_is_uploaded_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with object_store({}) as store:
        explanation(3).save(store.url("made/x.h5"))
        assert [each for each in store.asked if each.startswith("PUT")] == ["PUT /made/x.h5"]
        assert len(Explanation.open(store.url("made/x.h5"))) == 3
        before = store.objects["made/x.h5"]
        store.patience = 0
        with pytest.raises(OSError, match=r"^http://.*/made/x\.h5: expected to be let at it"):
            explanation(4).save(store.url("made/x.h5"))
        assert store.objects["made/x.h5"] == before
    assert not list(tmp_path.iterdir())


def test_a_failing_block_uploads_nothing(tmp_path, monkeypatch, memory):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="gone"), replacing("memory://b/x.txt") as temporary:
        temporary.with_name("gone").read_text()
    assert not memory.store
    with replacing("memory://b/x.txt") as temporary:
        temporary.write_text("whole")
    assert memory.cat("memory://b/x.txt") == b"whole"
    assert not list(tmp_path.iterdir())


def test_results_at_several_urls_are_made_under_several_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, other = "memory://a/x.h5", "memory://b/x.h5"
    assert at_hand(one) != at_hand(other)
    with locked(one), locked(other):
        with pytest.raises(ValueError, match="expected nobody else to make it"), locked(one):
            pass
        assert sorted(path.suffix for path in tmp_path.iterdir()) == [".lock", ".lock"]
    assert not list(tmp_path.iterdir())


def test_an_input_elsewhere_is_never_written_over():
    with pytest.raises(ValueError, match=r"^memory://a/x\.h5: expected another file to write"):
        writable("memory://a/x.h5", "memory://a/x.h5")
    with pytest.raises(ValueError, match="expected a name ending in"):
        writable("memory://a/x.txt", suffix=".h5")
    assert remote.url(writable("memory://a/x.h5", "memory://b/x.h5")) == "memory://a/x.h5"
