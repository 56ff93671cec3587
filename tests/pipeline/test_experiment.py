from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from fixtures.command_line import SMALL_DEMO
from fixtures.tables import differences

from hargcn import Explanation, load_model
from hargcn.data.windows import Windows
from hargcn.pipeline.config import read_config, read_content
from hargcn.pipeline.experiment import experiment
from hargcn.pipeline.experiment_file import CaseConfig, experiments, read_experiment
from hargcn.pipeline.prepare import prepare
from hargcn.pipeline.steps import COMMANDS
from hargcn.training.optimisation import TrainConfig

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = experiments(ROOT)
TINY = """
question: Does every step run?
extends: ../../configs/recipe.yaml
steps:
  - synthesise: {changes: [synthetic.recordings=50]}
  - train:
  - test: {out: test.json}
  - correlate: {class: label, limit: 8, out: correlation.csv, dpi: 50}
  - explain: &explain
      method: shap
      settings: {chunk: 4}
      background: 6
      background_class: [no tremor]
      of: [tremor]
      limit: 4
      limit_seed: 1
      target: label
      out: shap.h5
  - explain:
      <<: *explain
      method: gradcam
      settings: {}
      layer: [main.0.tcn, main.0.attention]
      out: gradcam.h5
  - combine: {shap: shap.h5, cam: gradcam.main.0.tcn.h5, out: product.h5}
  - rank: {explanations: [shap.h5, gradcam.main.0.tcn.h5], class: tremor, out: ranking.png, dpi: 50}
  - show: {explanation: shap.h5, out: strip.png, dpi: 50}
  - perturb: {explanations: [shap.h5, product.h5], top: 3, random: 2, out: perturb.h5, dpi: 50}
  - evaluate: {explanations: [shap.h5, product.h5], metrics: "pgi,localisation", out: table.csv}
quick:
  explain: {limit: 2}
  perturb: {top: 1}
"""
MADE = (
    "windows.h5", "run/model.safetensors", "test.json", "correlation.csv", "correlation.png",
    "shap.h5", "gradcam.main.0.tcn.h5", "gradcam.main.0.attention.h5", "product.h5", "ranking.png",
    "strip.png", "perturb.h5", "perturb.csv", "perturb.gap.png", "perturb.accuracy.png",
    "table.csv",
)  # fmt: skip


def written(folder: Path, text: str = TINY) -> Path:
    """Write an experiment and its recipe as they lie in a checkout; return its file."""
    recipe = folder / "configs" / "recipe.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(yaml.safe_dump(read_content(DEMO, SMALL_DEMO)), encoding="utf-8")
    path = folder / "experiments" / "tiny" / "config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return path


DEMO = ROOT / "hargcn" / "pipeline" / "demo.yaml"


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Path:
    """An experiment on generated bodies that has run."""
    path = written(tmp_path_factory.mktemp("checkout"))
    experiment(path, set_=["prepare.synthetic.seed=7", "train.seed=3"], progress=False)
    return path


@pytest.mark.slow
def test_an_experiment_leaves_its_results_beside_its_file(ran):
    results = ran.parent / "results"
    assert sorted(path.name for path in ran.parent.iterdir()) == ["config.yaml", "results"]
    for name in MADE:
        assert (results / name).stat().st_size > 0, name
    assert pd.read_csv(results / "perturb.csv")["k"].max() == 3
    assert json.loads((results / "test.json").read_text())["windows"]["n"] == 20
    table = pd.read_csv(results / "table.csv")
    assert set(table["method"]) >= {"sign's joints", "class prior", "acceleration x prior"}
    card = load_model(results / "run" / "model.safetensors").card
    assert (card["experiment"], card["training"]["seed"]) == ("recipe.yaml", 3)


@pytest.mark.slow
def test_steps_take_the_windows_that_they_ask_for(ran):
    windows = Windows.open(ran.parent / "results" / "windows.h5").subset("test")
    label = dict(zip(windows.names, windows.label, strict=True))
    found = Explanation.open(ran.parent / "results" / "shap.h5")
    samples = [str(name) for name in found.dataset["sample"].to_numpy()]
    signed = [name for name in windows.names if label[name] == windows.classes.index("tremor")]
    assert samples == [name for name in signed if name in samples]
    assert len(samples) == 4
    assert samples != signed[:4]
    assert found.settings["chunk"] == 4


