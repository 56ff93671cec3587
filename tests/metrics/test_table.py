from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from fixtures.toy_networks import Planted, explained, planted_windows

from hargcn.explainers.baselines import Constant, FakeCAM
from hargcn.metrics.registry import METRICS, Case
from hargcn.metrics.runner import Runner
from hargcn.metrics.table import (
    forecast,
    metric_samples,
    metric_table,
    pooled,
    samples_file,
    table_seconds,
)
from hargcn.perturbation import InputEdit

PLAIN = ["pgi", "pgu", "deletion", "insertion", "average-drop", "add", "complexity", "infidelity"]


def gradient_times_movement(model, x, target):
    """Explain `Planted` by its gradient: right by construction."""
    x = x.clone().requires_grad_()
    logits = model(x)
    chosen = logits.gather(1, torch.as_tensor(target)[:, None]).sum()
    (gradient,) = torch.autograd.grad(chosen, x)
    maps = (gradient * (x - x[:, :, :1])).sum((1, 4))
    return explained(maps.detach(), torch.as_tensor(target), "gradient")


def named(explanation):
    """Call the samples something else than their number, as explanations of windows do."""
    names = [f"window {i}" for i in range(len(explanation))]
    return explanation.assign(coords={"sample": names})


@pytest.fixture(scope="module")
def judged():
    x, label, truth = planted_windows(48)
    x, truth = x[label == 1], truth[label == 1].numpy()
    model = Planted(2, slice(4, 8))
    target = torch.ones(len(x), dtype=int)
    honest = gradient_times_movement(model, x, target)
    made = {
        "gradient": honest,
        "negated": explained(-torch.from_numpy(honest.values.to_numpy()), 1),
        "constant": Constant()(model, x, target),
        "fakecam": FakeCAM()(model, x, target),
    }
    made = {name: named(each) for name, each in made.items()}
    distractor = np.zeros_like(truth)
    distractor[:, 4:8, 4] = True
    case = Case(
        model,
        x,
        made["gradient"],
        truth=truth,
        distractor=distractor,
        layer="",
        neighbour=InputEdit("noise", 0.01),
        run=Runner(),
    )
    explainers = {
        "gradient": gradient_times_movement,
        "constant": Constant(),
        "fakecam": FakeCAM(),
    }
    metrics = [name for name in METRICS if name != "rrs"]
    groups = np.arange(len(x)) // 2
    table = metric_table(case, made, metrics, explainers=explainers, groups=groups)
    return table, case, explainers, made


def row(table, metric, method):
    rows = table.rows
    return rows[(rows["metric"] == metric) & (rows["method"] == method)].iloc[0]


def test_the_truth_beats_the_random_explanation_with_intervals_apart(judged):
    table = judged[0]
    for metric in ("pgi", "insertion", "localisation:energy", "localisation:auroc"):
        assert row(table, metric, "truth")["low"] > row(table, metric, "random")["high"], metric
    for metric in ("pgu", "deletion", "localisation:outside-inside"):
        assert row(table, metric, "truth")["high"] < row(table, metric, "random")["low"], metric


def test_the_honest_explanation_lies_at_the_ceiling_and_its_negation_below_chance(judged):
    table = judged[0]
    for metric in ("pgi", "insertion", "localisation:auroc"):
        honest, negated = (row(table, metric, m) for m in ("gradient", "negated"))
        assert honest["estimate"] == pytest.approx(honest["ceiling"], abs=0.03), metric
        assert negated["estimate"] < negated["chance"], metric
    assert row(table, "sensitivity-n", "gradient")["estimate"] > 0.8
    assert row(table, "sensitivity-n", "negated")["estimate"] < -0.8


def test_the_random_explanation_is_at_chance_on_every_measure(judged):
    table = judged[0]
    truth = judged[1].truth
    expected = {
        "localisation:energy": truth.mean(),
        "localisation:auroc": 0.5,
        "localisation:distractor-energy": 0.5,
        "localisation:distractor-auroc": 0.5,
        "sensitivity-n": 0,
        "coherency": 0.5,
        "complexity": 0.5,
        "randomisation": 0,
        "class-sensitivity": 0,
    }
    for metric, level in expected.items():
        assert row(table, metric, "random")["estimate"] == pytest.approx(level, abs=0.08), metric
    ratio = row(table, "localisation:outside-inside", "random")
    assert ratio["low"] < 1 < ratio["high"]
    for metric in PLAIN:
        found = row(table, metric, "random")
        assert found["estimate"] == found["chance"]
    # A ranking without content, random or constant, gains the same.
    for metric in ("pgi", "pgu", "deletion", "insertion"):
        random, constant = (row(table, metric, m) for m in ("random", "constant"))
        assert constant["low"] <= random["high"], metric
        assert random["low"] <= constant["high"], metric


