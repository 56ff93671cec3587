"""The page as a person uses it, in Chromium: it plays, jumps, filters, saves, prints."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from fixtures.report_pages import edges_explained, explained, judged, perturbed
from PIL import Image

from hargcn.plots.skeletons import joint_map
from hargcn.report.notebook import show
from hargcn.report.page import Beside, render_pages, render_report
from hargcn.report.results import curve_charts, measured

CHROMIUM = shutil.which("chromium")
EVIL = "<script>alert(1)</script>"
HERE = Path(__file__).parent
NAMES = [EVIL, "r1@0", "r1@12", "r1@24", "r2@0", "r2@12"]
BESIDE = Beside(
    network={"Size": "12 parameters"},
    tables={"table.csv": measured(judged())},
    charts=curve_charts("perturb.h5", perturbed().dataset),
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH"),
    pytest.mark.filterwarnings("default"),  # of the browser's driver
]


@pytest.fixture(scope="module")
def driver():
    return pytest.importorskip("playwright.sync_api", reason="needs playwright: the extra browser")


@pytest.fixture(scope="module")
def browser(driver):
    with driver.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def made():
    """Explanations with an edge method beside joints, and a name that means harm."""
    joints = explained(names=NAMES)
    edges = edges_explained().assign(coords={"sample": NAMES})
    return {**joints, "edge-gradient": edges}


@pytest.fixture
def page(browser, made, tmp_path):
    """The report, opened; nothing may be said or asked for but the page."""
    file = tmp_path / "report.html"
    file.write_text(render_report(made, BESIDE), encoding="utf-8")
    said, asked = [], []
    opened = browser.new_page(viewport={"width": 1366, "height": 900})
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("dialog", lambda dialog: said.append(dialog.message))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(file.as_uri())
    opened.wait_for_selector("body[data-shown='0']")
    yield opened
    assert said == []
    assert [url for url in asked if not url.startswith("blob:")] == [file.as_uri()]
    opened.close()


def shots(page, which=".body"):
    return page.eval_on_selector_all(which, "each => each.map((canvas) => canvas.toDataURL())")


def test_it_opens_at_the_largest_attribution(page, made):
    assert page.inner_text("#name") == EVIL
    values = next(iter(made.values())).isel(sample=[0])
    peak = int(joint_map(values)[0].max(axis=(1, 2)).argmax())
    assert page.inner_text("#at").startswith(f"frame {peak} of 23")
    assert page.inner_text("#seen") == (
        "Of all joint positions >99% were observed, <1% interpolated, <1% absent."
    )


def test_it_plays_and_steps_by_keys(page, driver):
    page.locator("#frame").fill("0")
    page.locator("#frame").blur()
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#at") == "frame 1 of 23, 0.03 s"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#at").startswith("frame 23 of 23")
    page.keyboard.press(" ")
    assert page.inner_text("#play") == "Pause"
    driver.expect(page.locator("#at")).not_to_have_text(re.compile("^frame 23"))
    page.keyboard.press(" ")
    assert page.inner_text("#play") == "Play"


def test_keys_before_a_window_is_read_do_nothing(browser, made, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(render_report(made), encoding="utf-8")
    page = browser.new_page()
    page.add_init_script("Response.prototype.arrayBuffer = () => new Promise(() => {})")
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(file.as_uri())
    page.keyboard.press("ArrowRight")
    page.set_viewport_size({"width": 700, "height": 700})
    assert page.inner_text("#name") == ""
    assert faults == []
    page.close()


def test_a_click_on_a_map_moves_every_cursor_and_body(page):
    before = shots(page)
    box = page.locator(".map").first.bounding_box()
    page.mouse.click(box["x"] + box["width"] - 3, box["y"] + 5)
    assert page.inner_text("#at").startswith("frame 23 ")
    places = page.eval_on_selector_all(".cursor", "each => each.map((one) => one.style.left)")
    assert len(set(places)) == 1
    after = shots(page)
    page.click("[data-view=side]")
    assert page.get_attribute("[data-view=side]", "aria-pressed") == "true"
    turned = shots(page)
    page.click("[data-turn='15']")
    assert page.get_attribute("[data-view=side]", "aria-pressed") == "false"
    views = zip(before, after, turned, shots(page), strict=True)
    assert all(len({*each}) == 4 for each in views)


def test_parts_and_branches_lie_under_the_map(page):
    assert page.locator(".parts").count() == 2
    assert page.locator(".branches").count() == 1, "Grad-CAM tells none apart"
    assert len({*shots(page, ".parts"), *shots(page, ".branches")}) == 3
    assert re.match(
        r"colours from −[\d.]+ to [\d.]+ \(logit", page.inner_text(".size-part >> nth=0")
    )


def test_a_failed_check_is_named(page):
    page.select_option("#checked", "true")
    rows = page.locator("#list tbody tr")
    assert rows.count() == 1
    rows.first.locator("button").click()
    page.wait_for_selector("body[data-shown='5']")
    assert page.inner_text(".failed") == "⚠ Check failed: values miss the score by 5.0%."


def test_the_list_filters_sorts_and_opens(page, driver):
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
    driver.expect(rows).to_have_count(6)
    page.click("[data-key=score]")
    page.click("[data-key=score]")
    assert rows.first.inner_text().startswith("r2@12")
    page.click("#confusion button[data-label='1'][data-predicted='1']")
    driver.expect(rows).to_have_count(2)


def test_windows_of_a_recording_are_reached_from_its_score(page, driver):
    driver.expect(page.locator("#recording")).to_be_hidden()  # the first has one window only
    page.locator("#list tbody button").nth(1).click()
    page.wait_for_selector("body[data-shown='1']")
    driver.expect(page.locator("#whole")).to_have_text(re.compile("^r1: 3 windows; .* number 1,"))
    assert page.locator("#earlier").is_disabled()
    page.click("#later")
    page.wait_for_selector("body[data-shown='2']")
    over = page.locator("#score .u-over").bounding_box()
    page.mouse.click(over["x"] + 0.9 * over["width"], over["y"] + over["height"] / 2)
    page.wait_for_selector("body[data-shown='3']")
    assert page.locator("#later").is_disabled()


def test_two_groups_stand_side_by_side(page):
    assert page.locator("#bodies circle").count() == 40
    before = page.locator("#bodies").inner_html()
    page.select_option("#one", label="right answers (5)")
    page.select_option("#other", label="wrong answers (1)")
    assert "wrong answers (n = 1)" in page.locator("#bodies svg").inner_html()
    assert page.locator("#bodies").inner_html() != before
    assert page.locator("#difference tbody tr").count() == 20


def saved(page, label: str) -> tuple[str, bytes]:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=label, exact=True).click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def test_figures_and_their_numbers_are_saved(page, made):
    name, picture = saved(page, "Save the pictures of SHAP as PNG")
    assert name == "script-alert-1-script-SHAP.png"
    with Image.open(io.BytesIO(picture)) as image:
        assert image.format == "PNG"
        assert np.asarray(image.convert("L")).std() > 10
    _, text = saved(page, "Save the pictures of SHAP as CSV")
    rows = list(csv.DictReader(io.StringIO(text.decode("utf-8-sig"))))
    own = joint_map(next(iter(made.values())).isel(sample=[0]))[0]
    found = [float(row["attribution"]) for row in rows if row["of"] == "joint"]
    assert np.abs(np.array(found) - own.ravel()).max() <= np.abs(own).max() / 254 * 1.01
    assert {row["row"] for row in rows if row["of"] == "branch"} == {"J positions", "V velocities"}
    _, drawing = saved(page, "Save the two groups as SVG")
    assert len(ElementTree.fromstring(drawing).findall(".//{*}circle")) == 40
    _, curves = saved(page, "Save the curves as PNG")
    assert curves.startswith(b"\x89PNG")
    _, table = saved(page, "Save the curves as CSV")
    assert "SHAP,2,0.2,0.2,0.2" in table.decode("utf-8-sig")
    name, methods = saved(page, "Save the table methods as CSV")
    assert name == "report-methods.csv"
    assert methods.decode("utf-8-sig").startswith("Method,Layer,Explains,")
    _, ranking = saved(page, "Save the table ranking as SVG")
    drawn = ElementTree.fromstring(ranking)
    assert len(drawn.findall(".//{*}svg")) == 2 * 20, "a bar for each of two methods and 20 joints"
    assert "left_hand" in {each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")}
    _, windows = saved(page, "Save the list as CSV")
    assert EVIL in windows.decode("utf-8-sig")


def test_two_people_are_drawn_and_told_apart(browser, tmp_path):
    file = tmp_path / "two.html"
    two = explained(persons=2)
    positions = two["shap"].dataset["positions"].copy()
    positions[0, ..., 1] = 0  # the second person of the first window is absent
    for name, each in two.items():
        two[name] = each.assign({"positions": (positions.dims, positions.to_numpy())})
    file.write_text(render_report(two), encoding="utf-8")
    page = browser.new_page()
    page.goto(file.as_uri())
    page.wait_for_selector("body[data-shown='0']")
    alone = page.locator(".map").first.bounding_box()["height"]
    page.locator("#list tbody button").nth(1).click()
    page.wait_for_selector("body[data-shown='1']")
    assert page.locator(".map").first.bounding_box()["height"] == 2 * alone
    page.close()


def test_an_index_leads_to_its_pages_and_back(browser, made, tmp_path):
    for name, text in render_pages(made, "report.html", BESIDE, most=4).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    page.locator("#list tbody a").nth(5).click()
    page.wait_for_selector("body[data-shown='1']")
    assert page.inner_text("#name") == "r2@12"
    assert "report-2.html#window=1" in page.url
    page.get_by_role("link", name="All windows, overview").click()
    page.wait_for_selector("#overview")
    assert page.locator("#list tbody tr").count() == 6
    page.close()


def test_a_window_plays_inside_a_notebook(browser, made, tmp_path):
    file = tmp_path / "notebook.html"
    shown = show(next(iter(made.values())), 1)._repr_html_()
    file.write_text(f"<!DOCTYPE html><title>n</title>{shown}", encoding="utf-8")
    page = browser.new_page()
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(file.as_uri())
    frame = page.frames[1]
    frame.wait_for_selector("body[data-shown='0']")
    said_instead, player = (page.locator(each).bounding_box() for each in ("p", "iframe"))
    assert said_instead["y"] >= player["y"], "covered by the frame"
    assert said_instead["y"] + said_instead["height"] <= player["y"] + player["height"]
    covers = "([x, y]) => document.elementFromPoint(x, y).tagName"
    assert page.evaluate(covers, [said_instead["x"] + 5, said_instead["y"] + 5]) == "IFRAME"
    before = frame.inner_text("#at")
    frame.click("#on")
    assert frame.inner_text("#at") != before
    frame.click("nav a[href='#overview']")
    frame.wait_for_function("scrollY > 0")
    assert page.url == file.as_uri()
    assert said == []
    page.close()


@pytest.mark.parametrize("width", [1366, 820, 390])
def test_nothing_sticks_out_at_the_side(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_prints_every_window_s_parts_on_few_sheets(page):
    printed = page.pdf()
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 10


def test_print_says_the_frame_and_keeps_colours(page):
    page.locator("#frame").fill("5")
    page.emulate_media(media="print")
    assert page.locator("#at").is_visible()
    assert not page.locator("#play").is_visible()
    swatch = page.locator(".swatch.for").first
    assert swatch.evaluate("each => getComputedStyle(each).printColorAdjust") == "exact"


def test_rows_of_a_wide_confusion_keep_their_names(page):
    """Scrolled sideways, as that of many classes is."""
    box = page.locator("[aria-label=Confusion]")
    box.evaluate("each => { each.style.width = '130px'; each.scrollLeft = 90; }")
    assert box.evaluate("each => each.scrollLeft") > 30
    left = box.bounding_box()["x"]
    for head in page.locator("#confusion th:first-child").all():
        assert head.bounding_box()["x"] == pytest.approx(left, abs=1)


def test_a_single_method_s_body_lies_beside_its_map(browser, made, tmp_path):
    file = tmp_path / "one.html"
    name, one = next(iter(made.items()))
    file.write_text(render_report({name: one}), encoding="utf-8")
    page = browser.new_page(viewport={"width": 900, "height": 720})
    page.goto(file.as_uri())
    page.wait_for_selector("body[data-shown='0']")
    body, drawn = (page.locator(each).bounding_box() for each in (".body", ".map"))
    assert body["x"] + body["width"] <= drawn["x"]
    assert abs(body["y"] - drawn["y"]) < 40
    assert drawn["y"] + drawn["height"] <= 720, "both are seen at once"
    page.set_viewport_size({"width": 500, "height": 720})
    body, drawn = (page.locator(each).bounding_box() for each in (".body", ".map"))
    assert body["y"] + body["height"] <= drawn["y"]
    page.close()


def test_axe_finds_no_serious_fault(browser, made, tmp_path):
    axe = pytest.importorskip("axe_playwright_python", reason="needs the extra browser")
    script = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    pages = {**render_pages(made, "index.html", BESIDE, most=4)}
    pages["single.html"] = render_report(made, BESIDE)
    context = browser.new_context(bypass_csp=True)  # axe itself is no part of the page
    for name, text in pages.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        page = context.new_page()
        page.goto((tmp_path / name).as_uri())
        page.wait_for_selector("#list tbody tr")
        page.evaluate(script)
        found = page.evaluate("axe.run(document)")
        assert len(found["passes"]) > 30
        serious = [
            each for each in found["violations"] if each["impact"] in ("serious", "critical")
        ]
        assert [(each["id"], each["nodes"][0]["html"]) for each in serious] == []
    context.close()


def picture(page, what: str) -> Image.Image:
    page.locator("#frame").fill("5")
    with Image.open(io.BytesIO(page.locator(f".{what}").first.screenshot())) as image:
        return image.convert("RGB").resize((110, 66 if what == "body" else 22))


@pytest.mark.parametrize("what", ["body", "parts", "branches"])
def test_pictures_are_as_they_were(page, what):
    """Small, and with a tolerance, for fonts and edges differ; that of another window is not alike.

    Made anew by HARGCN_SCREENSHOTS=1; look at them then.
    """
    stored = HERE / f"screen_{what}.png"
    if "HARGCN_SCREENSHOTS" in os.environ:
        picture(page, what).save(stored)
    with Image.open(stored) as image:
        wanted = np.asarray(image.convert("RGB"), float)
    assert np.abs(np.asarray(picture(page, what), float) - wanted).mean() < 1.5
    page.locator("#list tbody button").nth(1).click()
    page.wait_for_selector("body[data-shown='1']")
    assert np.abs(np.asarray(picture(page, what), float) - wanted).mean() > 4
