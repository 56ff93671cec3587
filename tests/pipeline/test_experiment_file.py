"""The file of an experiment: its cases, the parts they make, and the tables that are joined."""

from __future__ import annotations

import pytest
import yaml

from hargcn.pipeline.experiment_file import CaseConfig, Experiment, read_experiment

STEPS = [
    {"prepare": None}, {"synthesise": None}, {"train": None}, {"test": {"out": "test.json"}},
    {"explain": {"out": "shap.h5"}}, {"perturb": {"out": "cut.h5"}},
    {"evaluate": {"out": "table.csv"}},
]  # fmt: skip


def read(**more) -> Experiment:
    return Experiment.model_validate({"question": "?", "extends": "a.yaml", "steps": STEPS, **more})


def test_a_case_has_what_the_experiment_has_where_it_says_nothing():
    own = read(recordings="all", cases={"plain": {}, "other": {"extends": "b.yaml"}})
    assert {name: str(case.extends) for name, case in own.recipes.items()} == {
        "plain": "a.yaml", "other": "b.yaml",
    }  # fmt: skip
    assert {str(case.recordings) for case in own.recipes.values()} == {"all"}
    assert list(read().recipes) == [""]


def test_the_first_seed_of_all_cases_comes_before_the_second_of_any():
    cases = {"a": {}, "b": {"checkpoint": "net"}}
    assert read(cases=cases, seeds=[7, 8]).parts() == [("a", "7"), ("b", "7"), ("a", "8")]
    assert read(cases=cases).parts() == [("a", ""), ("b", "")]
    assert read().parts() == [("", "")]


def test_all_tables_are_joined_but_those_of_evaluate():
    own = read(afterwards=[{"axioms": {"out": "axioms.csv"}}])
    assert own.tables() == ["test.csv", "cut.csv", "axioms.csv"]
    assert own.tables("evaluate") == ["table.csv"]


@pytest.mark.parametrize(
    ("case", "does"),
    [
        ({"recordings": "all"}, {"prepare", "train", "test"}),
        ({}, {"synthesise", "train", "test"}),
        ({"recordings": "all", "checkpoint": "net"}, {"prepare", "test"}),
    ],
)
def test_recordings_are_prepared_others_generated_and_checkpoints_not_trained(case, does):
    own = CaseConfig.model_validate(case)
    asked = ("prepare", "synthesise", "train", "test")
    assert {command for command in asked if own.does(command)} == does


def test_paths_are_relative_to_the_file(tmp_path):
    path = tmp_path / "experiments" / "x" / "config.yaml"
    path.parent.mkdir(parents=True)
    content = {
        "question": "?", "extends": "../../a.yaml", "steps": STEPS,
        "cases": {"one": {"checkpoint": "../../net.safetensors"}},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    case = read_experiment(path).recipes["one"]
    assert case.extends == (tmp_path / "a.yaml").resolve()
    assert case.checkpoint == (tmp_path / "net.safetensors").resolve()
