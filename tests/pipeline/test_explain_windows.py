from __future__ import annotations

import json
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fixtures.moving_windows import moving_windows
from fixtures.small_model import small_model

from hargcn import Explanation, load_model, save_model
from hargcn.data.cutting import WindowConfig
from hargcn.data.planted.planting import PlantConfig
from hargcn.data.planted.synthetic import SyntheticConfig, generate
from hargcn.data.windows import Windows, write_windows
from hargcn.explainers import DeepSHAP, GradCAM, NegatedGradCAM, ScoreCAM, make
from hargcn.networks.branches import PositionModel
from hargcn.networks.stgcn import MultiBranchSTGCN
from hargcn.pipeline.explain_windows import explain_batch, explain_windows
from hargcn.pipeline.opening import true_classes
from hargcn.pipeline.shards import Shards

LAYERS = ["main.1.tcn", "main.1.attention"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> MultiBranchSTGCN:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    return load_model(save_model(small_model(), path))


@pytest.fixture(scope="module")
def windows(tmp_path_factory) -> Windows:
    path = tmp_path_factory.mktemp("windows") / "windows.h5"
    return moving_windows(path, groups=2, per_group=1)


class Killed:
    """Notes how many windows Grad-CAM meets at a time; killed before its shard of this number."""

    def __init__(self, monkeypatch) -> None:
        self.met: list[int] = []
        self.before: int | None = None
        original = GradCAM.at_layers

        def noting(explainer, model, x, target, layers):
            if len(self.met) == self.before:
                raise KeyboardInterrupt("killed")
            self.met.append(len(x))
            return original(explainer, model, x, target, layers)

        monkeypatch.setattr(GradCAM, "at_layers", noting)

    def at(self, number: int | None) -> None:
        """Begin to count anew; kill before this shard."""
        self.met, self.before = [], number


@pytest.fixture
def kill(monkeypatch) -> Killed:
    return Killed(monkeypatch)


class LikeGradCAM(GradCAM):
    """Another method under the same name."""


GRADCAM = GradCAM(LAYERS[0])


def test_shards_equal_the_whole(model, windows, tmp_path, kill):
    whole = explain_windows(model, windows, GRADCAM, tmp_path / "w.h5", progress=False)
    kill.at(None)
    parts = explain_windows(model, windows, GRADCAM, tmp_path / "s.h5", shard=5, progress=False)
    assert kill.met == [5, 5, 2]
    assert [path.name for path in whole + parts] == ["w.h5", "s.h5"]
    one, other = Explanation.open(whole[0]), Explanation.open(parts[0])
    assert one.dataset.sizes == other.dataset.sizes
    for name, values in one.dataset.variables.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(other.dataset[name], values, rtol=1e-4, atol=1e-6)
        else:
            np.testing.assert_array_equal(other.dataset[name], values)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.h5", "w.h5"]


@pytest.mark.slow
def test_shards_are_as_large_as_a_method_is_fast_but_explained_in_pieces(
    model, windows, tmp_path, kill, monkeypatch
):
    """Describing and writing a shard costs the same for any number; memory is that of a piece."""
    shards = "hargcn.pipeline.explain_windows.Shards"
    monkeypatch.setattr("hargcn.pipeline.explain_windows.AT_ONCE", 5)
    counts = []

    class Counted(Shards):
        def __init__(self, folder, job, count):
            counts.append(count)
            super().__init__(folder, job, count)

    monkeypatch.setattr(shards, Counted)
    whole = explain_windows(model, windows, GRADCAM, tmp_path / "w.h5", progress=False)
    assert kill.met == [5, 5, 2]
    parts = explain_windows(model, windows, GRADCAM, tmp_path / "s.h5", shard=5, progress=False)
    shap = DeepSHAP(model.inputs(windows.subset(slice(0, 3)).read()))
    explain_windows(model, windows, ScoreCAM(LAYERS[0]), tmp_path / "c.h5", progress=False)
    explain_windows(model, windows, shap, tmp_path / "x.h5", progress=False)
    assert counts == [1, 3, 3, 3]
    for large, count in ((9, 1), (7, 2), (4, 3)):  # evenly: a last one of few costs as much as all
        monkeypatch.setattr("hargcn.pipeline.explain_windows.LARGE", large)
        kill.met.clear()
        explain_windows(model, windows, GRADCAM, tmp_path / f"{large}.h5", progress=False)
        assert (counts[-1], sum(kill.met)) == (count, 12)
    one, other = (Explanation.open(each[0]).dataset for each in (whole, parts))
    assert one.drop_attrs().identical(other.drop_attrs())
    assert {name for name in one.attrs if one.attrs[name] != other.attrs[name]} <= {"job"}


def killed_at(kill, number, *arguments, **settings):
    """Explain until the kill; return what was met."""
    kill.at(number)
    with pytest.raises(KeyboardInterrupt, match="killed"):
        explain_windows(*arguments, shard=5, progress=False, **settings)
    return kill.met


def test_a_killed_run_goes_on_where_it_stopped(model, windows, tmp_path, kill):
    out = tmp_path / "x.h5"
    out.write_bytes(b"an earlier result")
    assert killed_at(kill, 2, model, windows, GRADCAM, out, layers=LAYERS) == [5, 5]
    assert out.read_bytes() == b"an earlier result"
    # What a kill in the middle of writing leaves behind.
    parts = tmp_path / "x.h5.parts"
    (parts / ".00002.main.1.123.tmp.tcn.h5").write_bytes(b"half")
    (parts / "00002.main.1.tcn.h5").write_bytes(b"half")
    kill.at(None)
    written = explain_windows(model, windows, GRADCAM, out, layers=LAYERS, shard=5, progress=False)
    assert kill.met == [2]
    assert [path.name for path in written] == ["x.main.1.tcn.h5", "x.main.1.attention.h5"]
    for path in written:
        found = Explanation.open(path)
        assert list(found.dataset["sample"].to_numpy()) == windows.names
        assert found.layer in path.name
    assert out.read_bytes() == b"an earlier result"
    assert not parts.exists()


SLOW = partial(pytest.param, marks=pytest.mark.slow)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "explainer"),
    [
        ({"target": "class1"}, GRADCAM),
        SLOW({"shard": 6}, GRADCAM),
        SLOW({"request": {"seed": 2}}, GRADCAM),
        SLOW({"layers": LAYERS}, GRADCAM),
        SLOW({}, GradCAM(LAYERS[1])),
        ({}, GradCAM(LAYERS[0], relu=True)),
        ({}, NegatedGradCAM(LAYERS[0])),
        ({}, LikeGradCAM(LAYERS[0])),
    ],
    ids=["target", "shard", "request", "layers", "layer", "settings", "method", "class"],
)
def test_another_question_starts_anew(model, windows, tmp_path, kill, change, explainer):
    out = tmp_path / "x.h5"
    killed_at(kill, 2, model, windows, GRADCAM, out)
    kill.at(None)
    given = {"shard": 5, **change}
    explain_windows(model, windows, explainer, out, progress=False, **given)
    assert sum(kill.met) == len(windows)


