from __future__ import annotations

import gc
import json
import pickle
import subprocess
import sys
import weakref
from dataclasses import replace

import h5py
import numpy as np
import pytest
import xarray as xr
from fixtures.recordings import drifting
from hypothesis import given, settings
from hypothesis import strategies as st

import hargcn
from hargcn import hdf5
from hargcn.data import windows_file
from hargcn.data.preprocess import PRESETS, PreprocessConfig, preprocess
from hargcn.data.quality import Quality
from hargcn.data.readers.mini_rgbd import MiniRGBD
from hargcn.data.readers.utd_mhad import UTDMHAD
from hargcn.data.recording import Recordings
from hargcn.data.splits import SplitConfig
from hargcn.data.windows import WindowConfig, Windows, write_windows

CONFIG = WindowConfig(length=20, overlap=10)
RNG = np.random.default_rng(0)


def recordings(masks: bool = False) -> list:
    found = []
    for i, group in enumerate("aabbc"):
        fields = {}
        if masks:
            fields = {name: RNG.random((60, 19)) > 0.5 for name in ("truth", "distractor")}
        valid = np.ones((60, 2))
        valid[: 5 * i, 1] = 0
        found.append(
            drifting(
                persons=2,
                sample=f"r{i}",
                group=group,
                label=i % 2,
                speed=i,
                valid=valid,
                setup=i,
                **fields,
            )
        )
    return found


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("windows") / "w.h5"
    split = SplitConfig(train=["a"], val=["b"], test=["c"])
    write_windows(path, recordings(), ["calm", "wild"], CONFIG, "made up", {"fps": 30}, split=split)
    return path


def test_round_trip(path) -> None:
    windows = Windows.open(path)
    assert len(windows) == 25
    assert windows.shape == (2, 20, 19, 2)
    assert (windows.n_channels, windows.frames, windows.persons) == (2, 20, 2)
    assert windows.classes == ("calm", "wild")
    assert windows.fps.tolist() == [30] * 25
    assert windows.rate == 30
    assert windows.skeleton == hargcn.skeleton("inmotion19")
    assert windows.names[:6] == ["r0@0", "r0@10", "r0@20", "r0@30", "r0@40", "r1@0"]
    assert windows.label.tolist() == [0] * 5 + [1] * 5 + [0] * 5 + [1] * 5 + [0] * 5
    assert windows.setup[::5].tolist() == [0, 1, 2, 3, 4]
    assert set(windows.camera) == {-1}
    assert windows.truth() is None
    assert windows.distractor() is None
    for i, recording in enumerate(recordings()):
        for j, start in enumerate(range(0, 41, 10)):
            here = slice(start, start + 20)
            np.testing.assert_array_equal(
                windows.positions(5 * i + j)[0], recording.positions[:, here]
            )
            np.testing.assert_array_equal(windows.valid(5 * i + j)[0], recording.valid[here])


def test_attributes(path) -> None:
    attrs = Windows.open(path).attrs
    assert attrs["source"] == "made up"
    assert attrs["preprocessing"] == {"fps": 30}
    assert attrs["windows"]["overlap"] == 10
    assert attrs["split_settings"]["val"] == ["b"]
    assert attrs["skeleton_name"] == "inmotion19"
    quality = Quality.from_dict(attrs["quality"])
    assert {name: one.windows for name, one in quality.sets.items()} == {
        "train": 10,
        "val": 10,
        "test": 5,
    }


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 24), max_size=12))
def test_any_index_reads_what_numpy_would(path, index) -> None:
    windows = Windows.open(path)
    np.testing.assert_array_equal(
        windows.positions(np.array(index, dtype=int)),
        windows.positions()[np.array(index, dtype=int)],
    )


def test_slices_masks_and_negative_numbers(path) -> None:
    windows = Windows.open(path)
    every = windows.positions()
    np.testing.assert_array_equal(windows.positions(slice(3, 20, 4)), every[3:20:4])
    np.testing.assert_array_equal(windows.positions(windows.label == 1), every[windows.label == 1])
    np.testing.assert_array_equal(windows.positions(-1), every[-1:])
    with pytest.raises(IndexError, match="out of bounds"):
        windows.positions([25])