def test_the_fake_is_exposed_by_complexity_adcc_pgi_and_localisation(judged):
    table = judged[0]
    assert row(table, "average-drop", "fakecam")["estimate"] < 1e-3
    assert row(table, "add", "fakecam")["estimate"] > 0.9 * row(table, "add", "truth")["estimate"]
    assert row(table, "complexity", "fakecam")["estimate"] > 0.95
    assert row(table, "adcc", "fakecam")["high"] < row(table, "adcc", "gradient")["low"]
    assert row(table, "pgi", "fakecam")["high"] < row(table, "pgi", "gradient")["low"]
    energy = row(table, "localisation:energy", "fakecam")
    assert energy["estimate"] == pytest.approx(judged[1].truth.mean(), abs=0.01)


def test_measures_that_explain_again_are_left_out_without_an_explainer(judged):
    table = judged[0]
    for metric in ("coherency", "adcc", "ris", "ros", "randomisation", "class-sensitivity"):
        for method in ("negated", "truth"):
            assert row(table, metric, method)["n"] == 0
            assert np.isnan(row(table, metric, method)["estimate"])
        assert row(table, metric, "gradient")["n"] > 0


def test_text_and_csv_hold_every_measure_and_method(judged, tmp_path):
    table = judged[0]
    table.save(tmp_path / "table.csv")
    again = pd.read_csv(tmp_path / "table.csv")
    assert len(again) == len(table.rows)
    assert {"estimate", "low", "high", "n", "chance", "ceiling", "better", "source"} <= set(again)
    lines = table.text().splitlines()
    assert lines[0].split()[:6] == ["gradient", "negated", "constant", "fakecam", "random", "truth"]
    assert any(line.startswith("pgi ") and "Dai et al. 2022" in line for line in lines)
    assert any(line.startswith("coherency ") and " - " in line for line in lines)
    assert table.samples["pgi"].dims == ("explanation", "sample")
    assert table.samples["sample"].to_numpy()[3] == "window 3"
    assert table.samples.sizes["sample"] == 24


def test_the_cost_of_explaining_again_is_forecast(judged):
    case = judged[1]
    calls = []

    def counted(model, x, target):
        calls.append(len(x))
        return gradient_times_movement(model, x, target)

    for metrics in (["pgi", "deletion"], ["ris", "ros", "coherency"]):
        seconds = forecast(case, {"gradient": counted}, metrics)["gradient"]
        assert (seconds > 0) == (metrics[0] == "ris")
    calls.clear()
    metric_table(case, {"g": case.explanation}, ["ris", "ros"], explainers={"g": counted}, random=1)
    # RIS and ROS share their neighbours.
    assert sum(calls) == case.neighbours * len(case.x)


def test_the_cost_of_a_table_is_forecast(judged, monkeypatch):
    """The clock ticks with every row: what is forecast is what will be scored."""
    case = judged[1]
    made = {name: case.explanation for name in ("one", "other")}
    scored = [0]

    class Counting(Planted):
        def forward(self, x):
            scored[0] += len(x)
            return super().forward(x)

    monkeypatch.setattr("hargcn.metrics.table.time.perf_counter", lambda: scored[0])
    case = replace(case, model=Counting(2, slice(4, 8)), run=Runner(batch=40))
    metrics = ["pgi", "deletion", "average-drop", "coherency"]  # the last explains again
    forecast = table_seconds(case, metrics, len(made) + 4)
    spent = scored[0]
    scored[0] = 0
    metric_table(case, made, metrics)
    # Coherency of the random explanations comes on top.
    assert forecast == pytest.approx(scored[0], rel=0.15)
    assert spent < scored[0] / 40


