"""The page itself: one HTML file that asks for nothing, whatever it is opened with."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import PurePath
from typing import Any

import matplotlib as mpl
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.colors import to_hex

from hargcn.analysis.comb import own_step
from hargcn.analysis.edges import of_edges
from hargcn.explanation import DIMS, EDGE_DIMS, Explanation, titles
from hargcn.plots.skeletons import layout_points, unit_of
from hargcn.plots.style import SIGNED
from hargcn.report.common import in_common
from hargcn.report.groups import groups
from hargcn.report.maps import WindowMaps, maps_of, planted
from hargcn.report.overview import said
from hargcn.report.payload import LEVELS, STEPS, pack
from hargcn.report.rows import about_windows, drawn
from hargcn.skeleton import Skeleton

MODULES = (
    "payload", "dom", "save", "body", "edges", "map", "windows", "list", "panel", "window",
    "recording", "groups", "charts", "page",
)  # fmt: skip
"""The page's own JavaScript, in the order in which it is put together."""

LIBRARY = "uPlot.iife.min.js"
"""Charts of curves and recordings; static/uPlot.md says which version, whose, and its digest."""

MOST = 500
"""Windows on a page, beyond which there are several and an index."""


@dataclass(frozen=True)
class Beside:
    """What a page tells besides the explanations.

    Parameters
    ----------
    network
        What a network is, by topic (`card.network_words`).
    data
        How windows came about (`card.data_words`).
    tables
        By name what `evaluate` measured (`results.measured`).
    charts
        Curves of `perturb` (`results.curve_charts`).
    """

    network: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    charts: Sequence[Mapping[str, Any]] = ()


def render_report(explanations: Mapping[str, Explanation], beside: Beside | None = None) -> str:
    """Return a single page of explanations, however many windows there are.

    See `render_pages`.
    """
    (page,) = render_pages(explanations, "report.html", beside, most=None).values()
    return page


def render_pages(
    explanations: Mapping[str, Explanation],
    name: str,
    beside: Beside | None = None,
    most: int | None = MOST,
) -> dict[str, str]:
    """Return pages of explanations by file name: one, or an index and pages of its windows.

    Parameters
    ----------
    explanations
        By name; over joints or edges, of one skeleton, with stored positions. Windows that are not
        in all of them are left out, which the page says. Attributions of single frames are added up
        over the network's own time step.
    name
        Of the first page (.html); further ones are called like it, with a number.
    beside
        What else the first page tells.
    most
        Windows on a page; None for a single page.

    Raises
    ------
    ValueError
        For explanations without joints, skeleton or positions, of different skeletons or of no
        common window; names the explanation.
    """
    for key, each in explanations.items():
        _expect(key, each)
    shared, notes = in_common(explanations)
    first = next(iter(shared.values()))
    if odd := [key for key, each in shared.items() if each.skeleton != first.skeleton]:
        raise ValueError(f"explanation {odd[0]!r}: expected the skeleton of the first one")
    stepped = {key: each if of_edges(each) else own_step(each) for key, each in shared.items()}
    rows, count = about_windows(shared), len(first)
    blocks = _blocks([row["recording"] for row in rows], count if most is None else most)
    known = {
        "overview": said(shared),
        "beside": beside or Beside(),
        "notes": notes,
        "groups": groups(shared),
        "total": count,
        "subjects": len(np.unique(first.dataset["group"])) if "group" in first.dataset else None,
        "versions": sorted({str(each.dataset.attrs["hargcn"]) for each in shared.values()}),
    }
    if len(blocks) == 1:
        return {name: _page(stepped, rows, known, blocks[0], whole=True, pages=[])}
    named = PurePath(name)
    names = [f"{named.stem}-{number}{named.suffix}" for number in range(1, len(blocks) + 1)]
    for block, own in zip(blocks, names, strict=True):
        for place, row in enumerate(rows[block]):
            row["page"] = f"{own}#window={place}"
    # The index comes last: whoever finds it finds its pages.
    pages = {
        own: _page(stepped, rows, known, block, whole=False, pages=[name])
        for block, own in zip(blocks, names, strict=True)
    }
    return {**pages, name: _page(stepped, rows, known, None, whole=True, pages=names)}


def _blocks(recordings: Sequence[str], most: int) -> list[slice]:
    """Return which windows go onto which page; a recording stays whole where it fits on one."""
    blocks, start = [], 0
    while start < len(recordings):
        end = min(start + most, len(recordings))
        first = end
        while end < len(recordings) and first > start and recordings[first - 1] == recordings[end]:
            first -= 1
        end = first if first > start else end
        blocks.append(slice(start, end))
        start = end
    return blocks


def _expect(name: str, explanation: Explanation) -> None:
    """Refuse an explanation that cannot be shown on bodies."""
    edges = of_edges(explanation)
    known = ("sample", *EDGE_DIMS) if edges else DIMS
    explanation.expect_axes(f"report of {name!r}", known)
    if explanation.skeleton is None or not (edges or "joint" in explanation.dims):
        raise ValueError(
            f"explanation {name!r}: expected a skeleton and an axis 'joint' (got axes "
            f"{', '.join(explanation.dims)})"
        )
    if "positions" not in explanation.dataset:
        raise ValueError(f"explanation {name!r}: expected stored positions (got none)")


