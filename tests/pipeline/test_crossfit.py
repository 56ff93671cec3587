"""Cross-fitting: nobody is scored or explained by a network that saw them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.command_line import TINY
from fixtures.moving_windows import moving_windows

from hargcn import Explanation, load_model
from hargcn.data.windows import Windows
from hargcn.pipeline import crossfit as module
from hargcn.pipeline import network
from hargcn.pipeline.case import ExplainedWindows
from hargcn.pipeline.config import ExperimentConfig
from hargcn.pipeline.crossfit import CrossFit, crossfit
from hargcn.pipeline.evaluate import correlate, evaluate
from hargcn.pipeline.explain import explain
from hargcn.pipeline.pictures import rank
from hargcn.pipeline.reproduce import reproduce
from hargcn.pipeline.train import train
from hargcn.training.fit import fit
from hargcn.training.trainer import Trainer

pytestmark = pytest.mark.slow

CHANGES = (*TINY, "train.epochs=2", "train.select=best")
EXPLAINING: dict[str, Any] = {
    "methods": ["gradcam", "shap"], "layer": ["main.0.tcn"], "background": 6,
}  # fmt: skip


class Watched:
    """What networks are trained on and compared with, whatever anybody notes about it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.trained: list[set[str]] = []
        self.backgrounds: list[set[str]] = []
        self.epochs: list[Path] = []
        watched = self

        class Spy(Trainer):
            def __init__(self, model: Any, windows: Windows, config: Any) -> None:
                super().__init__(model, windows, config)
                seen = [self.batches, *([self.val_batches] if self.val_batches else [])]
                watched.trained.append({*np.concatenate([b.windows.group for b in seen]).tolist()})

            def go_on(self, advance: Callable[[str], None]) -> None:
                super().go_on(advance)
                watched.epochs.append(self.train.path)

        def choose(*args: Any) -> Any:
            found = real(*args)
            watched.backgrounds.append({*found[0].group.tolist()})
            return found

        import hargcn.pipeline.explain as explaining

        real = explaining.choose_background
        patch.setattr("hargcn.training.fit.Trainer", Spy)
        patch.setattr(explaining, "choose_background", choose)


