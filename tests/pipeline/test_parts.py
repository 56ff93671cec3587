from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hargcn.metrics.table import samples_file
from hargcn.pipeline.parts import Compare, compare, compare_tables, draw_means, join_tables


def part(folder: Path, value: float, figures: tuple[str, ...] = ("deletion", "pgi")) -> Path:
    """What `evaluate` leaves in a folder, of two methods on two windows of two subjects."""
    folder.mkdir(parents=True)
    methods = ("cam", "random")
    pd.DataFrame(
        [
            {"metric": figure, "method": method, "estimate": value, "low": 0.0, "high": 1.0,
             "n": 2, "chance": 0.5, "ceiling": 1.0, "better": "lower", "source": "somewhere"}
            for figure in figures
            for method in methods
        ]
    ).to_csv(folder / "table.csv", index=False)  # fmt: skip
    values = np.array([[value, value], [0.5, 0.5]])
    xr.Dataset(
        {figure: (("explanation", "sample"), values) for figure in figures},
        {"explanation": [*methods], "sample": ["a1", "b1"], "group": ("sample", ["a", "b"])},
    ).to_netcdf(samples_file(folder / "table.csv"), engine="h5netcdf")
    return folder


@pytest.fixture
def parts(tmp_path) -> dict[tuple[str, str], Path]:
    return {
        ("one", "1"): part(tmp_path / "one" / "seed1", 0.1),
        ("one", "2"): part(tmp_path / "one" / "seed2", 0.3),
        ("two", "1"): part(tmp_path / "two" / "seed1", 0.9, ("deletion",)),
        ("two", "2"): tmp_path / "two" / "seed2",  # not there: nothing could be explained
    }


DELETION = Compare(figures=("deletion",))


def test_measures_are_joined_with_case_and_seed(parts, tmp_path):
    compare(parts, ["table.csv"], tmp_path, DELETION)
    table = pd.read_csv(tmp_path / "measures.csv")
    assert [*table] == ["case", "seed", "metric", "method", "estimate", "low", "high", "n"]
    assert table.groupby(["case", "seed"])["estimate"].first().to_dict() == {
        ("one", 1): 0.1, ("one", 2): 0.3, ("two", 1): 0.9,
    }  # fmt: skip
    assert set(table["metric"]) == {"deletion"}
    assert not (tmp_path / "paired.csv").exists()  # nothing to compare with was named


def test_of_tables_that_share_a_figure_the_first_counts(parts, tmp_path):
    for folder in parts.values():
        if folder.exists():
            for name in ("table.csv", "table.samples.h5"):
                (folder / name.replace("table", "other")).write_bytes((folder / name).read_bytes())
    compare(parts, ["table.csv", "other.csv"], tmp_path, DELETION)
    assert not pd.read_csv(tmp_path / "measures.csv").duplicated(["case", "seed", "method"]).any()


def test_other_tables_are_joined_whole(parts, tmp_path):
    (parts["one", "1"] / "decided.csv").write_text("sign,taken\n9,4\n", encoding="utf-8")
    join_tables(parts, "decided.csv", tmp_path)
    assert pd.read_csv(tmp_path / "decided.csv").to_dict("records") == [
        {"case": "one", "seed": 1, "sign": 9, "taken": 4}
    ]


def test_differences_are_of_every_case_over_its_seeds(parts, tmp_path):
    compare(parts, ["table.csv"], tmp_path, Compare(figures=("deletion", "pgi"),
                                                  references=("random",)))  # fmt: skip
    found = pd.read_csv(tmp_path / "paired.csv").set_index(["case", "metric", "method"])
    assert found["difference"].round(6).to_dict() == {
        ("one", "deletion", "cam"): -0.3, ("one", "pgi", "cam"): -0.3,
        ("two", "deletion", "cam"): 0.4,
    }  # fmt: skip
    assert found["runs"].tolist() == [2, 2, 1]


def test_nothing_is_written_of_nothing(tmp_path):
    none = {("one", ""): tmp_path / "one"}
    join_tables(none, "table.csv", tmp_path)
    compare(none, ["table.csv"], tmp_path, Compare(figures=("pgi",), references=("random",)))
    assert not list(tmp_path.glob("*.csv"))


def figures(path: Path, *rows: tuple[str, int, float]) -> Path:
    table = pd.DataFrame(rows, columns=["case", "seed", "estimate"])
    pd.concat([table.assign(figure="accuracy"), table.assign(figure="f1", estimate=9)]).to_csv(
        path, index=False
    )
    return path


def test_networks_are_compared_seed_by_seed(tmp_path):
    plain = figures(tmp_path / "plain.csv", ("one", 1, 0.5), ("one", 2, 0.9), ("two", 1, 0.4))
    taught = figures(tmp_path / "taught.csv", ("one", 2, 1.0), ("one", 1, 0.6), ("two", 1, 0.3))
    out = tmp_path / "c.csv"
    told = {"value": "1 - estimate", "where": "figure == 'accuracy'"}
    compare_tables([plain, taught], out, **told)
    rows = pd.read_csv(out).set_index(["case", "network"])
    assert rows.loc[("one", "plain"), ["mean", "more", "seeds"]].tolist() == [0.3, 0, 2]
    assert rows.loc[("one", "taught"), ["mean", "more"]].tolist() == pytest.approx([0.2, -0.1])
    # Both seeds differ by the same: the difference is known where the means are not.
    assert rows.loc[("one", "taught"), ["more_low", "more_high"]].tolist() == pytest.approx(
        [-0.1] * 2
    )
    assert rows.loc[("one", "taught"), "high"] > 0.4
    assert rows.loc[("two", "taught"), "more"] == pytest.approx(0.1)
    assert np.isnan(rows.loc[("two", "taught"), "low"])  # one seed
    with pytest.raises(ValueError, match=r"expected one row of each case and seed .*got 6 rows"):
        compare_tables([plain, taught], out)
    other = figures(tmp_path / "other.csv", ("one", 1, 0.5))
    with pytest.raises(ValueError, match="other.csv: expected one row of each case and seed as"):
        compare_tables([plain, other], out, **told)
    with pytest.raises(FileNotFoundError, match="lost.csv: no such table"):
        compare_tables([plain, tmp_path / "lost.csv"], out, **told)


def test_means_of_some_rows_are_drawn(tmp_path):
    table = figures(tmp_path / "t.csv", ("one", 1, 0.5), ("one", 2, 0.9))
    given = {"rows": "figure", "columns": "case", "value": "estimate"}
    made = draw_means(table, tmp_path / "a.png", where="figure == 'f1'", **given)
    assert made.stat().st_size > 1000
    with pytest.raises(FileNotFoundError, match="lost.csv: no such table"):
        draw_means(tmp_path / "lost.csv", tmp_path / "b.png", **given)
