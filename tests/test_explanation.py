from __future__ import annotations

import json
from importlib import metadata

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import hargcn
from hargcn import hdf5
from hargcn.analysis.agreement import agreement, correlate
from hargcn.analysis.ranking import Ranking, convergence
from hargcn.explainers.hybrid import product, rank_average
from hargcn.explanation import DIMS, EXTRA_DIMS, FORMAT, Explanation
from hargcn.metrics.localisation import energy
from hargcn.metrics.maps import joint_scores
from hargcn.plots import plot_heatmap, plot_ranking, plot_strip
from hargcn.skeleton import skeleton


def build(samples=3, times=4, seed=0, **changes):
    rng = np.random.default_rng(seed)
    skeleton = hargcn.skeleton("coco17")
    shape = (samples, 2, 4, times, 17, 1)
    arguments = {
        "method": "shap",
        "target": np.arange(samples),
        "score": rng.normal(size=samples),
        "predicted": np.zeros(samples, int),
        "settings": {"chunk": 20},
        "coords": {
            "sample": [f"s{i}@0" for i in range(samples)],
            "branch": ["J", "V"],
            "joint": skeleton.joints,
        },
        "skeleton": skeleton,
        "variables": {"base_value": np.ones(samples)},
    }
    return Explanation.build(rng.normal(size=shape).astype("f4"), DIMS, **arguments | changes)


@settings(max_examples=8, deadline=None)
@given(samples=st.integers(1, 4), times=st.integers(1, 6), seed=st.integers(0, 99))
def test_file_round_trip(tmp_path_factory, samples, times, seed):
    path = tmp_path_factory.mktemp("round") / "e.h5"
    made = build(samples, times, seed)
    made.save(path)
    read = Explanation.open(path)
    xr.testing.assert_identical(made.dataset, read.dataset)
    assert read.skeleton == made.skeleton
    assert read.settings == {"chunk": 20}


def test_the_file_opens_in_xarray_and_h5py(tmp_path):
    path = tmp_path / "e.h5"
    made = build()
    made.save(path)
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        np.testing.assert_array_equal(dataset["attribution"], made.values)
    with h5py.File(path) as file:
        assert file["attribution"].shape == made.values.shape
        assert file["attribution"].dims[4][0].name.endswith("joint")


def test_joint_scores_are_signed_means():
    made = build()
    scores = made.joint_scores()
    assert scores.dims == ("sample", "joint")
    np.testing.assert_allclose(scores, made.values.to_numpy().mean(axis=(1, 2, 3, 5)), rtol=1e-5)


def test_selecting_by_name():
    made = build()
    one = made.sel(joint="left_wrist")
    assert "joint" not in one.dims
    np.testing.assert_array_equal(one.values, made.values.to_numpy()[..., 9, :])
    assert len(made.sel(sample="s1@0")) == 1
    assert float(made.sel(sample="s1@0").target[0]) == 1
    assert made.sum("branch", "channel").dims == ("sample", "time", "joint", "person")
    assert made.mean("person").score.identical(made.score)


def test_upsampling_places_cells_on_their_frames():
    values = np.array([0.0, 10.0, 40.0]).reshape(1, 3, 1, 1)
    made = Explanation.build(
        values,
        ("sample", "time", "joint", "person"),
        method="gradcam",
        target=[0],
        score=[1.0],
        coords={"time": [1.0, 5.0, 9.0]},
        frames=11,
    )
    wide = made.upsample().values.to_numpy().ravel()
    # Linear between centres, constant outside the first and the last.
    np.testing.assert_allclose(wide, [0, 0, 2.5, 5, 7.5, 10, 17.5, 25, 32.5, 40, 40])


def test_upsampling_a_single_cell_is_constant():
    made = Explanation.build(
        np.full((1, 1, 2), 3.0),
        ("sample", "time", "joint"),
        method="cam",
        target=[0],
        score=[0.0],
        coords={"time": [4.0]},
    )
    assert (made.upsample(7).values == 3).all()


def test_shards_join_into_the_whole():
    made = build(5)
    parts = [made.isel(sample=slice(0, 2)), made.isel(sample=slice(2, 5))]
    xr.testing.assert_identical(Explanation.concat(parts).dataset, made.dataset)


