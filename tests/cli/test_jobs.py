"""Commands as processes: two at once, killed, interrupted, and with nowhere to write."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path

import pytest
from fixtures import ntu_files
from fixtures.command_line import done, refused, run, sets
from fixtures.key_points import videos
from fixtures.small_model import small_model

import hargcn
from hargcn import Explanation
from hargcn.files import locked


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Interrupts reach us and our processes, also where whoever started the tests ignores them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def begin(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hargcn", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Return the exit code, and what was printed to both."""
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def until(condition, process: subprocess.Popen[str]) -> None:
    """Wait until something is there."""
    for _ in range(6000):
        if condition():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError("it never came")


def stopped(process: subprocess.Popen[str], condition) -> None:
    """Stop a process as soon as something is there."""
    until(condition, process)
    process.send_signal(signal.SIGSTOP)


@pytest.mark.slow
def test_two_jobs_never_share_an_output(checkpoint, waving, tmp_path):
    """The first is stopped after some shards: the second is refused, and goes on when it is dead.

    Without a lock the second ran to the end, and the first, continued, cut its 12 samples to fewer.
    """
    out = tmp_path / "x.h5"
    words = ("explain", checkpoint, waving, "--shard", 1, "--out", out)
    first = begin(*words)
    stopped(first, lambda: len(list(tmp_path.glob("x.h5.parts/*.done"))) >= 2)
    code, _, err = ended(begin(*words))
    assert code == 2
    assert f"x.h5: expected nobody else to make it (process {first.pid} on " in err
    assert not out.exists()
    first.send_signal(signal.SIGCONT)
    assert ended(first)[0] == 0
    assert len(Explanation.open(out)) == 12
    code, said, err = ended(begin(*words))
    assert (code, said) == (0, f"{out}\n")
    assert f"{out}: finished before, nothing to do" in err
    out.unlink()
    first = begin(*words)
    stopped(first, lambda: len(list(tmp_path.glob("x.h5.parts/*.done"))) >= 2)
    first.kill()
    assert ended(first)[0] == -signal.SIGKILL
    assert ended(begin(*words))[0] == 0
    assert len(Explanation.open(out)) == 12
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


@pytest.fixture
def long(checkpoint, waving, shap, tmp_path):
    """Commands that take long, without their outputs, and the suffix of these."""
    config = tmp_path / "own.yaml"
    config.write_text(f"windows: {waving}\n", encoding="utf-8")
    outcomes = videos(tmp_path / "videos", hargcn.skeleton("inmotion19").joints, count=2)
    prepare = (
        "prepare", tmp_path / "videos", "-s", f"reader.outcomes={outcomes}", "-s",
        "reader.layout=inmotion19", "-s", "windows={length: 16, overlap: 8}", "--force",
    )  # fmt: skip
    return {
        "prepare": (prepare, "x.h5"),
        "synthesise": (("synthesise", "-s", "synthetic.recordings=8", "--force"), "x.h5"),
        "train": (("train", config, *sets()), "x"),
        "explain": (("explain", checkpoint, waving), "x.h5"),
        "combine": (("combine", shap, shap), "x.h5"),
        "correlate": (("correlate", checkpoint, waving), "x.csv"),
        "perturb": (
            ("perturb", checkpoint, waving, shap, "--top", 1, "--random", 2), "x.h5"
        ),
        "evaluate": (("evaluate", checkpoint, waving, shap, "--metrics", "complexity"), "x.csv"),
        "rank": (("rank", shap), "x.png"),
        "show": (("show", shap), "x.gif"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["prepare", "synthesise", "train", "explain", "combine", "correlate", "perturb", "evaluate"],
)
def test_every_long_command_has_a_lock(long, tmp_path, name):
    words, out = long[name]
    folder = tmp_path / "out"
    held = folder / out / "state.pt" if name == "train" else folder / out
    with locked(held):
        line = refused(*words, "--out", folder / out)
        assert f"{held}: expected nobody else to make it (process {os.getpid()} on " in line
        assert not held.exists()


def children(process: subprocess.Popen[str]) -> list[int]:
    """Return the processes that share the work, without the one that keeps track of them."""
    with suppress(OSError):
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        said = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in listed}
        return [int(pid) for pid, words in said.items() if b"spawn_main" in words]
    return []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "who", "code", "said"),
    [
        (signal.SIGINT, "all", 130, "interrupted; what was finished is kept"),
        (signal.SIGKILL, "child", 2, "One of 2 processes died that shared the work"),
        (signal.SIGKILL, "parent", -9, ""),
    ],
)
def test_processes_that_share_prepare_end_together_and_keep_what_was_there(
    tmp_path, number, who, code, said
):
    folder, out = tmp_path / "ntu", tmp_path / "out" / "x.h5"
    folder.mkdir()
    ntu_files.as_recorded(folder, 240)
    out.parent.mkdir()
    out.write_text("as it was")
    process = begin(
        "prepare", folder, "--format", "ntu", "-s", "split={test: [P003]}", "-s",
        "windows={mode: slide, length: 16, overlap: 15}", "--workers", 2, "--force", "--out", out,
    )  # fmt: skip
    until(lambda: len(children(process)) == 2 and list(out.parent.glob(".x.*.tmp.h5")), process)
    sharing = children(process)
    if who == "all":  # as a terminal does it
        os.killpg(process.pid, number)
    else:
        os.kill(sharing[0] if who == "child" else process.pid, number)
    found, _, err = ended(process)
    assert (found, said in err) == (code, True), err
    assert who == "parent" or "Traceback" not in err, err
    assert out.read_text() == "as it was"
    for _ in range(3000):
        if not any(Path(f"/proc/{pid}").exists() for pid in sharing):
            break
        time.sleep(0.01)
    assert not any(Path(f"/proc/{pid}").exists() for pid in sharing)