@pytest.fixture
def shaps(model, windows, monkeypatch):
    """Explain by SHAP until the second shard, then by another one; return what each met."""
    met: list[int] = []
    original = DeepSHAP.explain

    def noting(explainer, network, x, target):
        if len(met) == 1:
            met.append(0)
            raise KeyboardInterrupt("killed")
        met.append(len(x))
        return original(explainer, network, x, target)

    monkeypatch.setattr(DeepSHAP, "explain", noting)

    def both(out, first, other, network=model, target="class1"):
        given = {"target": target, "shard": 6, "progress": False}
        with pytest.raises(KeyboardInterrupt, match="killed"):
            explain_windows(model, windows, first, out, **given)
        (path,) = explain_windows(network, windows, other, out, **given)
        return sum(met[2:]), Explanation.open(path)

    return both


@pytest.mark.slow
def test_the_same_shap_goes_on(model, windows, tmp_path, shaps):
    rows = model.inputs(windows.subset(slice(0, 3)).read())
    met, _ = shaps(tmp_path / "x.h5", DeepSHAP(rows), DeepSHAP(rows.clone()))
    assert met == len(windows) - 6


@pytest.mark.slow
@pytest.mark.parametrize("change", ["background", SLOW("setting"), SLOW("positions")])
def test_another_shap_starts_anew(model, windows, tmp_path, shaps, change):
    some = windows.subset(slice(0, 3)).read()
    rows = model.inputs(some)
    other, network = DeepSHAP(rows.flip(0)), model
    if change == "setting":
        other = DeepSHAP(rows, chunk=2)
    if change == "positions":
        network = PositionModel(model)
        other = DeepSHAP(network.inputs(some))
    met, made = shaps(tmp_path / "x.h5", DeepSHAP(rows), other, network)
    assert met == len(windows)
    assert ("branch" in made.dims) == (change != "positions")