def test_joining_files_keeps_long_names(tmp_path):
    parts = []
    for names in (["a", "b"], ["a_long_name@0", "c"]):
        path = tmp_path / f"{names[0]}.h5"
        build(2, coords={"sample": names}, variables={"group": np.array(names)}).save(path)
        parts.append(Explanation.open(path))
    Explanation.concat(parts).save(tmp_path / "all.h5")
    read = Explanation.open(tmp_path / "all.h5").dataset
    assert read["sample"].to_numpy().tolist() == ["a", "b", "a_long_name@0", "c"]
    assert read["group"].to_numpy().tolist() == ["a", "b", "a_long_name@0", "c"]


def test_to_shap_keeps_the_sum():
    made = build()
    theirs = made.to_shap()
    assert theirs.values.shape == (3, 17)
    total = made.values.to_numpy().reshape(3, -1).sum(1)
    np.testing.assert_allclose(theirs.values.sum(1), total, rtol=1e-4, atol=1e-5)
    assert theirs.feature_names[9] == "left_wrist"


@pytest.mark.parametrize(
    ("plot", "joints"),
    [("bar", "named"), ("waterfall", "named"), ("beeswarm", "named"), ("heatmap", "named"),
     ("heatmap", "unnamed"), ("waterfall", "none"), ("heatmap", "none")],
)  # fmt: skip
def test_shap_draws_what_to_shap_returns(plot, joints):
    import matplotlib.pyplot as plt
    import shap

    dims = ("sample", "channel", "time") if joints == "none" else ("sample", "time", "joint")
    coords = {"joint": ["hip", "knee", "toe"]} if joints == "named" else {}
    coords |= {"channel": ["x", "y"]} if joints == "none" else {}
    made = Explanation.build(
        np.arange(24.0).reshape(4, 2, 3) - 9, dims, method="shap", target=[0] * 4,
        score=np.arange(24.0).reshape(4, 6).sum(1) - 50, coords=coords,
        variables={"base_value": np.full(4, 4.0)},
    )  # fmt: skip
    theirs = made.to_shap()
    assert (
        theirs.feature_names
        == {
            "named": ["hip", "knee", "toe"],
            "unnamed": ["joint 0", "joint 1", "joint 2"],
            "none": [f"{channel} time {t}" for channel in "xy" for t in range(3)],
        }[joints]
    )
    np.testing.assert_allclose(theirs.values.sum(1) + theirs.base_values, made.score)
    getattr(shap.plots, plot)(theirs[0] if plot == "waterfall" else theirs, show=False)
    shown = {text.get_text() for axis in plt.gcf().axes for text in axis.get_yticklabels()}
    plt.close("all")
    assert any(str(theirs.feature_names[-1]) in text for text in shown), shown


def test_missing_variables_are_named():
    with pytest.raises(ValueError, match="holds no 'label'"):
        _ = build().label
    labelled = build().assign({"label": np.zeros(3, int)})
    assert labelled.label.sizes == {"sample": 3}


def test_foreign_and_truncated_files_are_refused(tmp_path):
    path = tmp_path / "e.h5"
    with pytest.raises(FileNotFoundError, match="no such explanation file"):
        Explanation.open(path)
    path.write_text("hello")
    with pytest.raises(ValueError, match=r"e\.h5: expected a whole HDF5 explanation file"):
        Explanation.open(path)
    build().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"e\.h5: expected a whole HDF5 explanation file"):
        Explanation.open(path)
    xr.Dataset({"x": ("a", [1.0])}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(ValueError, match=r"format hargcn-explanation-2 \(got another HDF5 file"):
        Explanation.open(path)
    build().assign(format="hargcn-explanation-1").save(path)
    with pytest.raises(ValueError, match=r"got 'hargcn-explanation-1'\): .*`hargcn explain`"):
        Explanation.open(path)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="Expected one axis for each"):
        Explanation.build(np.zeros((2, 3)), ("sample",), method="m", target=[0], score=[0])
    with pytest.raises(ValueError, match="Expected 3 names along axis 'joint'"):
        Explanation.build(
            np.zeros((2, 3)), ("sample", "joint"), method="m", target=[0, 0], score=[0, 0],
            coords={"joint": ["a"]},
        )  # fmt: skip


