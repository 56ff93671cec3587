"""SHAP by frequency from the command line: explained, resumed, made again, and refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from fixtures.command_line import done, refused, run
from fixtures.moving_windows import moving_windows
from PIL import Image

from hargcn import Explanation
from hargcn.data.cutting import WindowConfig
from hargcn.pipeline import explain_windows as module
from hargcn.pipeline.explain import explain

pytestmark = pytest.mark.slow

ASKED = ("--method", "shap-rhythm", "--background", 6, "--limit", 4, "--class", "label")
BANDS = ("--set", "bands={slow: 0-4, wave: 4-6}")


@pytest.fixture(scope="module")
def rhythm(checkpoint, waving):
    """SHAP by bands of the four test windows that `shap` is of, whose joints wave at 4.8 Hz."""
    path = waving.with_name("rhythm.h5")
    done("explain", checkpoint, waving, *ASKED, *BANDS, "--set", "stretches=2", "--out", path)
    return path


def test_bands_add_up_to_shap(rhythm, shap):
    found, whole = Explanation.open(rhythm), Explanation.open(shap)
    assert found.dims == ("sample", "branch", "channel", "time", "joint", "person", "frequency")
    assert found.dataset["frequency"].to_numpy().tolist() == ["slow", "wave", "rest"]
    np.testing.assert_allclose(found.dataset["time"], [3.5, 11.5])
    assert found.dataset.attrs["frames"] == 16
    assert found.settings["bands"] == {"slow": "0-4", "wave": "4-6"}
    sums = found.values.sum(["time", "frequency"]).to_numpy()
    expected = whole.values.sum("time").to_numpy()
    assert np.abs(sums - expected).max() <= 1e-6 * np.abs(whole.values).sum("time").max()
    for name in ("base_value", "score", "target"):
        np.testing.assert_allclose(found.dataset[name], whole.dataset[name], rtol=1e-12)


def test_it_is_made_again(rhythm, checkpoint, waving):
    assert "the same for 4 windows" in done("reproduce", rhythm, "-c", checkpoint, "-w", waving)


def test_a_killed_run_goes_on(checkpoint, waving, rhythm, tmp_path, monkeypatch):
    out, calls, own = tmp_path / "rhythm.h5", [], module.explain_batch

    def killed(*given, **named):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return own(*given, **named)

    asked = {"method": "shap-rhythm", "background": 6, "limit": 4, "target": "label", "shard": 3}
    bands = {"bands": {"slow": "0-4", "wave": "4-6"}, "stretches": 2}
    monkeypatch.setattr(module, "explain_batch", killed)
    with pytest.raises(KeyboardInterrupt):
        explain(checkpoint, waving, out, **asked, settings=bands)
    explain(checkpoint, waving, out, **asked, settings=bands)
    assert len(calls) == 3  # the first shard was not made again
    found, once = Explanation.open(out), Explanation.open(rhythm)
    np.testing.assert_allclose(found.values, once.values, atol=1e-7)
    np.testing.assert_array_equal(found.dataset["frequency"], once.dataset["frequency"])


def test_without_bands_every_frequency_is_told_of_positions_too(checkpoint, waving, tmp_path):
    out = tmp_path / "bins.h5"
    done("explain", checkpoint, waving, *ASKED, "--on", "positions", "--out", out)
    found = Explanation.open(out)
    np.testing.assert_allclose(found.dataset["frequency"], np.arange(9) * 30 / 16)
    assert found.dims == ("sample", "channel", "joint", "person", "frequency")
    assert float(found.relative_gap.max()) < 1e-3


def test_what_has_no_frequencies_is_refused_with_the_reason(checkpoint, waving, earlier):
    for name in ("gradcam", "saliency"):
        line = refused(
            "explain", checkpoint, waving, "--method", name, "--set", "bands=4-6", "-o", earlier
        )
        assert line.startswith(f"{name}: expected the method shap-rhythm for bands of frequencies")
        assert "which neither class activation maps nor means over rows have" in line


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("bands=4-", "--keep joint-time"),
        ("bands=4-4.2", r"expected a band with a frequency of the window, .* every 1\.88 Hz up to"),
        ("bands=wave", r"method shap-rhythm: .*expected a band low-high in Hz.* \(got 'wave'\)"),
        ("band=4-6", "method shap-rhythm: unknown key 'band'; did you mean 'bands'"),
        ("stretches=17", r"expected at most 16 stretches, one a frame \(got 17\)"),
    ],
)
def test_wrong_bands_are_refused(checkpoint, waving, earlier, asked, why):
    more = why.split() if why.startswith("--") else ()
    line = refused("explain", checkpoint, waving, *ASKED, "-s", asked, *more, "--out", earlier)
    why = "Expected an explanation over time and joints to keep its sums" if more else why
    assert re.search(why, line), line


def test_ranked_they_are_boxes_and_a_table(rhythm, tmp_path):
    said = done("rank", rhythm, "--by", "frequency", "--out", tmp_path / "f.svg")
    found = Explanation.open(rhythm)
    medians = found.values.sum([*found.dims[1:-1]]).median("sample").to_numpy()
    assert "frequencies by median" in said
    for name, median in zip(("slow", "wave", "rest"), medians, strict=True):
        assert f"{name} {median:+.3g}" in said
    said = done("rank", rhythm, "--by", "branch,frequency", "--picture", "bar", "--out",
                tmp_path / "b.png")  # fmt: skip
    assert "frequencies of branches by median" in " ".join(said.split())
    assert "V: wave" in said
    joints = done("rank", rhythm, "--out", tmp_path / "j.png")
    assert "joints by median" in joints


def test_joints_by_bands_are_a_map_per_class(rhythm, gradcams, tmp_path, earlier):
    said = done("rank", rhythm, "--by", "joint,frequency", "--top", 3, "--out", tmp_path / "m.svg")
    assert "frequencies of joints by median" in said
    drawn = (tmp_path / "m.svg").read_text("utf-8")
    classes = len(np.unique(Explanation.open(rhythm).target))
    assert drawn.count("(n = ") == classes
    line = refused("rank", rhythm, gradcams[0], "--by", "joint,frequency", "--out", earlier)
    assert line.startswith("Expected one explanation of joints by frequency alone to rank (got sha")


def test_one_window_is_drawn(rhythm, tmp_path, earlier):
    name = str(Explanation.open(rhythm).dataset["sample"].to_numpy()[1])
    done("show", rhythm, "--sample", name, "--out", tmp_path / "w.svg")
    assert name.replace("_", " ") in (tmp_path / "w.svg").read_text("utf-8")
    done("show", rhythm, "--dpi", 60, "--out", tmp_path / "w.png")
    with Image.open(tmp_path / "w.png") as picture:
        assert picture.size[0] > 100
    for what in ("--heatmap", "--frames=1"):
        line = refused("show", rhythm, what, "--out", earlier)
        assert "of frequencies, which have no frames (got a heatmap, frames" in line


def test_what_needs_frames_refuses_them_in_a_line(rhythm, shap, checkpoint, waving, earlier):
    told = "'frequency'"
    common = (checkpoint, waving, rhythm)
    table = earlier.with_suffix(".csv")
    assert told in refused("evaluate", *common, "--metrics", "pgi", "--out", table)
    assert told in refused("perturb", *common, "--out", earlier)
    line = refused("rank", rhythm, "--cells", "observed", "--out", earlier)
    assert "expected joints and what was seen of them" in line
    line = refused("rank", shap, "--by", "frequency", "--out", earlier)
    assert "a finished map has none, and class activation maps nothing to form them from" in line
    assert "needs rate" in refused(
        "axioms", checkpoint, waving, "--method", "shap-rhythm", "--out", table
    )


@pytest.fixture
def uneven(tmp_path):
    """Windows of rates of their own: recordings of several lengths, stretched to 16 frames."""
    path = tmp_path / "uneven.h5"
    config = WindowConfig(mode="whole", length=16)
    return moving_windows(path, lengths=(24, 20, 32), config=config, test=("g3",)).path


def test_windows_of_different_rates_need_bands(checkpoint, uneven, tmp_path):
    asked = ("--method", "shap-rhythm", "--background", 3, "--limit", 3, "--other-preparation")
    line = refused("explain", checkpoint, uneven, *asked, "--out", tmp_path / "x.h5")
    assert line.startswith(f"{uneven}: expected windows of one frame rate to tell frequencies")
    assert "name bands, such as --set bands=0-2,2-4,4-" in line


def test_a_band_that_any_window_lacks_is_refused_before_all(checkpoint, uneven, earlier):
    asked = ("--method", "shap-rhythm", "--background", 3, "--other-preparation", "--shard", 1)
    line = refused("explain", checkpoint, uneven, *asked, "-s", "bands=11-", "--out", earlier)
    assert line.startswith(f"{uneven}: shap-rhythm: expected a band with a frequency of the window")
    assert line.endswith("(got 'from 11 Hz') at 14.5161 frames per second")


def test_with_bands_each_window_has_its_own_rate(checkpoint, uneven, tmp_path):
    asked = ("--method", "shap-rhythm", "--background", 3, "--limit", 3, "--other-preparation")
    out = tmp_path / "x.h5"
    ended = run(
        "explain", checkpoint, uneven, *asked, "-s", "bands=0-4,4-", "-o", out, "--shard", 2
    )
    assert ended.code == 0
    found = Explanation.open(out)
    assert len(np.unique(found.dataset["fps"])) == 2
    assert found.dataset["frequency"].to_numpy().tolist() == ["0-4 Hz", "from 4 Hz"]