@pytest.mark.slow
def test_done_means_done(model, windows, tmp_path, kill):
    out, said = tmp_path / "x.h5", []
    given = {"layers": LAYERS, "shard": 5, "progress": False, "say": said.append}
    written = explain_windows(model, windows, GRADCAM, out, **given)
    before = [path.stat().st_mtime_ns for path in written]
    kill.at(None)
    said.clear()  # the forecast of the first time
    assert explain_windows(model, windows, GRADCAM, out, **given) == written
    assert kill.met == []
    assert [path.stat().st_mtime_ns for path in written] == before
    (line,) = said
    assert line.startswith(f"{written[0]}, {written[1]}: finished before, nothing to do")
    written[1].unlink()
    explain_windows(model, windows, GRADCAM, out, **given)
    assert kill.met == [5, 5, 2]


@pytest.mark.slow
def test_other_windows_or_another_network_start_anew(model, windows, tmp_path, kill):
    out = tmp_path / "x.h5"
    other = load_model(save_model(small_model(seed=1), tmp_path / "other.safetensors"))
    for network, data in ((other, windows), (model, windows.subset(slice(0, 11)))):
        killed_at(kill, 1, model, windows, GRADCAM, out)
        kill.at(None)
        explain_windows(network, data, GRADCAM, out, shard=5, progress=False)
        assert sum(kill.met) == len(data)