@pytest.mark.slow
def test_a_quick_run_is_smaller_and_goes_elsewhere(ran):
    said: list[str] = []
    made = experiment(ran, quick=True, progress=False, say=said.append)
    assert made == ran.parent / "quick"
    assert (said[0], said[2]) == ("1/11 synthesise", "3/11 test test.json")
    assert pd.read_csv(made / "perturb.csv")["k"].max() == 1
    assert len(Explanation.open(made / "shap.h5").dataset["sample"]) == 2


@pytest.mark.slow
def test_a_finished_network_is_trained_again_only_afresh(tmp_path):
    steps = "[synthesise: , train: , test: {out: test.json}]"
    path = written(tmp_path, f"question: Q\nextends: ../../configs/recipe.yaml\nsteps: {steps}\n")
    out = experiment(path, out=tmp_path / "out", progress=False)
    log = out / "run" / "log.csv"
    before = log.read_bytes()
    log.write_bytes(before + b"\n")
    experiment(path, out=out, progress=False)
    assert log.read_bytes() == before + b"\n"
    experiment(path, out=out, fresh=True, progress=False)
    assert not log.read_bytes().endswith(b"\n\n")


@pytest.mark.slow
def test_a_checkpoint_that_comes_along_replaces_training(ran, tmp_path):
    network = ran.parent / "results" / "run" / "model.safetensors"
    text = TINY.split("  - correlate")[0].replace("steps:", f"checkpoint: {network}\nsteps:")
    path = written(tmp_path, text)
    out = experiment(path, set_=["prepare.synthetic.seed=7"], progress=False)
    found, expected = (
        json.loads((folder / "test.json").read_text()) for folder in (out, ran.parent / "results")
    )
    assert found == expected
    assert not (out / "run").exists()
    with pytest.raises(ValueError, match="--set train.seed=1: expected --fresh with it"):
        experiment(path, set_=["train.seed=1"], progress=False)
    experiment(path, fresh=True, progress=False)
    assert (out / "run" / "model.safetensors").is_file()


@pytest.mark.slow
def test_seeds_repeat_all_steps_and_join_their_tables(tmp_path):
    text = """
question: Do seeds differ?
extends: ../../configs/recipe.yaml
seeds: [1, 2]
steps:
  - synthesise: {changes: [synthetic.recordings=50]}
  - train:
  - explain:
      {method: gradcam, layer: [main.0.tcn], of: [tremor], target: tremor, limit: 4, out: cam.h5}
  - evaluate: {explanations: [cam.h5], metrics: localisation, out: table.csv}
"""
    said: list[str] = []
    out = experiment(written(tmp_path, text), progress=False, say=said.append)
    assert said[0].startswith("8 steps to do; how long they take is not known")
    assert said[1] == "1/4 synthesise seed1"
    assert said[-1] == "4/4 evaluate seed2/table.csv"
    each = [pd.read_csv(out / f"seed{seed}" / "table.csv") for seed in (1, 2)]
    joined = pd.read_csv(out / "table.csv")
    name = ["metric", "method"]
    assert joined[name].equals(each[0][name])
    assert (joined["n"] == each[0]["n"] + each[1]["n"]).all()
    assert not each[0]["estimate"].equals(each[1]["estimate"])
    cards = [load_model(out / f"seed{seed}" / "run" / "model.safetensors").card for seed in (1, 2)]
    assert [card["training"]["seed"] for card in cards] == [1, 2]
    assert cards[0]["data"]["digest"] != cards[1]["data"]["digest"]


