"""Bringing files onto one page: the windows that all of them hold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hargcn.explanation import Explanation, titles


def in_common(explanations: Mapping[str, Explanation]) -> tuple[dict[str, Explanation], list[str]]:
    """Keep the windows that all explanations hold, in the order of the first.

    Parameters
    ----------
    explanations
        By name.

    Returns
    -------
    dict of str to Explanation, list of str
        Of the same windows, and a line for each explanation that had more.

    Raises
    ------
    ValueError
        If a name stands for several windows, and where no window is in all of them.
    """
    names = {
        key: each.values["sample"].to_numpy().astype(str) for key, each in explanations.items()
    }
    for key, own in names.items():
        if len(np.unique(own)) < len(own):
            raise ValueError(f"explanation {key!r}: expected windows of different names")
    first = next(iter(names.values()))
    shared = set(first).intersection(*(set(own) for own in names.values()))
    wanted = [name for name in first if name in shared]
    if not wanted:
        raise ValueError(
            "Expected explanations of common windows (got none that all of "
            f"{', '.join(map(repr, names))} hold): explain the same --split"
        )
    kept, lines = {}, []
    for (key, each), title in zip(explanations.items(), titles(explanations).values(), strict=True):
        place = {name: row for row, name in enumerate(names[key])}
        rows = [place[name] for name in wanted]
        same = rows == list(range(len(each)))
        kept[key] = each if same else each.isel(sample=rows)
        if len(each) > len(wanted):
            lines.append(f"{title}: {len(wanted)} of its {len(each)} windows are in all files")
    return kept, lines
