"""Branches: what stands where."""

from __future__ import annotations

import pandas as pd
import pytest

from hargcn.plots import plot_branches

ACCURACIES = pd.DataFrame(
    [
        {"data": "body", "seed": seed, "network": name, "accuracy": value + seed / 10}
        for seed in (0, 1)
        for name, value in {"JV": 0.8, "J": 0.5, "V": 0.7, "": 0.5 - seed / 10}.items()
    ]
)
WORTHS = pd.DataFrame(
    [
        {"data": "body", "seed": seed, "network": network, "branch": branch, "share": 0.2,
         "signed": -0.1, "alone": float("nan"), "shapley": 0.3, "lost": value}
        for seed in (0, 1)
        for network in ("JV", "J", "V")
        for branch, value in zip(network, (0.1, 0.4), strict=False)
    ]
)  # fmt: skip


def test_sets_stand_left_and_the_largest_network_right():
    _, (left, right) = plot_branches(ACCURACIES, WORTHS)
    assert [text.get_text() for text in left.get_xticklabels()] == ["J", "V", "JV"]
    heights = [bar.get_height() for bar in left.patches]
    assert heights == pytest.approx([0.55, 0.75, 0.85])
    assert left.lines[0].get_ydata()[0] == pytest.approx(0.5)  # guessing
    assert [text.get_text() for text in right.get_xticklabels()] == ["J", "V"]
    assert "JV" in right.get_title()
    heights = [bar.get_height() for bar in right.patches]
    assert heights == pytest.approx([0.2, 0.2, -0.1, -0.1, 0.3, 0.3, 0.1, 0.4])
    assert len(right.collections) == 8  # both seeds of four kinds of bars
