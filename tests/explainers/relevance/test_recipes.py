"""Recipes as data."""

from __future__ import annotations

import pytest

from hargcn.explainers.relevance.recipes import (
    ALLOWED,
    COMPOSITES,
    DEEP_TAYLOR,
    KINDS,
    RELATIVE,
    recipe_of,
)


@pytest.mark.parametrize("name", COMPOSITES)
def test_a_composite_has_allowed_rules_for_every_kind_but_perhaps_the_input(name) -> None:
    recipe = recipe_of(name)
    assert {*KINDS} - {*recipe} <= {"input"}
    assert all(rule in ALLOWED[kind] for kind, rule in recipe.items())
    assert ("input" in recipe) == name.endswith(("-flat", "-box", "-w2"))


def test_names_say_what_is_in_them() -> None:
    both = {"sum": "epsilon", "shift": "epsilon"}
    assert recipe_of("gamma") == {
        **dict.fromkeys(("linear", "convolution", "graph"), "gamma"),
        **both,
    }
    plus = {"linear": "epsilon", "convolution": "alpha1-beta0", "graph": "alpha1-beta0", **both}
    assert recipe_of("epsilon-plus") == plus
    assert recipe_of("epsilon-plus-flat") == {**plus, "input": "flat"}
    assert recipe_of("epsilon-gamma-box")["input"] == "z-box"
    assert recipe_of("epsilon-gamma-w2")["input"] == "w2"


def test_biases_take_nothing_of_deep_taylor_and_rap() -> None:
    assert DEEP_TAYLOR == {
        "linear": "z-plus", "convolution": "z-plus", "graph": "z-plus", "sum": "z-plus",
        "shift": "pass", "input": "z-box",
    }  # fmt: skip
    assert RELATIVE == {
        "linear": "relative", "convolution": "relative", "graph": "relative", "sum": "z-plus",
        "shift": "pass",
    }  # fmt: skip


def test_ones_own_is_completed_and_changes_no_named_one() -> None:
    own = recipe_of({"graph": "gamma", "input": "flat"})
    assert own == {**COMPOSITES["epsilon"], "graph": "gamma", "input": "flat"}
    named = recipe_of("gamma")
    named["graph"] = "flat"
    assert COMPOSITES["gamma"]["graph"] == "gamma"


@pytest.mark.parametrize(
    ("recipe", "match"),
    [
        ({"grph": "gamma"}, "kind of operation.*'graph'"),
        ({"graph": "flat"}, "rule of 'graph'.*epsilon, gamma"),
        ({"sum": "pass"}, "rule of 'sum'"),
        ("epsilon-pluss", "did you mean 'epsilon-plus'"),
    ],
)
def test_what_no_recipe_has(recipe, match) -> None:
    with pytest.raises(ValueError, match=match):
        recipe_of(recipe)