CASES = """
question: Do cases differ?
extends: ../../configs/recipe.yaml
cases:
  wrist: {set: ["prepare.synthetic.plant.classes={without: null, sign: {kind: tremor, size: 0.5}}"]}
  arm: {set: ["prepare.synthetic.plant.classes={without: null, sign: {kind: raise, size: 0.8}}"]}
  never: {set: ["prepare.synthetic.plant.classes={without: null, sign: {kind: tremor, size: 0}}"]}
seeds: [1, 2]
once:
  - synthesise: {changes: [synthetic.recordings=80, synthetic.plant.distractors=0]}
  - synthesise: &left
      changes:
        [synthetic.recordings=80, synthetic.plant.distractors=0, synthetic.plant.leave_out=sign]
      out: no sign.h5
  - synthesise: {<<: *left, out: calm.h5, changes:
        [synthetic.recordings=80, synthetic.plant.distractors=0, synthetic.plant.leave_out=decoys]}
steps:
  - train: {set: [train.epochs=12, train.batch_size=8]}
  - decided_by_sign:
      without_sign: ../no sign.h5
      without_decoys: ../calm.h5
      limit: 6
      fewest: 1
      out: decided.csv
      names: decided.txt
  - explain: &explain {method: gradcam, split: decided.txt, target: sign, out: gradcam.h5}
  - explain: {<<: *explain, method: saliency, out: saliency.h5}
  - costs: {limit: 1, out: costs.csv}
  - evaluate: {metrics: "localisation,deletion", out: table.csv}
compare: {figures: ["localisation:within-auroc", deletion], references: [random, acceleration]}
quick: {decided_by_sign: {limit: 1, fewest: 1}}
quick_cases: [arm]
"""


@pytest.mark.slow
def test_cases_repeat_all_steps_with_every_seed_and_join_their_tables(tmp_path):
    path = written(tmp_path, CASES)
    said: list[str] = []
    out = experiment(path, progress=False, say=said.append)
    begun = [line.split(" ", 2)[2] for line in said if " train " in line]
    cases = ("wrist", "arm", "never")
    assert begun == [f"{case}/seed{seed}" for seed in (1, 2) for case in cases]
    assert len([line for line in said if " synthesise " in line]) == 9  # once per case
    counts = pd.read_csv(out / "decided.csv").set_index(["case", "seed"])
    # A network cannot heed a sign of no size: what hangs on it is left out, and said so.
    assert counts.loc["never", "flipped"].tolist() == [0, 0]
    assert len([line for line in said if "expected 1 windows that" in line]) == 2
    left = [(case, seed) for case in ("wrist", "arm") for seed in (1, 2)]
    assert (counts.loc[left, "taken"] >= 1).all()
    table = pd.read_csv(out / "measures.csv").set_index(["case", "seed"])
    assert sorted(set(table.index)) == sorted(left)
    assert set(table["metric"]) == {"localisation:within-auroc", "deletion"}
    own = pd.read_csv(out / "arm" / "seed2" / "table.csv").set_index(["metric", "method"])
    for row in table.loc[("arm", 2)].itertuples():
        assert row.estimate == pytest.approx(own.loc[(row.metric, row.method), "estimate"], 1e-3)
    assert set(pd.read_csv(out / "costs.csv")["method"]) == {
        "gradcam main.0.attention", "saliency",
    }  # fmt: skip
    paired = pd.read_csv(out / "paired.csv")
    assert set(paired["case"]) == {"wrist", "arm"}
    assert {*paired["reference"]} == {"random", "acceleration"}
    assert (paired["runs"] == 2).all()
    cards = [load_model(out / "arm" / f"seed{seed}" / "run" / "model.safetensors").card
             for seed in (1, 2)]  # fmt: skip
    assert [card["training"]["seed"] for card in cards] == [1, 2]
    assert cards[0]["data"]["digest"] == cards[1]["data"]["digest"]

    quick = experiment(path, quick=True, progress=False)
    assert {path.name for path in quick.iterdir() if path.is_dir()} == {"arm"}
    assert pd.read_csv(quick / "decided.csv").set_index("seed")["taken"].to_dict() == {1: 1}

    # What is finished is not done again; what is not, is.
    (out / "never" / "seed1" / "steps.json").unlink()
    (out / "never" / "seed1" / "table.csv").write_bytes((out / "arm/seed1/table.csv").read_bytes())
    said.clear()
    experiment(path, progress=False, say=said.append)
    redone = [line.split(" ", 2)[2] for line in said if "/6 " in line]
    assert redone == ["never/seed1", "never/seed1/decided.csv"]
    assert set(pd.read_csv(out / "measures.csv")["case"]) == {"wrist", "arm"}


