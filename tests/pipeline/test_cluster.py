"""Shards on a real Ray cluster of two nodes give the same attributions, whoever dies."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import torch
import yaml
from fixtures.cluster_work import KilledOnce, Noting, dies, fails
from fixtures.command_line import SMALL_DEMO, refused
from fixtures.moving_windows import moving_windows
from fixtures.small_model import small_model

from hargcn import Explanation, hdf5, load_model, save_model
from hargcn.explainers import DeepSHAP
from hargcn.pipeline.cluster import on_cluster
from hargcn.pipeline.config import read_content
from hargcn.pipeline.evaluate import evaluate
from hargcn.pipeline.experiment import experiment
from hargcn.pipeline.explain import explain
from hargcn.pipeline.explain_windows import explain_windows
from hargcn.pipeline.perturb import perturb

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def started(kind, small):
    """Start the nodes; Ray gives up after 30 s, which are not enough on a machine at work."""
    for left in (2, 1, 0):
        made = kind()
        try:
            made.add_node(**small)
            made.add_node(num_cpus=1, object_store_memory=small["object_store_memory"])
            made.wait_for_nodes()
        except Exception:
            made.shutdown()
            if not left:
                raise
        else:
            return made
    return None


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one core on this machine; tasks find the tests' own modules."""
    monkeypatch = pytest.MonkeyPatch()
    import ray
    from ray.cluster_utils import Cluster

    roots = os.pathsep.join(map(str, Path(__file__).parents[1:3]))
    monkeypatch.setenv("PYTHONPATH", f"{roots}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # a machine at work would hardly let them run
    small = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
    made = started(Cluster, small)
    yield made
    ray.shutdown()
    made.shutdown()
    monkeypatch.undo()


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A network, windows, SHAP, and what an undisturbed local run makes of them."""
    folder = tmp_path_factory.mktemp("asked")
    model = load_model(save_model(small_model(), folder / "model.safetensors"))
    windows = moving_windows(folder / "w.h5", groups=4, per_group=2)
    shap = DeepSHAP(model.inputs(windows.subset(slice(0, 3)).read()))
    given = (model, windows, shap)
    (local,) = explain_windows(*given, folder / "local.h5", shard=3, progress=False)
    return given, local


def equal(one: Path, other: Path) -> None:
    first, second = (Explanation.open(path).dataset for path in (one, other))
    assert first.sizes["sample"] > 40
    assert first.identical(second)
    assert hdf5.sealed_digest(one) == hdf5.sealed_digest(other)


@pytest.mark.cluster
def test_pieces_are_done_once_and_errors_are_those_of_the_work(cluster, tmp_path, monkeypatch):
    done: list[int] = []
    on_cluster(Noting(tmp_path), range(7), done.append, address=cluster.address)
    assert sorted(done) == list(range(7))
    assert {path.read_text() for path in tmp_path.iterdir()} == {str(torch.get_num_threads())}
    with pytest.raises(ValueError, match=r"^w\.h5: expected a better number \(got 0\)$"):
        on_cluster(fails, [0], done.append, address=cluster.address)
    monkeypatch.setattr("hargcn.pipeline.cluster.RETRIES", 1)
    with pytest.raises(OSError, match=r"^piece 3: expected a worker that ends it \(tried 2 times"):
        on_cluster(dies, [3], done.append, address=cluster.address)
    monkeypatch.setattr("hargcn.pipeline.cluster.package", lambda: "another")
    with pytest.raises(ValueError, match=r": expected the hargcn of the other nodes there$"):
        on_cluster(fails, [0], done.append, address=cluster.address)


def killed_once(seen: Path):
    """Return `on_cluster` whose first worker is killed while it works."""
    seen.mkdir()

    def far(work, numbers, told, **options):
        on_cluster(KilledOnce(work, seen), numbers, told, **options)

    return far


def done_again(seen: Path) -> bool:
    """Say whether a piece was begun twice, which is so where a worker was killed."""
    tried = [path.name.split(".")[0] for path in seen.glob("*.*")]
    return (seen / "killed").exists() and len(tried) > len(set(tried))


def alike(one: Path, other: Path, *timed: str) -> list[str]:
    """Compare all files of two folders byte by byte; of those that time is in only that they are.

    Returns
    -------
    list of str
        The names of the others.
    """
    files, others = (
        {str(path.relative_to(at)): path for path in at.rglob("*") if path.is_file()}
        for at in (one, other)
    )
    assert files.keys() == others.keys()
    compared = [name for name in files if not name.endswith(timed or ("/",))]
    differ = [name for name in compared if files[name].read_bytes() != others[name].read_bytes()]
    assert not differ
    return compared


@pytest.mark.cluster
@pytest.mark.filterwarnings("ignore:.*nobody can say whether")
@pytest.mark.parametrize("call", [perturb, evaluate])
def test_measures_on_nodes_are_those_of_one_process(cluster, tmp_path, monkeypatch, call):
    """A worker is killed while it measures; local shards are used by the nodes, and the reverse."""
    checkpoint = save_model(small_model(), tmp_path / "model.safetensors")
    windows = moving_windows(tmp_path / "w.h5", groups=4, per_group=2).path
    explain(checkpoint, windows, tmp_path / "cam.h5", split="all", limit=11, limit_seed=1)
    more = {
        perturb: {"edit": "input:noise:0.3", "top": 2, "random": 2, "draws": 2},
        evaluate: {"metrics": "pgi,deletion,sensitivity-n,coherency,ris", "remake": True},
    }[call]
    name = {perturb: "p.h5", evaluate: "e.csv"}[call]
    given = (checkpoint, windows, [tmp_path / "cam.h5"])
    call(*given, tmp_path / "local" / name, shard=3, progress=False, **more)
    monkeypatch.setattr("hargcn.pipeline.cluster.on_cluster", killed_once(tmp_path / "seen"))
    monkeypatch.chdir(tmp_path)
    call(
        *given, Path("far") / name, shard=3, engine="ray", address=cluster.address,
        progress=False, **more,
    )  # fmt: skip
    assert done_again(tmp_path / "seen")
    assert name in alike(tmp_path / "local", tmp_path / "far")


SMALL = """
question: Do tasks give what steps in turn give?
extends: ../../configs/recipe.yaml
cases:
  wrist: {}
  arm: {set: ["prepare.synthetic.plant.classes={without: null, sign: {kind: raise, size: 0.8}}"]}
seeds: [1, 2]
once:
  - synthesise: {changes: [synthetic.recordings=40]}
steps:
  - train: {set: [train.epochs=1]}
  - explain: {method: gradcam, split: all, limit: 4, out: cam.h5}
  - evaluate: {metrics: "deletion,localisation", out: table.csv}
afterwards:
  - rank: {explanations: [cam.h5], out: rank.png, dpi: 40}
compare: {figures: [deletion], references: [random]}
"""


@pytest.mark.cluster
def test_an_experiment_on_nodes_gives_the_files_of_one_process(cluster, tmp_path, monkeypatch):
    """A worker is killed meanwhile: what its steps had made is there, and they go on."""
    demo = Path(__file__).parents[2] / "hargcn" / "pipeline" / "demo.yaml"
    (tmp_path / "configs").mkdir()
    recipe = tmp_path / "configs" / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(read_content(demo, SMALL_DEMO)), encoding="utf-8")
    file = tmp_path / "experiments" / "small" / "config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(SMALL, encoding="utf-8")
    experiment(file, networks=tmp_path / "own", progress=False)
    monkeypatch.setattr("hargcn.pipeline.cluster.on_cluster", killed_once(tmp_path / "seen"))
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    options = {"networks": "theirs", "engine": "ray", "address": cluster.address}
    experiment(file, out="far", **options, progress=False, say=said.append)
    assert said[0].startswith("16 steps to do")
    assert "wrist/seed2/steps.json: done" in said
    assert done_again(tmp_path / "seen")
    timed = ("seconds.csv", "once.json", "steps.json", "afterwards.json", "log.csv", "model.json")
    same = alike(file.parent / "results", tmp_path / "far", *timed)
    assert {"measures.csv", "paired.csv", "made.csv", "wrist/seed1/run/model.safetensors"} <= {
        *same
    }
    for each in (tmp_path / "far").rglob("steps.json"):
        commands = [entry["command"] for entry in json.loads(each.read_text(encoding="utf-8"))]
        assert commands == ["train", "explain", "evaluate"]
    experiment(file, out="far", **options, progress=False, say=said.append)
    assert said[-1] == "nothing to do: all of it is done (--fresh does it again)"


@pytest.mark.cluster
def test_a_killed_worker_and_a_lost_node_change_nothing(cluster, asked, tmp_path, monkeypatch):
    """The first worker gets SIGKILL at its work; then a node goes with all it has."""
    given, local = asked
    far, lost = killed_once(tmp_path / "seen"), [cluster.list_all_nodes()[-1]]

    def disturbed(work, numbers, told, **options):
        def losing(number: int) -> None:
            told(number)
            while lost:
                cluster.remove_node(lost.pop(), allow_graceful=False)

        far(work, numbers, losing, **options)

    monkeypatch.setattr("hargcn.pipeline.cluster.on_cluster", disturbed)
    (there,) = explain_windows(
        *given, tmp_path / "far.h5", shard=3, engine="ray", address=cluster.address, progress=False
    )
    assert not lost
    assert done_again(tmp_path / "seen")
    equal(local, there)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["far.h5", "seen"]


def test_without_ray_or_a_cluster_it_is_said_in_a_line(checkpoint, waving, tmp_path, monkeypatch):
    words = ("explain", checkpoint, waving, "--out", tmp_path / "x.h5")
    others = (
        ("perturb", checkpoint, waving, waving, "--out", tmp_path / "x.h5"),
        ("evaluate", checkpoint, waving, waving, "--out", tmp_path / "x.csv"),
        ("experiment", "utd_mhad"),
    )
    for each in others:
        assert refused(*each, "--address", "auto") == "--address: expected --engine ray (got local)"
    assert refused(*words, "--engine", "rai") == (
        "Expected --engine of local, ray (got 'rai'; did you mean 'ray'?)"
    )
    assert refused(*words, "--address", "auto").startswith("--address: expected --engine ray")
    monkeypatch.setitem(sys.modules, "ray", None)
    assert refused(*words, "--engine", "ray") == (
        "--engine ray: expected the package ray (not installed): pip install 'hargcn[ray]'"
    )
    assert not (tmp_path / "x.h5").exists()
