from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.moving_windows import moving_windows
from fixtures.small_model import small_model

from hargcn import Explanation, load_model, save_model
from hargcn.data.cutting import WindowConfig
from hargcn.data.planted.planting import PlantConfig
from hargcn.data.planted.synthetic import SyntheticConfig, synthesise
from hargcn.data.windows import Windows, write_windows
from hargcn.explainers import GradCAM
from hargcn.networks.stgcn import MultiBranchSTGCN
from hargcn.pipeline.explain import explain_windows, labels, targets

LAYERS = ["main.1.tcn", "main.1.attention"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> MultiBranchSTGCN:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    return load_model(save_model(small_model(), path))


@pytest.fixture(scope="module")
def windows(tmp_path_factory) -> Windows:
    path = tmp_path_factory.mktemp("windows") / "windows.h5"
    return moving_windows(path, groups=2, per_group=1)


class Counting:
    """Grad-CAM that counts the windows it meets and may be killed."""

    def __init__(self, layers=LAYERS[:1], fail_at: int | None = None) -> None:
        self.explainer = GradCAM(list(layers))
        self.met: list[int] = []
        self.fail_at = fail_at

    def __call__(self, model, x, target):
        if len(self.met) == self.fail_at:
            raise KeyboardInterrupt("killed")
        self.met.append(len(x))
        return self.explainer(model, x, target)


def test_shards_equal_the_whole(model, windows, tmp_path):
    whole = explain_windows(model, windows, Counting(), tmp_path / "w.h5", progress=False)
    sharded = Counting()
    parts = explain_windows(model, windows, sharded, tmp_path / "s.h5", shard=5, progress=False)
    assert sharded.met == [5, 5, 2]
    assert [path.name for path in whole + parts] == ["w.h5", "s.h5"]
    one, other = Explanation.open(whole[0]), Explanation.open(parts[0])
    assert one.dataset.sizes == other.dataset.sizes
    for name, values in one.dataset.variables.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(other.dataset[name], values, rtol=1e-4, atol=1e-6)
        else:
            np.testing.assert_array_equal(other.dataset[name], values)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.h5", "w.h5"]


def test_a_killed_run_goes_on_where_it_stopped(model, windows, tmp_path):
    out = tmp_path / "x.h5"
    out.write_bytes(b"an earlier result")
    killed, again = Counting(LAYERS, fail_at=2), Counting(LAYERS)
    with pytest.raises(KeyboardInterrupt, match="killed"):
        explain_windows(model, windows, killed, out, shard=5, progress=False)
    assert out.read_bytes() == b"an earlier result"
    # What a kill in the middle of writing leaves behind.
    parts = tmp_path / "x.h5.parts"
    (parts / ".00002.main.1.123.tmp.tcn.h5").write_bytes(b"half")
    (parts / "00002.main.1.tcn.h5").write_bytes(b"half")
    written = explain_windows(model, windows, again, out, shard=5, progress=False)
    assert (killed.met, again.met) == ([5, 5], [2])
    assert [path.name for path in written] == ["x.main.1.attention.h5", "x.main.1.tcn.h5"]
    for path in written:
        found = Explanation.open(path)
        assert list(found.dataset["sample"].to_numpy()) == windows.names
        assert found.layer in path.name
    assert out.read_bytes() == b"an earlier result"
    assert not parts.exists()


@pytest.mark.parametrize(
    "change",
    [{"target": "class1"}, {"shard": 6}, {"description": {"method": "other"}}],
    ids=lambda change: next(iter(change)),
)
def test_other_settings_start_anew(model, windows, tmp_path, change):
    out = tmp_path / "x.h5"
    settings = {"shard": 5, "description": {"method": "gradcam"}, "progress": False}
    with pytest.raises(KeyboardInterrupt, match="killed"):
        explain_windows(model, windows, Counting(fail_at=2), out, **settings)
    again = Counting()
    explain_windows(model, windows, again, out, **{**settings, **change})
    assert sum(again.met) == len(windows)


def test_other_windows_or_another_network_start_anew(model, windows, tmp_path):
    out = tmp_path / "x.h5"
    other = load_model(save_model(small_model(seed=1), tmp_path / "other.safetensors"))
    for network, data in ((other, windows), (model, windows.subset(slice(0, 11)))):
        with pytest.raises(KeyboardInterrupt, match="killed"):
            explain_windows(model, windows, Counting(fail_at=1), out, shard=5, progress=False)
        again = Counting()
        explain_windows(network, data, again, out, shard=5, progress=False)
        assert sum(again.met) == len(data)


def test_bad_input_leaves_another_jobs_shards_alone(model, windows, tmp_path):
    out = tmp_path / "x.h5"
    with pytest.raises(KeyboardInterrupt, match="killed"):
        explain_windows(model, windows, Counting(fail_at=2), out, shard=5, progress=False)
    with pytest.raises(ValueError, match="did you mean 'class1'"):
        explain_windows(model, windows, Counting(), out, target="clas1", shard=5, progress=False)
    again = Counting()
    explain_windows(model, windows, again, out, shard=5, progress=False)
    assert again.met == [2]
    with pytest.raises(ValueError, match="expected windows to explain"):
        explain_windows(model, windows.subset(slice(0, 0)), Counting(), out, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]


def test_files_hold_what_pictures_and_measures_need(tmp_path):
    config = SyntheticConfig(
        skeleton="inmotion19", recordings=4, subjects=2, frames=(40, 40), plant=PlantConfig()
    )
    whole = WindowConfig(mode="whole", length=40)
    classes = ("without", "with")
    data = write_windows(tmp_path / "planted.h5", synthesise(config), classes, whole)
    network = small_model(classes=2)
    network.classes = ("without", "with")
    network = load_model(save_model(network, tmp_path / "model.safetensors"))
    path = explain_windows(
        network, data, GradCAM(LAYERS[:1]), tmp_path / "x.h5", target="label", progress=False
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


def test_windows_of_another_skeleton_are_refused(windows, tmp_path):
    with pytest.raises(ValueError, match=r"windows\.h5: expected windows of the network's skel"):
        explain_windows(
            small_model("coco17"), windows, Counting(), tmp_path / "x.h5", progress=False
        )
    assert not list(tmp_path.iterdir())


def test_targets_by_prediction_label_and_name(model, windows):
    x = model.features(torch.from_numpy(windows.positions()), torch.from_numpy(windows.valid()))
    predicted = model(x).argmax(1).numpy()
    np.testing.assert_array_equal(targets(model, windows, "predicted", x), predicted)
    np.testing.assert_array_equal(targets(model, windows, "label", x), windows.label)
    assert set(targets(model, windows, "class2", x)) == {2}


def test_labels_are_matched_by_the_name_of_the_class(windows):
    network = small_model()
    network.classes = ("class2", "class0", "other")
    np.testing.assert_array_equal(labels(network, windows), np.array([1, -1, 0])[windows.label])
    with pytest.raises(ValueError, match=r"labels among the network's classes .*_c1_"):
        targets(network, windows, "label", torch.zeros(0))


def test_missing_labels_are_refused_only_where_they_are_needed(model, tmp_path):
    bare = moving_windows(tmp_path / "bare.h5", groups=2, per_group=1, labels=False)
    with pytest.raises(ValueError, match=r"bare\.h5: expected labels"):
        targets(model, bare, "label", torch.zeros(0))
    path: Path = explain_windows(
        model, bare, Counting(), tmp_path / "x.h5", target="class0", progress=False
    )[0]
    assert (Explanation.open(path).label == -1).all()
