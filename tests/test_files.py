from __future__ import annotations

import hashlib

import pytest

from hargcn.files import digest, replacing, track


def test_replacing_writes_whole_files_only(tmp_path):
    path = tmp_path / "deep" / "result.txt"
    with replacing(path) as temporary:
        temporary.write_text("first")
        assert not path.exists()
    assert path.read_text() == "first"

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half of the sec")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fail()
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_digest(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    assert digest(path) == hashlib.sha256(b"abc").hexdigest()[:16]


@pytest.mark.parametrize("progress", [False, True])
def test_track_yields_everything_and_keeps_stdout_clean(progress, capsys):
    assert list(track(range(5), "counting", progress=progress)) == list(range(5))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("counting" in captured.err) == progress