def test_subsets_are_views(path) -> None:
    windows = Windows.open(path)
    test = windows.subset("test")
    assert len(test) == 5
    assert set(test.group) == {"c"}
    np.testing.assert_array_equal(test.positions([4, 0]), windows.positions([24, 20]))
    again = test.subset([3, 1])
    assert again.names == ["r4@30", "r4@10"]
    np.testing.assert_array_equal(again.positions(), windows.positions([23, 21]))
    np.testing.assert_array_equal(again.valid(), windows.valid([23, 21]))
    with pytest.raises(
        ValueError, match=r"a set of test, train, val \(got 'tset'; did you mean 'test'\?\)"
    ):
        windows.subset("tset")
    with pytest.raises(ValueError, match=r"a set of test \(got 'train'\)"):
        test.subset("train")


def test_masks_travel(tmp_path) -> None:
    made = recordings(masks=True)
    windows = write_windows(tmp_path / "w.h5", made, ["calm", "wild"], CONFIG)
    np.testing.assert_array_equal(windows.truth([6])[0], made[1].truth[10:30])
    np.testing.assert_array_equal(windows.distractor([6])[0], made[1].distractor[10:30])
    assert windows.subset([6]).truth().shape == (1, 20, 19)


def test_everything_about_some_windows_is_read_at_once(tmp_path, monkeypatch) -> None:
    made = recordings(masks=True)
    windows = write_windows(tmp_path / "w.h5", made, ["calm", "wild"], CONFIG, reader="made")
    opened = []
    original = hdf5.opened
    monkeypatch.setattr(hdf5, "opened", lambda *a: opened.append(a) or original(*a))
    batch = windows.read([7, 6])
    assert len(opened) == 1
    assert len(batch) == 2
    for name in ("positions", "valid", "truth", "distractor"):
        np.testing.assert_array_equal(getattr(batch, name), getattr(windows, name)([7, 6]))
    for name in ("label", "sample", "group", "start", "fps"):
        np.testing.assert_array_equal(getattr(batch, name), getattr(windows, name)[[7, 6]])
    assert batch.names == ["r1@20", "r1@10"]
    np.testing.assert_allclose(batch.time, (batch.start[:, None] + np.arange(20)) / 30)
    np.testing.assert_array_equal(
        batch.state, np.broadcast_to(batch.valid[:, :, None], (2, 20, 19, 2))
    )
    assert batch.confidence is None
    assert windows.attrs["reader"] == "made"
    assert windows.attrs["hargcn"] == hargcn.__version__
    assert len(windows.read(slice(0, 0))) == 0


def test_rates_may_differ_where_each_recording_is_stretched(tmp_path) -> None:
    slow, fast = drifting(32, fps=15, sample="slow"), drifting(60, fps=30, sample="fast")
    whole = {"mode": "whole", "length": 48}
    windows = write_windows(tmp_path / "w.h5", [slow, fast], ["calm"], WindowConfig(**whole))
    np.testing.assert_allclose(windows.fps, [47 / (31 / 15), 47 / (59 / 30)])
    assert windows.rate is None
    np.testing.assert_allclose(windows.read().time[:, -1], [31 / 15, 59 / 30])
    # There a length in frames would mean other seconds.
    for config in (CONFIG, WindowConfig(**whole, fit="pad")):
        with pytest.raises(ValueError, match=r"fast: expected the same fps as slow: 15 \(got 30\)"):
            write_windows(tmp_path / "x.h5", [slow, fast], ["calm"], config)


def test_confidence_where_only_some_recordings_know_it(tmp_path) -> None:
    known = np.full((60, 19, 1), 0.25)
    made = [
        drifting(sample=name, confidence=c)
        for name, c in zip("abc", (None, known, None), strict=True)
    ]
    windows = write_windows(tmp_path / "w.h5", made, ["calm"], CONFIG)
    finite = np.isfinite(windows.read().confidence).all(axis=(1, 2, 3))
    assert finite.tolist() == [False] * 5 + [True] * 5 + [False] * 5
    assert np.nanmax(windows.read().confidence) == 0.25


