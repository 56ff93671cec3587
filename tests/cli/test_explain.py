from __future__ import annotations

import csv
import json

import h5py
import numpy as np
import pytest
import torch
from fixtures.command_line import done, refused
from fixtures.methods import GRADIENTS
from fixtures.moving_windows import moving_windows

from hargcn import Explanation, hdf5, load_model
from hargcn.data.windows import Windows
from hargcn.pipeline.background import choose_background
from hargcn.pipeline.shards import Shards
from hargcn.plots.skeletons import title


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--class", "clas1"], "got 'clas1'; did you mean 'class1'?"),
        (["--class", "class1", "--versus", "clas0"], "got 'clas0'; did you mean 'class0'?"),
        (["--class", "second", "--versus", "second"], "expected another class than 'second'"),
        (["--method", "shap", "--background-group", "g9"], "Expected --background-group of g"),
        (["--layer", "main.0.tcm"], "Expected --layer of J.init"),
        (["--method", "gradcan"], "got 'gradcan'; did you mean 'gradcam'?"),
        (
            ["--split", "tset"],
            "expected a set of test, train, val (got 'tset'; did you mean 'test'?)",
        ),
        (["--set", "utility=odds"], "method gradcam: utility: Input should be 'logit'"),
        (["--device", "cuda:99"], "Expected device cpu, cuda or cuda:N"),
        (["--device", "tpu"], "Expected device cpu"),
        (["--limit", "0"], "--limit"),
        (["--shard", "0"], "--shard"),
        (["--convergence", "c.png"], "--convergence: expected --method shap"),
        (["--method", "shap", "--layer", "main.0.tcn"], "--layer: expected a method of layers"),
        (["--method", "truth"], "truth: expected a mask (got none)"),
        (["--method", "shap", "--background", "0"], "background sample"),
        (["--method", "shap", "--background", "no.h5"], "no.h5: no such windows file"),
        (["--method", "shap", "--background-by", "age"], "Expected --background-by of random"),
        (["--background", "auto"], "--background auto: expected --method shap (got gradcam)"),
        (
            ["--method", "shap", "--tolerance", "0.1"],
            "--tolerance: expected --background auto (got",
        ),
        (["--method", "shap", "--background", "auto", "--tolerance", "0"], "--tolerance above 0"),
        (["--method", "shap", "--background", "auto", "--tolerance", "nan"], "--tolerance above 0"),
        (
            ["--method", "shap", "--background", "auto", "--background-by", "medoids"],
            "Expected --background-by with --background auto of herding, random (got 'medoids')",
        ),
        (["--method", "shap", "--on", "joints"], "Expected --on of branches"),
        (["--method", "shap", "--set", "chunk=0"], "method shap: chunk: "),
        (["--method", "shap", "--set", "relu=true"], "method shap: unknown key 'relu'"),
        (["--set", "players=joints"], "method gradcam: unknown key 'players'"),
        (["--method", "shapcam", "--set", "player=toes"], "did you mean 'players'?"),
        (["--method", "shapcam", "--set", "permutations=2"], "permutations: "),
    ],
)
def test_broken_options_of_explain(checkpoint, waving, earlier, options, said):
    line = refused("explain", checkpoint, waving, *options, "--out", earlier)
    assert said in line


def test_windows_that_do_not_fit_the_network(checkpoint, skeletons, tmp_path, earlier):
    other = tmp_path / "ntu.h5"
    done("prepare", skeletons, "-s", "windows.length=16", "--out", other)
    for method in ("gradcam", "shap"):
        line = refused("explain", checkpoint, other, "--method", method, "--out", earlier)
        assert line.startswith(f"{other}: expected windows of the network's skeleton inmotion19")
    assert str(other) in refused("test", checkpoint, other)


def test_a_background_of_other_windows_is_refused(checkpoint, waving, tmp_path, earlier):
    longer = moving_windows(tmp_path / "longer.h5", frames=18).path
    common = ("explain", checkpoint, waving, "--method", "shap", "--out", earlier)
    assert "--background: expected windows like" in refused(*common, "--background", longer)


