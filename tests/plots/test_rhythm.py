"""Pictures by frequency hold the numbers that they are of."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from fixtures.fake_explanations import explanation, shap_like

from hargcn.plots import plot_rhythm, plot_shares
from hargcn.skeleton import skeleton

LAYOUT = skeleton("kinect20")
BANDS = ["slow", "4-6 Hz", "rest"]


def by_bands(*, stretches=0, branches=2, bands=BANDS):
    """Four windows of two classes, over (branch,) (time,) joint and frequency."""
    sizes = {"branch": branches, "time": stretches, "joint": 20, "frequency": len(bands)}
    sizes = {dim: size for dim, size in sizes.items() if size}
    values = np.random.default_rng(0).normal(size=(4, *sizes.values()))
    names = {"frequency": bands, **({"branch": ["J", "V"][:branches]} if branches else {})}
    names |= {"time": np.arange(stretches) * 6 + 2.5} if stretches else {}
    made = explanation(
        values, ("sample", *sizes), skeleton=LAYOUT, targets=np.array([1, 0, 1, 1]), **names
    )
    return made.assign(classes=json.dumps(["calm", "tremor"]))


def table(axis):
    """Return the numbers of a map."""
    return np.asarray(axis.collections[0].get_array())


def test_a_column_per_class_has_the_means_of_its_windows():
    made = by_bands()
    _, axes = plot_rhythm(made)
    assert [axis.get_title() for axis in axes[:2]] == ["calm (n = 1)", "tremor (n = 3)"]
    values = made.values.to_numpy()[[0, 2, 3]].mean(axis=0)  # branch, joint, frequency
    bars = np.array([bar.get_height() for bar in axes[1].patches]).reshape(2, 3)
    np.testing.assert_allclose(bars, values.sum(axis=1))
    order = [j for members in LAYOUT.parts.values() for j in members]
    np.testing.assert_allclose(table(axes[3]), values.sum(axis=0)[order])
    assert [each.get_text() for each in axes[3].get_xticklabels()] == BANDS
    shown = [each.get_text() for each in axes[2].get_yticklabels()]
    assert shown == [LAYOUT.joints[j].replace("_", " ") for j in order]
    assert axes[2].collections[0].norm is axes[3].collections[0].norm
    legend = [each.get_text() for each in axes[1].get_legend().get_texts()]
    assert legend == ["J", "V"]


def test_a_window_with_stretches_has_bands_over_time():
    made = by_bands(stretches=4, branches=0)
    _, axes = plot_rhythm(made, 2)
    assert len(axes) == 3
    assert "SHAP" in axes[0].get_title()
    values = made.values.to_numpy()[2]  # time, joint, frequency
    bars = [bar.get_height() for bar in axes[0].patches]
    np.testing.assert_allclose(bars, values.sum(axis=(0, 1)))
    np.testing.assert_allclose(table(axes[2]), values.sum(axis=1).T)
    corners = axes[2].collections[0].get_coordinates()
    np.testing.assert_allclose(corners[0, :, 0], [-0.5, 5.5, 11.5, 17.5, 23.5])
    assert axes[0].get_legend() is None


def test_of_many_frequencies_some_are_named():
    _, axes = plot_rhythm(by_bands(bands=list(np.arange(31) * 0.5)), "1")
    assert [each.get_text() for each in axes[1].get_xticklabels()][:3] == ["0 Hz", "1.5 Hz", "3 Hz"]
    assert len(axes[1].get_xticks()) == 11


def test_what_has_no_frequencies_is_refused():
    why = (
        "expected axes 'joint' and 'frequency', as of explain --method shap-rhythm (got sample, br"
    )
    with pytest.raises(ValueError, match=re.escape(why)):
        plot_rhythm(shap_like(2))
    with pytest.raises(ValueError, match=re.escape("expected axes 'joint' and 'frequency'")):
        plot_rhythm(by_bands().sum("joint"))
    with pytest.raises(ValueError, match="expected one of its 4 samples"):
        plot_rhythm(by_bands(), "nobody")


def test_shares_are_bars_of_means_over_seeds_with_a_dot_each():
    rows = [
        {"case": case, "seed": seed, "share": share, "joints": joints, "band": band,
         "mean": (1 + seed) * (share == "power") * (band == "slow") * (case == "b") / 10}
        for case in "ab" for seed in (1, 2) for share in ("positive", "absolute", "power", "bins")
        for joints in ("all", "sign's") for band in ("slow", "rest")
    ]  # fmt: skip
    _, axes = plot_shares(pd.DataFrame(rows))
    titles = [axis.get_title() for axis in axes]
    assert titles == [f"{case}: {what} joints" for what in ("all", "sign's") for case in "ab"]
    bars = [bar.get_height() for bar in axes[3].patches]
    np.testing.assert_allclose(bars, [0, 0, 0, 0, 0.25, 0])
    dots = np.concatenate([each.get_offsets()[:, 1] for each in axes[3].collections])
    assert sorted(np.round(dots, 6))[-2:] == [0.2, 0.3]
    assert not any(bar.get_height() for bar in axes[2].patches)