@pytest.mark.parametrize("bytes_at_once", [1, 50_000])
def test_how_many_windows_are_written_at_once_does_not_matter(
    tmp_path, monkeypatch, bytes_at_once
) -> None:
    """One recording at a time, several, and all: here 35 kB each, some with confidence."""
    scores = (None, np.full((60, 19, 1), 0.25), None, None, np.full((60, 19, 1), 0.5))
    given = [
        drifting(sample=f"r{i}", speed=i, label=i % 2, confidence=known)
        for i, known in enumerate(scores)
    ]
    whole = write_windows(tmp_path / "whole.h5", given, ["calm", "wild"], CONFIG)
    monkeypatch.setattr(windows_file, "_BLOCK", bytes_at_once)
    pieces = write_windows(tmp_path / "pieces.h5", given, ["calm", "wild"], CONFIG)
    assert pieces.digest == whole.digest
    for name, found in vars(pieces.read()).items():
        np.testing.assert_array_equal(found, getattr(whole.read(), name))


def test_xarray_opens_the_file_alone(path) -> None:
    windows = Windows.open(path)
    with xr.open_dataset(path, engine="h5netcdf") as found:
        assert found["positions"].dims == ("window", "space", "frame", "joint", "person")
        assert found["time"].dims == ("window", "frame")
        assert found["joint"].to_numpy().tolist() == list(windows.skeleton.joints)
        assert found["state"].attrs["flag_meanings"] == "absent observed interpolated"
        assert found["state"].attrs["flag_values"].tolist() == [0, 1, 2]
        np.testing.assert_array_equal(found["positions"], windows.positions())
        np.testing.assert_array_equal(found["valid"], windows.valid())


def test_equal_recordings_give_equal_bytes(path, tmp_path) -> None:
    split = SplitConfig(train=["a"], val=["b"], test=["c"])
    again = tmp_path / "again.h5"
    write_windows(
        again, recordings(), ["calm", "wild"], CONFIG, "made up", {"fps": 30}, split=split
    )
    assert again.read_bytes() == path.read_bytes()


def test_without_a_split_no_window_has_a_set(tmp_path) -> None:
    windows = write_windows(tmp_path / "w.h5", recordings(), ["calm", "wild"], CONFIG)
    assert set(windows.split) == {""}
    with pytest.raises(ValueError, match="all, because it was prepared without a split"):
        windows.subset("train")


def test_the_reader_s_losses_are_in_the_report(tmp_path) -> None:
    def load(i: int):
        if i == 2:
            raise ValueError("r2: broken")
        return recordings()[i]

    source = Recordings(range(5), load, ("calm", "wild"), {"missing_list": 3}, on_error="skip")
    windows = write_windows(tmp_path / "w.h5", source, source.classes, CONFIG)
    quality = Quality.from_dict(windows.attrs["quality"])
    assert quality.notes == {"missing_list": 3}
    assert quality.skipped == ["r2: broken"]


def test_an_error_leaves_the_earlier_file(path, tmp_path) -> None:
    copy = tmp_path / "w.h5"
    copy.write_bytes(path.read_bytes())
    digest = Windows.open(copy).digest

    def broken():
        yield from recordings()
        raise ValueError("r9: broken")

    with pytest.raises(ValueError, match="r9: broken"):
        write_windows(copy, broken(), ["calm", "wild"], CONFIG)
    assert Windows.open(copy).digest == digest
    assert [file.name for file in tmp_path.iterdir()] == ["w.h5"]


