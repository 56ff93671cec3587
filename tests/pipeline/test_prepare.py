"""`prepare` and `synthesise` as Python calls: settings, and outputs that are refused."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures import ntu_files, toy_format

from hargcn.data import recording
from hargcn.data.windows import Windows
from hargcn.pipeline import prepare as module
from hargcn.pipeline.prepare import prepare, synthesise

NTU_SPLIT = {"split": {"test": ["P003", "P006"]}}


@pytest.fixture
def folder(toy, tmp_path):
    assert toy.name == "toy"
    return toy_format.files(tmp_path / "toys", 4)


def test_what_is_set_wins_over_the_formats_defaults(folder, tmp_path):
    plain = prepare(folder, tmp_path / "a.h5")
    assert isinstance(plain, Windows)
    assert (plain.frames, len(plain)) == (4, 12)
    file = tmp_path / "own.yaml"
    file.write_text("prepare: {format: toy, windows: {length: 6}, split: {test: [v1, v2]}}\n")
    config = {"format": "toy", "windows": {"length": 6}, "split": {"test": ["v1", "v2"]}}
    for number, given in enumerate((file, config)):
        made = prepare(folder, tmp_path / f"b{number}.h5", given, ["windows.overlap=5"])
        assert (made.frames, list(made.start[:3])) == (6, [0, 1, 2])
        assert set(made.sample[made.split == "test"]) == {"v1", "v2"}
    tall = prepare(folder, tmp_path / "c.h5", {"reader": {"height": 2.0}}, format="toy")
    low, high = plain.positions(), tall.positions()
    np.testing.assert_allclose(np.ptp(high, axis=(2, 3)), 2 * np.ptp(low, axis=(2, 3)), atol=7)
    assert high.max() == pytest.approx(low.max() + 1)
    single = prepare(folder / "raw" / "v3.toy", tmp_path / "d.h5")
    assert set(single.sample) == {"v3"}


def test_a_format_given_wins_over_a_look(folder, tmp_path):
    with pytest.raises(ValueError, match=r"expected files of NTU RGB\+D, \.skeleton"):
        prepare(folder, tmp_path / "x.h5", format="ntu")
    with pytest.raises(ValueError, match="reader ntu: unknown key 'height'"):
        prepare(folder, tmp_path / "x.h5", {"reader": {"height": 2.0}}, format="ntu")


def test_a_finished_output_stays_unless_forced(folder, tmp_path):
    out = tmp_path / "out.h5"
    first = prepare(folder, out).digest
    with pytest.raises(ValueError, match=r"out.h5: expected a new file \(it is there; --force"):
        prepare(folder, out, changes=["windows.overlap=1"])
    with pytest.raises(ValueError, match=r"out.h5: expected a new file"):
        synthesise(out)
    assert Windows.open(out).digest == first
    assert prepare(folder, out, changes=["windows.length=6"], force=True).frames == 6


def test_an_output_that_is_an_input_is_refused_even_if_forced(folder, tmp_path):
    config = tmp_path / "own.yaml"
    config.write_text("prepare: {}\n")
    link = tmp_path / "link.h5"
    link.symlink_to(config)
    recording = folder / "raw" / "v2.toy"
    inputs = {path: path.read_bytes() for path in (config, recording)}
    for out in (config, link, recording):
        with pytest.raises(ValueError, match="expected another file to write than an input"):
            prepare(folder, out, config, force=True)
    for out in (folder, folder / "raw", tmp_path):
        with pytest.raises(ValueError, match="expected a file to write .it is a folder"):
            prepare(folder, out, force=True)
    with pytest.raises(ValueError, match="expected another file to write than an input"):
        synthesise(config, config, force=True)
    assert {path: path.read_bytes() for path in inputs} == inputs


def test_a_table_that_an_option_names_is_an_input(tmp_path):
    (tmp_path / "result_pz101.csv").write_text("image;head\n")
    labels = tmp_path / "labels.csv"
    labels.write_text("sequence,label\n1,0\n")
    with pytest.raises(
        ValueError, match="labels.csv: expected another file to write than an input"
    ):
        prepare(tmp_path, labels, {"reader": {"labels": str(labels)}}, force=True)


@pytest.mark.parametrize(
    ("settings", "fps"),
    [
        ({"windows": {"mode": "whole", "length": 12}}, 11 / 59 * 30),
        ({"preprocess": {"fps": 8}}, 8),
        ({"preprocess": {"fps": 8}, "windows": {"mode": "slide", "length": 12}}, 8),
    ],
)
def test_a_tremor_is_refused_that_the_windows_are_too_few_frames_for(tmp_path, settings, fps):
    bodies = {"recordings": 2, "frames": [60, 60]}
    said = f"half the {fps:g} frames per second that a window shows .got 5 Hz"
    with pytest.raises(ValueError, match=said):
        synthesise(tmp_path / "x.h5", {"synthetic": bodies, **settings})
    kept = {**bodies, "plant": {"aliasing": "keep"}}
    assert len(synthesise(tmp_path / "x.h5", {"synthetic": kept, **settings})) >= 2


def test_planted_recordings_are_refused_by_their_windows_as_well(folder, tmp_path):
    """Toys of 8 frames, 30 a second: enough for 10 Hz, but not in windows of 4."""
    sign = {"kind": "tremor", "frequency": 10}
    plant = {"classes": {"a": None, "b": sign}, "distractors": 0, "share": 1}
    config = {"windows": {"mode": "whole", "length": 4}, "plant": plant}
    with pytest.raises(ValueError, match=r"expected a tremor below half the 12\.857\d* frames"):
        prepare(folder, tmp_path / "x.h5", config, plant=True)
    config["windows"]["length"] = 8
    assert len(prepare(folder, tmp_path / "x.h5", config, plant=True)) == 4


def test_by_default_many_files_are_read_by_as_many_processes_as_there_are_cores(
    folder, tmp_path, monkeypatch
):
    asked = []

    def note(function, items, workers):
        asked.append(workers)
        return map(function, items)

    monkeypatch.setattr(recording, "map_in_order", note)
    monkeypatch.setattr(module, "cores", lambda: 3)
    for worth_it, workers in ((500, None), (2, None), (1, None), (500, 2)):
        monkeypatch.setattr(module, "_WORTH_IT", worth_it)
        prepare(folder, tmp_path / "x.h5", workers=workers, force=True)
    assert asked == [1, 2, 3, 2]


@pytest.mark.slow
def test_several_processes_write_the_same_file(tmp_path):
    folder = tmp_path / "ntu"
    folder.mkdir()
    files = ntu_files.as_recorded(folder, 20)
    whole = [
        prepare(folder, tmp_path / f"{n}.h5", NTU_SPLIT, format="ntu", workers=n) for n in (1, 2)
    ]
    assert whole[0].digest == whole[1].digest
    assert whole[0].attrs["quality"] == whole[1].attrs["quality"]
    for file, text in ((files[3], "far"), (files[15], "")):
        file.write_text(text)
    some = [
        prepare(folder, tmp_path / f"s{n}.h5", NTU_SPLIT, format="ntu", workers=n, skip_broken=True)
        for n in (1, 2)
    ]
    assert some[0].digest == some[1].digest != whole[0].digest
    assert some[0].attrs["quality"] == some[1].attrs["quality"]
    assert len(some[1].attrs["quality"]["skipped"]) == 2
    before = whole[1].path.read_bytes()
    for n in (1, 2):
        with pytest.raises(ValueError, match=rf"{files[3].name}: frame 0 is not in the grammar"):
            prepare(folder, whole[1].path, NTU_SPLIT, format="ntu", workers=n, force=True)
    assert whole[1].path.read_bytes() == before
