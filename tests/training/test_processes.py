"""Two processes that torchrun starts move the weights as one does, and go on after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from fixtures.command_line import TINY
from fixtures.moving_windows import moving_windows
from fixtures.small_model import small_model

from hargcn import load_model
from hargcn.training.optimisation import TrainConfig
from hargcn.training.processes import Processes, is_first
from hargcn.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[2]
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
APART = {
    **os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1",
}  # fmt: skip

STEPS = """
import sys
from pathlib import Path

import torch
from fixtures.small_model import small_model
from torch import nn

from hargcn import Windows
from hargcn.training.optimisation import TrainConfig
from hargcn.training.processes import Processes, together
from hargcn.training.trainer import Trainer

file, out = map(Path, sys.argv[1:])
config = TrainConfig(epochs=1, batch_size=7, device="cpu", threads=1)
run = Trainer(small_model, Windows.open(file), config)
run.model.train = lambda mode=True: nn.Module.train(run.model, False)  # norms stay as they are
seen = []
with together(run.device) as processes:
    run.share(processes)
    run.optimiser.register_step_pre_hook(
        lambda *_: seen.append([each.grad.clone() for each in run.model.parameters()])
    )
    run.go_on(lambda _: None)
    if processes.first:
        torch.save([processes.count, seen, run.history[0]], out)
    run.share(Processes())
"""


@pytest.mark.cluster
def test_two_processes_have_the_gradients_of_one(tmp_path):
    """Frozen norms, no dropout; batches of 6 and 7 windows, which do not share out evenly."""
    windows = moving_windows(tmp_path / "w.h5", groups=3, per_group=1)
    (tmp_path / "steps.py").write_text(STEPS)
    found = {}
    for count, words in ((1, (sys.executable,)), (2, TORCHRUN)):
        out = tmp_path / f"{count}.pt"
        subprocess.run(
            [*words, tmp_path / "steps.py", windows.path, out], env=APART, check=True,
            capture_output=True,
        )  # fmt: skip
        found[count] = torch.load(out)
    (one, alone, row), (two, shared, other) = found[1], found[2]
    assert (one, two) == (1, 2)
    assert len(alone) == len(shared) == 2
    for mine, theirs in zip(alone, shared, strict=True):
        largest = max(float(each.abs().max()) for each in mine)
        for each, its in zip(mine, theirs, strict=True):
            torch.testing.assert_close(its, each, rtol=1e-4, atol=1e-5 * largest)
    for name in ("train_loss", "val_loss", "val_accuracy"):
        assert other[name] == pytest.approx(row[name], rel=1e-4)


@pytest.mark.cluster
def test_a_killed_training_of_two_processes_goes_on(tmp_path):
    moving_windows(tmp_path / "w.h5", groups=3, per_group=1)
    (tmp_path / "e.yaml").write_text("windows: w.h5\n")
    sets = [word for each in (*TINY, "train.epochs=3", "train.ema=0.9") for word in ("-s", each)]
    words = [*TORCHRUN, "-m", "hargcn", "train", "e.yaml", *sets, "--out"]
    how = {"cwd": tmp_path, "env": APART, "text": True}
    whole = subprocess.run([*words, "whole"], check=True, capture_output=True, **how)
    assert whole.stdout.count("model.safetensors: epoch") == 1, "one process speaks"
    with subprocess.Popen(
        [*words, "killed"], start_new_session=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, **how,
    ) as running:  # fmt: skip
        while not (tmp_path / "killed" / "state.pt").is_file():
            assert running.poll() is None
            time.sleep(0.002)
        os.killpg(running.pid, signal.SIGKILL)
    subprocess.run([*words, "killed"], check=True, capture_output=True, **how)
    one, other = (load_model(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert one.state_dict().keys() == other.state_dict().keys()
    for name, values in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], values, rtol=0, atol=0)


def test_batches_are_shared_out_whole():
    batch = torch.arange(7)
    shares = [Processes(rank, 3).share(batch) for rank in range(3)]
    assert sorted(torch.cat(shares).tolist()) == batch.tolist()
    assert {len(each) for each in shares} == {2, 3}


def test_alone_a_process_is_the_first_and_agrees_with_itself():
    alone = Processes()
    assert is_first()
    assert alone.first
    assert not Processes(1, 2).first
    assert alone.summed({"loss": torch.tensor(2.0)}) == {"loss": 2.0}
    assert alone.agreed("x") == "x"
    network = torch.nn.Linear(1, 1)
    assert alone.wrapped(network) is network


def test_a_training_of_other_processes_is_another_one_and_small_batches_are_refused(tmp_path):
    windows = moving_windows(tmp_path / "w.h5", groups=3, per_group=1)
    run = Trainer(small_model, windows, TrainConfig(batch_size=4, device="cpu"))
    torch.save(run.state() | {"signature": run.state()["signature"] | {"processes": 2}},
               tmp_path / "state.pt")  # fmt: skip
    with pytest.raises(ValueError, match=r"of the same training \(other: processes\)"):
        run.restore(tmp_path / "state.pt")
    with pytest.raises(ValueError, match="at least 2 windows of a batch for each of 3 processes"):
        run.share(Processes(0, 3))
