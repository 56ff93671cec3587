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
from fixtures.report_pages import embedded, explained, unpacked

from hargcn.plots.skeletons import joint_map
from hargcn.report.page import MODULES, drawn, render_report
from hargcn.report.payload import Packed
from hargcn.skeleton import skeleton

EVIL = "<script>alert(1)</script>"
HERE = Path(__file__).parent
CHROMIUM = shutil.which("chromium")


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
        maps = [joint_map(one)[0] for one in alone]
        positions = alone[0].dataset["positions"].to_numpy()[0]
        found, state, levels = unpacked(packed, positions.shape, [each.shape for each in maps])
        assert (state == drawn(alone[0])).all()
        shown = np.broadcast_to(state > 0, positions.shape)
        assert np.abs(found - positions)[shown].max() <= row["step"] * (0.5 + 1e-6)
        for each, map_, scale in zip(levels, maps, row["scales"], strict=True):
            assert np.abs(each * scale - map_).max() <= scale * (0.5 + 1e-6)
        assert row["scores"] == [float(one.score[0]) for one in alone]
    assert data["windows"][1]["label"] == 1
    assert data["windows"][1]["predicted"] == 0
    assert [each["title"] for each in data["methods"]] == ["SHAP", "Grad-CAM main.1.attention"]


def test_colours_are_those_of_pictures_and_zero_is_neutral(page):
    colours = embedded(page)[0]["colours"]
    assert len(colours) == 255
    assert colours[0] == "#053061"  # the ends of ColorBrewer's RdBu
    assert colours[-1] == "#67001f"
    red, green, blue = (int(colours[127][i : i + 2], 16) for i in (1, 3, 5))
    assert min(red, green, blue) > 240
    assert max(red, green, blue) - min(red, green, blue) < 3


def test_the_page_asks_for_nothing(page):
    assert not re.findall(r"https?:|//[a-z]+\.|src\s*=|@import|url\(|<link|style=|\son\w+=", page)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for kind in ("script", "style"):
        (text,) = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.S)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


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


def test_absent_joints_and_persons_are_not_drawn():
    one = explained(persons=2)["shap"].isel(sample=[0])
    positions = one.dataset["positions"].copy()
    positions[..., 1] = 0
    state = drawn(one.assign({"positions": (positions.dims, positions.to_numpy())}))
    assert not state[..., 1].any()
    assert (state[3, 0, 0], state[4, 1, 0], state[5, 2, 0]) == (0, 2, 1)


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
    with pytest.raises(ValueError, match="'fewer': expected the same samples"):
        render_report({"shap": shap, "fewer": shap.isel(sample=[0, 1])})
    other = explained(layout=skeleton("coco17"))["shap"]
    with pytest.raises(ValueError, match="'other': expected the skeleton of the first one"):
        render_report({"shap": shap, "other": other})


def test_five_hundred_windows_of_three_methods_take_at_most_25_mb():
    """Windows of 150 x 29 places in 3D; random maps and noisy walks, which deflate worst."""
    rng = np.random.default_rng(0)
    layout = skeleton("ntu25")
    count, frames = 4, 150 * 29 // 25
    shape = (count, frames, 25, 1)
    moved = 0.004 * rng.normal(size=(count, 3, frames, 25, 1)).cumsum(axis=2)
    positions = rng.normal(0, 0.4, (count, 3, 1, 25, 1)) + moved
    variables = {"positions": (("sample", "space", "frame", "joint", "person"), positions)}
    dims = ("sample", "time", "joint", "person")
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


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH")
@pytest.mark.filterwarnings("default")  # of the browser's driver
def test_the_page_in_a_browser(tmp_path):
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    file = tmp_path / "report.html"
    made = explained(names=[EVIL, *"abcde"])
    file.write_text(render_report(made), encoding="utf-8")
    said: list[str] = []
    asked: list[str] = []
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        page.wait_for_selector("body[data-shown='0']")
        assert page.inner_text("#name") == EVIL
        values = next(iter(made.values())).isel(sample=[0])
        peak = int(joint_map(values)[0].max(axis=(1, 2)).argmax())
        assert page.inner_text("#at").startswith(f"frame {peak} of 23")
        _plays(page, driver.expect)
        _ties_the_cursor(page)
        _filters_and_opens(page, driver.expect)
        browser.close()
    assert said == []
    assert asked == [file.as_uri()]


def _plays(page, expect):
    page.locator("#frame").fill("0")
    page.locator("#frame").blur()
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#at") == "frame 1 of 23, 0.03 s"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#at").startswith("frame 23 of 23")
    page.keyboard.press(" ")
    assert page.inner_text("#play") == "Pause"
    expect(page.locator("#at")).not_to_have_text(re.compile("^frame 23"))
    page.keyboard.press(" ")
    assert page.inner_text("#play") == "Play"


def _ties_the_cursor(page):
    """A click on one method's map moves the cursors of both, and both bodies."""
    shot = "each => [...each].map((canvas) => canvas.toDataURL())"
    before = page.eval_on_selector_all(".body", shot)
    box = page.locator(".map").first.bounding_box()
    page.mouse.click(box["x"] + box["width"] - 3, box["y"] + 5)
    assert page.inner_text("#at").startswith("frame 23 ")
    places = page.eval_on_selector_all(".cursor", "each => each.map((one) => one.style.left)")
    assert len(set(places)) == 1
    after = page.eval_on_selector_all(".body", shot)
    page.click("[data-view=side]")
    turned = page.eval_on_selector_all(".body", shot)
    assert all(len({*each}) == 3 for each in zip(before, after, turned, strict=True))


def _filters_and_opens(page, expect):
    rows = page.locator("#list tbody tr")
    assert rows.count() == 6
    page.select_option("#right", "false")
    assert rows.count() == 1
    rows.first.locator("button").click()
    page.wait_for_selector("body[data-shown='1']")
    assert page.inner_text("#facts") == (
        "subject s1 · true class jog · predicted wave (58%) · wrong"
    )
    page.click("#filter button[type=reset]")
    expect(rows).to_have_count(6)
    page.click("[data-key=score]")
    page.click("[data-key=score]")
    assert rows.first.inner_text().startswith("e")
    page.click("#confusion button[data-label='1'][data-predicted='1']")
    expect(rows).to_have_count(2)