def _page(
    explanations: Mapping[str, Explanation],
    rows: list[dict[str, Any]],
    known: Mapping[str, Any],
    block: slice | None,
    *,
    whole: bool,
    pages: Sequence[str],
) -> str:
    """Return a page: of the windows of a block, and, if whole, with what is said of all."""
    first = next(iter(explanations.values()))
    assert first.skeleton is not None  # `_expect` saw to it
    listed = rows if block is None else rows[block]
    data = _about(explanations, first.skeleton)
    windows: list[str] = []
    if block is not None:
        some = {key: each.isel(sample=block) for key, each in explanations.items()}
        maps, windows, packed = _windows(some)
        data |= maps
        # On a page of its own a window needs no address.
        listed = [
            {**{key: value for key, value in row.items() if key != "page"}, **own}
            for row, own in zip(listed, packed, strict=True)
        ]
    data |= {"windows": listed, "stem": PurePath(pages[0] if pages else "report.html").stem}
    if whole:
        data |= {"groups": known["groups"], "charts": known["beside"].charts}
    several = bool(windows) and len({row["recording"] for row in listed}) < len(listed)
    library = _library() if several or data.get("charts") else ""
    style = _static("style.css") + (_static("uPlot.min.css") if library else "")
    script = _script()
    return (
        environment()
        .get_template("page.html")
        .render(
            **known,
            whole=whole,
            pages=pages,
            block=block,
            recordings=several,
            skeleton=first.skeleton,
            classes=data["classes"],
            steps=2 * STEPS,
            data=data,
            windows=windows,
            script=script,
            library=library,
            style=style,
            script_hashes=[_hash(text) for text in (script, library) if text],
            style_hash=_hash(style),
        )
    )


def environment() -> Environment:
    """Return the templates, whose every name becomes text."""
    return Environment(
        loader=PackageLoader("hargcn.report", "static"),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def _about(explanations: Mapping[str, Explanation], skeleton: Skeleton) -> dict[str, Any]:
    """Return what a page knows apart from its windows."""
    first = next(iter(explanations.values()))
    shades = mpl.colormaps[SIGNED](np.linspace(0, 1, 2 * LEVELS + 1))
    body = {key: getattr(skeleton, key) for key in ("joints", "edges", "mirror", "ndim", "up")}
    return {
        "skeleton": {
            **body,
            "parts": {name: list(joints) for name, joints in skeleton.parts.items()},
            "layout": np.round(layout_points(skeleton), 4).tolist(),
        },
        "frames": first.dataset["positions"].sizes["frame"],
        "persons": first.dataset["positions"].sizes["person"],
        "classes": json.loads(first.dataset.attrs.get("classes", "[]")),
        "colours": [to_hex(shade) for shade in shades],  # of each step, the most negative first
        "methods": [
            {
                "title": title,
                "unit": unit_of(explanations[key]),
                "score": explanations[key].utility,
                "kind": "edge" if of_edges(explanations[key]) else "joint",
            }
            for key, title in titles(explanations).items()
        ],
    }


def _windows(
    explanations: Mapping[str, Explanation],
) -> tuple[dict[str, Any], list[str], list[dict[str, Any]]]:
    """Return what windows' maps are, the windows' packed numbers, and how to read each of them."""
    first = next(iter(explanations.values()))
    maps: list[WindowMaps] = []
    own: list[dict[str, int]] = []
    for each in explanations.values():
        found = maps_of(each)
        own.append({one.kind: len(maps) + i for i, one in enumerate(found)})
        maps += found
    truth = planted(first)
    maps += [] if truth is None else [truth]
    positions = first.dataset["positions"].to_numpy()
    states = first.dataset.get("state")
    windows, packed = [], []
    for i in range(len(first)):
        state = drawn(positions[i], None if states is None else states.to_numpy()[i])
        window = pack(positions[i].astype(float), state, [each.values[i] for each in maps])
        windows.append(window.data)
        packed.append({"origin": window.origin, "step": window.step, "scales": window.scales})
    about = {"maps": [each.about() for each in maps], "own": own}
    return {**about, "truth": None if truth is None else len(maps) - 1}, windows, packed


def _script() -> str:
    """Put the modules together: what they import from each other stands before them then."""
    text = "\n".join(_static(f"{name}.mjs") for name in MODULES)
    own = re.sub(r"^export ", "", re.sub(r"^import .*\n", "", text, flags=re.M), flags=re.M)
    return f'(() => {{\n"use strict";\n{own}}})();\n'


def _library() -> str:
    """Return the charts' library under its licence; its own first comment names an address."""
    bare = re.sub(r"\A/\*!.*?\*/\s*", "", _static(LIBRARY))
    return f"/*! {LIBRARY}\n{_static('uPlot.LICENSE.txt')}*/\n{bare}"


def _static(name: str) -> str:
    return resources.files("hargcn.report").joinpath("static", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return what a content-security policy calls the hash of an inline text."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
