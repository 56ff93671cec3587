"""Shards on a real Ray cluster of two nodes give the same attributions, whoever dies."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from fixtures.cluster_work import Noting, Slow, dies, fails
from fixtures.command_line import refused
from fixtures.moving_windows import moving_windows
from fixtures.small_model import small_model

from hargcn import Explanation, hdf5, load_model, save_model
from hargcn.explainers import DeepSHAP
from hargcn.pipeline.cluster import on_cluster
from hargcn.pipeline.explain_windows import explain_windows

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
    pytest.importorskip("ray")
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
    with pytest.raises(OSError, match=r"^shard 3: expected a worker that ends it \(tried 2 times"):
        on_cluster(dies, [3], done.append, address=cluster.address)
    monkeypatch.setattr("hargcn.pipeline.cluster.package", lambda: "another")
    with pytest.raises(ValueError, match=r": expected the hargcn of the other nodes there$"):
        on_cluster(fails, [0], done.append, address=cluster.address)


@pytest.mark.cluster
def test_a_killed_worker_and_a_lost_node_change_nothing(cluster, asked, tmp_path, monkeypatch):
    """The first worker that is seen at work gets SIGKILL; then a node goes with all it has."""
    given, local = asked
    seen, events = tmp_path / "seen", []
    seen.mkdir()
    lost = cluster.list_all_nodes()[-1]

    def slowly(work, numbers, told, **options):
        def disturbing(number: int) -> None:
            told(number)
            if not events:
                busy = max(seen.iterdir(), key=lambda path: path.stat().st_mtime)
                os.kill(int(busy.name.split(".")[1]), signal.SIGKILL)
                events.append("killed")
            elif len(events) == 1:
                cluster.remove_node(lost, allow_graceful=False)
                events.append("removed")

        on_cluster(Slow(work, seen), numbers, disturbing, **options)

    monkeypatch.setattr("hargcn.pipeline.cluster.on_cluster", slowly)
    (far,) = explain_windows(
        *given, tmp_path / "far.h5", shard=3, engine="ray", address=cluster.address, progress=False
    )
    assert events == ["killed", "removed"]
    equal(local, far)
    tried = [path.name.split(".")[0] for path in seen.iterdir()]
    assert len(tried) > len(set(tried)), "nothing was done again: nobody was disturbed"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["far.h5", "seen"]


def test_without_ray_or_a_cluster_it_is_said_in_a_line(checkpoint, waving, tmp_path, monkeypatch):
    words = ("explain", checkpoint, waving, "--out", tmp_path / "x.h5")
    assert refused(*words, "--engine", "rai") == (
        "Expected --engine of local, ray (got 'rai'; did you mean 'ray'?)"
    )
    assert refused(*words, "--address", "auto").startswith("--address: expected --engine ray")
    monkeypatch.setitem(sys.modules, "ray", None)
    assert refused(*words, "--engine", "ray") == (
        "--engine ray: expected the package ray (not installed): pip install 'hargcn[ray]'"
    )
    assert not (tmp_path / "x.h5").exists()
