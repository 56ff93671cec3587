"""Two processes that torchrun starts move the weights as one does, and go on after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.command_line import TINY
from fixtures.moving_windows import moving_windows
from fixtures.small_model import small_model

from hargcn import load_model, save_model
from hargcn.pipeline.prepare import synthesise
from hargcn.training.optimisation import TrainConfig
from hargcn.training.processes import Processes, is_first
from hargcn.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[2]
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
APART = {
    **os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1",
}  # fmt: skip

STEPS = """
import json
import sys
from pathlib import Path

import torch
from fixtures.small_model import small_model
from torch import nn

from hargcn import Windows
from hargcn.training.optimisation import TrainConfig
from hargcn.training.processes import Processes, together
from hargcn.training.trainer import Trainer

file, out = map(Path, sys.argv[1:3])
more = json.loads(sys.argv[3])
config = TrainConfig(epochs=1, batch_size=7, device="cpu", threads=1, **more)
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


BESIDE = {
    "labels": {},
    "a penalty": {"penalty": {"joints": ["right_wrist"], "weight": 0.5}},
    "a penalty of one window": {"penalty": {"joints": ["left_wrist"], "windows": 1}},
    "a teacher's answers": {"distil": {"teacher": "teacher.safetensors"}},
    "a teacher's maps": {"distil": {"teacher": "teacher.safetensors", "maps": "gradcam"}},
    "a teacher's sampled maps": {"distil": {"teacher": "teacher.safetensors", "maps": "shapcam"}},
}


@pytest.mark.cluster
@pytest.mark.parametrize("beside", BESIDE)
def test_two_processes_have_the_gradients_of_one(tmp_path, beside):
    """Frozen norms, no dropout; batches of 6 and 7 windows, which do not share out evenly."""
    windows = moving_windows(tmp_path / "w.h5", groups=3, per_group=1)
    save_model(small_model(seed=5), tmp_path / "teacher.safetensors")
    (tmp_path / "steps.py").write_text(STEPS)
    found = {}
    for count, words in ((1, (sys.executable,)), (2, TORCHRUN)):
        out = tmp_path / f"{count}.pt"
        subprocess.run(
            [*words, tmp_path / "steps.py", windows.path, out, json.dumps(BESIDE[beside])],
            env=APART, check=True, capture_output=True, cwd=tmp_path,
        )  # fmt: skip
        found[count] = torch.load(out)
    (one, alone, row), (two, shared, other) = found[1], found[2]
    assert (one, two) == (1, 2)
    assert len(alone) == len(shared) == 2
    for mine, theirs in zip(alone, shared, strict=True):
        largest = max(float(each.abs().max()) for each in mine)
        for each, its in zip(mine, theirs, strict=True):
            torch.testing.assert_close(its, each, rtol=1e-4, atol=1e-5 * largest)
    assert other.keys() == row.keys()
    for name in row.keys() - {"seconds"}:
        assert other[name] == pytest.approx(row[name], rel=1e-4), name


SEEDS = """
import json
import sys
from pathlib import Path

import torch

from hargcn import Windows
from hargcn.networks.stgcn import ModelConfig, StreamConfig
from hargcn.training.fit import fit
from hargcn.training.optimisation import TrainConfig
from hargcn.training.processes import together

file, out, seeds = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
small = ModelConfig(
    branches=("J", "V"), width=8, min_width=8, max_width=8, last_width=8,
    branch=StreamConfig(blocks=1, depth=1, stride=2, window=3),
    main=StreamConfig(blocks=1, window=3),
)
found = []
with together(torch.device("cpu")) as processes:
    for seed in seeds:
        config = TrainConfig(
            epochs=12, batch_size=16, lr=0.01, device="cpu", threads=1, seed=seed, select="last"
        )
        made = fit(small, Windows.open(file), config, out / str(seed), progress=False)
        found.append(made.history[-1]["val_accuracy"])
    if processes.first:
        (out / "found.json").write_text(json.dumps([processes.count, found]))
"""


@pytest.mark.cluster
@pytest.mark.slow
def test_two_processes_are_as_accurate_as_one_within_the_spread_over_seeds(tmp_path):
    """Norms learn from half a batch, dropout is drawn apart: results differ as those of seeds."""
    content = {
        "windows": {"mode": "whole", "length": 32},
        "split": {"test": ["subject01"], "val": [f"subject{n:02}" for n in range(6, 10)]},
        "synthetic": {
            "recordings": 160, "frames": [32, 32],
            "plant": {"classes": {"without": None, "sign": {"kind": "tremor", "size": 0.8}},
                      "distractors": 0},
        },
    }  # fmt: skip
    windows = synthesise(tmp_path / "w.h5", content)
    (tmp_path / "seeds.py").write_text(SEEDS)
    seeds, found = list(range(1, 6)), {}
    for count, words in ((1, (sys.executable,)), (2, TORCHRUN)):
        out = tmp_path / str(count)
        subprocess.run(
            [*words, tmp_path / "seeds.py", windows.path, out, json.dumps(seeds)], env=APART,
            check=True, capture_output=True,
        )  # fmt: skip
        said, found[count] = json.loads((out / "found.json").read_text())
        assert said == count
    one, two = np.array(found[1]), np.array(found[2])
    assert one.mean() > 0.6, "nothing was learned: accuracies compare nothing"
    spread = np.sqrt(one.var(ddof=1) / len(one) + two.var(ddof=1) / len(two))
    assert abs(one.mean() - two.mean()) <= max(4 * spread, 0.02)


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
