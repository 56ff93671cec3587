"""The pages that say which explanation to use say what the committed tables say."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from fixtures import guide_page

FIGURE = re.compile(r"\d+\.\d+")


@pytest.mark.parametrize("name", guide_page.PAGES)
def test_a_page_is_its_template_with_the_committed_tables(name):
    again = "run: PYTHONPATH=tests python -m fixtures.guide_page"
    assert guide_page.PAGES[name].read_text(encoding="utf-8") == guide_page.page(name), again


def test_every_figure_in_words_stands_in_a_table():
    lines = [line for path in guide_page.PAGES.values()
             for line in path.read_text(encoding="utf-8").splitlines()]  # fmt: skip
    tables = {each for line in lines if line.startswith("|") for each in FIGURE.findall(line)}
    words = {each for line in lines if not line.startswith("|") for each in FIGURE.findall(line)}
    assert words
    assert not words - tables


def test_every_case_of_the_experiment_is_named():
    cases = set(pd.read_csv(guide_page.RESULTS / "decided.csv")["case"])
    told = "\n".join(guide_page.decided())
    assert cases
    assert not [case for case in cases if f"| {case} |" not in told]


def paired(*rows: tuple[str, str, float, float, str]) -> pd.DataFrame:
    """Differences of one figure in one case: reference, method, low, high, better."""
    head = ["reference", "method", "low", "high", "better"]
    return pd.DataFrame(rows, columns=head).assign(case="UTD x", metric="pgi", windows=9)


@pytest.mark.parametrize(
    ("low", "high", "better", "said"),
    [
        ((0.1, 0.2), (0.3, 0.3), "higher", 1),
        ((0.1, -0.1), (0.3, 0.3), "higher", 0),  # no difference to one of the two
        ((0.1, -0.3), (0.3, -0.1), "higher", -1),  # worse than one of the two
        ((-0.2, -0.3), (-0.1, -0.1), "lower", 1),
        ((0.1, -0.3), (0.3, -0.1), "lower", -1),
    ],
)
def test_better_means_better_than_every_map_of_no_network(monkeypatch, low, high, better, said):
    table = paired(("a", "m", low[0], high[0], better), ("b", "m", low[1], high[1], better),
                   ("c", "m", -9.0, 9.0, better))  # fmt: skip
    monkeypatch.setattr(guide_page, "table", lambda _: table)
    assert guide_page.verdicts("pgi", ("a", "b")).to_dict() == {("UTD x", "m"): said}
    assert guide_page.counted(guide_page.verdicts("pgi", ("a", "b")), "UTD", "m") == (
        f"{int(said == 1)}+ {int(said == -1)}-"
    )
