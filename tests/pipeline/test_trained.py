"""Networks are trained once, however many experiments ask for them."""

from __future__ import annotations

import pytest
from fixtures.command_line import TINY

from hargcn import load_model
from hargcn.pipeline.trained import train_once


@pytest.fixture
def once(waving, tmp_path):
    """Train on small windows, into a folder of a name; say how many networks there are."""

    def call(name, *changes, **more):
        path = tmp_path / "own.yaml"
        path.write_text(f"windows: {waving}\n", encoding="utf-8")
        out, networks = tmp_path / name, tmp_path / "networks"
        made = train_once(
            path, out=out, networks=networks, set_=(*TINY, *changes), progress=False, **more
        )
        assert made == out / "model.safetensors"
        return made.read_bytes(), len([*networks.iterdir()])

    return call


def test_a_second_experiment_takes_the_network_of_the_first(once, tmp_path):
    first, count = once("a")
    (log,) = (tmp_path / "networks").glob("*/log.csv")
    log.write_bytes(log.read_bytes() + b"\n")  # would be lost in a second training
    again, still = once("b", "train.workers=1")
    assert (first, count) == (again, still)
    assert log.read_bytes().endswith(b"\n\n")
    assert (tmp_path / "b" / "log.csv").read_bytes() == log.read_bytes()
    assert load_model(tmp_path / "b" / "model.safetensors").card["epoch"] == 1
    once("b", fresh=True)
    assert not log.read_bytes().endswith(b"\n\n")


@pytest.mark.parametrize("change", ["train.seed=2", "train.lr=0.1", "model.width=12"])
def test_another_recipe_is_another_network(once, change):
    first, _ = once("a")
    other, count = once("b", change)
    assert first != other
    assert count == 2
