"""Fixtures of the command line's tests: what a user has after each step, made once."""

from __future__ import annotations

from pathlib import Path

import ntu_files
import pytest
from command_line import TINY, done, sets
from moving_windows import moving_windows


@pytest.fixture(scope="session")
def waving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Windows (16 frames, inmotion19, 3 classes) with all three sets."""
    path = tmp_path_factory.mktemp("waving") / "waving.h5"
    return moving_windows(path, val=("g1",), test=("g3",)).path


@pytest.fixture(scope="session")
def checkpoint(waving: Path) -> Path:
    """A network that was trained on them for an epoch."""
    config = waving.with_name("waving.yaml")
    config.write_text(f"windows: {waving}\n", encoding="utf-8")
    done("train", config, *sets(TINY), "--out", waving.with_name("run"))
    return waving.with_name("run") / "model.safetensors"


@pytest.fixture(scope="session")
def gradcams(checkpoint: Path, waving: Path) -> tuple[Path, Path]:
    """Grad-CAM of all test windows at two layers."""
    done(
        "explain", checkpoint, waving, "--layer", "main.0.tcn", "--layer", "main.0.attention",
        "--out", waving.with_name("gradcam.h5"),
    )  # fmt: skip
    return tuple(waving.with_name(f"gradcam.main.0.{part}.h5") for part in ("tcn", "attention"))


@pytest.fixture(scope="session")
def shap(checkpoint: Path, waving: Path) -> Path:
    """SHAP of the first four test windows."""
    path = waving.with_name("shap.h5")
    done(
        "explain", checkpoint, waving, "--method", "shap", "--background", 6, "--chunk", 4,
        "--limit", 4, "--class", "label", "--out", path,
    )  # fmt: skip
    return path


@pytest.fixture(scope="session")
def skeletons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of `.skeleton` files: two actions of three performers, the third one tests."""
    folder = tmp_path_factory.mktemp("ntu")
    for performer in (1, 2, 3):
        for action in (1, 2):
            body = ntu_files.track(ntu_files.standing(), range(30), 0.2 * action, ntu_files.ANNA)
            name = f"S001C001P{performer:03d}R001A{action:03d}"
            ntu_files.write(folder, ntu_files.together(30, body), name)
    return folder


@pytest.fixture
def earlier(tmp_path):
    """A result that a refused command must leave as it is."""
    path = tmp_path / "result.h5"
    path.write_bytes(b"an earlier result")
    yield path
    assert path.read_bytes() == b"an earlier result"
    assert not list(tmp_path.glob("*.parts"))
    assert not list(tmp_path.glob(".*tmp*"))
