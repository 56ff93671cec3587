"""Measures go on where a kill stopped them, whatever the shards are."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from fixtures.command_line import refused

from hargcn import hdf5
from hargcn.metrics.gap_curve import GapCurve
from hargcn.pipeline.evaluate import evaluate
from hargcn.pipeline.explain import explain
from hargcn.pipeline.perturb import perturb
from hargcn.pipeline.shards import Shards

QUIET = {"progress": False}
FEW = {"edit": "input:noise:0.3", "top": 2, "random": 2, "sets": "important", **QUIET}
CALLS = {
    "p.h5": (perturb, FEW),
    "e.csv": (evaluate, {"metrics": "pgi,complexity", "edit": "input:noise:0.3", **QUIET}),
}


@pytest.fixture(scope="module")
def cam(checkpoint, waving, tmp_path_factory):
    """Grad-CAM of seven windows."""
    out = tmp_path_factory.mktemp("cam") / "cam.h5"
    explain(checkpoint, waving, out, split="all", limit=7)
    return out


def parts(folder):
    return sorted(path.name for path in folder.glob("*.parts/*"))


@pytest.mark.parametrize("name", CALLS)
def test_a_stopped_run_goes_on_and_gives_the_same_file(
    checkpoint, waving, cam, tmp_path, monkeypatch, name
):
    """Power fails after the second of three shards."""
    call, options = CALLS[name]
    given = checkpoint, waving, [cam]
    call(*given, tmp_path / "whole" / name, shard=3, **options)
    write, written = Shards.write, []

    def failing(self, number, files):
        if len(written) == 2:
            raise OSError("no power")
        written.append(number)
        write(self, number, files)

    with monkeypatch.context() as patch:
        patch.setattr(Shards, "write", failing)
        with pytest.raises(OSError, match="no power"):
            call(*given, tmp_path / name, shard=3, **options)
    assert [each for each in parts(tmp_path) if each.endswith(".done")] == [
        "00000.done", "00001.done",
    ]  # fmt: skip
    assert not (tmp_path / name).exists()
    monkeypatch.setattr(Shards, "write", lambda *args: (written.append(args[1]), write(*args)))
    call(*given, tmp_path / name, shard=3, **options)
    assert written == [0, 1, 2]
    assert not list(tmp_path.glob("*.parts"))
    files = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert files == sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    for file in files:
        assert (tmp_path / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file


@pytest.mark.slow
def test_the_size_of_shards_changes_rounding_alone(checkpoint, waving, cam, tmp_path):
    given = checkpoint, waving, [cam]
    options = {**CALLS["e.csv"][1], "metrics": "pgi,pgu,deletion,complexity,infidelity"}
    curves, tables = [], []
    for n in (3, 100):
        curves.append(perturb(*given, tmp_path / f"{n}.h5", shard=n, **FEW).dataset)
        tables.append(evaluate(*given, tmp_path / f"{n}.csv", shard=n, **options))
    for each in ("sample_score", "gap", "gap_low", "gap_band_high", "area", "accuracy"):
        np.testing.assert_allclose(curves[0][each], curves[1][each], atol=1e-6, err_msg=each)
    pd.testing.assert_frame_equal(tables[0].rows, tables[1].rows, atol=1e-3)
    for each in ("pgi", "pgu", "deletion", "complexity"):
        np.testing.assert_allclose(*(found.samples[each] for found in tables), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "more"),
    [("p.h5", {"seed": 5}), ("e.csv", {"top": 1}), ("e.csv", {"shard": 3})],
)
def test_another_question_begins_anew(checkpoint, waving, cam, tmp_path, monkeypatch, name, more):
    call, options = CALLS[name]
    given = checkpoint, waving, [cam]
    options = {"shard": 4, **options}
    end = Shards.end
    monkeypatch.setattr(Shards, "end", lambda _self: None)
    call(*given, tmp_path / name, **options)
    again, written = Shards.write, []
    monkeypatch.setattr(Shards, "write", lambda *args: (written.append(args[1]), again(*args)))
    call(*given, tmp_path / name, **options)
    assert written == []
    monkeypatch.setattr(Shards, "end", end)
    call(*given, tmp_path / name, **{**options, **more})
    assert written
    assert not parts(tmp_path)


def test_a_part_of_a_table_that_changed_is_refused(checkpoint, waving, cam, tmp_path, monkeypatch):
    call, options = CALLS["e.csv"]
    with monkeypatch.context() as patch:
        patch.setattr(Shards, "end", lambda _self: None)
        call(checkpoint, waving, [cam], tmp_path / "e.csv", **options)
    (file,) = tmp_path.glob("e.csv.parts/*.h5")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"00000\.h5: expected the shard that was written"):
        call(checkpoint, waving, [cam], tmp_path / "e.csv", **options)


@pytest.mark.slow
def test_a_killed_process_leaves_what_the_same_command_uses(checkpoint, waving, cam, tmp_path):
    words = ["perturb", checkpoint, waving, cam, "--edit", "input:freeze", "--random", "3",
             "--shard", "1", "--out"]  # fmt: skip
    command = [sys.executable, "-m", "hargcn", *map(str, words)]
    subprocess.run([*command, tmp_path / "whole.h5"], check=True, capture_output=True)
    with subprocess.Popen(
        [*command, tmp_path / "p.h5"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        while len([each for each in parts(tmp_path) if each.endswith(".done")]) < 2:
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
    made = {path: path.stat().st_mtime_ns for path in tmp_path.glob("p.h5.parts/*.done")}
    assert 2 <= len(made) < 7
    subprocess.run([*command, tmp_path / "p.h5"], check=True, capture_output=True)
    assert not parts(tmp_path)
    assert (tmp_path / "p.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert GapCurve.open(tmp_path / "p.h5").dataset.sizes["sample"] == 7


def test_shards_know_the_explanations_by_their_digests(checkpoint, waving, cam, tmp_path):
    assert len(hdf5.sealed_digest(cam)) == 64
    assert refused("evaluate", checkpoint, waving, cam, "--shard", "0", "--out", tmp_path / "x.csv")
    out = tmp_path / "y.csv"
    (tmp_path / "y.csv.parts").mkdir()
    (tmp_path / "y.csv.parts" / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match=r"y\.csv\.parts: expected a job's folder or none"):
        evaluate(checkpoint, waving, [cam], out, metrics="complexity", **QUIET)
    assert json.dumps(parts(tmp_path)) == '["thesis.txt"]'
