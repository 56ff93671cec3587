from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys

import pytest

from hargcn.files import digest, filling, locked, replacing, sweep, track


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


@pytest.mark.parametrize("progress", [False, True])
def test_a_bar_is_told_how_much_is_done(progress, capsys):
    with filling("counting", 5, progress) as told:
        told(0.5)
        told(5)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("5/5" in captured.err) == progress


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EFBIG])
def test_what_could_not_be_written_is_named_and_the_earlier_file_stays(tmp_path, error):
    path = tmp_path / "result.txt"
    path.write_text("first")

    def fill():
        with replacing(path) as temporary:
            temporary.write_text("half of the sec")
            raise OSError(error, os.strerror(error))

    with pytest.raises(OSError, match=rf"{os.strerror(error)}: '{path}'"):
        fill()
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_but_a_file_is_replaced(tmp_path):
    pipe, folder = tmp_path / "pipe", tmp_path / "folder"
    os.mkfifo(pipe)
    folder.mkdir()
    for path in (pipe, folder, "/dev/null"):
        with pytest.raises(ValueError, match="expected a file to write"), replacing(path):
            pass
    assert pipe.is_fifo()


def gone() -> int:
    """Return the number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_what_killed_processes_left_is_swept_and_nothing_else(tmp_path):
    dead, alive = gone(), os.getppid()
    left = [f".x.{dead}.tmp.h5", f".x.h5.{dead}.tmp.parts"]
    stay = [
        f".x.{alive}.tmp.h5", f".xy.{dead}.tmp.h5", f".x.{dead}.tmp.png", ".x.me.tmp.h5", "x.h5",
    ]  # fmt: skip
    for name in (left[0], *stay):
        (tmp_path / name).write_text("")
    (tmp_path / left[1] / "deep").mkdir(parents=True)
    for path in (tmp_path / "x.h5", tmp_path / "x.h5.parts"):
        sweep(path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(stay)
    (tmp_path / left[0]).write_text("")
    with replacing(tmp_path / "x.h5") as temporary:
        temporary.write_text("second")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(stay)


HOLD = """
import sys, time
from hargcn.files import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_keeps_others_out_and_dies_with_its_process(tmp_path):
    out = tmp_path / "deep" / "x.h5"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out)], stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        holds = rf"x\.h5: expected nobody else to make it \(process {holder.pid} on .* since "
        with pytest.raises(ValueError, match=holds), locked(out):
            pass
        with locked(out.with_name("y.h5")):  # another result
            pass
        holder.send_signal(signal.SIGKILL)
    with locked(out):
        pass
    assert not list(out.parent.iterdir())


def test_a_lock_is_free_again_after_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="failed"), locked(tmp_path / "x.h5"):
        raise RuntimeError("failed")
    with locked(tmp_path / "x.h5"):
        pass
