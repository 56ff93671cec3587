"""How `train`, `test` and `crossfit` print how well a network classifies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from hargcn.cli.options import interval, table

_SHOWN = (
    "n", "subjects", "accuracy", "top5", "balanced_accuracy", "roc_auc", "roc_auc_weighted",
    "sensitivity", "specificity", "ppv", "npv", "f1", "micro_f1", "exact_match", "mae", "rmse",
    "r2", "kappa", "pearson", "spearman",
)  # fmt: skip
_TABLES = {
    "per_class": ("classes", ("support", "sensitivity", "ppv", "f1", "roc_auc")),
    "per_output": (
        "outputs",
        (
            "n", "support", "mae", "rmse", "r2", "pearson", "spearman", "accuracy", "sensitivity",
            "specificity", "f1", "roc_auc",
        ),
    ),
}  # fmt: skip
_MOST = (
    12  # classes of a whole confusion table, and confusions that are listed where there are more
)


def summary(title: str, figures: Mapping[str, Any]) -> None:
    """Print the figures of windows and of recordings, with their intervals where there are any."""
    rows = [
        [name, *(figure(figures[level], name) for level in _levels(figures))]
        for name in _SHOWN
        if any(figures[level].get(name) is not None for level in _levels(figures))
    ]
    table(title, ["", *_levels(figures)], rows)
    if any(any(figures[level]["interval"].values()) for level in _levels(figures)):
        typer.echo("[95% intervals, of resampled subjects]")
    if (threshold := figures.get("threshold")) is not None:
        typer.echo(f"{list(figures['windows']['per_class'])[1]} is said from {threshold:.4g} on")
    exact = figures.get("recordings", {}).get("exact_interval", {})
    if shown := [f"{name} {low:.3f} to {high:.3f}" for name, (low, high) in _limited(exact)]:
        typer.echo(f"exact 95% intervals, of independent recordings: {', '.join(shown)}")


def _limited(intervals: Mapping[str, Any]) -> list[tuple[str, tuple[float, float]]]:
    return [(name, limits) for name, limits in intervals.items() if limits]


def classes(figures: Mapping[str, Any]) -> None:
    """Print a table of the classes or outputs, and the confusion, of windows and of recordings.

    Once where every recording is one window.
    """
    levels = _levels(figures)
    if len({figures[level]["n"] for level in levels}) == 1:
        levels = levels[-1:]
    for level in levels:
        of = figures[level]
        for key, (title, measures) in _TABLES.items():
            if each := of.get(key):
                shown = [name for name in measures if any(name in one for one in each.values())]
                rows = [
                    [name, *(figure(one, measure) for measure in shown)]
                    for name, one in each.items()
                ]
                table(f"{title} ({level})", ["", *shown], rows)
        if "confusion" in of:
            names = figures.get("outputs", {}).get("names") or list(of["per_class"])
            _confusion(level, names, of["confusion"])


def _confusion(level: str, names: list[str], counts: list[list[int]]) -> None:
    if len(names) <= _MOST:
        header = [f"{level}, true", *(f"as {i}" for i in range(1, len(names) + 1))]
        rows = [
            [f"{i} {name}", *map(str, row)]
            for i, (name, row) in enumerate(zip(names, counts, strict=True), 1)
        ]
        table("confusion", header, rows)
        return
    found = [
        (count, sum(row), true, taken)
        for true, row in zip(names, counts, strict=True)
        for taken, count in zip(names, row, strict=True)
        if count and true != taken
    ]
    largest = sorted(found, key=lambda each: -each[0])[:_MOST]
    rows = [[true, taken, f"{count} of {n}"] for count, n, true, taken in largest]
    table(f"confusion: the {len(rows)} largest of {len(found)}", ["true", "taken for", level], rows)


def _levels(figures: Mapping[str, Any]) -> list[str]:
    return [level for level in ("windows", "recordings") if level in figures]


def figure(figures: Mapping[str, Any], name: str) -> str:
    """Return a figure with its interval, where it has one, as text; nothing where undefined."""
    value = figures.get(name)
    if value is None:
        return ""
    limits = (figures.get("interval") or {}).get(name)
    if limits:
        return interval(value, *limits)
    return str(value) if isinstance(value, int) else f"{value:.4f}"
