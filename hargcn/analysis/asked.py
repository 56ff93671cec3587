"""What an explanation was asked: the class, and the one instead of which."""

from __future__ import annotations

import json

import numpy as np

from hargcn.explanation import Explanation

_WORDS = {
    "predicted": "the predicted {}",
    "label": "the true {}",
    "second": "the second most probable {}",
    "least": "the least probable {}",
}


def class_name(explanation: Explanation, target: int) -> str:
    """Return the name of a class, or its number where the explanation knows no names."""
    names = json.loads(explanation.dataset.attrs.get("classes", "[]"))
    return str(names[target]) if target < len(names) else f"class {target}"


def asked_name(explanation: Explanation) -> str:
    """Say which class the samples are explained for, "A rather than B" of two.

    Of several classes it says what they have in common, such as "the predicted class", as
    `explain` was asked; to a class that is second or least probable it adds so.
    """
    request = json.loads(explanation.dataset.attrs.get("request") or "{}")
    columns = zip(("target", "versus"), explanation.asked.T, strict=True)
    said = [
        _side(explanation, numbers, request.get(key, ""))
        for key, numbers in columns
        if (numbers >= 0).all()
    ]
    word = request.get("target", "")
    if len(said) == 1 and word in ("second", "least") and len({*explanation.target.values}) == 1:
        said[0] += f", {_WORDS[word].format('class')}"
    return " rather than ".join(said)


def _side(explanation: Explanation, numbers: np.ndarray, word: str) -> str:
    found = np.unique(numbers)
    if len(found) == 1:
        return class_name(explanation, int(found[0]))
    what = "output" if explanation.dataset.attrs.get("outputs") else "class"
    plural = {"output": "outputs", "class": "classes"}[what]
    return _WORDS[word].format(what) if word in _WORDS else f"{len(found)} {plural}"
