"""Networks are trained once, however many experiments ask for them."""

from __future__ import annotations

import threading
import time

import pytest
from fixtures.command_line import TINY

from hargcn import load_model
from hargcn.files import locked
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


def test_who_wants_the_network_that_another_task_trains_waits_for_it(once, tmp_path, monkeypatch):
    """The other task holds the lock, and the network is there when it lets go."""
    once("a")
    (home,) = (tmp_path / "networks").iterdir()
    home.rename(tmp_path / "elsewhere")
    began, waited = threading.Event(), []

    def other_task():
        with locked(home):
            began.set()
            time.sleep(0.3)
            waited.append(True)
            (tmp_path / "elsewhere").rename(home)

    monkeypatch.setattr("hargcn.pipeline.trained.train", lambda *_, **__: pytest.fail("trained"))
    task = threading.Thread(target=other_task)
    task.start()
    began.wait()
    once("b")
    assert waited
    task.join()


@pytest.mark.slow
@pytest.mark.parametrize("change", ["train.seed=2", "train.lr=0.1", "model.width=12"])
def test_another_recipe_is_another_network(once, change):
    first, _ = once("a")
    other, count = once("b", change)
    assert first != other
    assert count == 2


@pytest.mark.slow
def test_a_student_of_another_teacher_is_another_network(once, tmp_path):
    teachers, path = [], tmp_path / "teacher.safetensors"
    for seed in (1, 2, 1):  # at one path, as the teacher of an experiment that was done again
        folder = path.parent / f"teacher{len(teachers)}"
        once(folder.name, f"train.seed={seed}")
        for name in ("model.safetensors", "model.json"):
            (folder / name).replace(path.with_suffix((folder / name).suffix))
        distil = f"train.distil={{teacher: {path}, temperature: 1, weight: 20}}"
        teachers.append(once(f"student{len(teachers)}", distil)[0])
    assert teachers[0] == teachers[2] != teachers[1]


def test_a_student_does_not_replace_its_teacher(once, tmp_path):
    first, _ = once("teacher")
    taught = f"train.distil={{teacher: {tmp_path / 'teacher/model.safetensors'}}}"
    with pytest.raises(ValueError, match="model.safetensors: expected another file to write"):
        once("teacher", taught)
    assert (tmp_path / "teacher" / "model.safetensors").read_bytes() == first


def test_windows_beside_the_recipe_count_instead_of_its_own(once, waving, tmp_path):
    first, _ = once("a")
    other = tmp_path / "copy.h5"
    other.write_bytes(waving.read_bytes())
    assert once("b", "windows=none.h5", windows=other) == (first, 1)
    with pytest.raises(FileNotFoundError, match="lost.h5"):
        once("c", windows=tmp_path / "lost.h5")


def test_a_teacher_beside_the_recipe_counts_instead_of_its_own(once, tmp_path):
    once("teacher", "train.seed=2")
    teacher = tmp_path / "teacher" / "model.safetensors"
    asked = "train.distil={temperature: 1, weight: 20}"
    found = once("student", asked, teacher=teacher)
    assert found == once(
        "again", f"train.distil={{teacher: {teacher}, temperature: 1, weight: 20}}"
    )