def small() -> Explanation:
    return Explanation.build(
        np.ones((2, 3)), ("sample", "joint"), method="gradcam", target=[0, 1], score=[1.0, 2.0],
        coords={"sample": ["a@0", "b@0"]},
    )  # fmt: skip


def test_reads_what_was_saved(tmp_path):
    small().save(tmp_path / "e.h5")
    found = Explanation.open(tmp_path / "e.h5").dataset
    assert found.attrs["format"] == FORMAT
    np.testing.assert_array_equal(found["attribution"], np.ones((2, 3)))


def lose_method(dataset: xr.Dataset) -> None:
    del dataset.attrs["method"]


def cut_json(dataset: xr.Dataset) -> None:
    dataset.attrs["skeleton"] = '{"name": '


def spoil(dataset: xr.Dataset) -> None:
    dataset["attribution"][1, 2] = np.nan


def lose_target(dataset: xr.Dataset) -> None:
    del dataset["target"]


def says(**attrs):
    """Return what writes other attributes."""
    return lambda dataset: dataset.attrs.update(attrs)


OTHER = json.dumps(skeleton("kinect20").to_dict())


def deep_json(dataset: xr.Dataset) -> None:
    dataset.attrs["settings"] = "[" * 100_000


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lose_method, "expected an explanation with method"),
        (lose_target, "expected an explanation with target"),
        (cut_json, "expected JSON in attribute 'skeleton'"),
        (deep_json, "expected JSON in attribute 'settings' .maximum recursion depth"),
        (spoil, "expected finite attributions .* in b@0"),
        (says(classes="null"), r"expected a list of texts in attribute 'classes' \(got null\)"),
        (says(classes='{"a": 1}'), "expected a list of texts in attribute 'classes'"),
        (says(classes="[1, 2]"), "expected a list of texts in attribute 'classes'"),
        (says(request="{"), "expected JSON in attribute 'request'"),
        (says(request="[]"), r"expected a mapping in attribute 'request' \(got \[\]\)"),
        (says(outputs="3"), "expected a mapping in attribute 'outputs'"),
        (says(skeleton="{}"), "skeleton: expected the keys"),
        (says(skeleton=OTHER), r"expected 20 joints, as its skeleton has \(got 3\)"),
        (says(time_step=0), r"expected a number from 1 in 'time_step' \(got 0\)"),
        (says(frames="many"), r"expected a number from 1 in 'frames' \(got many\)"),
        (says(averaged=2.5), "expected a number from 1 in 'averaged'"),
    ],
)
def test_damage_is_named(tmp_path, damage, said):
    dataset, path = small().dataset.copy(deep=True), tmp_path / "e.h5"
    damage(dataset)
    dataset.to_netcdf(path, engine="h5netcdf")
    hdf5.seal(path)
    with pytest.raises(ValueError, match=f"e.h5: {said}"):
        Explanation.open(path)


