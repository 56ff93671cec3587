"""The description of outputs: what it says of each kind, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from hargcn.explainers import Adapter
from hargcn.outputs import KINDS, Outputs, outputs_of


def test_names_of_classes_are_short_for_their_description() -> None:
    assert Outputs.of(["a", "b"]) == Outputs("classes", ("a", "b"))
    given = Outputs("regression", ("score",))
    assert Outputs.of(given) is given


def test_a_network_says_one_thing_less_than_there_are_levels() -> None:
    levels = Outputs("ordinal", ("none", "mild", "severe"))
    assert levels.columns == ("at least mild", "at least severe")
    assert [levels.column(word) for word in ("severe", "at least mild", "none", "odd")] == [
        1, 0, None, None,
    ]  # fmt: skip
    for kind in set(KINDS) - {"ordinal"}:
        assert Outputs(kind, ("a", "b")).columns == ("a", "b")


def test_what_each_kind_has() -> None:
    made = {kind: Outputs(kind, ("a", "b")) for kind in KINDS}
    assert {kind for kind in KINDS if made[kind].listed} == {"classes", "ordinal"}
    assert {kind for kind in KINDS if not made[kind].probable} == {"regression"}
    for each in made.values():
        assert Outputs.from_dict(each.to_dict(), "card") == each


@pytest.mark.parametrize(
    ("kind", "names", "match"),
    [
        ("regresion", ("a",), "did you mean 'regression'"),
        ("regression", (), r"at least 1 different names of regression outputs \(got none\)"),
        ("ordinal", ("a",), "at least 2 different names"),
        ("multi-label", ("a", "a"), "different names of multi-label"),
    ],
)
def test_descriptions_that_say_nothing_are_refused(kind, names, match) -> None:
    with pytest.raises(ValueError, match=match):
        Outputs(kind, names)


@pytest.mark.parametrize(
    "content",
    [
        None,
        "regression",
        {"kind": "regression"},
        {"kind": 3, "names": ["a"]},
        {"kind": "regression", "names": [1]},
    ],  # fmt: skip
)
def test_a_foreign_description_names_its_source(content) -> None:
    with pytest.raises(ValueError, match=r"^file\.h5: "):
        Outputs.from_dict(content, "file.h5")


def test_a_network_of_one_s_own_says_what_its_outputs_are() -> None:
    own = torch.nn.Linear(2, 1)
    assert outputs_of(own) == Outputs()
    own.outputs = Outputs("regression", ("angle",))
    assert outputs_of(own) == outputs_of(Adapter(own)) == own.outputs
    other = torch.nn.Module()
    other.outputs = torch.nn.Linear(1, 1)  # a module of that name says nothing
    assert outputs_of(other) == Outputs()
