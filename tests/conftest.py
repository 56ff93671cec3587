"""What every test may use: real recordings where there are any, and small networks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from hargcn.allocator import keep_freed_memory

pytest_plugins = ("fixtures.journey", "fixtures.toy_format")

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


@pytest.fixture
def generator() -> torch.Generator:
    """Return a seeded generator: tests never touch the global one."""
    return torch.Generator().manual_seed(1234)
