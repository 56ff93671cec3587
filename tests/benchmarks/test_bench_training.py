"""Training the network of `configs/utd_mhad.yaml`: one epoch on real recordings, told of all.

CPU time on one thread, told as if two cores shared it evenly.
"""

from __future__ import annotations

import time

import pytest
import torch
from fixtures.result_pages import ROOT

from hargcn.pipeline.config import read_config
from hargcn.pipeline.prepare import prepare
from hargcn.training.trainer import Trainer

pytestmark = pytest.mark.slow


def test_training_on_utd_mhad_takes_minutes(tmp_path, data_root, judge):
    config = read_config(ROOT / "configs" / "utd_mhad.yaml")
    settings = config.prepare.model_dump(exclude_unset=True)
    windows = prepare(data_root / "utd_mhad" / "raw", tmp_path / "windows.h5", settings)
    threads = torch.get_num_threads()
    try:
        run = Trainer(config.model, windows, config.train.model_copy(update={"threads": 1}))
        start = time.process_time()
        run.go_on(lambda _said: None)
        epoch = time.process_time() - start
    finally:
        torch.set_num_threads(threads)
    minutes = epoch * config.train.epochs / 2 / 60
    what = f"{config.train.epochs} epochs of {len(run.train)} windows, two cores (extrapolated)"
    judge("training on UTD-MHAD", minutes, what, most=5, limit=15, unit="min")
