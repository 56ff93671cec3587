from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.metrics import roc_auc_score

from hargcn.metrics.gap_curve import GapCurve

N = 12


def curves(segments: int = 0) -> xr.Dataset:
    rng = np.random.default_rng(0)
    lead = ("segment",) if segments else ()
    shape = (segments,) if segments else ()
    data = {}
    for name in ("score", "gap"):
        data[f"sample_{name}"] = rng.random((*shape, 2, 1, 4, N))
        data[f"random_{name}"] = rng.random((*shape, 5, 1, 4, N))
    data["sample_correct"] = (data["sample_score"] > 0.5).astype(float)
    data["random_correct"] = (data["random_score"] > 0.5).astype(float)
    dims = {
        name: (
            *lead,
            "explanation" if name.startswith("sample") else "ordering",
            "set",
            "k",
            "sample",
        )
        for name in data
    }
    variables = {name: (dims[name], value) for name, value in data.items()}
    variables["target"] = (("sample",), np.arange(N) % 2)
    variables["label"] = (("sample",), (np.arange(N) // 2) % 2)
    variables["group"] = (("sample",), np.repeat(["a", "b", "c", "d"], 3))
    coords = {"explanation": ["shap", "random"], "set": ["important"], "k": [0, 1, 2, 3]}
    return xr.Dataset(variables, coords, {"classes": 2, "seed": 1})


def test_summaries_are_means_areas_bands_and_intervals():
    raw = curves()
    data = GapCurve.of(raw).dataset
    np.testing.assert_allclose(data["gap"], raw["sample_gap"].mean("sample"))
    np.testing.assert_allclose(data["accuracy"], raw["sample_correct"].mean("sample"))
    gap = data["gap"].to_numpy()
    area = (gap[..., :1] / 2 + gap[..., 1:2] + gap[..., 2:3] + gap[..., 3:] / 2)[..., 0] / 3
    np.testing.assert_allclose(data["area"], area)
    assert (data["gap_low"] < data["gap"]).all()
    assert (data["gap"] < data["gap_high"]).all()
    orderings = raw["random_gap"].mean("sample").to_numpy()
    np.testing.assert_allclose(data["gap_band_high"], np.quantile(orderings, 0.975, axis=0))
    assert data.attrs["n"] == N
    assert data.attrs["groups"] == 4
    assert not [name for name in data if str(name).startswith("random_")]


def test_auc_is_that_of_class_one_whatever_class_was_explained():
    raw = curves()
    data = GapCurve.of(raw, resamples=30).dataset
    p = raw["sample_score"].isel(explanation=0, set=0, k=2).to_numpy()
    p = np.where(raw["target"] == 1, p, 1 - p)
    expected = roc_auc_score(raw["label"], p)
    assert data["auc"].isel(explanation=0, set=0, k=2).item() == pytest.approx(expected)
    assert (data["auc_band_low"] <= data["auc_band_high"]).all()


def test_the_interval_is_clustered():
    raw = curves()
    # Whole subjects alike: twelve samples are worth four.
    raw["sample_gap"] = raw["sample_gap"].isel(sample=np.repeat([0, 3, 6, 9], 3))
    width = {}
    for name, each in (("clustered", raw), ("single", raw.drop_vars("group"))):
        data = GapCurve.of(each).dataset
        width[name] = float((data["gap_high"] - data["gap_low"]).mean())
    assert width["clustered"] > 1.4 * width["single"]


@pytest.mark.parametrize("segments", [0, 2])
def test_files_come_back_and_open_without_us(tmp_path, segments):
    made = GapCurve.of(curves(segments), resamples=30)
    made.save(tmp_path / "perturb.h5")
    again = GapCurve.open(tmp_path / "perturb.h5")
    xr.testing.assert_identical(again.dataset, made.dataset)
    with h5py.File(tmp_path / "perturb.h5") as file:
        assert file["gap"].shape == made.dataset["gap"].shape
    table = pd.read_csv(tmp_path / "perturb.csv")
    assert len(table) == max(segments, 1) * 2 * 4
    assert {"explanation", "set", "k", "accuracy", "gap_low", "score_band_high", "n"} <= set(table)
    assert (table["n"] == N).all()
    areas = made.areas()
    assert len(areas) == max(segments, 1) * 2
    np.testing.assert_allclose(areas["area"], made.dataset["area"].to_numpy().ravel())


def test_other_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file of perturbation curves"):
        GapCurve.open(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(ValueError, match=r"text\.h5: expected perturbation curves"):
        GapCurve.open(tmp_path / "text.h5")
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(tmp_path / "other.h5", engine="h5netcdf")
    with pytest.raises(ValueError, match=r"other\.h5: expected perturbation curves .*\['a'\]"):
        GapCurve.open(tmp_path / "other.h5")


def test_the_band_of_auc_is_that_of_random_orderings():
    raw = curves()
    data = GapCurve.of(raw, resamples=30).dataset
    p = raw["random_score"].isel(set=0, k=1)
    p = np.where(raw["target"] == 1, p, 1 - p)
    single = [roc_auc_score(raw["label"], each) for each in p]
    for name, share in (("low", 0.025), ("high", 0.975)):
        found = data[f"auc_band_{name}"].isel(set=0, k=1).item()
        assert found == pytest.approx(np.quantile(single, share))


def with_answers(classes):
    """Return curves of answers: those of the first method follow the labels less and less."""
    rng = np.random.default_rng(1)
    raw = curves().assign_attrs(classes=classes)
    label = np.arange(N) % classes
    raw["label"] = ("sample", label)
    raw["target"] = ("sample", label)
    said = rng.integers(classes, size=(6, 1, 4, N, 1))
    said[0, 0, 0, :, 0] = label
    p = rng.dirichlet(np.ones(classes), size=(6, 1, 4, N))
    dims = ("set", "k", "sample")
    raw["method_answer"] = (("method", *dims, "draw"), said[:1])
    raw["random_answer"] = (("ordering", *dims, "draw"), said[1:])
    raw["method_p"] = (("method", *dims, "class"), p[:1])
    raw["random_p"] = (("ordering", *dims, "class"), p[1:])
    return raw.assign_coords({"class": np.arange(classes)})


@pytest.mark.parametrize("classes", [2, 3])
def test_rates_have_intervals_and_a_band_and_start_perfect(classes):
    data = GapCurve.of(with_answers(classes), resamples=90).dataset
    for name in ("sensitivity", "specificity", "ppv", "npv", "f1"):
        start = data[name].sel(explanation="shap", k=0)
        np.testing.assert_allclose(start, 1)
        assert (data[f"{name}_low"] <= data[name]).all()
        assert (data[f"{name}_band_low"] <= data[f"{name}_band_high"]).all()
        within = data[name].sel(explanation="random")
        assert (within >= data[f"{name}_band_low"] - 0.2).all()
    assert not [v for v in data if str(v).startswith(("method_", "random_"))]
    table = GapCurve(data).table()
    assert {"ppv", "npv_low", "f1_band_high", "auc"} <= set(table)


def test_of_several_classes_the_auc_is_the_mean_of_each_against_the_rest():
    raw = with_answers(3)
    data = GapCurve.of(raw, resamples=30).dataset
    p = raw["method_p"].isel(method=0, set=0, k=2).to_numpy()
    expected = roc_auc_score(raw["label"], p, multi_class="ovr")
    assert data["auc"].isel(explanation=0, set=0, k=2).item() == pytest.approx(expected)
    assert "auc" not in GapCurve.of(raw.drop_vars("group"), resamples=30).dataset


def test_the_auc_of_random_orderings_is_the_mean_of_theirs_not_that_of_their_mean_score():
    raw = curves()
    data = GapCurve.of(raw, resamples=30).dataset
    p = raw["random_score"].isel(set=0, k=1)
    p = np.where(raw["target"] == 1, p, 1 - p)
    single = [roc_auc_score(raw["label"], each) for each in p]
    found = data["auc"].sel(explanation="random", k=1).item()
    assert found == pytest.approx(np.mean(single))


def test_intervals_of_shares_end_where_shares_end():
    raw = with_answers(2)
    raw["sample_correct"][..., :-1] = 1
    raw["sample_gap"] = raw["sample_gap"] ** 9
    data = GapCurve.of(raw, resamples=90).dataset
    for name in ("accuracy", "f1", "auc", "gap", "area"):
        assert data[f"{name}_high"].max() <= 1
        assert data[f"{name}_low"].min() >= 0
    values = GapCurve.of(
        raw.drop_vars(["method_answer", "random_answer"]).assign(sample_gap=raw["sample_gap"] * 50)
        .assign_attrs(outputs="regression"), resamples=90,
    ).dataset  # fmt: skip
    assert values["gap_high"].max() > 1
