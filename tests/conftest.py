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


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what reads files that do not come with the project."""
    for item in items:
        if {"data_root", "golden_root"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.data)


def _outside(variable: str, beside: str, what: str) -> Path:
    """Return the folder that a variable names, else the one beside the checkout; skip without."""
    default = Path(__file__).resolve().parents[2] / "shared" / beside
    root = Path(os.environ.get(variable) or default)
    if not root.is_dir() or not any(root.iterdir()):
        pytest.skip(f"needs {what}, which do not come with the project: set {variable}")
    return root


@pytest.hookimpl(tryfirst=True)  # before fixtures
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let what draws without a generator, such as a network's first weights, draw the same."""
    del item
    torch.manual_seed(1234)


@pytest.hookimpl(tryfirst=True)
def pytest_collectstart(collector: pytest.Collector) -> None:
    """Let modules draw the same, whichever were read before."""
    del collector
    torch.manual_seed(1234)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder with `utd_mhad/raw` and `mini_rgbd_2d/raw`; HARGCN_DATA names another one."""
    return _outside("HARGCN_DATA", "data", "real recordings (utd_mhad/ and mini_rgbd_2d/)")


@pytest.fixture(scope="session")
def golden_root() -> Path:
    """Folder with the golden tensors of the published networks; HARGCN_GOLDEN names another."""
    return _outside("HARGCN_GOLDEN", "golden", "outputs of the published networks")


@pytest.fixture
def generator() -> torch.Generator:
    """Return a seeded generator: tests never touch the global one."""
    return torch.Generator().manual_seed(1234)
