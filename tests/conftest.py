"""What every test may use: real recordings where there are any, and small networks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

import hargcn
from hargcn.allocator import keep_freed_memory
from hargcn.model import ModelConfig, MultiBranchSTGCN, StreamConfig

keep_freed_memory()
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))


def _data_root() -> Path | None:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    for root in (os.environ.get("HARGCN_DATA"), beside):
        if root and Path(root).is_dir():
            return Path(root)
    return None


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder with `utd_mhad/raw` and `mini_rgbd_2d/raw`; HARGCN_DATA names another one."""
    root = _data_root()
    if root is None:
        pytest.skip(
            "reads recordings that do not come with the project, only with their authors: "
            "set HARGCN_DATA to the folder that holds utd_mhad/ and mini_rgbd_2d/"
        )
    return root


@pytest.fixture(scope="session")
def golden_root() -> Path:
    """Folder with the golden tensors of the published networks; HARGCN_GOLDEN names another."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "golden"
    root = Path(os.environ.get("HARGCN_GOLDEN", beside))
    if not root.is_dir():
        pytest.skip(
            "compares with outputs of the published code, which do not come with the project: "
            "set HARGCN_GOLDEN to their folder"
        )
    return root


def small_model(
    skeleton: str = "inmotion19", classes: int = 3, seed: int = 0, **choices: object
) -> MultiBranchSTGCN:
    """Build a small live network in evaluation mode: no norm, gate or edge is trivial."""
    defaults: dict[str, object] = {
        "width": 8,
        "min_width": 8,
        "max_width": 12,
        "last_width": 10,
        "branch": StreamConfig(blocks=1, depth=1, stride=2, window=3),
        "main": StreamConfig(blocks=2, window=3),
    }
    config = ModelConfig(**{**defaults, **choices})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        names = [f"class{i}" for i in range(classes)]
        model = MultiBranchSTGCN(config, hargcn.skeleton(skeleton), names)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.normal_(module.bias, 0, 0.3)
        for name, parameter in model.named_parameters():
            if name.endswith(".edge"):
                torch.nn.init.uniform_(parameter, 0.5, 1.5)
    return model.eval()


@pytest.fixture
def generator() -> torch.Generator:
    """Return a seeded generator: tests never touch the global one."""
    return torch.Generator().manual_seed(1234)
