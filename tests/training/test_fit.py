"""Training end to end: it learns, repeats itself, and survives being killed."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
import torch
from fixtures.moving_windows import moving_windows
from fixtures.small_model import small_model

from hargcn.data.windows import Windows
from hargcn.files import locked
from hargcn.networks.checkpoint import load_model
from hargcn.networks.stgcn import ModelConfig, StreamConfig
from hargcn.training.classification import classification_report
from hargcn.training.fit import TrainConfig, fit
from hargcn.training.trainer import Trainer

TINY = ModelConfig(
    width=8,
    min_width=8,
    max_width=12,
    last_width=12,
    branch=StreamConfig(blocks=1, depth=1, stride=2, window=3),
    main=StreamConfig(blocks=1, window=3),
)


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Windows:
    """Four groups: g1 validates, g3 tests."""
    path = tmp_path_factory.mktemp("train") / "w.h5"
    return moving_windows(path, groups=4, per_group=2, test=("g3",))


def settings(**changes: object) -> TrainConfig:
    defaults = {"epochs": 4, "batch_size": 8, "lr": 0.01, "device": "cpu", "ema": 0.9}
    return TrainConfig(**{**defaults, **changes})


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_it_learns_and_writes_a_checkpoint_log_and_card(windows: Windows, tmp_path: Path) -> None:
    result = fit(TINY, windows, settings(epochs=20), tmp_path, progress=False)
    assert classification_report(result.model, windows.subset("test")).windows["accuracy"] > 0.9
    loaded = load_model(result.path)
    assert same(weights(loaded), weights(result.model))
    assert not any(module.training for module in result.model.modules())
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 21))
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    card = json.loads(result.path.with_suffix(".json").read_text())
    assert card["training"]["lr"] == 0.01
    assert card["data"]["digest"] == windows.digest
    assert card["input"] == {
        "layout": "inmotion19",
        "branches": list(TINY.branches),
        "frames": windows.frames,
        "fps": 30,
        "preprocessing": {},
    }
    best = max(rows, key=lambda row: (float(row["val_accuracy"]), -float(row["val_loss"])))
    assert card["epoch"] == result.epoch == int(best["epoch"])
    assert card["validation"]["windows"]["accuracy"] == float(best["val_accuracy"])
    assert card["validation"]["windows"]["loss"] == pytest.approx(float(best["val_loss"]))


@pytest.mark.slow
def test_equal_seeds_train_equal_networks_and_the_global_generator_rests(
    windows: Windows, tmp_path: Path
) -> None:
    state = torch.random.get_rng_state()
    first, again, other = (
        weights(fit(TINY, windows, settings(seed=s, epochs=2), tmp_path / n, progress=False).model)
        for n, s in (("a", 1), ("b", 1), ("c", 2))
    )
    assert same(first, again)
    assert not same(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cosine", "onecycle"])
def test_a_killed_run_goes_on_bit_for_bit(
    windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    config = settings(schedule=kind)
    whole = fit(TINY, windows, config, tmp_path / "whole", progress=False)
    step, calls = Trainer._step, []

    def dying(self: Trainer, *batch: object) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 2 * self.steps + 2:  # in the middle of the third epoch
            raise KeyboardInterrupt("killed")
        return step(self, *batch)

    monkeypatch.setattr(Trainer, "_step", dying)
    with pytest.raises(KeyboardInterrupt, match="killed"):
        fit(TINY, windows, config, tmp_path / "killed", progress=False)
    assert len((tmp_path / "killed" / "log.csv").read_text().splitlines()) == 1 + 2
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    before = len(calls)
    resumed = fit(TINY, windows, config, tmp_path / "killed", progress=False)
    assert len(calls) - before == 2 * 3  # three steps in each of epochs 3 and 4
    assert same(weights(whole.model), weights(resumed.model))
    timeless = [[{k: v for k, v in row.items() if k != "seconds"} for row in r.history]
                for r in (whole, resumed)]  # fmt: skip
    assert timeless[0] == timeless[1]
    assert resumed.epoch == whole.epoch


def test_a_finished_run_is_not_run_again(windows: Windows, tmp_path: Path) -> None:
    first = fit(TINY, windows, settings(epochs=2), tmp_path, progress=False)
    content = (tmp_path / "model.safetensors").read_bytes()
    again = fit(TINY, windows, settings(epochs=2), tmp_path, progress=False)
    assert again.history == first.history
    assert (tmp_path / "model.safetensors").read_bytes() == content


def test_another_run_s_state_is_refused_unless_told_to_start_over(
    windows: Windows, tmp_path: Path
) -> None:
    fit(TINY, windows, settings(epochs=1), tmp_path, progress=False)
    with pytest.raises(ValueError, match=r"state.pt: .* \(other: epochs, lr\)"):
        fit(TINY, windows, settings(epochs=2, lr=0.02), tmp_path, progress=False)
    with pytest.raises(ValueError, match=r"\(other: split\)"):
        fit(TINY, windows.subset(windows.group != "g2"), settings(epochs=1), tmp_path,
            progress=False)  # fmt: skip
    fresh = fit(TINY, windows, settings(epochs=2), tmp_path, progress=False, resume=False)
    assert len(fresh.history) == 2


def test_two_runs_in_one_folder_are_refused(windows: Windows, tmp_path: Path) -> None:
    with locked(tmp_path / "state.pt"), pytest.raises(ValueError, match="nobody else to make it"):
        fit(TINY, windows, settings(epochs=1), tmp_path, progress=False)
    assert not (tmp_path / "state.pt").exists()
    fit(TINY, windows, settings(epochs=1), tmp_path, progress=False)
    assert not list(tmp_path.glob(".*"))  # free again


def test_a_folder_with_anothers_files_is_refused(windows: Windows, tmp_path: Path) -> None:
    theirs = tmp_path / "model.safetensors"
    theirs.write_bytes(b"years of work")
    for resume in (True, False):
        with pytest.raises(ValueError, match=r"a folder of a run .* somebody's model\.safetensors"):
            fit(TINY, windows, settings(epochs=1), tmp_path, progress=False, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert theirs.read_bytes() == b"years of work"


def test_without_validation_the_last_epoch_is_kept(windows: Windows, tmp_path: Path) -> None:
    config = settings(epochs=2, ema=None)
    result = fit(TINY, windows.subset("train"), config, tmp_path, progress=False)
    assert result.epoch == 2
    assert result.validation is None
    assert "val_accuracy" not in result.history[0]


def test_the_average_is_what_is_kept(windows: Windows, tmp_path: Path) -> None:
    train = windows.subset("train")
    kept = {}
    for ema in (None, 0.9):
        config = settings(epochs=2, ema=ema)
        kept[ema] = weights(fit(TINY, train, config, tmp_path / str(ema), progress=False).model)
    assert not same(kept[None], kept[0.9])


def test_recalibration_changes_statistics_only(windows: Windows, tmp_path: Path) -> None:
    kept = [
        weights(
            fit(
                TINY,
                windows,
                settings(epochs=2, recalibrate=fresh, select="last"),
                tmp_path / str(fresh),
                progress=False,
            ).model
        )
        for fresh in (False, True)
    ]
    changed = {name.split(".")[-1] for name in kept[0] if not torch.equal(*(k[name] for k in kept))}
    assert changed <= {"running_mean", "running_var", "num_batches_tracked"}
    assert {"running_mean", "running_var"} <= changed


def test_a_network_can_be_trained_further(windows: Windows, tmp_path: Path) -> None:
    before = weights(small_model())
    config = settings(epochs=1, lr=1e-9, ema=None)
    result = fit(small_model, windows, config, tmp_path, progress=False, card={"tuned": "yes"})
    torch.testing.assert_close(result.model.head.weight, before["head.weight"])
    assert json.loads(result.path.with_suffix(".json").read_text())["tuned"] == "yes"


def test_a_bar_says_how_it_goes(
    windows: Windows,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a terminal
    monkeypatch.setenv("COLUMNS", "120")
    fit(TINY, windows, settings(epochs=2), tmp_path)
    said = capsys.readouterr()
    assert "6/6" in said.err
    assert "val accuracy" in said.err
    assert "epoch 1/2" not in said.err
    assert not said.out


@pytest.mark.gpu
def test_cuda_trains_too(windows: Windows, tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("trains on a GPU, and torch finds no CUDA device on this machine")
    config = settings(epochs=2, device="cuda", bf16=True)
    result = fit(TINY, windows, config, tmp_path, progress=False)
    assert result.history[-1]["train_loss"] < 2


def test_a_set_of_one_class_teaches_nothing(windows: Windows, tmp_path: Path) -> None:
    one = windows.subset((windows.label == 1) | (windows.split == "test"))
    with pytest.raises(
        ValueError,
        match=r"w\.h5: expected windows of at least 2 of the 3 .*\(got \d+, all of 'class1'",
    ):
        fit(TINY, one, settings(), tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("validated", [True, False])
def test_without_a_terminal_every_epoch_says_a_line(
    windows: Windows, tmp_path: Path, capsys: pytest.CaptureFixture[str], validated: bool
) -> None:
    used = windows if validated else windows.subset(windows.split != "val")
    fit(TINY, used, settings(epochs=2), tmp_path, progress=True)
    val = r", val accuracy \d\.\d{3}" if validated else ""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2, lines
    for number, line in enumerate(lines, 1):
        assert re.fullmatch(rf"epoch {number}/2: loss \d+\.\d{{3}}{val}, \d+\.\d s", line), line
    fit(TINY, used, settings(epochs=2), tmp_path, progress=False, resume=False)
    assert capsys.readouterr().err == ""
