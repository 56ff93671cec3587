"""Perturbations: frozen descriptions of a change, applied to many rows at once.

An edit says what happens to chosen joints, or edges: `EdgeEdit` changes the edge importance E of
the graph layers (Tempel et al. 2024, sections 3.3 and 4.4), `InputEdit` the movement itself.
Applying one returns new tensors; the model, its parameters and the caller's data stay as they are.
"""

from __future__ import annotations

import re
from typing import Any

from hargcn.perturbation.edges import EdgeEdit
from hargcn.perturbation.inputs import SIZED, InputEdit, tracker_noise

__all__ = ["Edit", "EdgeEdit", "InputEdit", "parse_edit", "tracker_noise"]

Edit = EdgeEdit | InputEdit


def parse_edit(text: str) -> Edit:
    """Read an edit from its text form, the one `str(edit)` writes.

    "edge:WHICH:OP[:AMOUNT][:cross][:recomputed][@PARTITION,...]", e.g. "edge:self:away:0.35", or
    "input:OP[:AMOUNT][@START-STOP]", e.g. "input:freeze", "input:noise:0.02@30-60"; the amount of
    "input:noise:2x" counts in the tracker's own noise.

    Raises
    ------
    ValueError
        If the text is neither.
    """
    which: Any
    op: Any
    edge = re.fullmatch(
        r"edge:(\w+):(?:(zero)|(\w+):([^:@]+)(:cross)?(:recomputed)?)(?:@(\d+(?:,\d+)*))?", text
    )
    if edge:
        which, zero, op, amount, cross, again, where = edge.groups()
        op = zero or op
        partitions = tuple(int(k) for k in where.split(",")) if where else None
        size = _number(amount, text) if amount else 0.0
        return EdgeEdit(
            which, op, size, partitions, cross is not None, "recomputed" if again else "original"
        )
    moved = re.fullmatch(r"input:(\w+?)(?::([^:@]+?)(x)?)?(?:@(\d+)-(\d+))?", text)
    if moved and (moved[1] in SIZED) == (moved[2] is not None):
        frames = (int(moved[4]), int(moved[5])) if moved[4] else None
        size = _number(moved[2], text) if moved[2] else 0.0
        op = moved[1]
        return InputEdit(op, size, frames, tracker=moved[3] is not None)
    raise ValueError(
        "Expected an edit edge:(self|incident|all|single):zero[@PARTITIONS], "
        "edge:(self|incident|all|single):(away|towards|noise):AMOUNT[@PARTITIONS] or "
        "input:(noise|shift|speed|angle):AMOUNT[@START-STOP], "
        f"input:(freeze|mean|interpolate|origin|parent)[@START-STOP] (got {text!r})"
    )


def _number(text: str, edit: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"Expected a number as the amount of {edit!r} (got {text!r})") from None
