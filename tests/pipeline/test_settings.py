from __future__ import annotations

from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from pkgutil import walk_packages
from typing import Annotated, get_origin

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

import hargcn
from hargcn.data.preprocess import PRESETS
from hargcn.pipeline.config import read_config
from hargcn.pipeline.settings import (
    every_setting,
    fields,
    roots,
    sections,
    settings_of,
    settings_reference,
)
from hargcn.registry import meanings, settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"
TENSORS = ConfigDict(arbitrary_types_allowed=True)
SECTIONS = list(sections(roots()))
ALL = {setting.key: setting for setting in every_setting(roots())}


def test_the_page_is_what_the_classes_say():
    again = "run: hargcn settings --markdown > docs/settings.md"
    assert PAGE.read_text(encoding="utf-8") == settings_reference(markdown=True), again


@pytest.mark.parametrize("setting", ALL.values(), ids=ALL)
def test_no_key_is_without_a_meaning(setting):
    assert len(setting.meaning.split()) >= 2
    assert "None" not in setting.meaning


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.cls.__name__)
def test_no_meaning_is_without_a_key(section):
    told = set(meanings(section.cls)) - set(getattr(section.cls, "needs", ()))
    assert told == set(fields(section.cls))


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.cls.__name__)
def test_defaults_can_be_given_as_they_are_printed(section):
    for setting, field in zip(section.settings, fields(section.cls).values(), strict=True):
        if field.is_required():
            continue
        given = yaml.safe_load(setting.default) if setting.default else {}
        config = None if issubclass(section.cls, BaseModel) else TENSORS
        value = TypeAdapter(field.annotation, config=config).validate_python(given)
        assert value == field.default, setting.key


def test_a_class_is_described_once_where_its_shortest_key_leads_to_it():
    found = {section.cls.__name__: section.keys for section in SECTIONS}
    assert found["ExperimentConfig"] == [""]
    assert found["StreamConfig"] == ["model.branch", "model.main"]
    assert found["WindowConfig"][:2] == ["prepare.windows", "prepare.plant.clip"]
    assert found["Sign"][0] == "prepare.plant.classes.NAME"
    keys = [section.keys[0] for section in SECTIONS]
    assert keys.index("train.augment") == keys.index("train") + 1


@pytest.mark.parametrize(
    ("key", "kind", "default"),
    [
        ("windows", "path or null", "null"),
        ("model.width", "integer from 4, up to 4096", "48"),
        ("model.dropout", "number from 0, below 1", "0.1"),
        ("model.branches", "list of J, V, B, A", "[J, V, B, A]"),
        ("model.branch", "section", "{blocks: 1, depth: 2, stride: 2}"),
        ("prepare.windows", "section", ""),
        ("prepare.split.train", "list of text or null", "null"),
        ("prepare.synthetic.frames", "[integer, integer]", "[90, 90]"),
        ("prepare.plant.classes", "NAME: section or null", "{without: null, with: {}}"),
        ("train.bf16", "true or false", "false"),
        ("train.class_weights", "balanced or list of number or null", "null"),
        ("train.augment.mirror_labels", "invariant or list of [text, text] or null", "null"),
    ],
)
def test_types_and_defaults_in_words(key, kind, default):
    assert (ALL[key].kind, ALL[key].default) == (kind, default)


def test_one_key_one_section_or_everything():
    one = settings_reference("model.width")
    assert one.splitlines()[0] == "model.width (integer from 4, up to 4096, default 48)"
    assert len(one.splitlines()) == 2
    train = settings_reference("train")
    assert "train.epochs (" in train
    assert "train.augment.crop (" in train
    assert "model." not in train
    assert "prepare.synthetic.plant.clip.length (" in settings_reference("prepare.synthetic.plant")
    everything = settings_reference()
    assert all(f"{section.keys[0]}." in everything for section in SECTIONS)
    with pytest.raises(ValueError, match=r"got 'model\.widht'; did you mean 'model\.width'\?"):
        settings_reference("model.widht")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_printed_in_full(name):
    said = " ".join(settings_reference("prepare.preprocess").split())
    whole = said.partition(f"prepare.preprocess={name} ")[2].partition(" prepare.")[0]
    assert (
        read_config(None, [f"prepare.preprocess={{{whole}}}"]).prepare.preprocess == PRESETS[name]
    )
    assert set(yaml.safe_load(f"{{{whole}}}")) == set(type(PRESETS[name]).model_fields)


@settings
class Method:
    """A method.

    Parameters
    ----------
    steps
        Number of steps.
    start
        Where to begin | or not.
    """

    start: str
    steps: Annotated[int, Field(ge=1)] = 50


def test_classes_of_the_registry_are_described_alike():
    start, steps = settings_of(Method, "method")
    assert (start.default, start.kind) == ("", "text")
    assert steps.text() == "method.steps (integer from 1, default 50)\n    Number of steps."
    assert (
        start.markdown().splitlines()[2]
        == r"| `method.start` | text |  | Where to begin \| or not. |"
    )


def test_every_seed_is_1234_unless_given():
    found = 0
    for module in walk_packages(hargcn.__path__, "hargcn."):
        if module.name.endswith("__main__"):
            continue
        for name, each in vars(import_module(module.name)).items():
            if getattr(each, "__module__", "") != module.name or not callable(each):
                continue
            if get_origin(each) or (seed := parameters(each).get("seed")) is None:
                continue
            if seed.default is not Parameter.empty:
                assert seed.default == 1234, f"{module.name}.{name}"
                found += 1
    assert found > 20


def parameters(function):
    """Parameters of a function or class, none where it does not tell."""
    try:
        return signature(function).parameters
    except ValueError:
        return {}