RESUMED = """
question: Does an interrupted run go on?
extends: ../../configs/recipe.yaml
cases: {one: {}, two: {}}
seeds: [1, 2]
once: [synthesise: ]
steps: [train: {note: a}, rank: {explanations: [], out: ranking.png}]
together: [show: {explanation: "", out: all.png}]
"""


@pytest.fixture
def steps_noted(monkeypatch):
    """Replace steps by ones that note what they are given, and fail where they are told to."""
    noted: list[str] = []
    failing: list[str] = []

    def noted_as(name, out):
        noted.append(f"{name} {Path(out).parent.name}/{Path(out).name}")
        if noted[-1] in failing:
            failing.remove(noted[-1])
            raise KeyboardInterrupt

    def train(out, note):
        noted_as(f"train {note}", out)

    def rank(explanations, out):
        assert explanations == []
        noted_as("rank", out)

    def show(explanation, out, parts):
        assert not explanation.is_file()
        assert sorted(parts) == [("one", "1"), ("one", "2"), ("two", "1"), ("two", "2")]
        noted_as("show", out)

    monkeypatch.setitem(COMMANDS, "synthesise", lambda out: noted_as("synthesise", out))
    for function in (train, rank, show):
        monkeypatch.setitem(COMMANDS, function.__name__, function)
    return noted, failing


def test_an_interrupted_run_goes_on_at_the_step(tmp_path, steps_noted):
    noted, failing = steps_noted
    path = written(tmp_path, RESUMED)
    failing.append("rank seed1/ranking.png")  # of the first case
    with pytest.raises(KeyboardInterrupt):
        experiment(path, progress=False)
    assert noted == ["synthesise one/windows.h5", "train a seed1/run", "rank seed1/ranking.png"]
    noted.clear()
    said: list[str] = []
    experiment(path, progress=False, say=said.append)
    assert said[0].startswith("9 steps to do")
    rest = ["train a seed1/run", "rank seed1/ranking.png"]
    again = ["train a seed2/run", "rank seed2/ranking.png"] * 2
    first = ["rank seed1/ranking.png", "synthesise two/windows.h5"]
    assert noted == [*first, *rest, *again, "show results/all.png"]
    noted.clear()
    experiment(path, progress=False, say=said.append)
    assert not noted
    assert said[-1].startswith("nothing to do")
    path.write_text(RESUMED.replace("note: a", "note: b"), encoding="utf-8")
    experiment(path, progress=False)
    assert len(noted) == 9  # windows stay


def test_a_run_takes_the_cases_it_is_told(tmp_path, steps_noted):
    noted, _ = steps_noted
    path = written(tmp_path, RESUMED.split("together")[0])
    experiment(path, cases=["two"], progress=False)
    assert noted[0] == "synthesise two/windows.h5"
    assert len(noted) == 5
    with pytest.raises(ValueError, match="Expected a case of one, two .got 'three'"):
        experiment(path, cases=["three"])
    noted.clear()
    path.write_text(
        RESUMED.split("together")[0].replace("one: {}", "one: {optional: true}"), encoding="utf-8"
    )
    experiment(path, fresh=True, progress=False)
    assert [line for line in noted if "synthesise" in line] == ["synthesise two/windows.h5"]


