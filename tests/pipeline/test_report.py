"""`report` as a function: files in, one page out, earlier results intact."""

from __future__ import annotations

import pytest
from fixtures.report_pages import embedded, explained

from hargcn.pipeline.report import write_report


@pytest.fixture
def files(tmp_path):
    """Two explanation files of the same windows."""
    paths = [tmp_path / "anna_shap.h5", tmp_path / "anna_cam.h5"]
    for path, each in zip(paths, explained(names=list("abcdef")).values(), strict=True):
        each.save(path)
    return paths


def test_the_page_holds_the_windows_of_the_files(files, tmp_path):
    out = write_report(files, tmp_path / "new" / "report.html")
    data, windows = embedded(out.read_text(encoding="utf-8"))
    assert [each["name"] for each in data["windows"]] == list("abcdef")
    assert len(windows) == 6
    assert out.read_bytes() == write_report(files, tmp_path / "again.html").read_bytes()


def test_an_anonymous_page_names_nobody(files, tmp_path):
    """Not even by its files, of which two hold the same method here."""
    files.append(tmp_path / "anna_other.h5")
    files[-1].write_bytes(files[0].read_bytes())
    pages = []
    for _ in range(2):
        out = write_report(files, tmp_path / "report.html", anonymise=True)
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
    other = tmp_path / "fewer.h5"
    explained(3)["shap"].save(other)
    with pytest.raises(ValueError, match="fewer.*: expected the same samples"):
        write_report([files[0], other], page)
    with pytest.raises(FileNotFoundError, match=r"none\.h5"):
        write_report([tmp_path / "none.h5"], page)
    with pytest.raises(ValueError, match=r"report\.txt: expected a name ending in \.html"):
        write_report(files, tmp_path / "report.txt")
    assert page.read_text(encoding="utf-8") == "earlier"
    assert not list(tmp_path.glob(".*tmp*"))