def test_foreign_and_truncated_files(checkpoint, waving, tmp_path, earlier):
    truncated = tmp_path / "half.h5"
    truncated.write_bytes(waving.read_bytes()[: waving.stat().st_size // 2])
    foreign = tmp_path / "foreign.h5"
    with h5py.File(foreign, "w") as file:
        file["positions"] = np.zeros(3)
    text = tmp_path / "text.h5"
    text.write_text("not HDF5", "utf-8")
    for path in (truncated, foreign, text, tmp_path):
        assert str(path) in refused("test", checkpoint, path)
        assert str(path) in refused("explain", checkpoint, path, "--out", earlier)
        assert str(path) in refused("show", path, "--out", earlier)
        assert str(path) in refused("rank", path, "--out", earlier)
    assert "explanation file" in refused("rank", waving, "--out", earlier)


def test_two_layers_give_two_files_that_say_what_they_are(gradcams, waving):
    data = Windows.open(waving).subset("test")
    for path, layer in zip(gradcams, ("main.0.tcn", "main.0.attention"), strict=True):
        found = Explanation.open(path)
        assert (found.method, found.layer) == ("gradcam", layer)
        assert list(found.dataset["sample"].to_numpy()) == data.names
        np.testing.assert_array_equal(found.target, found.predicted)
    assert not list(waving.parent.glob("*.parts"))


def test_shap_adds_up_and_says_how_its_background_was_chosen(shap, waving):
    found = Explanation.open(shap)
    axes = [d for d in found.dims if d != "sample"]
    total = found.values.sum(axes) + found.base_value
    np.testing.assert_allclose(total, found.score, atol=1e-4)
    np.testing.assert_array_equal(found.target, Windows.open(waving).subset("test").label[:4])
    assert found.settings["chunk"] == 4
    assert found.settings["background"]["shape"][0] == 6
    told = {"background": "6", "seed": 1234, "background_by": "random", "settings": {"chunk": 4}}
    assert told.items() <= json.loads(found.dataset.attrs["request"]).items()


def test_without_a_layer_the_last_one_is_explained(checkpoint, waving, tmp_path):
    out = tmp_path / "x.h5"
    said = done("explain", checkpoint, waving, "--limit", 2, "--out", out)
    assert said.split() == [str(out)]
    assert Explanation.open(out).layer == "main.0.attention"


@pytest.mark.slow
def test_positive_parts_and_the_players_of_shapcam(checkpoint, waving, tmp_path):
    common = ("explain", checkpoint, waving, "--limit", 2)
    done(*common, "--method", "gradcam", "--out", tmp_path / "signed.h5")
    done(*common, "--method", "gradcam", "--set", "relu=true", "--out", tmp_path / "relu.h5")
    signed, relu = (Explanation.open(tmp_path / f"{name}.h5") for name in ("signed", "relu"))
    assert float(signed.values.min()) < 0
    np.testing.assert_array_equal(relu.values, signed.values.clip(min=0))
    given = ("--set", "players=joints", "--set", "permutations=8", "--seed", 5)
    done(*common, "--method", "shapcam", *given, "--out", tmp_path / "shapcam.h5")
    found = Explanation.open(tmp_path / "shapcam.h5")
    assert (found.settings["players"], found.settings["seed"]) == ("joints", 5)
    assert set(found.dataset["permutations"].to_numpy()) == {8}
    assert np.ptp(found.values.to_numpy(), axis=1).max() < 1e-6  # joints hold for all time


@pytest.mark.slow
@pytest.mark.parametrize(("method", "utility"), [("shapcam", "prob"), ("shapleycam", "rest")])
def test_the_score_is_the_methods_own(checkpoint, waving, tmp_path, method, utility):
    common = ("explain", checkpoint, waving, "--limit", 1, "--method", method)
    done(*common, "--out", tmp_path / "own.h5")
    assert Explanation.open(tmp_path / "own.h5").utility == utility
    done(*common, "--set", "utility=logit", "--out", tmp_path / "logit.h5")
    assert Explanation.open(tmp_path / "logit.h5").utility == "logit"


def test_negated_gradcam_of_a_named_class(checkpoint, waving, tmp_path):
    common = ("explain", checkpoint, waving, "--limit", 2, "--class", "class1")
    done(*common, "--method", "gradcam", "--out", tmp_path / "a.h5")
    done(*common, "--method", "gradcam-negated", "--out", tmp_path / "b.h5")
    one, other = (Explanation.open(tmp_path / f"{name}.h5") for name in "ab")
    assert set(one.target.to_numpy()) == {1}
    np.testing.assert_allclose(other.values, -one.values)


@pytest.mark.slow
def test_all_layers_of_one_call(checkpoint, waving, tmp_path):
    done("explain", checkpoint, waving, "--layer", "all", "--limit", 1, "--out", tmp_path / "x.h5")
    made = {Explanation.open(path).layer for path in tmp_path.glob("x.*.h5")}
    assert made == set(load_model(checkpoint).layer_names())


@pytest.mark.slow
def test_convergence_against_the_size_of_the_background(checkpoint, waving, tmp_path):
    done(
        "explain", checkpoint, waving, "--method", "shap", "--background", 6, "--limit", 3,
        "--shard", 2, "--convergence", tmp_path / "c.png", "--out", tmp_path / "x.h5",
    )  # fmt: skip
    assert (tmp_path / "c.png").stat().st_size > 1000
    kept = Explanation.open(tmp_path / "x.h5").dataset["joint_by_background"]
    assert dict(kept.sizes) == {"sample": 3, "background": 6, "joint": 19}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["balanced", "medoids"])
def test_shap_on_positions_with_chosen_backgrounds(checkpoint, waving, tmp_path, how):
    out = tmp_path / "x.h5"
    done(
        "explain", checkpoint, waving, "--method", "shap", "--background", 5, "--background-by",
        how, "--on", "positions", "--limit", 1, "--out", out,
    )  # fmt: skip
    found = Explanation.open(out)
    assert found.values.sizes["joint"] == 19
    assert float(found.relative_gap.max()) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("form", ["product", "rank"])
def test_combine_makes_a_hybrid_that_pictures_and_measures_take(checkpoint, waving, tmp_path, form):
    common = ("explain", checkpoint, waving, "--limit", 4)
    one, other, out = (tmp_path / f"{name}.h5" for name in ("shap", "cam", "hybrid"))
    done(*common, "--method", "shap", "--background", 4, "--out", one)
    done(*common, "--method", "gradcam", "--out", other)
    done("combine", one, other, "--form", form, "--out", out)
    assert Explanation.open(out).name.startswith(f"hybrid-{form}")
    done("rank", one, other, out, "--out", tmp_path / "r.png")
    done("show", out, "--out", tmp_path / "s.png")
    given = ("--edit", "edge:incident:zero", "--top", 2, "--draws", 2)
    done("perturb", checkpoint, waving, out, *given, "--out", tmp_path / "p.h5")


def test_only_explanations_of_one_question_are_combined(checkpoint, waving, tmp_path, earlier):
    common = ("explain", checkpoint, waving, "--limit", 2)
    one, other = tmp_path / "a.h5", tmp_path / "b.h5"
    done(*common, "--class", "class0", "--out", one)
    done(*common, "--class", "class1", "--out", other)
    line = refused("combine", one, other, "--out", earlier)
    assert line.startswith(f"{one} and {other}: Expected explanations of the same classes")
    assert "Expected form of product, rank" in refused(
        "combine", one, one, "--form", "sum", "--out", earlier
    )


@pytest.mark.slow
def test_a_killed_run_goes_on_only_with_the_same_background(
    checkpoint, waving, tmp_path, monkeypatch
):
    """Same command, but the background file holds other windows now: no shard of before is used."""
    marks = []
    original = Shards.__init__

    def noting(self, folder, job, count):
        original(self, folder, job, count)
        marks.append(self.mark)

    monkeypatch.setattr(Shards, "__init__", noting)
    given = tmp_path / "background.h5"
    common = ("explain", checkpoint, waving, "--limit", 1, "--out", tmp_path / "x.h5")
    given.write_bytes(waving.read_bytes())
    for _ in range(2):
        done(*common, "--method", "shap", "--background", given)
    with h5py.File(given, "r+") as file:
        file["positions"][0] += 1
    hdf5.seal(given)
    done(*common, "--method", "shap", "--background", given)
    done(*common, "--method", "shapcam", "--set", "players=parts", "--seed", 1)
    done(*common, "--method", "shapcam", "--set", "players=parts", "--seed", 2)
    assert marks[0] == marks[1]
    assert len(set(marks)) == 4


@pytest.mark.slow
def test_windows_and_background_of_some_classes(checkpoint, waving, tmp_path):
    out = tmp_path / "x.h5"
    done(
        "explain", checkpoint, waving, "--of", "class0", "--of", "class2", "--limit", 5,
        "--limit-seed", 3, "--method", "shap", "--background", 4, "--background-class", "class1",
        "--out", out,
    )  # fmt: skip
    found, data = Explanation.open(out), Windows.open(waving)
    names = [str(name) for name in found.dataset["sample"].to_numpy()]
    test = data.subset("test")
    several = test.subset(np.flatnonzero(test.label != 1))
    drawn = np.sort(np.random.default_rng(3).permutation(len(several))[:5])
    assert names == several.subset(drawn).names != several.names[:5]
    model = load_model(checkpoint)
    rows, _ = choose_background(model, data, "4", "random", 1234, ["class1"])
    assert set(rows.label) == {1}
    with torch.inference_mode():
        base = float(model(model.inputs(rows.read()))[:, found.target.to_numpy()[0]].mean())
    assert float(found.base_value[0]) == pytest.approx(base, abs=1e-4)
    done("reproduce", out, "--checkpoint", checkpoint, "--windows", waving)
    told = {"of": ["class0", "class2"], "limit_seed": 3, "background_class": ["class1"]}
    assert told.items() <= json.loads(found.dataset.attrs["request"]).items()


def test_classes_that_are_not_there_are_refused(checkpoint, waving, earlier):
    common = ("explain", checkpoint, waving, "--out", earlier, "--method", "shap")
    assert "got 'clas1'; did you mean 'class1'" in refused(*common, "--of", "clas1")
    assert "got 'clas1'; did you mean 'class1'" in refused(*common, "--background-class", "clas1")
    line = refused(*common, "--background", waving, "--background-class", "class1")
    assert line.startswith("--background-class: expected a number of windows (got ")


@pytest.mark.slow
def test_joint_time_sums_keep_what_consumers_need(checkpoint, waving, shap, tmp_path):
    """The sums of what is kept otherwise; every consumer takes them, and they are made again."""
    out, all_of_it = tmp_path / "x.h5", Explanation.open(shap)
    words = ("explain", checkpoint, waving, "--method", "shap", "--background", 6, "--set",
             "chunk=4", "--limit", 4, "--class", "label", "--keep")  # fmt: skip
    done(*words, "joint-time", "--out", out)
    kept = Explanation.open(out)
    assert kept.dims == ("sample", "time", "joint", "person")
    assert kept.dataset.attrs["kept"] == "joint-time"
    assert all_of_it.dataset.attrs["kept"] == "full"
    largest = float(abs(all_of_it.values).max())
    expected = all_of_it.values.sum(["branch", "channel"])
    np.testing.assert_allclose(kept.values, expected, atol=1e-3 * largest)
    assert "same for 4 windows" in done("reproduce", out, "-c", checkpoint, "-w", waving)
    done("show", out, "--heatmap", "--out", tmp_path / "map.png")
    done("rank", out, shap, "--out", tmp_path / "rank.png")
    done("evaluate", checkpoint, waving, out, "--metrics", "deletion", "--out", tmp_path / "e.csv")
    assert "expected" in refused(*words, "joints", "--out", tmp_path / "y.h5").lower()
    assert out.stat().st_size < shap.stat().st_size


@pytest.mark.slow
def test_one_class_rather_than_another(checkpoint, waving, tmp_path):
    common = ("explain", checkpoint, waving, "--limit", 4, "--method", "shap", "--background", 4)
    asked = {"a": ["second"], "b": ["predicted"], "rather": ["predicted", "--versus", "second"]}
    for name, words in asked.items():
        given = (*common, "--background-group", "g0", "--class", *words, "--shard", 3)
        done(*given, "--out", tmp_path / f"{name}.h5")
    second, first, rather = (Explanation.open(tmp_path / f"{name}.h5") for name in asked)
    np.testing.assert_allclose(rather.values, first.values - second.values, atol=1e-4)
    np.testing.assert_array_equal(rather.versus, second.target)
    np.testing.assert_array_equal(rather.target, rather.predicted)
    path = tmp_path / "rather.h5"
    done("reproduce", path, "--checkpoint", checkpoint, "--windows", waving)
    line = refused(
        "evaluate", checkpoint, waving, path, "--metrics", "pgi", "--out", tmp_path / "t.csv"
    )
    assert line.startswith(f"{path}: expected an explanation of single classes")
    done("show", path, "--out", tmp_path / "strip.png")
    assert " rather than class" in title(rather.isel(sample=0))


def mostly_slow(names, quick):
    """Return the names, those that are not quick marked as slow."""
    return [pytest.param(n, marks=() if n in quick else pytest.mark.slow) for n in names]


@pytest.mark.slow
@pytest.mark.parametrize("name", mostly_slow(GRADIENTS, ("integrated-gradients",)))
def test_gradient_methods_are_explained_ranked_shown_and_judged(checkpoint, waving, tmp_path, name):
    path = tmp_path / "made.h5"
    own = [f"--set={key}={value}" for key, value in GRADIENTS[name].items()]
    done(
        "explain", checkpoint, waving, "--method", name, "--limit", 2, "--background", 4, *own,
        "--set", "utility=prob", "--out", path,
    )  # fmt: skip
    found = Explanation.open(path)
    assert found.dims == ("sample", "branch", "channel", "time", "joint", "person")
    assert (found.method, found.utility) == (name, "prob")
    assert GRADIENTS[name].items() <= found.settings.items()
    done("rank", path, "--out", tmp_path / "rank.png")
    done("show", path, "--out", tmp_path / "strip.png")
    out = tmp_path / "table.csv"
    done(
        "evaluate", checkpoint, waving, path, "--metrics", "pgi,efficiency-gap,ris", "--top", 1,
        "--remake", "--out", out,
    )  # fmt: skip
    with out.open(encoding="utf-8") as stream:
        rows = {r["metric"]: r for r in csv.DictReader(stream) if r["method"] == found.name}
    assert rows["pgi"]["n"] == "2"
    if name == "integrated-gradients":
        assert float(rows["efficiency-gap"]["estimate"]) <= 1e-3


@pytest.mark.slow
def test_integrated_gradients_of_positions(checkpoint, waving, tmp_path):
    common = ("explain", checkpoint, waving, "--method", "integrated-gradients", "--limit", 2)
    done(*common, "--on", "positions", "--background", 4, "--out", tmp_path / "x.h5")
    found = Explanation.open(tmp_path / "x.h5")
    assert found.dims == ("sample", "channel", "time", "joint", "person")
    assert float(found.relative_gap.max()) <= 1e-3
    zero = ("--on", "branches", "--set", "baseline=zero", "--set", "tolerance=1e-4")
    done(*common, *zero, "--background", 4, "--out", tmp_path / "z.h5")
    assert float(Explanation.open(tmp_path / "z.h5").relative_gap.max()) <= 1e-4
