from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hargcn.data.windows import Windows
from hargcn.networks.checkpoint import save_model
from hargcn.networks.stgcn import ModelConfig, MultiBranchSTGCN
from hargcn.pipeline import decided
from hargcn.pipeline.decided import TooFewWindows, decided_by_sign
from hargcn.pipeline.opening import open_windows
from hargcn.pipeline.prepare import synthesise

LEFT_OUT = ("nothing", "sign", "decoys")
SAID = {  # of windows with the sign: predicted with everything, without it, without decoys
    "heeds": (1, 0, 1),
    "blind": (0, 0, 0),
    "elsewhere": (1, 1, 1),
    "decoyed": (1, 0, 0),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """The same generated bodies, planted three times, and an untrained network."""
    folder = tmp_path_factory.mktemp("planted")
    made = {}
    for what in LEFT_OUT:
        made[what] = folder / f"{what}.h5"
        synthesise(made[what], {"synthetic": {"recordings": 24}},
                   [f"synthetic.plant.leave_out={what}"])  # fmt: skip
    windows = Windows.open(made["nothing"])
    with torch.random.fork_rng():
        small = ModelConfig(branches=("J",), width=4, min_width=4, max_width=8, last_width=8)
        network = MultiBranchSTGCN(small, windows.skeleton, windows.classes)
    made["network"] = save_model(network, folder / "m.safetensors", {"input": windows.preparation})
    return made


def asked(files: dict[str, Path], folder: Path, **more: object) -> list[str]:
    return decided_by_sign(
        files["network"], files["nothing"], folder / "decided.csv", folder / "decided.txt",
        without_sign=files["sign"], without_decoys=files["decoys"], split="all", **more,
    )  # fmt: skip


@pytest.fixture
def oracle(files, monkeypatch) -> dict[str, str]:
    """Let the network say of each window with the sign what one of the four kinds would say."""
    windows = Windows.open(files["nothing"])
    signed = [n for n, label in zip(windows.names, windows.label, strict=True) if label == 1]
    kinds = dict(zip(signed, [*SAID] * len(signed), strict=False))

    def said(_model, part, _batch):
        at = LEFT_OUT.index(Path(part.path).stem)
        return np.array([SAID[kinds[name]][at] for name in part.names])

    monkeypatch.setattr(decided, "_said", said)
    return kinds


def test_windows_are_kept_that_lose_their_class_with_the_sign_alone(files, oracle, tmp_path):
    kept = asked(files, tmp_path)
    assert kept == [name for name, kind in oracle.items() if kind == "heeds"]
    counts = pd.read_csv(tmp_path / "decided.csv").iloc[0]
    each = {kind: list(oracle.values()).count(kind) for kind in SAID}
    assert counts["sign"] == len(oracle) == sum(each.values())
    assert counts["recognised"] == counts["sign"] - each["blind"]
    assert counts["flipped"] == each["heeds"] + each["decoyed"]
    assert counts["steady"] == each["heeds"] + each["elsewhere"]
    assert counts["decided"] == counts["taken"] == each["heeds"]


@pytest.mark.usefixtures("oracle")
def test_the_names_are_a_set_that_explain_takes(files, tmp_path):
    kept = asked(files, tmp_path, limit=2, limit_seed=3)
    assert open_windows(files["nothing"], str(tmp_path / "decided.txt")).names == kept
    assert len(kept) == 2
    assert pd.read_csv(tmp_path / "decided.csv")["taken"].tolist() == [2]


def test_too_few_windows_are_told_and_counted(files, oracle, tmp_path):
    with pytest.raises(TooFewWindows, match=r"nothing\.h5: expected 9 windows .* decides by their"):
        asked(files, tmp_path, fewest=9)
    decided_windows = list(oracle.values()).count("heeds")
    assert pd.read_csv(tmp_path / "decided.csv")["decided"].tolist() == [decided_windows]


def test_the_network_itself_is_asked(files, tmp_path):
    kept = asked(files, tmp_path, fewest=0, batch=5)
    counts = pd.read_csv(tmp_path / "decided.csv").iloc[0]
    assert counts["sign"] == (Windows.open(files["nothing"]).label == 1).sum() > 8
    assert 0 <= counts["decided"] == len(kept) <= counts["flipped"] <= counts["recognised"]


def test_windows_of_something_else_are_refused(files, tmp_path):
    other = tmp_path / "other.h5"
    synthesise(other, {"synthetic": {"recordings": 8}})
    with pytest.raises(ValueError, match=r"other\.h5: expected the windows of .*nothing\.h5"):
        asked({**files, "sign": other}, tmp_path, fewest=0)
    names = tmp_path / "names.txt"
    names.write_text("nobody@0\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"names\.txt: expected windows of .*no 'nobody@0'"):
        open_windows(files["nothing"], str(names))