def test_equal_windows_have_equal_digests_however_they_were_made(path, tmp_path) -> None:
    split = SplitConfig(train=["a"], val=["b"], test=["c"])
    made = [each.noting(interpolated=3) for each in recordings()]
    same = write_windows(
        tmp_path / "w.h5", made, ["calm", "wild"], CONFIG, "otherwise", split=split
    )
    assert same.path.read_bytes() != path.read_bytes()
    assert same.digest == Windows.open(path).digest


@pytest.mark.parametrize(
    "change",
    [
        {"positions": lambda p: p + np.float32(1e-6)},
        {"valid": lambda v: v & (np.arange(60) > 30)[:, None]},
        {"group": lambda g: f"{g}2"},
        {"label": lambda _: None},
        {"fps": lambda f: f + 1},
        {"time": lambda t: t + 1},
        {"state": lambda s: np.maximum(s, 2)},
        {"confidence": lambda _: np.full((60, 19, 2), 0.5)},
        {"camera": lambda _: 1},
        {"skeleton": lambda s: hargcn.Skeleton.from_dict(s.to_dict() | {"up": "y"})},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_windows_are_is_in_their_digest(path, tmp_path, change) -> None:
    (name, new), *_ = change.items()
    made = recordings()
    made = [replace(each, **{name: new(getattr(each, name))}) for each in made]
    other = write_windows(tmp_path / "w.h5", made, ["calm", "wild"], CONFIG)
    plain = write_windows(tmp_path / "v.h5", recordings(), ["calm", "wild"], CONFIG)
    assert other.digest != plain.digest
    renamed = write_windows(tmp_path / "u.h5", recordings(), ["calm", "fierce"], CONFIG)
    assert renamed.digest != plain.digest != Windows.open(path).digest  # of other sets


def test_windows_of_an_earlier_hargcn_have_no_digest(path, tmp_path) -> None:
    copy = tmp_path / "w.h5"
    copy.write_bytes(path.read_bytes())
    with h5py.File(copy, "r+") as file:
        del file.attrs["content"]
    hdf5.seal(copy)
    with pytest.raises(ValueError, match=r"w\.h5: expected the digest of its content \(got none\)"):
        _ = Windows.open(copy).digest


def test_recordings_are_streamed(tmp_path) -> None:
    """No recording is alive any more when the second next one is asked for."""
    alive: list[weakref.ref] = []

    def stream():
        for i in range(6):
            gc.collect()
            assert sum(ref() is not None for ref in alive) <= 1
            recording = drifting(sample=f"r{i}")
            alive.append(weakref.ref(recording))
            yield recording
            del recording

    assert len(write_windows(tmp_path / "w.h5", stream(), ["calm"], CONFIG)) == 30


def test_absent_files(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="no such windows file"):
        Windows.open(tmp_path / "none.h5")


def test_truncated_and_foreign_files(path, tmp_path) -> None:
    bad = tmp_path / "bad.h5"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"hello", b""):
        bad.write_bytes(content)
        with pytest.raises(ValueError, match="bad.h5: expected a whole HDF5 windows file"):
            Windows.open(bad)
    with h5py.File(bad, "w") as file:
        file["attribution"] = np.zeros(3)
    with pytest.raises(
        ValueError, match=r"windows file of format hargcn-windows-2 \(got another HDF5"
    ):
        Windows.open(bad)


def spoil(path, tmp_path, change):
    bad = tmp_path / "bad.h5"
    bad.write_bytes(path.read_bytes())
    with h5py.File(bad, "r+") as file:
        change(file)
    hdf5.seal(bad)
    return bad


def test_files_of_other_versions_or_with_parts_missing(path, tmp_path) -> None:
    def older(file) -> None:
        file.attrs["format"] = "hargcn-windows"

    with pytest.raises(ValueError, match=r"windows-2 \(got 'hargcn-windows'\): .*hargcn prepare"):
        Windows.open(spoil(path, tmp_path, older))

    def without(file) -> None:
        del file["valid"], file["label"], file.attrs["classes"]

    with pytest.raises(ValueError, match=r"expected valid, label, classes \(got none\)"):
        Windows.open(spoil(path, tmp_path, without))

    def shorter(file) -> None:
        del file["label"]
        file["label"] = np.zeros(3, dtype=int)

    with pytest.raises(ValueError, match=r"expected label \(25,\) \(got \(3,\)\)"):
        Windows.open(spoil(path, tmp_path, shorter))

    def other(file) -> None:
        file.attrs["skeleton"] = json.dumps(hargcn.skeleton("coco17").to_dict())

    with pytest.raises(ValueError, match=r"2 coordinates and 17 joints of coco17 \(got 2 and 19"):
        Windows.open(spoil(path, tmp_path, other))


def test_numbers_that_are_not_finite_are_refused(path, tmp_path) -> None:
    def hole(file) -> None:
        file["positions"][7, 0, 3, 4, 0] = np.nan

    windows = Windows.open(spoil(path, tmp_path, hole))
    assert windows.positions([6, 8]).shape[0] == 2
    with pytest.raises(ValueError, match=r"expected finite positions \(got NaN"):
        windows.positions([6, 7])


def test_windows_travel_to_worker_processes(path) -> None:
    windows = pickle.loads(pickle.dumps(Windows.open(path).subset("val")))
    np.testing.assert_array_equal(windows.positions(), Windows.open(path).positions(slice(10, 20)))


def test_importing_windows_does_not_import_torch() -> None:
    code = "import sys, hargcn.data.windows, hargcn.data.readers.keypoints; "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.data
def test_utd_mhad_from_files_to_sets(data_root, tmp_path) -> None:
    source = UTDMHAD().recordings(data_root / "utd_mhad")
    windows = write_windows(
        tmp_path / "w.h5",
        source.map(lambda recording: preprocess(recording, PRESETS["utd-mhad"])),
        source.classes,
        WindowConfig(mode="whole", length=64),
        split=SplitConfig(train=["s1", "s3", "s5", "s7"]),
    )
    assert len(windows) == 861
    assert len(windows.subset("train")) == 431
    assert len(windows.subset("test")) == 430
    assert windows.valid().all()
    assert np.abs(windows.positions()).max() < 4  # in units of two trunks


@pytest.mark.data
def test_mini_rgbd_from_files_to_windows(data_root, tmp_path) -> None:
    source = MiniRGBD().recordings(data_root / "mini_rgbd_2d")
    windows = write_windows(
        tmp_path / "w.h5",
        source.map(lambda recording: preprocess(recording, PRESETS["mini-rgbd"])),
        source.classes,
    )
    assert len(windows) == 12 * 13
    assert windows.names[12] == "pz101@850"
    neck, hips = windows.skeleton.index("neck"), windows.skeleton.centre
    height = windows.positions()[:, 1]
    trunk = height[:, :, neck] - height[:, :, list(hips)].mean(axis=2)
    assert np.median(trunk) == pytest.approx(-0.5, abs=0.05)  # image coordinates: up is -y


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("label", [-7], r"labels from -1 to 1 \(got -7\)"),
        ("label", [99], r"labels from -1 to 1 \(got 99\)"),
        ("fps", [np.nan], r"finite fps > 0 \(got nan\)"),
        ("fps", [np.inf], r"finite fps > 0 \(got inf\)"),
        ("positions", [np.nan], "finite positions"),
        ("time", [np.inf], "finite time"),
        ("positions", "text", r"numbers of kind 'f' as positions \(got object\)"),
        ("positions", "i4", r"numbers of kind 'f' as positions \(got int32\)"),
        ("label", "f8", r"numbers of kind 'iu' as label \(got float64\)"),
        ("sample", "f8", r"text as sample \(got float64\)"),
    ],
)
def test_numbers_that_cannot_be_are_refused_in_files_too(path, tmp_path, name, value, said) -> None:
    """Sealed anew, as an attacker or another program would."""
    bad = tmp_path / "bad.h5"
    bad.write_bytes(path.read_bytes())
    with h5py.File(bad, "r+", libver=hdf5.LIBVER) as file:
        if isinstance(value, list):
            file[name][0] = value[0]
        else:
            shape = file[name].shape
            del file[name]
            kind = h5py.string_dtype() if value == "text" else value
            file.create_dataset(name, shape, kind, chunks=shape)
            file[name][...] = "1" if value == "text" else 1
    hdf5.seal(bad)
    with pytest.raises(ValueError, match=rf"bad\.h5: expected {said}"):
        Windows.open(bad).read()


