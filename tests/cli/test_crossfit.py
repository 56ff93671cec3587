from __future__ import annotations

import json

import pytest
from fixtures.command_line import done, refused, run, sets


@pytest.fixture(scope="module")
def crossed(waving, tmp_path_factory):
    """The words of a cross-fitting, and what it printed for scripts."""
    folder = tmp_path_factory.mktemp("crossfit")
    config = folder / "own.yaml"
    config.write_text(f"windows: {waving}\n", "utf-8")
    words = (
        "crossfit", config, *sets(), "--folds", 2, "--method", "gradcam", "--set",
        "gradcam.relu=true", "--layer", "main.0.tcn", "--out", folder / "x",
    )  # fmt: skip
    return words, json.loads(done(*words, "--json")), folder / "x"


@pytest.mark.slow
def test_scripts_get_the_figures_and_people_tables(crossed):
    words, found, out = crossed
    assert json.loads((out / "crossfit.json").read_text("utf-8")) == found
    again = run(*words)
    assert again.code == 0
    assert "finished before, nothing to do" in again.err
    for said in ("mean over folds", "pooled over all subjects", "held out", "confusion"):
        assert said in again.out
    figures = found["mean_over_folds"]["recordings"]
    low, high = figures["interval"]["accuracy"]
    assert f"{figures['accuracy']:.3f} [{low:.3f}, {high:.3f}]" in again.out
    assert again.out.rstrip().endswith(str(out / "explanations.h5"))


@pytest.mark.slow
def test_what_reads_explanations_takes_everybodys(crossed, tmp_path):
    out = crossed[2]
    assert "(48 explanations)" in done("verify", out / "explanations.h5")
    done("rank", out / "explanations.h5", "--out", tmp_path / "r.png")
    done("show", out / "explanations.h5", "--out", tmp_path / "s.png")
    assert {path.name for path in tmp_path.iterdir()} >= {"r.png", "s.png"}


@pytest.mark.parametrize("command", ["evaluate", "perturb"])
def test_what_asks_one_network_is_told_of_the_folds(crossed, waving, tmp_path, command):
    out = crossed[2]
    model = out / "fold-1" / "model.safetensors"
    suffix = {"evaluate": ".csv", "perturb": ".h5"}[command]
    line = refused(
        command, model, waving, out / "explanations.h5", "--out", tmp_path / f"t{suffix}"
    )
    assert "explanations.h5: expected explanations of one network" in line
    assert f"take one fold at a time, {out / 'fold-1' / 'explanations.h5'} with {model}" in line


def test_a_folds_network_tests_those_that_it_did_not_see(crossed, waving):
    _, found, out = crossed
    model = out / "fold-2" / "model.safetensors"
    tested = json.loads(done("test", model, waving, "--json"))
    assert {key: found["folds"][1][key] for key in tested} == tested
    assert tested["windows"]["subjects"] == 2


def test_broken_options_are_refused_in_one_line(crossed, tmp_path):
    words = (*crossed[0][:2], "--out", tmp_path / "x")
    assert "Expected 2 to 4 folds" in refused(*words, "--folds", 9)
    assert "Expected by of subject" in refused(*words, "--by", "people")
    assert "did you mean 'gradcam'" in refused(*words, "--method", "gradcm")
    assert not (tmp_path / "x").exists()