def test_no_file_and_another_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such explanation file"):
        Explanation.open(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("nothing", "utf-8")
    with pytest.raises(ValueError, match="found something else or a damaged file"):
        Explanation.open(tmp_path / "text.h5")


def test_the_file_says_what_computed_it(tmp_path):
    build().save(tmp_path / "e.h5")
    with h5py.File(tmp_path / "e.h5") as file:
        found = {name: file.attrs[name] for name in ("format", "dtype", "hargcn", "torch")}
    assert found == {
        "format": "hargcn-explanation-2",
        "dtype": "float32",
        "hargcn": metadata.version("hargcn"),
        "torch": metadata.version("torch").split("+")[0],
    }
    assert build(dtype="float64").dataset.attrs["dtype"] == "float64"


def test_what_changed_after_writing_is_noticed_on_opening(tmp_path):
    path = tmp_path / "e.h5"
    build().save(path)
    with h5py.File(path, "r+") as file:
        file["target"][1] = 5
    with pytest.raises(ValueError, match=r"e\.h5: expected the attributes and columns"):
        Explanation.open(path)


def test_channels_of_each_branch_have_names(tmp_path):
    table = [["x", "y", "relative x", "relative y"], ["a", "b", "c", "d"]]
    names = {"branch": ["J", "V"], "channel_name": (("branch", "channel"), table)}
    build(coords=names).save(tmp_path / "e.h5")
    read = Explanation.open(tmp_path / "e.h5")
    assert read.dataset.coords["channel_name"].dims == ("branch", "channel")
    assert read.dataset.coords["channel_name"].to_numpy().tolist() == table
    assert read.sel(branch="V").dataset["channel_name"].to_numpy().tolist() == table[1]
    assert "channel_name" not in read.mean("branch").dataset


def test_axes_of_skeleton_explanations_are_declared():
    skeleton = hargcn.skeleton("coco17")
    known = {"method": "m", "target": [0], "score": [0.0], "skeleton": skeleton}
    for dim in (*EXTRA_DIMS, "axis3"):
        Explanation.build(np.zeros((1, 17, 2)), ("sample", "joint", dim), **known)
    with pytest.raises(ValueError, match=r"'m': expected axes .*, player, .* \(got 'phase'\)"):
        Explanation.build(np.zeros((1, 17, 2)), ("sample", "joint", "phase"), **known)
    # Whose input has no skeleton names its axes as it likes.
    foreign = {**known, "skeleton": None}
    Explanation.build(np.zeros((1, 2)), ("sample", "phase"), **foreign)


def with_rows() -> Explanation:
    return Explanation.build(
        np.ones((2, 24, 17, 3)), ("sample", "time", "joint", "y"), method="m",
        target=[0, 1], score=[1.0, 2.0], skeleton=hargcn.skeleton("coco17"), frames=24,
    ).assign({"base_value": [0.0, 0.0]})  # fmt: skip


@pytest.mark.parametrize(
    ("who", "consume"),
    [
        ("rank", Ranking.of),
        ("rank", plot_ranking),
        ("convergence", lambda e: convergence({1: e, 2: e})),
        ("comparison with 'b'", lambda e: agreement({"a": small(), "b": e, "c": e})),
        ("comparison with 'a'", lambda e: correlate([{"a": e, "b": e}], "a")),
        ("picture of a body", lambda e: plot_strip(e, 0, np.ones((2, 24, 17, 1)))),
        ("heat map", lambda e: plot_heatmap(e, 0)),
        ("map over time and joints", lambda e: energy(e, np.ones((2, 24, 17), bool))),
        ("joint scores", joint_scores),
        ("joint scores", Explanation.joint_scores),
        ("hybrid", lambda e: rank_average(e, e)),
        ("hybrid", lambda e: product(e, e)),
        ("to_shap", Explanation.to_shap),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_consumer_refuses_axes_it_does_not_understand_by_name(who, consume):
    said = r"{}: expected axes sample, branch, .* \(got 'y'\)"
    with pytest.raises(ValueError, match=said.format(who)):
        consume(with_rows())


@pytest.mark.parametrize("cells", [1, 3, 4, 10, 25])
def test_bins_of_time_keep_sums_and_their_centres(cells):
    whole = build(times=10)
    binned = whole.bin(time=cells)
    assert binned.values.sizes["time"] == -(-10 // cells)
    axes = [dim for dim in whole.dims if dim != "sample"]
    before, after = (each.values.astype(float).sum(axes) for each in (whole, binned))
    size = abs(whole.values.astype(float)).sum(axes)  # values are of single precision
    assert float((abs(after - before) / size).max()) < 1e-6
    np.testing.assert_array_equal(binned.base_value, whole.base_value)
    first = whole.values.isel(time=slice(0, cells)).sum("time")
    np.testing.assert_allclose(binned.values.isel(time=0), first, atol=1e-5)
    parts = [np.arange(10)[start : start + cells] for start in range(0, 10, cells)]
    np.testing.assert_array_equal(binned.values["time"], [part.mean() for part in parts])
    named = build(times=4, coords={"time": [1.5, 5.5, 9.5, 13.5]}).bin(time=2)
    assert named.values["time"].to_numpy().tolist() == [3.5, 11.5]


def test_bins_of_nothing_are_refused():
    with pytest.raises(ValueError, match=r"at least 1 cell of time per bin .got 0."):
        build().bin(time=0)
    with pytest.raises(ValueError, match="bin: expected an axis 'time'"):
        build().mean("time").bin(time=2)


def test_a_file_without_samples_is_named(tmp_path):
    small().isel(sample=[]).save(tmp_path / "none.h5")
    with pytest.raises(ValueError, match=r"none\.h5: expected .* at least one sample \(got none\)"):
        Explanation.open(tmp_path / "none.h5")
