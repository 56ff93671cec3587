"""Composites: which rule each kind of operation has, as data.

The named ones are those of zennit (Anders et al. 2021), and one rule for everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from hargcn.checks import one_of

Kind = Literal["linear", "convolution", "graph", "sum", "shift", "input"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Kinds of operations.

linear        a matrix times the features of whole samples, (n, features): a head
convolution   a convolution, or a matrix times the features at each place
graph         a product with an adjacency, its edges' importance included, or with attention
sum           of tensors (a residual) or along axes (a mean)
shift         a constant that is added by itself: a batch norm that no convolution takes over
input         the first of those with weights on each way from the input, whatever else they are
"""

WEIGHTED = ("epsilon", "gamma", "alpha1-beta0", "alpha2-beta1", "z-plus")
INPUT = (*WEIGHTED, "flat", "w2", "z-box")
ALLOWED: dict[str, tuple[str, ...]] = {
    "linear": WEIGHTED,
    "convolution": WEIGHTED,
    "graph": WEIGHTED,
    "sum": WEIGHTED,
    "shift": (*WEIGHTED, "pass"),
    "input": INPUT,
}
"""Rules that each kind of operation may have."""

Recipe = Mapping[str, str]


def everywhere(rule: str) -> dict[str, str]:
    """Return the recipe of one rule for all weights."""
    proportional = {"sum": "epsilon", "shift": "epsilon"}
    return {"linear": rule, "convolution": rule, "graph": rule, **proportional}


def _with_head(rule: str, first: str = "") -> dict[str, str]:
    recipe = {**everywhere(rule), "linear": "epsilon"}
    return {**recipe, "input": first} if first else recipe


COMPOSITES: dict[str, Recipe] = {
    "epsilon": everywhere("epsilon"),
    "gamma": everywhere("gamma"),
    "alpha1-beta0": everywhere("alpha1-beta0"),
    "alpha2-beta1": everywhere("alpha2-beta1"),
    "epsilon-plus": _with_head("alpha1-beta0"),
    "epsilon-plus-flat": _with_head("alpha1-beta0", "flat"),
    "epsilon-alpha2-beta1": _with_head("alpha2-beta1"),
    "epsilon-alpha2-beta1-flat": _with_head("alpha2-beta1", "flat"),
    "epsilon-gamma": _with_head("gamma"),
    "epsilon-gamma-flat": _with_head("gamma", "flat"),
    "epsilon-gamma-box": _with_head("gamma", "z-box"),
    "epsilon-gamma-w2": _with_head("gamma", "w2"),
}
"""Recipes by name."""

DEEP_TAYLOR: Recipe = {
    **everywhere("z-plus"), "sum": "z-plus", "shift": "pass", "input": "z-box",
}  # fmt: skip
RELATIVE: Recipe = {**everywhere("relative"), "sum": "z-plus", "shift": "pass"}
"""In both biases take nothing."""


def recipe_of(composite: str | Recipe) -> dict[str, str]:
    """Return a recipe by its name, or one's own, completed by epsilon.

    Raises
    ------
    ValueError
        For an unknown name, kind of operation or rule, or a rule that a kind cannot have; offers
        the nearest.
    """
    if isinstance(composite, str):
        return dict(COMPOSITES[one_of("composite", composite, COMPOSITES)])
    for kind, rule in composite.items():
        one_of(f"rule of {kind!r}", rule, ALLOWED[one_of("kind of operation", kind, KINDS)])
    return {**COMPOSITES["epsilon"], **composite}