def predicted(out: Path) -> list[dict[str, str]]:
    with (out / "predictions.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def leaks(out: Path, seen: list[set[str]]) -> set[str]:
    """Return who was tested by a network that had seen them; networks in the order of folds."""
    rows = predicted(out)
    return {row["subject"] for row in rows if row["subject"] in seen[int(row["fold"]) - 1]}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six subjects, with sets that are to be ignored."""
    path = tmp_path_factory.mktemp("crossfit") / "own.yaml"
    windows = moving_windows(path.with_name("w.h5"), groups=6, per_group=1, test=("g3",))
    path.write_text(f"windows: {windows.path}\n", "utf-8")
    return path


@pytest.fixture(scope="module")
def watched(config: Path) -> tuple[CrossFit, Watched, list[str]]:
    """A cross-fitting, what its networks saw, and what it said."""
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        seen = Watched(patch)
        out = config.with_name("x")
        found = crossfit(
            config, folds=3, set_=(*CHANGES, "shap.chunk=6"), out=out, progress=False,
            say=said.append, **EXPLAINING,
        )  # fmt: skip
    return found, seen, said


@pytest.mark.slow
def test_nobody_is_tested_by_a_network_that_saw_them(watched) -> None:
    found, seen, _ = watched
    rows = predicted(found.path.parent)
    assert {row["subject"] for row in rows} == {f"g{i}" for i in range(6)}
    assert len(rows) == len({row["recording"] for row in rows}) == 18
    assert len(seen.trained) == 3
    assert not leaks(found.path.parent, seen.trained)
    assert all(len(each) == 4 for each in seen.trained)


def test_nobody_is_compared_with_a_background_that_holds_them(watched) -> None:
    found, seen, _ = watched
    assert len(seen.backgrounds) == 4  # one before the first fold, to see whether it can be
    assert not leaks(found.path.parent, seen.backgrounds[1:])


def test_a_fold_that_leaks_would_be_noticed(config, tmp_path, monkeypatch) -> None:
    def leaky(model: Any, windows: Windows, *args: Any, **more: Any) -> Any:
        one = windows.group[windows.split == "test"][0]
        split = np.where(windows.group == one, "train", windows.split)
        return fit(model, replace(windows, split=split), *args, **more)

    seen = Watched(monkeypatch)
    monkeypatch.setattr(module, "fit", leaky)
    found = crossfit(config, folds=2, set_=TINY, out=tmp_path / "x", progress=False)
    assert len(leaks(found.path.parent, seen.trained)) == 2


def test_a_fold_is_what_one_makes_by_hand(watched, config, tmp_path) -> None:
    found = watched[0]
    out = found.path.parent
    card = load_model(out / "fold-2" / "model.safetensors").card
    fold = card["crossfit"]
    assert card["experiment"] == "own.yaml"
    assert len(fold["val"]) == 1
    hand = moving_windows(
        tmp_path / "w.h5", groups=6, per_group=1, val=tuple(fold["val"]), test=tuple(fold["test"])
    )
    own = tmp_path / "own.yaml"
    own.write_text(f"windows: {hand.path}\n", "utf-8")
    trained = train(own, set_=CHANGES, out=tmp_path / "run", progress=False)
    theirs = out / "fold-2" / "model.safetensors"
    assert trained.path.read_bytes() == theirs.read_bytes()
    figures = found.figures["folds"][1]
    assert figures["epoch"] == trained.epoch
    # The network brings its own sets to the file whose own ones are others.
    tests = [
        network.test(path, windows, progress=False)
        for path, windows in ((trained.path, hand.path), (theirs, config.with_name("w.h5")))
    ]
    np.testing.assert_array_equal(*(each.probabilities for each in tests))
    assert {key: figures[key] for key in tests[0].to_dict()} == tests[0].to_dict()
    explain(
        trained.path, hand.path, tmp_path / "shap.h5", method="shap", settings={"chunk": 6},
        background=6,
    )  # fmt: skip
    mine = Explanation.open(tmp_path / "shap.h5").dataset
    joined = Explanation.open(out / "explanations.shap.h5").dataset
    theirs_too = joined.isel(sample=joined["fold"].to_numpy() == 2)
    assert mine["sample"].equals(theirs_too["sample"])
    for name in ("attribution", "base_value", "score", "standard_error", "positions", "group"):
        np.testing.assert_array_equal(mine[name], theirs_too[name], err_msg=name)


def test_figures_are_pooled_and_means_and_say_which(watched) -> None:
    found = watched[0]
    assert json.loads(found.path.read_text("utf-8")) == found.figures
    parts, means = found.figures["folds"], found.figures["mean_over_folds"]
    pooled = found.figures["pooled"]
    assert pooled["recordings"]["n"] == 18
    assert pooled["windows"]["n"] == 36
    assert pooled["windows"]["subjects"] == 6
    assert "calibrations" in found.figures["about"]["pooled"]
    for level in ("windows", "recordings"):
        for name in ("accuracy", "balanced_accuracy", "roc_auc"):
            expected = np.mean([part[level][name] for part in parts])
            assert means[level][name] == pytest.approx(expected)
            for each in (means[level], pooled[level]):
                low, high = each["interval"][name]
                assert low <= each[name] <= high
    rows = predicted(found.path.parent)
    right = np.mean([row["label"] == row["predicted"] for row in rows])
    assert right == pytest.approx(pooled["recordings"]["accuracy"])
    order = list(dict.fromkeys(Windows.open(found.path.parent.with_name("w.h5")).sample.tolist()))
    assert [row["recording"] for row in rows] == order
    for row in rows:
        p = [float(row[f"p(class{i})"]) for i in range(3)]
        assert sum(p) == pytest.approx(1, abs=1e-5)
        assert row["predicted"] == f"class{np.argmax(p)}"


def test_one_file_explains_everybody_in_the_order_of_the_windows(watched, config, tmp_path) -> None:
    found = watched[0]
    names = Windows.open(config.with_name("w.h5")).names
    folds = {row["recording"]: int(row["fold"]) for row in predicted(found.path.parent)}
    digests = [
        load_model(found.path.parent / f"fold-{n}" / "model.safetensors").card["weights"]
        for n in (1, 2, 3)
    ]
    for path in found.explanations:
        made = Explanation.open(path)
        assert made.dataset["sample"].to_numpy().tolist() == names
        expected = [folds[str(name)] for name in made.dataset["recording"].to_numpy()]
        assert made.dataset["fold"].to_numpy().tolist() == expected
        assert made.dataset.attrs["model"].split() == digests
    assert [path.name for path in found.explanations] == [
        "explanations.gradcam.h5", "explanations.shap.h5",
    ]  # fmt: skip
    assert "background" not in made.settings  # each fold has another
    rank(found.explanations, tmp_path / "r.png")
    correlate(found.explanations, tmp_path / "c.csv", between="methods")
    assert (tmp_path / "c.csv").read_text("utf-8").count("gradcam main.0.tcn") >= 2


def test_who_asks_a_network_again_is_sent_to_the_folds(watched, config, tmp_path) -> None:
    found, windows = watched[0], config.with_name("w.h5")
    fold = found.path.parent / "fold-1"
    joined, own = found.explanations[1], fold / "explanations.shap.h5"
    for ask in (
        lambda: ExplainedWindows.open(fold / "model.safetensors", windows, [joined]),
        lambda: reproduce(joined, fold / "model.safetensors", windows),
    ):
        with pytest.raises(ValueError, match=r"of one network .*fold-1/explanations\.shap\.h5"):
            ask()
    assert reproduce(own, fold / "model.safetensors", windows).samples == 12
    table = evaluate(
        fold / "model.safetensors", windows, [own], tmp_path / "t.csv", metrics="complexity",
        progress=False,
    )  # fmt: skip
    assert (tmp_path / "t.csv").is_file()
    assert len(table.rows)


def test_it_says_what_it_does_and_when_there_is_nothing_to_do(watched, config) -> None:
    found, seen, said = watched
    assert said[0].endswith("w.h5: its sets (test, train, val) are not used: everybody is tested "
                            "once")  # fmt: skip
    held = ", ".join(found.figures["folds"][0]["test"])
    assert said[1] == (
        f"fold 1/3: subject {held} held out; subjects that train: 3, choose the epoch: 1"
    )
    before = {path: path.stat().st_mtime_ns for path in found.path.parent.rglob("*")}
    again: list[str] = []
    same = crossfit(
        config, folds=3, set_=(*CHANGES, "shap.chunk=6"), out=found.path.parent, progress=False,
        say=again.append, **EXPLAINING,
    )  # fmt: skip
    assert again == [f"{found.path}: finished before, nothing to do (remove it to make it anew)"]
    assert same.figures == found.figures
    assert same.explanations == found.explanations
    after = {path: path.stat().st_mtime_ns for path in found.path.parent.rglob("*")}
    assert {**after, found.path.parent: 0} == {**before, found.path.parent: 0}


@pytest.mark.slow
def test_a_killed_one_goes_on_and_trains_no_fold_anew(config, tmp_path, monkeypatch) -> None:
    def go(out: Path) -> CrossFit:
        return crossfit(
            config, folds=2, set_=(*TINY, "train.epochs=2"), out=out, methods=["gradcam"],
            progress=False,
        )  # fmt: skip

    whole = go(tmp_path / "whole")
    epochs: list[int] = []
    real = Trainer.go_on

    def killed(self: Trainer, advance: Callable[[str], None]) -> None:
        if len(epochs) == 3:
            raise KeyboardInterrupt
        epochs.append(self.epoch)
        real(self, advance)

    monkeypatch.setattr(Trainer, "go_on", killed)
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "x")
    assert not (tmp_path / "x" / "crossfit.json").exists()
    epochs.append(0)  # the hand that kills has struck
    resumed = go(tmp_path / "x")
    assert epochs == [0, 1, 0, 0, 1]
    assert resumed.figures == whole.figures
    for name in ("explanations.h5", "predictions.csv", "fold-2/model.safetensors"):
        assert (tmp_path / "x" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_another_deal_in_the_same_folder_is_refused(watched, config) -> None:
    out = watched[0].path.parent
    before = watched[0].path.read_bytes()
    with pytest.raises(ValueError, match=r"fold-1/state\.pt: expected .*same training \(other: sp"):
        crossfit(config, folds=3, seed=2, set_=CHANGES, out=out, progress=False)
    assert watched[0].path.read_bytes() == before


@pytest.mark.slow
def test_cameras_are_held_out_too(tmp_path) -> None:
    windows = moving_windows(tmp_path / "w.h5", groups=3, per_group=2, cameras=True)
    own = ExperimentConfig(windows=windows.path)
    found = crossfit(own, folds=2, by="camera", set_=TINY, out=tmp_path / "x", progress=False)
    rows = predicted(tmp_path / "x")
    assert {(row["recording"][-1], row["fold"]) for row in rows} in (
        {("0", "1"), ("1", "2")}, {("0", "2"), ("1", "1")},
    )  # fmt: skip
    assert found.figures["pooled"]["recordings"]["subjects"] == 3
    assert found.figures["folds"][0]["by"] == "camera"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"folds": 7}, r"w\.h5: Expected 2 to 6 folds, as there are groups \(got 7\)"),
        ({"by": "person"}, "Expected by of subject, group, camera, setup .got 'person'"),
        ({"by": "camera"}, r"w\.h5: Expected windows that state their camera"),
        ({"aggregate": "max"}, "Expected aggregate of mean, median"),
        ({"keep": "some"}, "Expected --keep of full, joint-time"),
        ({"methods": ["gradcan"]}, "did you mean 'gradcam'"),
        ({"methods": ["shap"], "layer": ["main.0.tcn"]}, "--layer: expected a method of layers"),
        ({"methods": ["gradcam"], "layer": ["main.0.tcm"]}, "did you mean 'main.0.tcn'"),
        ({"methods": ["gradcam"], "target": "class9"}, "did you mean 'class"),
        ({"methods": ["gradcam"], "background": 0}, "Expected --background of at least 1"),
        ({"methods": ["shap"], "background_by": "chance"}, "Expected --background-by"),
        ({"set_": ["shap.chunk=4"]}, r"--set shap\.chunk=4: expected --method shap with it"),
        ({"methods": ["shap"], "set_": ["shap.chunks=4"]}, "did you mean 'chunk'"),
        ({"set_": ["train.epoch=4"]}, "did you mean 'epochs'"),
        ({"set_": ["train.select=best"], "val_share": 0}, "Expected windows in the set val"),
        ({"val_share": 0.9}, "Expected more training groups than"),
        ({"set_": ["train.distil={teacher: t.safetensors}"]}, "its teacher may have seen whom"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_trained(
    config, tmp_path, monkeypatch, given, said
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr(Trainer, "go_on", never)
    settled = {"folds": 2, **given, "set_": (*TINY, *given.get("set_", ()))}
    with pytest.raises(ValueError, match=said):
        crossfit(config, out=tmp_path / "x", progress=False, **settled)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_windows_that_cannot_be_are_refused(tmp_path) -> None:
    bare = moving_windows(tmp_path / "bare.h5", labels=False)
    with pytest.raises(ValueError, match=r"bare\.h5: expected a label for every window"):
        crossfit(ExperimentConfig(windows=bare.path), out=tmp_path / "x")
    with pytest.raises(ValueError, match="experiment: expected the key 'windows'"):
        crossfit(ExperimentConfig(), out=tmp_path / "x")


def fewer(windows: Windows, keep: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> ExperimentConfig:
    """Return an experiment on some of a file's windows."""
    monkeypatch.setattr(module.Windows, "open", lambda _: windows.subset(keep))
    return ExperimentConfig(windows=windows.path)


def test_a_rare_class_is_said_and_a_training_of_one_class_refused(tmp_path, monkeypatch) -> None:
    windows = moving_windows(tmp_path / "w.h5", classes=2, groups=3, per_group=1)
    rare = (windows.label == 0) | (windows.group == "g0")
    own = fewer(windows, rare, monkeypatch)
    said = r"w\.h5: fewer than 3 subjects show class1: some of the 3 folds do not test that"
    one = r"2 classes in the set train of fold \d \(got 'class0' only\)"
    with pytest.raises(ValueError, match=one):
        crossfit(own, folds=3, set_=TINY, out=tmp_path / "x", progress=False)
    own = fewer(windows, (windows.label == 0) | (windows.group != "g0"), monkeypatch)
    with pytest.warns(UserWarning, match=said):
        crossfit(own, folds=3, set_=TINY, out=tmp_path / "y", progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("shuffled", [False, True])
def test_labels_that_say_nothing_give_an_auc_of_a_half(tmp_path, shuffled) -> None:
    windows = moving_windows(
        tmp_path / "w.h5", classes=2, groups=10, per_group=4, shuffled=shuffled
    )
    changes = (*TINY, "train.epochs=12", "train.lr=0.01", "train.augment=null")
    found = crossfit(
        ExperimentConfig(windows=windows.path), set_=changes, out=tmp_path / "x", progress=False
    )
    for kind in ("pooled", "mean_over_folds"):
        figures = found.figures[kind]["recordings"]
        low, high = figures["interval"]["roc_auc"]
        if shuffled:
            assert low < 0.5 < high
            assert abs(figures["roc_auc"] - 0.5) < 0.15
        else:
            assert figures["roc_auc"] > 0.95
