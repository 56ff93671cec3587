"""The page itself: one HTML file that asks for nothing, whatever it is opened with."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

import matplotlib as mpl
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.colors import to_hex

from hargcn.analysis.asked import class_name
from hargcn.analysis.comb import own_step
from hargcn.analysis.grid import same_samples
from hargcn.data.recording import ABSENT, OBSERVED
from hargcn.explanation import Explanation, titles
from hargcn.plots.skeletons import joint_map, unit_of
from hargcn.plots.style import SIGNED
from hargcn.report.overview import said
from hargcn.report.payload import LEVELS, pack
from hargcn.skeleton import Skeleton

MODULES = ("payload", "body", "map", "windows", "page")
"""The page's own JavaScript, in the order in which it is put together."""


def render_report(explanations: Mapping[str, Explanation]) -> str:
    """Return a page of explanations of the same windows.

    Parameters
    ----------
    explanations
        By name; over joints, of one skeleton, with stored positions, all of the same windows and
        classes. Attributions of single frames are added up over the network's own time step.

    Raises
    ------
    ValueError
        For explanations without joints, skeleton or positions, or of different windows; names the
        explanation.
    """
    first = next(iter(explanations.values()))
    for name, each in explanations.items():
        skeleton = _skeleton(name, each)
        same_samples(name, each, first)
        if skeleton != first.skeleton:
            raise ValueError(f"explanation {name!r}: expected the skeleton of the first one")
    stepped = {name: own_step(each) for name, each in explanations.items()}
    data, windows = _data(stepped, skeleton)
    script, style = _script(), _static("style.css")
    environment = Environment(
        loader=PackageLoader("hargcn.report", "static"),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("page.html").render(
        overview=said(explanations),
        skeleton=skeleton,
        subjects=len(np.unique(first.dataset["group"])) if "group" in first.dataset else None,
        versions=sorted({str(each.dataset.attrs["hargcn"]) for each in explanations.values()}),
        classes=data["classes"],
        data=data,
        windows=windows,
        script=script,
        style=style,
        script_hash=_hash(script),
        style_hash=_hash(style),
    )


def _skeleton(name: str, explanation: Explanation) -> Skeleton:
    """Return the skeleton of an explanation that can be shown on bodies; refuse another."""
    explanation.expect_axes(f"report of {name!r}")
    if explanation.skeleton is None or "joint" not in explanation.dims:
        raise ValueError(
            f"explanation {name!r}: expected a skeleton and an axis 'joint' (got axes "
            f"{', '.join(explanation.dims)})"
        )
    if "positions" not in explanation.dataset:
        raise ValueError(f"explanation {name!r}: expected stored positions (got none)")
    return explanation.skeleton


def _data(
    explanations: Mapping[str, Explanation], skeleton: Skeleton
) -> tuple[dict[str, Any], list[str]]:
    """Return what the page knows of windows and methods, and the windows' packed numbers."""
    first = next(iter(explanations.values()))
    rows, packed = [], []
    for i in range(len(first)):
        alone = [each.isel(sample=[i]) for each in explanations.values()]
        positions = alone[0].dataset["positions"].to_numpy()[0].astype(float)
        window = pack(positions, drawn(alone[0]), [joint_map(one)[0] for one in alone])
        packed.append(window.data)
        rows.append(
            {
                **_about(alone[0]),
                "origin": window.origin,
                "step": window.step,
                "scales": window.scales,
                "asked": [_asked(one) for one in alone],
                "scores": [float(one.score[0]) for one in alone],
            }
        )
    shades = mpl.colormaps[SIGNED](np.linspace(0, 1, 2 * LEVELS + 1))
    data = {
        "skeleton": {
            key: getattr(skeleton, key) for key in ("joints", "edges", "mirror", "ndim", "up")
        },
        "frames": first.dataset["positions"].sizes["frame"],
        "persons": first.dataset["positions"].sizes["person"],
        "classes": json.loads(first.dataset.attrs.get("classes", "[]")),
        "colours": [to_hex(shade) for shade in shades],  # of each step, the most negative first
        "methods": [
            _method(title, explanations[name]) for name, title in titles(explanations).items()
        ],
        "windows": rows,
    }
    return data, packed


def _method(title: str, explanation: Explanation) -> dict[str, Any]:
    values, times = joint_map(explanation.isel(sample=[0]))
    unit = unit_of(explanation)
    return {"title": title, "unit": unit, "times": times.tolist(), "persons": values.shape[2]}


def drawn(one: Explanation) -> np.ndarray:
    """Return (frame, joint, person) states of a single sample: 0 is absent, and is not drawn.

    Whoever is at zero with all joints is absent; where no states are stored, what is finite was
    observed.
    """
    positions = one.dataset["positions"].to_numpy()[0]
    absent = (np.nan_to_num(positions) == 0).all(axis=(0, 2))[:, None, :]
    there = np.isfinite(positions).all(axis=0) & ~absent
    stored = one.dataset.get("state")
    state = np.full(there.shape, OBSERVED) if stored is None else stored.to_numpy()[0]
    return np.where(there, state, ABSENT).astype(np.uint8)


def _about(one: Explanation) -> dict[str, Any]:
    """Return what the list says of a window; what is not stored is None."""

    def stored(name: str) -> Any:
        value = one.dataset[name].to_numpy()[0].item() if name in one.dataset else None
        return None if isinstance(value, float) and not np.isfinite(value) else value

    label = stored("label")
    return {
        "name": str(one.values["sample"].to_numpy()[0]),
        "subject": None if stored("group") is None else str(stored("group")),
        "label": None if label is None or label < 0 else label,
        "predicted": stored("predicted"),
        "probability": stored("probability"),
        "fps": stored("fps"),
    }


def _asked(one: Explanation) -> str:
    target, versus = (int(number) for number in one.asked[0])
    name = class_name(one, target)
    return name if versus < 0 else f"{name} rather than {class_name(one, versus)}"


def _script() -> str:
    """Put the modules together: what they import from each other stands before them then."""
    text = "\n".join(_static(f"{name}.mjs") for name in MODULES)
    own = re.sub(r"^export ", "", re.sub(r"^import .*\n", "", text, flags=re.M), flags=re.M)
    return f'(() => {{\n"use strict";\n{own}}})();\n'


def _static(name: str) -> str:
    return resources.files("hargcn.report").joinpath("static", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return what a content-security policy calls the hash of an inline text."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
