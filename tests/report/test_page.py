"""The page: what it holds is what was explained, it asks for nothing, and names are text."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from fixtures.fake_explanations import explanation
from fixtures.report_pages import (
    against_truth,
    edges_explained,
    embedded,
    explained,
    judged,
    unpacked,
)

from hargcn.plots.skeletons import joint_map
from hargcn.report.page import LIBRARY, MODULES, Beside, render_pages, render_report
from hargcn.report.payload import Packed
from hargcn.report.results import measured
from hargcn.report.rows import drawn
from hargcn.skeleton import skeleton

EVIL = "<script>alert(1)</script>"
LINE = {"name": "SHAP", "mean": [1.0, 0.5], "low": [0.9, 0.4], "high": [1.0, 0.6]}
PANEL = {"title": "most important joints perturbed", "band": [[0.9, 0.6], [1, 0.9]]}
CHARTS = [
    {
        "title": "a.h5",
        "y": "accuracy",
        "x": "joints",
        "k": [0, 1],
        "panels": [{**PANEL, "lines": [LINE]}],
    }
]
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(explained())


def test_what_the_page_holds_is_what_was_explained(page):
    both = explained()
    data, windows = embedded(page)
    assert len(windows) == len(data["windows"]) == 6
    for i, text in enumerate(windows):
        row = data["windows"][i]
        packed = Packed(text, row["origin"], row["step"], row["scales"])
        alone = [each.isel(sample=[i]) for each in both.values()]
        branches = alone[0].values.sum(["channel", "joint", "person"]).to_numpy()[0].T[..., None]
        maps = [joint_map(alone[0])[0], branches, joint_map(alone[1])[0]]
        positions = alone[0].dataset["positions"].to_numpy()[0]
        found, state, levels = unpacked(packed, positions.shape, [each.shape for each in maps])
        assert (state == drawn(positions, alone[0].dataset["state"].to_numpy()[0])).all()
        shown = np.broadcast_to(state > 0, positions.shape)
        assert np.abs(found - positions)[shown].max() <= row["step"] * (0.5 + 1e-6)
        for each, map_, scale in zip(levels, maps, row["scales"], strict=True):
            assert np.abs(each * scale - map_).max() <= scale * (0.5 + 1e-6)
        assert row["scores"] == [float(one.score[0]) for one in alone]
    assert data["windows"][1]["label"] == 1
    assert data["windows"][1]["predicted"] == 0
    assert [each["title"] for each in data["methods"]] == ["SHAP", "Grad-CAM main.1.attention"]
    assert data["own"] == [{"joint": 0, "branch": 1}, {"joint": 2}]
    assert data["maps"][1]["names"] == ["J positions", "V velocities"]


def test_colours_are_those_of_pictures_and_zero_is_neutral(page):
    colours = embedded(page)[0]["colours"]
    assert len(colours) == 255
    assert colours[0] == "#053061"  # the ends of ColorBrewer's RdBu
    assert colours[-1] == "#67001f"
    red, green, blue = (int(colours[127][i : i + 2], 16) for i in (1, 3, 5))
    assert min(red, green, blue) > 240
    assert max(red, green, blue) - min(red, green, blue) < 3


@pytest.mark.parametrize("charts", [(), CHARTS])
def test_the_page_asks_for_nothing(charts):
    page = render_report(explained(), Beside(charts=charts))
    assert ("uPlot" in page.partition("<script>")[2].partition("Permission")[2]) == bool(charts)
    assert not re.findall(r"https?:|//[a-z]+\.|src\s*=|@import|url\(|<link|style=|\son\w+=", page)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for kind in ("script", "style"):
        texts = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.S)
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in texts]
        allowed = " ".join(f"'sha256-{digest.decode()}'" for digest in digests)
        assert f"{kind}-src {allowed};" in policy


def test_names_are_text_wherever_they_stand():
    both = explained(names=[EVIL, *(f"r{i}" for i in range(5))])
    for name, each in both.items():
        classes = '["<img src=x onerror=alert(2)>", "</script><b>"]'
        groups = np.array(['"><i>', "&amp;"] * 3)
        both[name] = each.assign({"group": groups}, classes=classes)
    page = render_report(both)
    for bad in (EVIL, "<img", "</script><b>", "<i>"):
        assert bad not in page
    data, _ = embedded(page)
    assert data["windows"][0]["name"] == EVIL
    assert data["windows"][0]["subject"] == '"><i>'
    assert data["classes"][1] == "</script><b>"
    assert "&lt;img src=x onerror=alert(2)&gt;" in page  # in the confusion


def test_the_script_writes_no_markup():
    for name in MODULES:
        text = (HERE.parents[1] / f"hargcn/report/static/{name}.mjs").read_text(encoding="utf-8")
        assert not re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text)


def test_a_flat_body_has_no_views():
    flat = render_report(explained(layout=skeleton("coco17")))
    assert 'data-view="side"' not in flat
    assert 'data-view="side"' in render_report(explained())


def test_what_cannot_be_shown_is_refused():
    both = explained()
    shap = both["shap"]
    bare = explanation(np.ones((6, 20)), ("sample", "joint"), skeleton=skeleton("kinect20"))
    with pytest.raises(ValueError, match="'bare': expected stored positions"):
        render_report({"bare": bare})
    with pytest.raises(ValueError, match="'sums': expected a skeleton and an axis 'joint'"):
        render_report({"sums": shap.sum("joint")})
    twice = shap.assign(coords={"sample": ["a"] * 6})
    with pytest.raises(ValueError, match="'shap': expected windows of different names"):
        render_report({"shap": twice})
    other = explained(layout=skeleton("coco17"))["shap"]
    with pytest.raises(ValueError, match="'other': expected the skeleton of the first one"):
        render_report({"shap": shap, "other": other})


def test_five_hundred_windows_of_three_methods_take_at_most_25_mb():
    """Windows of 150 x 29 places in 3D; random maps and noisy walks, which deflate worst."""
    rng = np.random.default_rng(0)
    layout = skeleton("ntu25")
    count, frames = 4, 150 * 29 // 25
    shape = (count, 2, frames, 25, 1)
    moved = 0.004 * rng.normal(size=(count, 3, frames, 25, 1)).cumsum(axis=2)
    positions = rng.normal(0, 0.4, (count, 3, 1, 25, 1)) + moved
    variables = {"positions": (("sample", "space", "frame", "joint", "person"), positions)}
    dims = ("sample", "branch", "time", "joint", "person")
    three = {
        name: explanation(
            rng.normal(size=shape), dims, method=name, skeleton=layout, frames=frames,
            time=np.arange(frames),
        ).assign(variables)
        for name in ("one", "two", "three")
    }  # fmt: skip
    few = {name: each.isel(sample=[0, 1]) for name, each in three.items()}
    small, large = len(render_report(few)), len(render_report(three))
    assert small + (large - small) / 2 * 498 <= 25e6


def test_of_many_windows_there_are_pages_and_an_index():
    names = [f"r{i // 4}@{8 * (i % 4)}" for i in range(6)]
    pages = render_pages(explained(names=names), "my report.html", most=4)
    assert list(pages) == ["my report-1.html", "my report-2.html", "my report.html"]
    (first, one), (second, two), (index, none) = (embedded(page) for page in pages.values())
    assert [len(one), len(two), len(none)] == [4, 2, 0]
    assert [row["name"] for row in first["windows"] + second["windows"]] == names
    assert [row["name"] for row in index["windows"]] == names
    assert index["windows"][5]["page"] == "my report-2.html#window=1"
    assert not [row for row in first["windows"] if "page" in row]
    assert "origin" not in index["windows"][0]
    last = pages["my report.html"]
    assert 'id="overview"' in last
    assert 'id="window"' not in last
    assert "my%20report-1.html" in last
    for name in ("my report-1.html", "my report-2.html"):
        assert 'id="overview"' not in pages[name]
        assert 'href="my%20report.html"' in pages[name]
    assert "<title>Windows 5 to 6 of 6</title>" in pages["my report-2.html"]


def test_a_recording_stays_on_one_page_where_it_fits():
    """Recordings of two, three and one windows, then one of six windows."""
    names = [f"r{at}@{i}" for at, count in enumerate((2, 3, 1)) for i in range(count)]
    pages = render_pages(explained(names=names), "r.html", most=4)
    found = [[row["name"] for row in embedded(page)[0]["windows"]] for page in pages.values()]
    assert found[:-1] == [names[:2], names[2:]]
    whole = render_pages(explained(names=[f"r0@{i}" for i in range(6)]), "r.html", most=4)
    assert [len(embedded(page)[1]) for page in whole.values()] == [4, 2, 0]


def test_a_recording_is_shown_where_a_page_has_several_of_its_windows():
    assert 'id="recording"' not in render_report(explained())
    along = render_report(explained(names=[f"r0@{8 * i}" for i in range(6)]))
    assert 'id="recording"' in along
    assert "Leon Sorokin" in along, "the licence of the charts' library comes with it"


@pytest.mark.parametrize(
    ("joint", "frame", "share"),
    [(0, 0, 1.0), (5, 0, 0.0), (0, 12, 0.0)],
    ids=["on", "joint", "time"],
)
def test_a_page_tells_whether_evidence_was_found(joint, frame, share):
    """An attribution of 1 at the planted cells, at other joints, and at other times."""
    shap = explained()["shap"]
    frames, joints = shap.dataset.sizes["frame"], shap.values.sizes["joint"]
    truth = np.zeros((6, frames, joints), int)
    truth[:, 3:8, 2:4] = 1
    times = shap.values["time"].to_numpy().astype(int)
    moved = np.roll(truth, (frame, joint), axis=(1, 2))[:, times].astype(float)
    axes = dict(zip(("sample", "time", "joint"), moved.shape, strict=True))
    shown = [axes.get(str(dim), 1) for dim in shap.values.dims]
    values = np.broadcast_to(moved.reshape(shown), shap.values.shape)
    told = shap.assign(
        {"truth": (("sample", "frame", "joint"), truth), "attribution": (shap.dims, values)}
    )
    planted, found = against_truth(render_report({"shap": told}))
    names = shap.skeleton.joints
    assert planted == set(names[2:4])
    first, hits = found["SHAP"]
    assert set(first[:2]) == set(names[2 + joint : 4 + joint])
    assert hits == share


def test_edges_and_other_questions_stand_beside_joints():
    both = explained()
    shap = both["shap"].assign({"versus": np.ones(6, int), "target": np.zeros(6, int)})
    page = render_report({"edges": edges_explained(), "shap": shap, "cam": both.popitem()[1]})
    data, windows = embedded(page)
    assert [each["kind"] for each in data["methods"]] == ["edge", "joint", "joint"]
    assert len(windows) == 6
    assert data["own"][0] == {"edge": 0}
    assert data["windows"][0]["asked"] == ["wave", "wave rather than jog", "wave"]
    assert "Rank correlation" not in page, "answers to different questions are not compared"
    alone = render_report({"edges": edges_explained()})
    assert "Largest edges" in alone
    assert 'id="groups"' not in alone


def test_what_stands_beside_is_shown_as_text():
    said = Beside(
        network={"Size": "<b>12</b> parameters"},
        data={
            "steps": [("rate", "25")],
            "doubts": ["odd <i>"],
            "sets": ["train"],
            "rows": [("W", [4])],
        },
        tables={"table.csv": measured(judged("<u>shap"))},
    )
    page = render_report(explained(), said)
    assert "&lt;b&gt;12&lt;/b&gt; parameters" in page
    assert "odd &lt;i&gt;" in page
    assert "&lt;u&gt;shap" in page
    assert "<u>" not in page
    assert re.search(r'<th scope="row">W</th><td class="number">4</td>', page)
    assert 'cx="72.5"' in page
    assert 'id="measured"' not in render_report(explained())


def test_the_library_is_what_its_note_says():
    static = HERE.parents[1] / "hargcn/report/static"
    note = (static / "uPlot.md").read_text(encoding="utf-8")
    for name in (LIBRARY, "uPlot.min.css"):
        digest = hashlib.sha256((static / name).read_bytes()).hexdigest()
        assert f"| `{name}` | {digest} |" in note


def test_javascript_modules_are_small():
    for name in MODULES:
        text = (HERE.parents[1] / f"hargcn/report/static/{name}.mjs").read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 350, name


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node on the PATH")
def test_the_pages_own_functions(tmp_path, page):
    """The same windows, decoded by JavaScript and by Python; see modules.test.mjs."""
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    made = subprocess.run(
        ["node", "--test", HERE / "modules.test.mjs"],
        env={"PATH": str(Path(shutil.which("node")).parent), "PAGE": str(file)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    assert re.search(r"^# tests [1-9]", made.stdout, re.M)