@pytest.mark.parametrize("classes", ['"ab"', "[1, 2]", "{}"])
def test_classes_are_names(path, tmp_path, classes) -> None:
    bad = tmp_path / "bad.h5"
    bad.write_bytes(path.read_bytes())
    with h5py.File(bad, "r+", libver=hdf5.LIBVER) as file:
        file.attrs["classes"] = classes
    hdf5.seal(bad)
    with pytest.raises(ValueError, match=r"bad\.h5: expected a list of names as classes"):
        Windows.open(bad)


def test_windows_longer_than_every_recording_are_refused_with_the_figures(tmp_path) -> None:
    short = [drifting(frames=frames, sample=str(frames)) for frames in (30, 45)]
    with pytest.raises(
        ValueError, match=r"at most 45 frames, as the longest of 2 .*\(got length 46"
    ):
        write_windows(tmp_path / "w.h5", short, ["calm"], WindowConfig(length=46, overlap=0))
    assert not list(tmp_path.iterdir())
    fitting = write_windows(tmp_path / "w.h5", short, ["calm"], WindowConfig(length=45, overlap=0))
    assert len(fitting) == 2


def test_recordings_in_different_units_are_refused(tmp_path) -> None:
    """Metres beside millimetres; scaled by the trunk they are alike."""
    metres, other = drifting(), drifting(sample="other")
    for factor in (1000, 1 / 1000, 21):
        away = replace(other, positions=other.positions * factor)
        with pytest.raises(
            ValueError, match=r": expected a body of the size of the others, in the sa"
        ):
            write_windows(tmp_path / "w.h5", [metres, away], ["calm"], CONFIG)
        scaled = PreprocessConfig(scale="trunk")
        alike = [preprocess(each, scaled) for each in (metres, away)]
        write_windows(tmp_path / "w.h5", alike, ["calm"], CONFIG)
    small = replace(other, positions=other.positions / 5)  # an infant
    with pytest.warns(UserWarning, match="clip: its body is 5 times as large as that of other, an"):
        made = write_windows(tmp_path / "w.h5", [metres, small], ["calm"], CONFIG)
    assert len(made) == 10


