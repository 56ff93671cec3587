"""Explanations in a notebook: a summary without a script, and the page of one window."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from fixtures.report_pages import edges_explained, embedded, explained

import hargcn

EVIL = '"><script>alert(1)</script>'


class Read(HTMLParser):
    """Tags in order, with their attributes, and the texts between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)
        assert not self.open, "every tag is closed"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts += [data.strip()] if data.strip() else []


def test_a_summary_says_what_was_explained_and_the_first_joints():
    shap = explained()["shap"]
    values = np.zeros(shap.values.shape)
    values[..., 2, :], values[..., 7, :] = 1.0, -0.5
    shap = shap.assign({"attribution": (shap.dims, values)})
    read = Read(shap._repr_html_())
    said = dict(zip(read.texts, read.texts[1:], strict=False))
    assert read.texts[0] == "Explanation: SHAP"
    assert said["Layer"] == "input"
    assert said["Explains"] == "wave"
    assert said["Windows"].startswith("6 (sample 6, branch 2, ")
    assert said["Sum of values"].endswith("values and base value add up to the score")
    assert "relative gap 1e-06 (median), 0.05 (largest)" in said["Gap"]
    names = shap.skeleton.joints
    assert said[names[2]].startswith("+")
    bars = [attrs for tag, attrs in read.tags if tag == "rect"]
    assert len(bars) == 5, "the joints that speak for the class, first"
    assert (bars[0]["x"], bars[0]["width"], bars[0]["fill"]) == ("50.0", "50.0", "#b2182b")
    assert names[7] not in read.texts
    against = Read(shap.isel(joint=[7, 2])._repr_html_())
    bars = [attrs for tag, attrs in against.tags if tag == "rect"]
    assert (bars[1]["x"], bars[1]["width"], bars[1]["fill"]) == ("25.0", "25.0", "#2166ac")


def test_a_summary_has_no_script_and_names_are_text():
    shap = explained()["shap"]
    joints = [EVIL, *shap.skeleton.joints[1:]]
    made = shap.assign(
        coords={"joint": joints}, classes=f'["{EVIL.replace(chr(34), chr(92) + chr(34))}", "jog"]',
        method_label=EVIL, layer=EVIL,
    )  # fmt: skip
    values = np.zeros(made.values.shape)
    values[..., 0, :] = 1
    text = made.assign({"attribution": (made.dims, values)})._repr_html_()
    read = Read(text)
    assert read.texts.count(EVIL) == 3, "layer, class and joint"
    assert f"Explanation: {EVIL}" in read.texts
    assert {tag for tag, _ in read.tags} == {
        "div", "b", "table", "caption", "tr", "th", "td", "svg", "rect", "path",
    }  # fmt: skip
    assert not [key for _, attrs in read.tags for key in attrs if key.startswith("on")]


def test_a_summary_of_edges_and_of_bare_axes_has_no_joints():
    for each in (edges_explained(), explained()["shap"].sum("joint")):
        read = Read(each._repr_html_())
        assert "rect" not in {tag for tag, _ in read.tags}
        assert "Explains" in read.texts


def frame(player) -> dict[str, str]:
    read = Read(player._repr_html_())
    ((found,),) = [[attrs for tag, attrs in read.tags if tag == "iframe"]]
    return found


def test_a_notebook_that_is_not_trusted_says_so():
    """Jupyter leaves frames out of it: an empty cell would tell nobody why."""
    shown = hargcn.show(explained()["shap"])._repr_html_()
    read = Read(re.sub(r"<iframe.*?</iframe>", "", shown, flags=re.S))
    said = " ".join(read.texts)
    assert said.startswith("Window in motion: shown once")
    assert "File > Trust Notebook" in said
    assert read.tags[-1] == ("p", {"style": "grid-area:1/1"}), "nothing hides the text itself"


@pytest.mark.parametrize("window", [1, -5, EVIL])
def test_show_is_the_page_of_one_window(window):
    shap = explained(names=["r0@0", EVIL, *(f"r{i}@0" for i in range(2, 6))])["shap"]
    player = hargcn.show(shap, window, height=500)
    found = frame(player)
    assert found["srcdoc"] == player.page
    assert "height:500px" in found["style"]
    assert found["sandbox"] == "allow-scripts allow-downloads", "of no origin of the notebook's"
    data, windows = embedded(player.page)
    assert len(windows) == 1
    assert [row["name"] for row in data["windows"]] == [EVIL]
    assert EVIL not in player.page
    assert len(repr(player)) < 100


def test_show_takes_edges():
    assert "Largest edges" in hargcn.show(edges_explained()).page


@pytest.mark.parametrize("window", [6, -7, "nobody"])
def test_show_refuses_a_window_that_is_not_there(window):
    wanted = f"a number from 0 to 5 of explanation 'shap' (got {window!r})"
    with pytest.raises(ValueError, match=re.escape(wanted)):
        hargcn.show(explained()["shap"], window)


@pytest.mark.slow
def test_neither_needs_jupyter_nor_torch(tmp_path):
    file = tmp_path / "shap.h5"
    explained()["shap"].save(file)
    code = (
        "import sys, hargcn\n"
        "sys.modules['IPython'] = None\n"
        f"made = hargcn.Explanation.open({str(file)!r})\n"
        "assert '<table>' in made._repr_html_() and '<iframe' in hargcn.show(made)._repr_html_()\n"
        "assert 'torch' not in sys.modules\n"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
