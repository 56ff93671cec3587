"""What a page says of each window: whose it is, what was answered, and whether checks held."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from hargcn.analysis.asked import class_name
from hargcn.analysis.observed import MOST, tells_seen, unseen
from hargcn.analysis.recordings import recordings
from hargcn.data.recording import ABSENT, OBSERVED
from hargcn.explanation import Explanation

HELD = 0.01
"""Largest gap of a sum, as a share of what the values explain, that a page calls kept."""

_ERRORS = 3  # standard errors, within which a sampled sum is kept


def about_windows(explanations: Mapping[str, Explanation]) -> list[dict[str, Any]]:
    """Return what lists and headings say of every window; what is not stored is None.

    Parameters
    ----------
    explanations
        By name, of the same windows; the first says what all have in common.
    """
    first = next(iter(explanations.values()))
    names = first.values["sample"].to_numpy().astype(str)
    whole = recordings(first)
    label = _stored(first, "label")
    second = _second(explanations.values())
    each_asked = [asked_by_window(each) for each in explanations.values()]
    each_check = [checks(each) for each in explanations.values()]
    each_score = [each.score.to_numpy().astype(float) for each in explanations.values()]
    group, predicted, probability, fps = (
        _stored(first, key) for key in ("group", "predicted", "probability", "fps")
    )
    rows = []
    for i, name in enumerate(names):
        start = name.rpartition("@")[2] if "@" in name else ""
        known = label[i] is not None and label[i] >= 0
        rows.append(
            {
                "name": str(name),
                "recording": str(whole[i]),
                "start": int(start) if start.isdigit() else None,
                "subject": None if group[i] is None else str(group[i]),
                "label": label[i] if known else None,
                "predicted": predicted[i],
                "probability": probability[i],
                "second": second[i],
                "fps": fps[i],
                "asked": [asked[i] for asked in each_asked],
                "scores": [float(score[i]) for score in each_score],
                "checks": [check[i] for check in each_check],
            }
        )
    return rows


def asked_by_window(explanation: Explanation) -> list[str]:
    """Return for every window which class it is explained for, "A rather than B" of two."""
    names = [
        [class_name(explanation, int(number)) for number in pair if number >= 0]
        for pair in explanation.asked
    ]
    return [" rather than ".join(pair) for pair in names]


def checks(explanation: Explanation) -> list[list[dict[str, Any]]]:
    """Return for every window what was checked of its values: a text, and whether it failed.

    That values add up to the score, where the method promises it: within 1% of what they explain,
    or three standard errors of a sampled sum. That at most a fifth of the positive attribution lies
    where nobody saw a joint.
    """
    found: list[list[dict[str, Any]]] = [[] for _ in range(len(explanation))]
    gaps, shares = (_stored(explanation, key) for key in ("additivity_gap", "relative_gap"))
    errors = _stored(explanation, "sum_standard_error")
    for i, share in enumerate(shares):
        if share is None:
            continue
        failed = abs(share) > HELD and not (
            errors[i] is not None and abs(gaps[i] or 0) <= _ERRORS * errors[i]
        )
        said = "miss the score" if failed else "add up to the score"
        found[i].append({"text": f"values {said} by {abs(share):.1%}", "failed": bool(failed)})
        if not failed:
            found[i][-1]["text"] = f"values {said} (gap {abs(share):.1g} of what they explain)"
    if tells_seen(explanation):
        for i, share in enumerate(unseen(explanation).sum("joint", skipna=False).to_numpy()):
            if share > MOST:
                text = f"{share:.0%} of the positive attribution lies where nobody saw the joint"
                found[i].append({"text": text, "failed": True})
    return found


def drawn(positions: np.ndarray, state: np.ndarray | None) -> np.ndarray:
    """Return (frame, joint, person) states of a window: 0 is absent, and is not drawn.

    Whoever is at zero with all joints is absent; where no states are stored, what is finite was
    observed.

    Parameters
    ----------
    positions
        (space, frame, joint, person).
    state
        (frame, joint, person), see `data.recording`; None where none are stored.
    """
    absent = (np.nan_to_num(positions) == 0).all(axis=(0, 2))[:, None, :]
    there = np.isfinite(positions).all(axis=0) & ~absent
    stored = np.full(there.shape, OBSERVED) if state is None else state
    return np.where(there, stored, ABSENT).astype(np.uint8)


def _stored(explanation: Explanation, name: str) -> list[Any]:
    """Return a variable of windows as plain values, None where it is not stored or not finite."""
    if name not in explanation.dataset:
        return [None] * len(explanation)
    values = explanation.dataset[name].to_numpy().tolist()
    return [None if isinstance(v, float) and not np.isfinite(v) else v for v in values]


def _second(explanations: Any) -> list[int | None]:
    """Return the second most probable class of every window, as far as anything was asked of it."""
    for each in explanations:
        request = json.loads(each.dataset.attrs.get("request") or "{}")
        for column, key in enumerate(("target", "versus")):
            if request.get(key) == "second":
                return [int(number) for number in each.asked[:, column]]
    return [None] * len(next(iter(explanations)))