@pytest.mark.slow
def test_an_experiment_runs_on_windows_and_a_network_of_ones_own(ran, tmp_path):
    made = ran.parent / "results"
    text = TINY.split("  - correlate")[0].replace("steps:", "checkpoint: none\nsteps:")
    path = written(tmp_path, text)
    network = made / "run" / "model.safetensors"
    out = experiment(path, windows=made / "windows.h5", checkpoint=network, progress=False)
    assert sorted(each.name for each in out.iterdir()) == [
        "made.csv", "seconds.csv", "test.csv", "windows",
    ]  # fmt: skip
    found, expected = (
        json.loads((folder / "test.json").read_text()) for folder in (out / "windows", made)
    )
    assert found == expected
    table = pd.read_csv(out / "made.csv")
    digest = Windows.open(made / "windows.h5").digest
    assert table["windows"].tolist() == [digest]
    with pytest.raises(ValueError, match="Expected --windows with --config and --checkpoint"):
        experiment(path, checkpoint=network)
    trained = experiment(
        path, windows=made / "windows.h5", out=tmp_path / "trained", progress=False,
        set_=["train.epochs=1"],
    )  # fmt: skip
    assert (trained / "windows" / "run" / "model.safetensors").is_file()


ARGUED = """
question: Does a case have arguments of its own?
extends: ../../configs/recipe.yaml
cases: {plain: {}, other: {arguments: {train: {note: its own}}}}
steps: [train: {note: of all}]
quick: {train: {note: quick}}
"""


def test_a_case_lays_its_arguments_over_those_of_all_its_steps(tmp_path, monkeypatch):
    given: list[tuple[str, str]] = []

    def train(out, note):
        given.append((Path(out).parent.name, note))

    monkeypatch.setitem(COMMANDS, "train", train)
    path = written(tmp_path, ARGUED)
    experiment(path, progress=False)
    assert given == [("plain", "of all"), ("other", "its own")]
    experiment(path, progress=False)
    assert len(given) == 2  # what is finished is not done again
    experiment(path, quick=True, progress=False)
    assert given[2:] == [("plain", "quick"), ("other", "quick")]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "- train:",
            "- trian:",
            "Expected a command of prepare.*got 'trian'; did you mean 'train'",
        ),
        (
            "limit: 8",
            "limt: 8",
            "Expected arguments of correlate .got 'limt'; did you mean 'limit'",
        ),
        ("perturb: {top: 1}", "perturb: {topp: 1}", "quick.*'topp'; did you mean 'top'"),
        ("- train:", "- test:", "Expected a step `train`, or a `checkpoint`"),
        ("- train:", "- train", "Expected a list of {command: {argument: value}}"),
        ("- train:", "- train: 3", "Expected arguments of train, or nothing"),
        (
            "steps:",
            "checkpoint: x\nseeds: [1]\nsteps:",
            "Expected seeds of networks that",
        ),
        ("question:", "qestion:", "unknown key 'qestion'; did you mean 'question'"),
        ("extends: ../../configs/recipe.yaml", "cases: {a: {}}", "'extends', here or in .*not a"),
        (
            "extends: ../../configs/recipe.yaml",
            "cases: {a: {extends: x, arguments: {train: {frsh: true}}}}",
            "cases.a.arguments.*'frsh'; did you mean 'fresh'",
        ),
        ("extends: ../../configs/recipe.yaml\n", "", "Expected the key 'extends'"),
        ("quick:", "quick_cases: [b]\nquick:", "Expected quick_cases among the cases .got 'b'"),
    ],
    ids=[
        "command",
        "argument",
        "quick",
        "network",
        "list",
        "arguments",
        "seeds",
        "key",
        "case",
        "case's",
        "recipe",
        "few",
    ],
)
def test_defects_are_refused_in_one_line(tmp_path, old, new, said):
    path = written(tmp_path, TINY.replace(old, new))
    with pytest.raises(ValueError, match=rf"config\.yaml: .*{said}") as refused:
        read_experiment(path)
    assert "\n" not in str(refused.value)


def test_missing_recordings_are_told_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("HARGCN_DATA", str(tmp_path / "absent"))
    text = TINY.replace("  - synthesise: {changes: [synthetic.recordings=50]}", "  - prepare:")
    path = written(tmp_path, text.replace("steps:", "recordings: films/raw\nsteps:"))
    with pytest.raises(FileNotFoundError, match=r"absent.films.raw: no such.*set HARGCN_DATA"):
        experiment(path, progress=False)
    monkeypatch.delenv("HARGCN_DATA")
    beside = tmp_path.parent / "shared" / "data" / "films" / "raw"
    with pytest.raises(FileNotFoundError, match=f"{beside}: no such folder"):
        experiment(path, progress=False)


