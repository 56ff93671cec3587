"""`report` as a function: files in, one page out, earlier results intact."""

from __future__ import annotations

import re

import pytest
import torch
from fixtures.moving_windows import moving_windows
from fixtures.report_pages import embedded, explained, judged, perturbed

from hargcn import load_model, save_model
from hargcn.pipeline.report import write_report


@pytest.fixture
def files(tmp_path):
    """Two explanation files of the same windows."""
    paths = [tmp_path / "anna_shap.h5", tmp_path / "anna_cam.h5"]
    for path, each in zip(paths, explained(names=list("abcdef")).values(), strict=True):
        each.save(path)
    return paths


def test_the_page_holds_the_windows_of_the_files(files, tmp_path):
    (out,) = write_report(files, tmp_path / "new" / "report.html")
    data, windows = embedded(out.read_text(encoding="utf-8"))
    assert [each["name"] for each in data["windows"]] == list("abcdef")
    assert len(windows) == 6
    again = write_report(files, tmp_path / "new2" / "report.html")[0]
    assert out.read_bytes() == again.read_bytes()


def test_an_anonymous_page_names_nobody(files, tmp_path):
    """Not even by its files, of which two hold the same method here."""
    files.append(tmp_path / "anna_other.h5")
    files[-1].write_bytes(files[0].read_bytes())
    pages = []
    for _ in range(2):
        (out,) = write_report(files, tmp_path / "report.html", anonymise=True)
        pages.append(out.read_text(encoding="utf-8"))
    first, again = (embedded(page)[0] for page in pages)
    assert "anna" not in pages[0]
    assert not {"s0", "s1"} & {each["subject"] for each in first["windows"]}
    assert not set("abcdef") & {each["name"] for each in first["windows"]}
    titles = [each["title"] for each in first["methods"]]
    assert titles == ["SHAP (1)", "Grad-CAM main.1.attention", "SHAP (3)"]
    assert first["windows"][0]["name"] != again["windows"][0]["name"], "the salt is kept nowhere"


def test_bad_input_is_refused_and_an_earlier_page_stays(files, tmp_path):
    page = tmp_path / "report.html"
    page.write_text("earlier", encoding="utf-8")
    other = tmp_path / "others.h5"
    explained(3)["shap"].save(other)
    with pytest.raises(ValueError, match="Expected explanations of common windows"):
        write_report([files[0], other], page)
    with pytest.raises(FileNotFoundError, match=r"none\.h5"):
        write_report([tmp_path / "none.h5"], page)
    with pytest.raises(ValueError, match=r"report\.txt: expected a name ending in \.html"):
        write_report(files, tmp_path / "report.txt")
    assert page.read_text(encoding="utf-8") == "earlier"
    assert not list(tmp_path.glob(".*tmp*"))


def test_pages_of_many_windows_are_written_beside_their_index(files, tmp_path):
    out = tmp_path / "new" / "report.html"
    first, *others = write_report(files, out, per_page=4)
    assert first == out
    assert [path.name for path in others] == ["report-1.html", "report-2.html"]
    assert {path.name for path in out.parent.iterdir()} == {each.name for each in (out, *others)}
    for path in others:
        assert embedded(path.read_text(encoding="utf-8"))[1]


def test_windows_that_are_left_out_are_said(files, tmp_path):
    few = tmp_path / "few.h5"
    explained(names=list("abcdef"))["gradcam main.1.attention"].isel(sample=[4, 1]).save(few)
    said = []
    (out,) = write_report([files[0], few], tmp_path / "report.html", say=said.append)
    assert said == ["SHAP: 2 of its 6 windows are in all files"]
    assert [row["name"] for row in embedded(out.read_text("utf-8"))[0]["windows"]] == ["b", "e"]


def test_a_page_is_never_written_over_what_it_reads(files, tmp_path):
    table = tmp_path / "report-1.html"
    judged().to_csv(table, index=False)
    with pytest.raises(ValueError, match=r"report-1\.html"):
        write_report(files, tmp_path / "report.html", tables=[table], per_page=4)
    assert not (tmp_path / "report.html").exists()
    with pytest.raises(ValueError, match="per_page"):
        write_report(files, tmp_path / "report.html", per_page=0)


def test_tables_and_curves_stand_on_the_page(files, tmp_path):
    judged().to_csv(tmp_path / "table.csv", index=False)
    perturbed().save(tmp_path / "perturb.h5")
    (out,) = write_report(
        files, tmp_path / "report.html", tables=[tmp_path / "table.csv"],
        curves=[tmp_path / "perturb.h5"],
    )  # fmt: skip
    page = out.read_text(encoding="utf-8")
    assert "localisation:energy" in page
    charts = embedded(page)[0]["charts"]
    assert [each["title"] for each in charts] == ["perturb.h5"] * 2


def test_files_of_other_commands_are_refused_by_name(files, tmp_path):
    page = tmp_path / "report.html"
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"other\.csv: expected a table of `hargcn evaluate`"):
        write_report(files, page, tables=[tmp_path / "other.csv"])
    (tmp_path / "empty.csv").write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match=r"empty\.csv: expected a table of `hargcn evaluate`"):
        write_report(files, page, tables=[tmp_path / "empty.csv"])
    with pytest.raises(FileNotFoundError, match=r"none\.csv: no such table"):
        write_report(files, page, tables=[tmp_path / "none.csv"])
    with pytest.raises(ValueError, match=r"anna_shap\.h5: expected perturbation curves"):
        write_report(files, page, curves=[files[0]])


def test_an_anonymous_page_names_no_file_of_a_table_either(files, tmp_path):
    judged("anna_shap").to_csv(tmp_path / "anna.csv", index=False)
    perturbed("anna_shap").save(tmp_path / "anna_curves.h5")
    (out,) = write_report(
        files, tmp_path / "report.html", anonymise=True, tables=[tmp_path / "anna.csv"],
        curves=[tmp_path / "anna_curves.h5"],
    )  # fmt: skip
    page = out.read_text(encoding="utf-8")
    assert "anna" not in page.lower()
    names = [line["name"] for line in embedded(page)[0]["charts"][0]["panels"][0]["lines"]]
    assert names == ["method 3", "random"]


def test_the_network_and_its_windows_are_said(shap, checkpoint, waving, tmp_path):
    (out,) = write_report([shap], tmp_path / "r.html", network=checkpoint, windows=waving)
    page = out.read_text(encoding="utf-8")
    assert "3 classes" in page
    assert re.search(r"Windows</th><td class=.number.>\d+</td>", page)
    (hidden,) = write_report(
        [shap], tmp_path / "h.html", network=checkpoint, windows=waving, anonymise=True
    )
    assert waving.name in page
    assert waving.name not in hidden.read_text(encoding="utf-8")


def test_another_network_and_other_windows_are_refused(shap, checkpoint, tmp_path):
    page = tmp_path / "r.html"
    other = moving_windows(tmp_path / "other.h5", val=(), test=("g0",), groups=2).path
    with pytest.raises(ValueError, match=r"other\.h5: expected the windows file that explanation"):
        write_report([shap], page, windows=other)
    model = load_model(checkpoint)
    with torch.no_grad():
        next(model.parameters()).add_(1)
    save_model(model, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other\.safetensors: expected the network that expl"):
        write_report([shap], page, network=tmp_path / "other.safetensors")
    assert not page.exists()
