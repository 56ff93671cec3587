"""Explanations beside what annotators marked."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from fixtures.command_line import done, refused

from hargcn import Explanation, Windows
from hargcn.metrics.localisation import localisation
from hargcn.pipeline.evaluate import evaluate
from hargcn.pipeline.marks import open_marks

HEADER = "tier,begin (s),end (s),file\n"
# The test windows show g3_c0_0@0 (0 to 0.5 s), g3_c0_0@8 (0.267 to 0.767 s), ...
ANNA = HEADER + "left_arm,0.1,0.3,g3_c0_0.eaf\nleft_wrist,0.4,0.6,g3_c1_1.eaf\n"
BEN = HEADER + "left_arm,0.2,0.4,g3_c0_0.eaf\nright_arm,0.1,0.2,g3_c2_0.eaf\n"


def marked(folder, **annotators):
    for name, text in annotators.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return [folder / f"{name}.csv" for name in annotators]


@pytest.fixture
def explained(waving):
    return Windows.open(waving), Windows.open(waving).subset("test")


def frames(mask, name, windows):
    return np.flatnonzero(mask[windows.names.index(name)].any(axis=1)).tolist()


def test_marks_are_cells_of_the_windows_at_their_time(explained, tmp_path):
    data, test = explained
    found = open_marks(marked(tmp_path, anna=ANNA, ben=BEN), None, data, test)
    anna = found.masks["anna"]
    assert frames(anna, "g3_c0_0@0", test) == [3, 4, 5, 6, 7, 8, 9]
    assert frames(anna, "g3_c0_0@8", test) == [0, 1]  # begins at 8/30 s
    arm = [*data.skeleton.parts["left_arm"]]
    assert np.flatnonzero(anna[test.names.index("g3_c0_0@0")].any(axis=0)).tolist() == sorted(arm)
    wrist = anna[test.names.index("g3_c1_1@0")].any(axis=0)
    assert np.flatnonzero(wrist).tolist() == [data.skeleton.index("left_wrist")]
    looked = [name for name, yes in zip(test.names, found.looked["anna"], strict=True) if yes]
    assert looked == ["g3_c0_0@0", "g3_c0_0@8", "g3_c1_1@0", "g3_c1_1@8"]


def test_videos_without_a_mark_were_looked_at_where_the_settings_say_so(explained, tmp_path):
    settings = tmp_path / "s.yaml"
    settings.write_text(
        "videos: [g3_c2_1.mp4]\njoints: {left_arm: [left_wrist]}\n", encoding="utf-8"
    )
    found = open_marks(marked(tmp_path, anna=ANNA), settings, *explained)
    test = explained[1]
    looked = {name for name, yes in zip(test.names, found.looked["anna"], strict=True) if yes}
    assert {"g3_c2_1@0", "g3_c2_1@8"} < looked
    assert not found.masks["anna"][[test.names.index("g3_c2_1@0")]].any()
    assert found.masks["anna"].any(axis=(0, 1)).sum() == 1


def test_a_recording_may_begin_later_than_its_video(explained, tmp_path):
    settings = tmp_path / "s.yaml"
    settings.write_text("starts: {g3_c0_0.mp4: 0.1}\n", encoding="utf-8")
    found = open_marks(marked(tmp_path, anna=ANNA), settings, *explained)
    assert frames(found.masks["anna"], "g3_c0_0@0", explained[1]) == [0, 1, 2, 3, 4, 5, 6]
    assert frames(found.masks["anna"], "g3_c1_1@0", explained[1])[0] == 12  # the other does not
    settings.write_text("starts: {g3_c0_9.mp4: 0.1}\n", encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"s\.yaml: expected videos of .* has no 'g3_c0_9\.mp4'; did"
    ):
        open_marks(marked(tmp_path, anna=ANNA), settings, *explained)


def test_explanations_are_compared_with_every_annotator(
    checkpoint, waving, gradcams, explained, tmp_path
):
    files = marked(tmp_path, anna=ANNA, ben=BEN)
    out = tmp_path / "t.csv"
    found = evaluate(
        checkpoint, waving, gradcams[:1], out, metrics="localisation", marks=files, progress=False
    )
    rows = found.rows.set_index(["metric", "method"])
    marks = open_marks(files, None, *explained)
    test, explanation = explained[1], Explanation.open(gradcams[0])
    for name in ("anna", "ben"):
        own = localisation(explanation, marks.masks[name])
        row = rows.loc[(f"localisation:{name}:energy", "gradcam main.0.tcn")]
        assert row["estimate"] == pytest.approx(float(own["energy"].mean()))
        assert row["n"] == marks.masks[name].any(axis=(1, 2)).sum()  # not the other windows
    # What ben marked in the two windows that both looked at, taken for a map.
    both = [test.names.index(f"g3_c0_0@{start}") for start in (0, 8)]
    a, b = (marks.masks[name][both].reshape(2, -1) for name in ("anna", "ben"))
    energy = [(x & y).sum() / y.sum() for x, y in zip(a, b, strict=True)]
    row = rows.loc[("localisation:anna:energy", "gradcam main.0.tcn")]
    assert row["ceiling"] == pytest.approx(np.mean(energy))
    assert rows.loc[("localisation:anna:energy", "marked joints")]["estimate"] > row["chance"]
    with (tmp_path / "t.marks.csv").open(encoding="utf-8") as stream:
        (pair,) = csv.DictReader(stream)
    assert (pair["a"], pair["b"], pair["windows"]) == ("anna", "ben", "2")
    assert float(pair["iou"]) == pytest.approx((a & b).sum() / (a | b).sum())


@pytest.mark.slow
def test_the_command_prints_how_far_annotators_agree(checkpoint, waving, gradcams, tmp_path):
    anna, ben = marked(tmp_path, anna=ANNA, ben=BEN)
    command = ("evaluate", checkpoint, waving, gradcams[0], "--metrics", "localisation")
    said = done(*command, "--marks", anna, "--marks", ben, "--out", tmp_path / "t.csv")
    assert "annotators among themselves" in said
    assert "anna, ben" in said
    done(*command, "--marks", anna, "--out", tmp_path / "one.csv")  # without anybody to agree with
    assert "localisation:anna:energy" in (tmp_path / "one.csv").read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            HEADER + "left_arm,0.1,0.3,g3_c0_7.mp4.eaf\n",
            r"anna\.csv: line 2: expected videos of .*waving\.h5 \(it has no 'g3_c0_7\.mp4\.eaf'; "
            r"did you mean 'g3_c0_",
        ),
        (
            HEADER + "left_arm,100,300,g3_c0_0.eaf\n",
            r"marks of anna in the explained windows, which show 0 to 0\.76.* s \(got 100 to 300",
        ),
        (
            HEADER + "left_arm,0.1,0.3,g0_c0_0.eaf\n",
            r"line 2: expected marks of anna in an explained recording",
        ),
        (HEADER + "tremor,0.1,0.3,g3_c0_0.eaf\n", r"line 2: expected 'tremor' to be a joint or a"),
    ],
)
def test_marks_that_do_not_fit_are_refused(
    checkpoint, waving, gradcams, tmp_path, earlier, text, said
):
    files = marked(tmp_path, anna=text)
    out = earlier.with_suffix(".csv")
    with pytest.raises(ValueError, match=said):
        evaluate(
            checkpoint, waving, gradcams[:1], out, metrics="localisation", marks=files,
            progress=False,
        )  # fmt: skip
    assert not out.exists()


def test_marks_need_localisation_and_settings_need_marks(checkpoint, waving, gradcams, tmp_path):
    files = marked(tmp_path, anna=ANNA)
    settings = tmp_path / "s.yaml"
    settings.write_text("tiers: {}\n", encoding="utf-8")
    command = ("evaluate", checkpoint, waving, gradcams[0], "--out", tmp_path / "t.csv")
    wrong = refused(*command, "--marks", files[0], "--metrics", "complexity")
    assert wrong.startswith("Expected localisation among the metrics")
    wrong = refused(*command, "--marks-settings", settings)
    assert "s.yaml: expected marks that these settings are about (got none)" in wrong
    wrong = refused(*command, "--marks", files[0], "--marks-settings", settings)
    assert "s.yaml: unknown key 'tiers'; valid are joints, videos, starts" in wrong
    wrong = refused(*command, "--cells", "observed", "--metrics", "complexity")
    assert "which alone heeds marks and observed cells (got complexity)" in wrong


def test_only_observed_cells_count_for_localisation_and_the_table_says_so(
    checkpoint, waving, gradcams, tmp_path
):
    files = marked(tmp_path, anna=ANNA)
    out = tmp_path / "t.csv"
    found = evaluate(
        checkpoint, waving, gradcams[:1], out, metrics="localisation,complexity", marks=files,
        cells="observed", progress=False,
    ).rows  # fmt: skip
    heeds = found["metric"].str.startswith("localisation")
    assert set(found["cells"][heeds]) == {"observed"}
    assert set(found["cells"][~heeds]) == {"all"}
    assert "cells" in out.read_text("utf-8").splitlines()[0].split(",")