def test_experiments_are_a_checkouts(tmp_path, monkeypatch):
    path = written(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "hargcn"\n', encoding="utf-8")
    assert experiments(path.parent) == {"tiny": path}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="Expected an experiment of tiny .got 'tinny'; did you"):
        experiment("tinny")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\n', encoding="utf-8")
    with pytest.raises(FileNotFoundError, match="expected a folder in a checkout of hargcn"):
        experiments(tmp_path)


@pytest.mark.parametrize("name", COMMITTED)
def test_a_committed_experiment_is_whole(name):
    path = COMMITTED[name]
    own = read_experiment(path)
    for recipe in own.recipes.values():
        assert read_config(recipe.extends, recipe.set).windows is not None
    page = (path.parent / "README.md").read_text(encoding="utf-8")
    assert f"hargcn experiment {name}" in page
    steps = (*own.steps, *own.afterwards, *own.together)
    outs = {Path(arguments["out"]).stem for _, arguments in steps if "out" in arguments}
    outs |= {"made", "seconds"}
    outs |= {"measures", "paired"} if own.compare.references else set()
    tables = [path.stem for path in (path.parent / "results").glob("*.csv")]
    assert tables
    assert {name.partition(".")[0] for name in tables} <= outs  # a step's further tables: out.more
    for picture in (path.parent / "results").glob("*.png"):
        assert picture.stat().st_size < 300_000


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> Path:
    """Where networks of all experiments are kept."""
    return tmp_path_factory.mktemp("networks")


@pytest.mark.slow
@pytest.mark.usefixtures("data_root")
@pytest.mark.parametrize("name", COMMITTED)
def test_a_committed_experiment_runs_quickly(name, tmp_path, networks):
    out = experiment(COMMITTED[name], quick=True, out=tmp_path, networks=networks, progress=False)
    results = COMMITTED[name].parent / "results"
    made = {path.name for path in out.iterdir()}
    assert made >= {path.name for path in results.iterdir() if path.suffix in (".csv", ".png")}


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    "name", [name for name in COMMITTED if read_experiment(COMMITTED[name]).checkpoint]
)
def test_a_card_names_the_windows_that_its_committed_commands_prepare(name, data_root, tmp_path):
    own = read_experiment(COMMITTED[name])
    card = load_model(own.checkpoint).card
    (arguments,) = [arguments for command, arguments in own.steps if command == "prepare"]
    made = prepare(data_root / own.recordings, tmp_path / "w.h5", own.extends, **arguments)
    assert card["experiment"] == own.extends.name
    assert card["data"]["digest"] == made.digest
    said = {
        key: value for key, value in card["training"].items() if key in TrainConfig.model_fields
    }
    assert len(said) > 15
    # Settings that are younger than the card have their defaults.
    assert TrainConfig.model_validate(said) == read_config(own.extends).train


@pytest.mark.remake
@pytest.mark.usefixtures("data_root")
@pytest.mark.parametrize("name", COMMITTED)
def test_a_committed_experiment_makes_its_tables_again(name, tmp_path):
    out = experiment(COMMITTED[name], out=tmp_path, progress=False)
    assert not differences(COMMITTED[name].parent / "results", out)


def test_cases_of_recordings_and_generated_ones_share_their_steps(tmp_path):
    """Of `prepare` and `synthesise` each does its own."""
    text = TINY.replace(
        "steps:", "cases: {real: {recordings: raw}, made: {}}\nsteps:\n  - prepare:", 1
    )
    own = read_experiment(written(tmp_path, text))
    kinds = {"real": ("prepare", "train"), "made": ("synthesise", "train")}
    for name, case in own.recipes.items():
        commands = [command for command, _ in own.steps[:3] if case.does(command)]
        assert commands == [*kinds[name]]
    seen = CaseConfig(extends="a", checkpoint="b")
    assert not seen.does("train")
