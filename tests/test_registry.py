"""What declares itself is found, built and refused like anything of hargcn's own."""

from __future__ import annotations

from typing import Annotated, ClassVar

import pytest
from pydantic import Field

from hargcn.registry import Registry, build, fields_of, meanings, settings


class Animal:
    name: ClassVar[str]

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        ANIMALS.add(cls)


ANIMALS: Registry[Animal] = Registry("animal", "hargcn.plots", "hargcn.no-such-group")


@settings
class Horse(Animal):
    name = "horse"
    legs: Annotated[int, Field(ge=1, description="How many.")] = 4


@settings
class Pony(Animal):
    name = "pony"
    rider: str
    legs: int = 4


def test_a_subclass_with_a_name_is_known_and_the_base_is_not():
    assert list(ANIMALS.all()) == ["horse", "pony"]
    assert ANIMALS.find("pony") is Pony
    with pytest.raises(ValueError, match=r"Expected animal of horse, pony \(got 'hors'; did you"):
        ANIMALS.find("hors")


def test_two_of_a_name_are_refused():
    with pytest.raises(ValueError, match=r"Expected one animal 'horse' \(got .*Horse and .*Donkey"):
        type("Donkey", (Animal,), {"name": "horse"})


def test_settings_are_fields_positional_or_named_and_frozen():
    assert Horse(3).legs == Horse(legs=3).legs == 3
    with pytest.raises(AttributeError, match="frozen|assign"):
        Horse().legs = 5
    assert fields_of(Horse)["legs"].description == "How many."


def test_text_becomes_what_the_type_says():
    pony = build(Pony, {"legs": "3", "rider": "Ada"}, "--set")
    assert (pony.legs, pony.rider) == (3, "Ada")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"leg": 3, "rider": "x"}, r"^--set: unknown key 'leg'; did you mean 'legs'\?$"),
        ({"legs": "x", "rider": "x"}, r"^--set: legs: .*valid integer.* \(got 'x'\)$"),
        ({}, r"^--set: expected a value for 'rider' \(got none\)$"),
        ({"wings": 2}, "unknown key 'wings'; valid are rider, legs"),
    ],
)
def test_all_defects_come_in_one_line(given, said):
    with pytest.raises(ValueError, match=said):
        build(Pony, given, "--set")


class Documented:
    """A base.

    Parameters
    ----------
    a, b : int
        Shared meaning
        of two.
    c
        Of the base.

    Returns
    -------
    d
        No setting.
    """


class Further(Documented):
    """More.

    Some words first.

    Parameters
    ----------
    c
        Of the class.

        A second paragraph.
    e
        Last line.
    """


def test_meanings_come_from_the_docstrings_of_a_class_and_its_bases():
    base = {"a": "Shared meaning of two.", "b": "Shared meaning of two.", "c": "Of the base."}
    assert meanings(Documented) == base
    further = {"c": "Of the class. A second paragraph.", "e": "Last line."}
    assert meanings(Further) == base | further
    assert meanings(Horse) == {}
