"""The pages on NTU RGB+D and on infants are walked as they are printed, in small.

Their recordings do not come with hargcn: files of the same grammar stand in.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fixtures.command_line import TINY, done, sets
from fixtures.key_points import videos
from fixtures.ntu_files import ANNA, BERT, standing, together, track, write

import hargcn
from hargcn.explanation import Explanation

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.documents, pytest.mark.slow]

TRAINED = sets((*TINY, "model.main={blocks: 2, window: 3}"))
STEPS = sets(("train.epochs=2", "train.warmup=0", "train.milestones=[1]"))
CURVES = ["--top", "2", "--random", "2"]
FEW = ["--background", "4", "--limit", "8"]


def commands(page: str) -> list[list[str]]:
    """Words of every command of a page's blocks."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    shown = "".join(re.findall(r"```sh\n(.*?)```", text, re.S)).replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in shown.splitlines()]


def walk(page: str, in_small: Callable[[str, list[str]], list[str]]) -> list[str]:
    """Run the commands of a page, each with what makes it small; return their names."""
    shown = commands(page)
    for name, *words in shown:
        done(name, *words, *in_small(name, words))
        out = Path(words[words.index("--out") + 1]) if "--out" in words else None
        assert out is None or any(out.parent.glob(f"{out.stem}*")), out
    return [name for name, *_ in shown]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Stand where a reader stands: in a checkout."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*lies on cells that nobody saw")  # the page says so
def test_ntu(here):
    folder = here / "nturgb+d_skeletons"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for performer in (1, 2, 3, 4):
        for camera in (1, 2, 3):
            for action, raised in ((23, 0.3), (50, 0.02)):
                frames = int(rng.integers(40, 60))
                first = standing() + rng.normal(0, 0.01, (25, 3))
                bodies = [track(first, range(frames), raised, ANNA)]
                if action == 50:
                    bodies.append(track(standing(1.0), range(5, frames), 0.1, BERT))
                name = f"S001C{camera:03d}P{performer:03d}R001A{action:03d}"
                write(folder, together(frames, *bodies), name)
    (here / "missing.txt").write_text("S001C001P004R001A050\n", encoding="ascii")
    in_small = {
        "prepare": ["--workers", "1"],
        "train": [*TRAINED, *STEPS],
        "explain": ["--background", "4", "--limit", "6"],
        "correlate": ["--limit", "2"],
        "perturb": CURVES,
    }
    walked = walk("ntu.md", lambda name, _: in_small.get(name, []))
    assert walked[:3] == ["prepare", "train", "test"]
    assert walked[-1] == "report"
    windows = hargcn.Windows.open("data/ntu60_xview.h5")
    assert len(windows.subset("test")) == 7  # camera 1, but what is on the list
    shap = Explanation.open("runs/ntu60/shap.h5")
    assert dict(shap.values.sizes)["person"] == 2
    assert Path("runs/ntu60/gradcam.V.0.attention.h5").is_file()


def test_infants(here):
    table = videos(here / "videos", hargcn.skeleton("inmotion29").joints, 160, 12)
    said = table.read_text("utf-8").replace(",low,", ",healthy,").replace(",high,", ",cp,")
    (here / "outcomes.csv").write_text(said, encoding="utf-8")
    rng = np.random.default_rng(0)
    (here / "MINI-RGBD").mkdir()
    joints = hargcn.skeleton("minirgbd14").joints
    for infant in range(101, 113):
        at = rng.uniform(200, 400, (1, 14, 2)) + rng.normal(0, 1, (300, 14, 2)).cumsum(axis=0)
        lines = [";".join(["image", *joints])]
        for frame, points in enumerate(at.astype(int)):
            cells = [f"{x},{y}" for x, y in points]
            lines.append(";".join([f"{frame:05d}_8bit.png", *cells]))
        path = here / "MINI-RGBD" / f"result_pz{infant}.csv"
        path.write_text("\n".join(lines) + "\n", encoding="ascii")
    walked = walk(
        "infants.md",
        lambda name, words: {
            "prepare": sets(("reader.frames=300",)) if "MINI-RGBD" in words else [],
            "train": [*TRAINED, *(STEPS if "configs/published_cp29.yaml" in words else [])],
            "crossfit": [*TRAINED, *STEPS, "--folds", "3", "--background", "4"],
            "explain": FEW,
            "perturb": CURVES,
        }.get(name, []),
    )
    assert walked[:4] == ["prepare", "train", "test", "crossfit"]
    assert hargcn.Windows.open("data/cp29.h5").classes == ("healthy", "cp")  # the positive one last
    everybody = Explanation.open("runs/cp29_folds/explanations.h5")
    assert set(everybody.dataset["fold"].values) == {1, 2, 3}
    assert len(set(hargcn.Windows.open("data/mini_rgbd_planted.h5").group)) == 12
    left = {path.name for path in here.iterdir()}
    assert left >= {"report.html", "one_child.png", "recording.png", "map.png", "table.csv"}
