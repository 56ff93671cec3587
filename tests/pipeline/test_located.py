from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hargcn.metrics.table import MetricTable
from hargcn.outputs import Outputs
from hargcn.pipeline.located import check_heeded, maps_without_network, noted
from hargcn.pipeline.marks import Marked

TRUTH = np.zeros((2, 4, 3), bool)
TRUTH[:, 1:3, 1] = True


def case(**given):
    return SimpleNamespace(**{"marks": {}, "seen": None, "truth": None} | given)


def opened(split=("test",)):
    rng = np.random.default_rng(0)
    windows = SimpleNamespace(
        positions=lambda: rng.normal(size=(2, 2, 4, 3, 1)), split=split, label=np.array([0, 1])
    )
    return SimpleNamespace(
        windows=windows, data=windows, model=SimpleNamespace(outputs=Outputs.of(["a", "b"])),
        explanations={},
    )  # fmt: skip


def test_marks_and_cells_are_refused_where_no_measure_heeds_them():
    marked, seen = case(marks={"anna": TRUTH}), case(seen=~TRUTH)
    for asked in (marked, seen):
        with pytest.raises(ValueError, match=r"alone heeds marks and observed cells \(got pgi\)"):
            check_heeded(["pgi"], asked)
        check_heeded(["pgi", "localisation"], asked)
    check_heeded(["pgi"], case())


def test_without_evidence_there_is_nothing_to_stand_beside():
    assert maps_without_network(opened(), case()) == {}


def test_planted_evidence_stands_beside_its_joints_and_marks_beside_theirs():
    planted = maps_without_network(opened(), case(truth=TRUTH))
    assert set(planted) == {"sign's joints", "acceleration"}
    assert planted["sign's joints"].sum() == 2 * 4  # joint 1 at all times
    others = np.zeros_like(TRUTH)
    others[:, 0, 2] = True
    marked = maps_without_network(opened(), case(marks={"anna": TRUTH, "ben": others}))
    assert set(marked) == {"marked joints", "acceleration"}
    assert marked["marked joints"].sum() == 2 * 4 * 2  # what anybody marked


def table():
    names = ["localisation:anna:auroc", "localisation:truth:auroc", "pgi"]
    rows = pd.DataFrame({"metric": names, "ceiling": [np.nan, 1.0, 0.8]})
    return MetricTable(rows, xr.Dataset())


def test_the_ceiling_of_an_annotator_is_what_the_others_marks_score():
    moved = np.roll(TRUTH, 1, axis=1)
    looked = {"anna": np.array([True, True]), "ben": np.array([True, False])}
    marked = Marked({"anna": TRUTH, "ben": moved}, looked)
    found = noted(table(), case(marks=marked.masks), marked)
    expected = marked.ceilings()["localisation:anna:auroc"]
    np.testing.assert_allclose(found.rows["ceiling"], [expected, 1.0, 0.8])
    assert 0 < expected < 1
    assert len(found.raters) == 1
    assert noted(table(), case(), Marked({}, {})).raters is None


def test_a_table_says_which_cells_each_measure_looked_at():
    found = noted(table(), case(seen=~TRUTH), Marked({}, {}))
    assert list(found.rows["cells"]) == ["observed", "observed", "all"]