@pytest.mark.slow
def test_ctrl_c_ends_prepare_with_130_and_leaves_nothing(tmp_path):
    joints = hargcn.skeleton("inmotion19").joints
    outcomes = videos(tmp_path / "videos", joints, count=60, frames=300)
    folder = tmp_path / "out"
    # So many windows that none of the waits lets it finish: what is finished is kept.
    for wait in (0.0, 0.1, 0.3):
        process = begin(
            "prepare", tmp_path / "videos", "-s", f"reader.outcomes={outcomes}", "-s",
            "reader.layout=inmotion19", "-s", "windows={length: 16, overlap: 15}",
            "--out", folder / "x.h5",
        )  # fmt: skip
        until(lambda: list(folder.glob(".x.*.tmp.h5")), process)
        time.sleep(wait)
        process.send_signal(signal.SIGINT)
        code, _, err = ended(process)
        assert code == 130, err
        assert "interrupted; what was finished is kept" in err
        assert not list(folder.iterdir())


INTERRUPTED = """
import signal, sys, time
import h5py, numpy as np
from hargcn import cli, hdf5

inside, tried = [], hdf5.Sink._tried

def interrupted(self, act, given):
    if len(inside) < 5:
        inside.append(1)
        signal.raise_signal(signal.SIGINT)
    return tried(self, act, given)

hdf5.Sink._tried = interrupted
with cli._interruptible() as seen:
    try:
        with hdf5.writing(sys.argv[1]) as sink, h5py.File(sink, "w") as file:
            for n in range(50):
                file.create_dataset(f"{n}", data=np.full(10_000, n))
            file.flush()
            time.sleep(1)
    except KeyboardInterrupt:  # or none: Python swallows those that meet a destructor
        pass
print(len(inside), len(seen) > 5)
with h5py.File(sys.argv[1]) as file:
    # The interrupt may lie between making the last one and writing it.
    print(all((file[f"{n}"][:] == n).all() for n in range(len(file) - 1)))
"""


def test_an_interrupt_waits_for_hdf5_to_write(tmp_path):
    """Raised inside its call it left a broken file, and now and then a segmentation fault."""
    run = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "x.h5")]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "5 True\nTrue\n"), done.stderr
    assert "h5py" not in done.stderr


def test_an_interrupt_that_a_library_swallows_never_ends_in_0(monkeypatch):
    def swallow(_path):
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return small_model()

    usual = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr("hargcn.pipeline.network.open_network", swallow)
    found = run("layers", "x")
    assert found.code == 130
    assert found.err == "hargcn: interrupted; what was finished is kept\n"
    assert signal.getsignal(signal.SIGINT) == usual


@contextmanager
def file_size(limit: int) -> Iterator[None]:
    """Let no file grow longer: a write fails as on a full disk, with another number."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "limit"),
    [
        *product(["prepare", "train", "explain", "perturb", "rank", "show"], [100, 20000]),
        ("evaluate", 100),  # has less to write
    ],
)
def test_nowhere_to_write_is_said_in_one_line(long, tmp_path, name, limit):
    words, out = long[name]
    folder = tmp_path / "out"
    folder.mkdir()
    if name != "train":
        (folder / out).write_bytes(b"an earlier result")
    with file_size(limit):
        line = refused(*words, "--out", folder / out)
    assert line.startswith(f"[Errno {errno.EFBIG}] File too large: '{folder}")
    assert name == "train" or (folder / out).read_bytes() == b"an earlier result"
    assert not [path for path in folder.rglob("*") if ".tmp" in path.name or ".lock" in path.name]
    done(*words, "--out", folder / out)
