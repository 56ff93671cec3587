"""The network and the windows behind explanations, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hargcn.checks import listed
from hargcn.data.recipe import doubts, recipe
from hargcn.data.splits import SETS
from hargcn.data.windows import Windows
from hargcn.report.maps import BRANCHES

_SHARES = {"accuracy": "accuracy", "auc": "ROC-AUC", "macro_f1": "macro F1"}


def network_words(card: Mapping[str, Any], named: bool = True) -> dict[str, str]:
    """Say what a network's card tells, by topic; what it does not tell is left out.

    Parameters
    ----------
    card
        As `networks.checkpoint.save_model` writes it, or less.
    named
        Whether to name files.
    """
    said = {
        "Size": f"{card['parameters']:,} parameters" if card.get("parameters") else "",
        "Takes": _input(card),
        "Answers": _answers(card),
        "Trained on": _training(card, named),
        "Training": _schedule(card),
        "Validation": _validation(card.get("validation")),
        "Weights": str(card.get("weights", "")),
    }
    return {topic: text for topic, text in said.items() if text}


def data_words(windows: Windows) -> dict[str, Any]:
    """Say how windows came about and which sets they are in; no name of anybody.

    Returns
    -------
    dict
        `steps`, pairs of a step and what was done; `doubts`, lines; `sets`, names; `rows`, a text
        and a number for each set: windows, recordings, subjects, and windows of every class.
    """
    steps = [line.partition(": ")[::2] for line in recipe(windows)]
    names = [name for name in (*SETS, "") if name in windows.split]
    members = [windows.split == name for name in names]

    def different(column: np.ndarray) -> list[int]:
        return [len(np.unique(column[rows])) for rows in members]

    rows = [("Windows", [int(each.sum()) for each in members])]
    rows += [("Recordings", different(windows.sample)), ("Subjects", different(windows.group))]
    for number, name in enumerate(windows.classes):
        own = [int((windows.label[each] == number).sum()) for each in members]
        rows.append((f"Windows of {name}", own))
    return {
        "steps": [(step, text) for step, text in steps if step != "sets"],
        "doubts": doubts(windows),
        "sets": [name or "in no set" for name in names],
        "rows": rows,
    }


def _input(card: Mapping[str, Any]) -> str:
    taken = card.get("input") or {}
    branches = [f"{each} ({BRANCHES.get(each, 'own')})" for each in taken.get("branches") or ()]
    frames, rate = taken.get("frames"), taken.get("fps")
    parts = [
        f"windows of {frames} frames" if frames else "",
        f"at {rate:g} frames per second" if rate else "",
        f"layout {taken['layout']}" if taken.get("layout") else "",
        f"branches {', '.join(branches)}" if branches else "",
    ]
    return "; ".join(part for part in parts if part)


def _answers(card: Mapping[str, Any]) -> str:
    names = card.get("classes") or ()
    kind = (card.get("outputs") or {}).get("kind", "classes")
    return f"{len(names)} {kind}: {listed(names, 40)}" if names else ""


def _training(card: Mapping[str, Any], named: bool) -> str:
    data = card.get("data") or {}
    names = [str(data[key]) for key in ("source", "file") if named and data.get(key)]
    counts = [f"{data[each]} windows for {each}" for each in ("train", "val") if data.get(each)]
    return "; ".join([*names, *counts])


def _schedule(card: Mapping[str, Any]) -> str:
    own = card.get("training") or {}
    seconds = card.get("seconds")
    parts = [
        f"{card['epoch']} epochs" if card.get("epoch") else "",
        f"{own['optimizer']}, learning rate {own['lr']:g}" if "optimizer" in own else "",
        f"seed {own['seed']}" if "seed" in own else "",
        f"{seconds:.0f} s" if isinstance(seconds, int | float) else "",
        f"hargcn {card['versions']['hargcn']}" if card.get("versions") else "",
    ]
    return "; ".join(part for part in parts if part)


def _validation(found: Any) -> str:
    if not isinstance(found, Mapping):
        return ""
    known = [
        f"{said} {found[key]:.3f}"
        for key, said in _SHARES.items()
        if isinstance(found.get(key), int | float)
    ]
    return ", ".join(known)
