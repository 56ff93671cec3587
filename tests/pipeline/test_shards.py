from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from hargcn.explanation import Explanation
from hargcn.hdf5 import verify
from hargcn.pipeline.shards import Shards


def one(value: float) -> dict[str, Explanation]:
    made = Explanation.build(
        np.full((2, 3), value), ("sample", "joint"), method="m", target=[0, 1], score=[1.0, 2.0]
    )
    return {"": made}


def test_shards_are_joined_in_order_and_removed(tmp_path):
    shards = Shards(tmp_path / "parts", {"a": 1}, 2)
    for number in (1, 0):
        shards.add(number, one(number))
    assert list(shards.join(tmp_path / "x.h5")) == [""]
    np.testing.assert_array_equal(Explanation.open(tmp_path / "x.h5").values[:, 0], [0, 0, 1, 1])
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


def test_shards_that_were_met_are_not_read_again(tmp_path):
    shards, met = Shards(tmp_path / "parts", {"a": 1}, 3), []
    for number in range(3):
        shards.add(number, one(number))
    shards.join(tmp_path / "x.h5", lambda _, shard: met.append(float(shard.values[0, 0])), {0, 2})
    assert met == [1.0]


def test_one_shard_is_the_whole(tmp_path):
    """The file holds what one of several shards would, and is as whole."""
    Shards(tmp_path / "parts", {"a": 1}, 1).add(0, one(4))
    Shards(tmp_path / "parts", {"a": 1}, 1).join(tmp_path / "x.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]
    verify(tmp_path / "x.h5", "explanation file")
    found, made = Explanation.open(tmp_path / "x.h5"), one(4)[""]
    xr.testing.assert_equal(found.dataset, made.dataset)


def test_a_missing_shard_is_never_left_out(tmp_path):
    shards = Shards(tmp_path / "parts", {}, 3)
    shards.add(0, one(0))
    shards.add(2, one(2))
    with pytest.raises(ValueError, match=r"parts: expected 3 shards \(no number 1\)"):
        shards.join(tmp_path / "x.h5")
    assert not (tmp_path / "x.h5").exists()
    assert Shards(tmp_path / "parts", {}, 3).done(2)


def test_a_changed_shard_is_never_joined(tmp_path):
    shards = Shards(tmp_path / "parts", {}, 1)
    shards.add(0, one(0))
    one(5)[""].save(tmp_path / "parts" / "00000.h5")
    with pytest.raises(ValueError, match=r"00000\.h5: expected the shard that was written"):
        shards.join(tmp_path / "x.h5")
    (tmp_path / "parts" / "00000.h5").unlink()
    with pytest.raises(ValueError, match=r"00000\.h5: expected the shard that was written"):
        shards.join(tmp_path / "x.h5")


def test_another_number_of_shards_is_another_job(tmp_path):
    Shards(tmp_path / "parts", {}, 2).add(0, one(0))
    assert Shards(tmp_path / "parts", {}, 2).done(0)
    assert not Shards(tmp_path / "parts", {}, 3).done(0)
    assert not Shards(tmp_path / "parts", {"a": 1}, 2).done(0)


def test_a_folder_that_is_no_jobs_is_never_touched(tmp_path):
    own = tmp_path / "x.h5.parts"
    own.mkdir()
    (own / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match=r"x\.h5\.parts: expected a job's folder or none"):
        Shards(own, {}, 1)
    assert (own / "thesis.txt").read_text(encoding="utf-8") == "mine"


def test_a_finished_job_is_known_by_its_files(tmp_path):
    out, parts = tmp_path / "x.h5", tmp_path / "parts"
    shards = Shards(parts, {"a": 1}, 1)
    assert shards.finished(out, [""]) == []
    shards.add(0, one(0))
    shards.join(out)
    assert Shards(parts, {"a": 1}, 1).finished(out, [""]) == [out]
    assert Shards(parts, {"a": 2}, 1).finished(out, [""]) == []
    assert Shards(parts, {"a": 1}, 1).finished(out, ["one", "two"]) == []  # other files
    content = bytearray(out.read_bytes())
    content[-200] ^= 1
    out.write_bytes(content)
    assert Shards(parts, {"a": 1}, 1).finished(out, [""]) == []
    assert not parts.exists()


KILLED = """
import os, signal, sys
from pathlib import Path

import numpy as np

from hargcn import Explanation
from hargcn.files import locked
from hargcn.pipeline.shards import Shards

STEPS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir"}
out = Path(sys.argv[1]) / "x.h5"


def run(explained):
    with locked(out):
        shards = Shards(out.with_name("x.h5.parts"), {"a": 1}, 2)
        if shards.finished(out, ["one", "two"]):
            return
        for number in range(2):
            if not shards.done(number):
                explained()
                made = Explanation.build(
                    np.full((2, 3), number), ("sample", "joint"), method="m",
                    target=[0, 1], score=[1.0, 2.0],
                )
                shards.add(number, {"one": made, "two": made})
        shards.join(out)


def whole():
    files = [Explanation.open(out.with_name(f"x.{layer}.h5")) for layer in ("one", "two")]
    assert all(list(f.values[:, 0]) == [0, 0, 1, 1] for f in files)
    found = sorted(path.name for path in out.parent.iterdir())
    assert found == ["x.one.h5", "x.two.h5"], found


def ended(act):
    child = os.fork()
    if child == 0:
        act()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(step):
    steps = iter(range(10**6))

    def hook(event, given):
        opens = event == "open" and given[2] & (os.O_WRONLY | os.O_RDWR)
        ours = opens and str(given[0]).startswith(str(out.parent))
        if (event in STEPS or ours) and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    run(lambda: None)


run(lambda: None)  # warms up
whole()
for path in out.parent.iterdir():
    path.unlink()
for step in range(10**6):
    if ended(lambda: killed_at(step)) == 0:
        break
    # Nothing that was finished may be lost: a kill in the middle of everything explains the rest.
    assert ended(lambda: (run(lambda: None), whole())) == 0, step
    ended(lambda: run(lambda: os._exit(1)))  # done means done
    whole()
    for path in out.parent.iterdir():
        path.unlink()
print(step)
"""


@pytest.mark.slow
def test_a_kill_at_any_step_loses_nothing(tmp_path):
    """SIGKILL before everything that changes the file system, then the same job again."""
    said = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    assert int(said.stdout) > 40, said.stdout