def test_bodies_of_several_scales_are_warned_of_where_nothing_scales_them(tmp_path) -> None:
    videos = [
        replace(drifting(sample=str(factor)), positions=drifting().positions * factor)
        for factor in (1, 2, 4)
    ]
    said = r"4: its body is 4 times as large as that of 1, .* set preprocess.scale=trunk"
    for chain in (None, {"scale": "none"}):
        with pytest.warns(UserWarning, match=said):
            write_windows(tmp_path / "w.h5", videos, ["calm"], CONFIG, preprocessing=chain)
    write_windows(tmp_path / "w.h5", videos[:2], ["calm"], CONFIG)
    write_windows(tmp_path / "w.h5", videos, ["calm"], CONFIG, preprocessing={"scale": "trunk"})


def test_times_and_what_was_observed_of_somebody_are_read_by_themselves(tmp_path) -> None:
    positions = drifting(6, persons=2).positions.copy()
    positions[:, 2, 4, 0] = np.nan
    positions[:, 3, 4] = np.nan
    ready = preprocess(drifting(6, persons=2, positions=positions), PRESETS["none"])
    config = WindowConfig(length=6, overlap=0)
    made = write_windows(tmp_path / "w.h5", [ready], ["x"], config)
    np.testing.assert_allclose(made.time(), [np.arange(6) / 30])
    lost = np.argwhere(~made.observed())
    assert lost.tolist() == [[0, 3, 4]]  # in frame 2 the other person's was seen