def test_wrong_requests_are_refused(judged):
    case = judged[1]
    with pytest.raises(ValueError, match=r"Expected metrics of pgi, .* \(got \['pig'\]\)"):
        metric_table(case, {"g": case.explanation}, ["pig"])
    with pytest.raises(ValueError, match=r"other names than \['random'\]"):
        metric_table(case, {"random": case.explanation}, ["pgi"])
    with pytest.raises(ValueError, match="a layer whose output is the representation of rrs"):
        metric_table(case, {"g": case.explanation}, ["rrs"])


def test_model_free_maps_are_rows_beside_chance_and_truth(judged):
    """Where alone is no credit within the joints; a map that follows both rhythms neither."""
    case = judged[1]
    distractor = np.zeros_like(case.truth)
    distractor[:, 9:11, 2] = True
    case = replace(case, distractor=distractor)
    maps = {
        "joint": np.broadcast_to(case.truth.any(1, keepdims=True), case.truth.shape).astype(float),
        "movement": (case.truth + 2.0 * distractor),
    }
    table = metric_table(case, {"g": case.explanation}, ["localisation", "pgi"], model_free=maps)
    assert table.rows["method"].unique().tolist() == ["g", "joint", "movement", "random", "truth"]
    assert row(table, "localisation:within-auroc", "joint")["estimate"] == 0.5
    assert row(table, "localisation:within-distractor-auroc", "movement")["estimate"] == 0
    assert row(table, "localisation:within-auroc", "truth")["estimate"] == 1
    assert row(table, "pgi", "joint")["n"] == 24
    with pytest.raises(ValueError, match=r"other names than \['g'\]: the table adds these"):
        metric_table(case, {"g": case.explanation}, ["pgi"], model_free={"g": maps["joint"]})


def test_adcc_stands_beside_that_of_the_data_sets_means(judged):
    table = judged[0]
    single, means = (row(table, metric, "gradient") for metric in ("adcc", "adcc-of-means"))
    parts = [row(table, m, "gradient")["estimate"] for m in ("coherency", "complexity")]
    drop = row(table, "average-drop", "gradient")["estimate"]
    expected = 3 / (1 / parts[0] + 1 / (1 - parts[1]) + 1 / (1 - drop))
    assert means["estimate"] == pytest.approx(expected)
    assert means["low"] <= means["estimate"] <= means["high"]
    assert single["n"] == means["n"] == 24
    assert row(table, "adcc-of-means", "truth")["n"] == 0


@pytest.mark.slow
def test_runs_are_joined_with_intervals_over_runs_and_subjects(judged, tmp_path):
    table = judged[0]
    table.save(tmp_path / "table.csv")
    samples = xr.load_dataset(samples_file(tmp_path / "table.csv"))
    once = pooled({"seed1": samples})
    assert np.isnan(row(once, "pgi", "gradient")["low"])  # one run says nothing of runs
    shifted = samples + 0.1
    both = pooled({"seed1": samples, "seed2": shifted})
    found, single = row(both, "pgi", "gradient"), row(table, "pgi", "gradient")
    assert found["estimate"] == pytest.approx(single["estimate"] + 0.05)
    assert found["n"] == 2 * single["n"]
    assert found["high"] - found["low"] > 0.1  # the runs differ by 0.1, which subjects do not
    assert set(both.samples["run"].to_numpy()) == {"seed1", "seed2"}
    with pytest.raises(ValueError, match=r"same methods and measures in every run \(not in b\)"):
        pooled({"a": samples, "b": samples.isel(explanation=slice(1, None))})


@pytest.mark.slow
def test_parts_of_the_windows_have_the_values_that_all_have(judged):
    """Of every measure; draws, ties and random maps go by the number of a window among all."""
    table, case, explainers, made = judged
    count = len(case.x)
    assert count > 20
    metrics = [name for name in METRICS if name != "rrs"]
    parts = [
        metric_samples(
            case.part(some), {name: each.isel(sample=some) for name, each in made.items()},
            metrics, explainers=explainers, groups=(np.arange(count) // 2)[some],
        )
        for some in (slice(0, 7), slice(7, 8), slice(8, count))
    ]  # fmt: skip
    joined = xr.concat(parts, "sample", data_vars="minimal", coords="minimal", compat="override")
    for name in table.samples:
        if name in ("ris", "ros"):  # quotients of tiny numbers
            continue
        mine, whole = joined[name], table.samples[name]
        np.testing.assert_allclose(mine, whole, rtol=1e-4, atol=1e-5, err_msg=str(name))