def test_bad_input_leaves_another_jobs_shards_alone(model, windows, tmp_path, kill):
    out = tmp_path / "x.h5"
    killed_at(kill, 2, model, windows, GRADCAM, out)
    kill.at(None)
    with pytest.raises(ValueError, match="did you mean 'class1'"):
        explain_windows(model, windows, GRADCAM, out, target="clas1", shard=5, progress=False)
    explain_windows(model, windows, GRADCAM, out, shard=5, progress=False)
    assert kill.met == [2]
    with pytest.raises(ValueError, match="expected windows to explain"):
        explain_windows(model, windows.subset(slice(0, 0)), GRADCAM, out, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


def test_files_hold_what_pictures_and_measures_need(tmp_path):
    config = SyntheticConfig(
        skeleton="inmotion19", recordings=4, subjects=2, frames=(40, 40), plant=PlantConfig()
    )
    whole = WindowConfig(mode="whole", length=40)
    classes = ("without", "with")
    data = write_windows(tmp_path / "planted.h5", generate(config), classes, whole)
    network = small_model(classes=2)
    network.classes = ("without", "with")
    network = load_model(save_model(network, tmp_path / "model.safetensors"))
    path = explain_windows(
        network, data, GRADCAM, tmp_path / "x.h5", target="label", progress=False
    )[0]
    found = Explanation.open(path)
    content = found.dataset
    np.testing.assert_array_equal(content["label"], data.label)
    np.testing.assert_array_equal(content["target"], data.label)
    np.testing.assert_array_equal(content["positions"], data.positions())
    np.testing.assert_array_equal(content["truth"], data.truth())
    np.testing.assert_array_equal(content["distractor"], data.distractor())
    assert list(content["group"].to_numpy()) == list(data.group)
    assert list(content["recording"].to_numpy()) == list(data.sample)
    assert found.skeleton == data.skeleton
    assert json.loads(content.attrs["classes"]) == ["without", "with"]
    assert content.attrs["model"] == network.card["weights"]
    assert content.attrs["data"] == data.digest
    np.testing.assert_array_equal(content["fps"], data.fps)
    np.testing.assert_array_equal(content["seconds"], data.read().time)
    np.testing.assert_array_equal(content["state"], data.read().state)
    shares = network(network.inputs(data.read())).softmax(dim=1).detach().numpy()
    np.testing.assert_array_equal(content["predicted"], shares.argmax(axis=1))
    np.testing.assert_allclose(content["probability"], shares.max(axis=1), atol=1e-6)


def test_windows_of_another_skeleton_are_refused(windows, tmp_path):
    with pytest.raises(ValueError, match=r"windows\.h5: expected windows of the network's skel"):
        explain_windows(small_model("coco17"), windows, GRADCAM, tmp_path / "x.h5", progress=False)
    assert not list(tmp_path.iterdir())


def test_targets_by_prediction_label_and_name(model, windows):
    x = model.inputs(windows.read())
    predicted = model(x).argmax(1).numpy()
    expected = {"predicted": predicted, "label": windows.label, "class2": np.full(12, 2)}
    for word, numbers in expected.items():
        (made,) = explain_batch(model, windows, GRADCAM, word).values()
        np.testing.assert_array_equal(made.target, numbers)


@pytest.mark.parametrize(
    ("method", "versus", "passes"),
    [
        (GRADCAM, "", 1),
        (GRADCAM, "second", 2),
        (make("inputxgradient", {}), "", 2),
        (make("layercam", {"utility": "prob"}, {"layer": LAYERS[0]}), "", 1),
    ],
)
def test_the_network_runs_no_more_often_than_needed(model, windows, method, versus, passes):
    rows = []
    handle = model.register_forward_hook(lambda _m, _x, logits: rows.append(len(logits)))
    try:
        (made,) = explain_batch(model, windows, method, "predicted", versus=versus).values()
    finally:
        handle.remove()
    assert rows.count(len(windows)) == passes
    shares = model(model.inputs(windows.read())).softmax(dim=1).detach().numpy()
    np.testing.assert_array_equal(made.target, shares.argmax(axis=1))
    np.testing.assert_allclose(made.dataset["probability"], shares.max(axis=1), atol=1e-6)


@pytest.mark.parametrize("utility", ["logit", "prob"])
@pytest.mark.parametrize("dtype", [None, "float64"])
def test_probabilities_are_those_of_logits_whatever_shap_explains(model, windows, utility, dtype):
    some = windows.subset(slice(0, 3))
    shap = make(
        "shap",
        {"utility": utility, "dtype": dtype, "allow_gap": True},
        {"background": model.inputs(windows.read([3, 4]))},
    )
    (made,) = explain_batch(model, some, shap, "second").values()
    shares = model(model.inputs(some.read())).softmax(dim=1).detach().numpy()
    np.testing.assert_array_equal(made.target, shares.argsort(axis=1)[:, -2])
    np.testing.assert_allclose(made.dataset["probability"], shares.max(axis=1), atol=1e-6)
    assert made.dataset["probability"].dtype == np.float32


def test_labels_are_matched_by_the_name_of_the_class(windows):
    network = small_model()
    network.classes = ("class2", "class0", "other")
    np.testing.assert_array_equal(
        true_classes(network, windows), np.array([1, -1, 0])[windows.label]
    )
    with pytest.raises(ValueError, match=r"labels among the network's classes .*missing for 4 of"):
        explain_batch(network, windows, GRADCAM, "label")


def test_missing_labels_are_refused_only_where_they_are_needed(model, tmp_path):
    bare = moving_windows(tmp_path / "bare.h5", groups=2, per_group=1, labels=False)
    with pytest.raises(ValueError, match=r"bare\.h5: expected labels"):
        explain_batch(model, bare, GRADCAM, "label")
    path: Path = explain_windows(
        model, bare, GRADCAM, tmp_path / "x.h5", target="class0", progress=False
    )[0]
    assert (Explanation.open(path).label == -1).all()


def test_a_bar_moves_while_a_shard_is_explained(model, windows, tmp_path, monkeypatch):
    seen: list[float] = []

    @contextmanager
    def noted(_description, total, _progress):
        assert total == len(windows)
        yield seen.append

    monkeypatch.setattr("hargcn.pipeline.shard_work.filling", noted)
    explainer = make("occlusion", {"by": "part"})
    (quiet,) = explain_windows(model, windows, explainer, tmp_path / "a.h5", progress=False)
    assert seen == [0, len(windows)]
    seen.clear()
    (path,) = explain_windows(model, windows, explainer, tmp_path / "b.h5", progress=True)
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert seen[-1] == len(windows)
    assert len({*seen}) > 2 + len(windows) / 2
    assert not model._forward_pre_hooks
    np.testing.assert_array_equal(Explanation.open(quiet).values, Explanation.open(path).values)
