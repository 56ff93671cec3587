"""SHAP by frequency: sums, an inverse transform, the formula, and a network of one rhythm."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from fixtures.small_model import small_model
from torch import Tensor, nn

from hargcn.explainers import DeepSHAP, RhythmSHAP, make
from hargcn.explainers.deepshap.tally import Tally

RATE, FRAMES = 20.0, 40


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def ours():
    """Our network, two windows of two persons, in one of which one is absent, and three rows."""
    model = small_model(branches=("J", "V")).double()
    x, rows = draw(2, 2, 4, 9, 19, 2), draw(3, 2, 4, 9, 19, 2, seed=2)
    x[1, :, :, :, :, 1] = 0
    rows[2, :, :, 6:] = 0
    return model, x, rows


class Behind(nn.Module):
    """A network behind the linear inverse of the discrete Fourier transform over time."""

    def __init__(self, network: nn.Module, frames: int) -> None:
        super().__init__()
        self.network, self.frames = network, frames
        count = frames // 2 + 1
        unit = torch.eye(2 * count, dtype=torch.float64)
        waves = torch.fft.irfft(torch.complex(unit[:, :count], unit[:, count:]), n=frames)
        self.register_buffer("waves", waves)  # (2 K, T): real parts, then imaginary ones

    def spectrum(self, x: Tensor) -> Tensor:
        """Return (N, I, C, 2 K, V, M) real and imaginary parts."""
        found = torch.fft.rfft(x, dim=3)
        return torch.cat([found.real, found.imag], dim=3)

    def forward(self, spectrum: Tensor) -> Tensor:
        x = torch.matmul(spectrum.movedim(3, -1), self.waves).movedim(-1, 3)
        return self.network(x)


class Filtered(nn.Module):
    """Class 1 by the energy of x (N, C, T, V, M) at some bins of frequency alone."""

    input_dims = ("sample", "channel", "time", "joint", "person")

    def __init__(self, frames: int, kept: list[int]) -> None:
        super().__init__()
        pure = torch.fft.rfft(torch.eye(frames, dtype=torch.float64), dim=0)
        mask = torch.zeros(len(pure), 1, dtype=torch.float64)
        mask[kept] = 1
        self.weight = nn.Parameter(torch.fft.irfft(pure * mask, n=frames, dim=0))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.matmul(x.movedim(2, -1), self.weight)
        size = (y * y).sum((1, 2, 3, 4))
        return torch.stack([-size, size], 1)


def wave(hertz: float, frames: int = FRAMES) -> Tensor:
    t = torch.arange(frames, dtype=torch.float64) / RATE
    return torch.sin(2 * torch.pi * hertz * t)


def trembling() -> tuple[Tensor, Tensor]:
    """Return windows whose joint 1 trembles at 5 Hz, all with a drift and 2 Hz; rows of noise."""
    x = 0.1 * draw(3, 2, FRAMES, 4, 1)
    x += wave(2.0)[:, None, None] + torch.linspace(0, 2, FRAMES)[:, None, None]
    x[:, :, :, 1, 0] += wave(5.0)
    return x, 0.1 * draw(6, 2, FRAMES, 4, 1, seed=2)


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("bands", ["", "0-2,4-8"])
def test_bands_sum_to_shap_over_time(ours, bands, single):
    model, x, rows = ours
    if single:
        model, x, rows = small_model(branches=("J", "V")), x.float(), rows.float()
    whole = DeepSHAP(rows)(model, x, 1)
    found = RhythmSHAP(rows, bands=bands, rate=RATE)(model, x, 1)
    assert found.dims == ("sample", "branch", "channel", "joint", "person", "frequency")
    over_time = whole.sum("time").values.to_numpy().astype(float)
    summed = found.values.to_numpy().astype(float).sum(-1)
    size = np.abs(whole.values.to_numpy()).astype(float).sum(3).max()
    assert np.abs(summed - over_time).max() <= 1e-6 * size
    for name in ("score", "base_value", "predicted", "target"):
        np.testing.assert_array_equal(found.dataset[name], whole.dataset[name])
    assert float(found.relative_gap.max()) < (1e-4 if single else 1e-10)
    total = found.values.sum(found.dims[1:]).to_numpy() + found.base_value.to_numpy()
    np.testing.assert_allclose(total - found.score, found.additivity_gap, atol=1e-4)


def test_it_is_the_formula_of_every_row(ours):
    model, x, rows = ours
    found = RhythmSHAP(rows, rate=RATE)(model, x, 1)
    np.testing.assert_allclose(found.values["frequency"], np.arange(5) * RATE / 9)
    expected = np.zeros((2, 2, 4, 5, 19, 2))
    for row in rows:  # of one row the multipliers are phi / D
        phi = DeepSHAP(row[None], allow_gap=True)(model, x, 1).values.to_numpy()
        away = (x - row).numpy()
        m = np.divide(phi, away, out=np.zeros_like(phi), where=away != 0)
        whole = (np.fft.fft(m, axis=3).conj() * np.fft.fft(away, axis=3)).real / 9
        expected += whole[:, :, :, :5] / len(rows)
        expected[:, :, :, 1:] += whole[:, :, :, :4:-1] / len(rows)  # k and -k
    got = np.moveaxis(found.values.to_numpy(), -1, 3)
    seen = (x[:, :, :, :1] != 0).numpy()  # where nobody ever is, no multiplier can be told
    np.testing.assert_allclose((got * seen), (expected * seen), atol=1e-9)


@pytest.mark.parametrize("frames", [8, 9])
def test_it_is_shap_behind_a_linear_inverse_transform(ours, frames):
    model, x, rows = ours
    # Rows in which everybody is there: rounding would make an absent one's zeros somebody.
    x, rows = x[:, :, :, :frames], rows[:2, :, :, :frames]
    behind = Behind(model, frames)
    parts = DeepSHAP(behind.spectrum(rows))(behind, behind.spectrum(x), 2).values.to_numpy()
    count = frames // 2 + 1
    expected = parts[:, :, :, :count] + parts[:, :, :, count:]
    found = RhythmSHAP(rows, rate=RATE)(model, x, 2)
    got = np.moveaxis(found.values.to_numpy(), -1, 3)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(got, expected, atol=1e-10)


def test_a_network_of_one_rhythm_has_all_in_its_band_and_the_finished_map_at_twice_that():
    x, rows = trembling()
    network = Filtered(FRAMES, [9, 10, 11])  # 4.5, 5 and 5.5 Hz
    found = RhythmSHAP(rows, bands={"slow": "0-4", "tremor": "4-6"}, rate=RATE)(network, x, 1)
    assert found.values["frequency"].to_numpy().tolist() == ["slow", "tremor", "rest"]
    by_band = found.values.sum(["channel", "joint", "person"]).to_numpy()
    np.testing.assert_allclose(by_band[:, 1], found.score - found.base_value)
    assert np.abs(by_band[:, [0, 2]]).max() < 1e-10 * by_band[:, 1].min()
    by_joint = found.values.sel(frequency="tremor").sum(["channel", "person"]).to_numpy()
    assert (by_joint.argmax(axis=1) == 1).all()
    # The trap: the transform of the finished map, a product of two rhythms, shows the double.
    x = 0.1 * draw(3, 2, FRAMES, 4, 1)
    x[:, :, :, 1, 0] += wave(5.0)
    finished = DeepSHAP(rows)(network, x, 1).values.sum(["channel", "person"])
    trap = np.abs(np.fft.rfft(finished.sel(joint=1).to_numpy(), axis=1))
    places = np.arange(1, FRAMES // 2 + 1) * RATE / FRAMES
    np.testing.assert_allclose(places[trap[:, 1:].argmax(axis=1)], 10)


def test_stretches_sum_to_the_frequencies_and_say_when(ours):
    x, rows = trembling()
    x[:, :, 20:, 1, 0] -= wave(5.0)[20:]  # the first second only
    network = Filtered(FRAMES, [9, 10, 11])
    asked = {"bands": "0-4,4-6,6-", "rate": RATE}
    found = RhythmSHAP(rows, **asked, stretches=4)(network, x, 1)
    assert found.dims == ("sample", "channel", "time", "joint", "person", "frequency")
    np.testing.assert_allclose(found.values["time"], [4.5, 14.5, 24.5, 34.5])
    assert found.dataset.attrs["frames"] == FRAMES
    once = RhythmSHAP(rows, **asked)(network, x, 1)
    np.testing.assert_allclose(found.values.sum("time"), once.values, atol=1e-12)
    when = found.values.sel(frequency="4-6 Hz").sum(["channel", "joint", "person"]).to_numpy()
    assert (when[:, :2].sum(axis=1) > 3 * np.abs(when[:, 2:]).sum(axis=1)).all()
    model, x, rows = ours
    single = RhythmSHAP(rows, rate=RATE, stretches=3)(model, x, 1).values.sum("time")
    np.testing.assert_allclose(single, RhythmSHAP(rows, rate=RATE)(model, x, 1).values, atol=1e-10)


def test_errors_are_those_of_bands_over_the_rows(ours):
    model, x, rows = ours
    weights = np.array([1, 2, 3]) / 6
    asked = {"bands": "0-4,4-", "rate": RATE, "weights": weights}
    found = RhythmSHAP(rows, **asked)(model, x, 1)
    single = RhythmSHAP(rows, **asked).by_row(model, x, 1, found.dims).swapaxes(0, 1)
    mean = np.tensordot(weights, single, 1)
    np.testing.assert_allclose(found.values, mean, atol=1e-10)
    error = np.sqrt(np.tensordot(weights**2, (single - mean) ** 2, 1) * 3 / 2)
    np.testing.assert_allclose(found.standard_error, error, rtol=1e-4, atol=1e-9)
    alone = RhythmSHAP(rows[:1], bands="0-4,4-", rate=RATE)(model, x, 1).values
    np.testing.assert_allclose(single[0], alone, atol=1e-10)
    kept = RhythmSHAP(rows, **asked).by_row(model, x, 1, ("joint", "frequency"))
    np.testing.assert_allclose(kept, single.sum((2, 3, 5)).swapaxes(0, 1), atol=1e-10)


@pytest.mark.parametrize("chunk", [1, 2])
def test_chunks_change_nothing_but_rounding(ours, chunk):
    model, x, rows = ours
    asked = {"bands": "0-4,4-", "rate": RATE, "stretches": 2}
    whole = RhythmSHAP(rows, **asked, chunk=3)(model, x, 1)
    found = RhythmSHAP(rows, **asked, chunk=chunk)(model, x, 1)
    np.testing.assert_allclose(found.values, whole.values, atol=1e-12)


def test_every_sample_has_bands_of_its_own_rate():
    x, rows = trembling()
    network = Filtered(FRAMES, [10])
    found = RhythmSHAP(rows, bands="4-6", rate=[RATE, 40.0, 60.0])(network, x, 1)
    shares = found.values.sum(["channel", "joint", "person"]).to_numpy()
    assert found.values["frequency"].to_numpy().tolist() == ["4-6 Hz", "rest"]
    np.testing.assert_allclose(shares[0, 1] / shares[0, 0], 0, atol=1e-9)
    np.testing.assert_allclose(shares[1:, 0] / shares[1:, 1], 0, atol=1e-9)  # at 10 and 15 Hz


def test_samples_done_again_in_double_precision_keep_their_rates(monkeypatch):
    x, rows = (each.float() for each in trembling())
    network = Filtered(FRAMES, [10]).float()
    explainer = RhythmSHAP(rows, bands="4-6", rate=[40.0, RATE, 40.0])
    plain = explainer(network, x, 1)
    close = Tally.close

    def doubtful(self: Tally, scores: np.ndarray) -> None:
        close(self, scores)
        if not self.double.any():
            self.relative_gap[1:] = 1.0

    monkeypatch.setattr(Tally, "close", doubtful)
    monkeypatch.setattr(Tally, "replace", _replaced)
    again = explainer(network, x, 1)
    assert again.dataset["double_precision"].to_numpy().tolist() == [False, True, True]
    np.testing.assert_allclose(again.values, plain.values, rtol=1e-4, atol=1e-4)


def _replaced(self: Tally, samples: np.ndarray, other: Tally) -> None:
    """Replace as `Tally.replace` does, with gaps that count."""
    for name in ("values", "shift", "squares", "double", "base_value", "relative_gap"):
        getattr(self, name)[samples] = getattr(other, name)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"rate": None}, "Expected a rate in frames per second, above 0 (got None)"),
        ({"rate": 0}, "Expected a rate in frames per second, above 0 (got 0)"),
        ({"rate": [20, 30, 20]}, "Expected bands for samples of different frame rates"),
        ({"rate": RATE, "bands": "6-4"}, "expected a band low-high in Hz"),
        ({"rate": RATE, "stretches": 0}, "Input should be greater than or equal to 1"),
        ({"rate": [RATE] * 2}, "expected a rate, or one for each of 3 samples (got 2)"),
        ({"rate": RATE, "stretches": 41}, "expected at most 40 stretches, one a frame (got 41)"),
        (
            {"rate": [20, 20, 10], "bands": "0-6,6-"},
            "which has one every 0.25 Hz up to 5 (got 'from 6 Hz') at 10 frames per second",
        ),
    ],
)
def test_what_cannot_be_told_is_refused(asked, why):
    x, rows = trembling()
    with pytest.raises(ValueError, match=re.escape(why)):
        RhythmSHAP(rows, **asked)(Filtered(FRAMES, [10]), x, 1)


def test_an_input_without_time_is_refused():
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).double()
    why = "shap-rhythm: expected an input with an axis 'time' (got sample, axis1, axis2)"
    with pytest.raises(ValueError, match=re.escape(why)):
        RhythmSHAP(draw(2, 3, 4), rate=RATE)(network, draw(1, 3, 4), 0)


@pytest.mark.parametrize("name", ["gradcam", "shap", "saliency"])
def test_methods_without_bands_say_why(name):
    why = f"{name}: expected the method shap-rhythm for bands of frequencies: they are formed from"
    with pytest.raises(ValueError, match=f"^{why} .* class activation maps nor means over rows"):
        make(name, {"bands": "4-6"}, {"layer": "main", "background": draw(2, 3)})


def test_it_needs_a_rate_which_is_no_setting(ours):
    with pytest.raises(ValueError, match=r"^shap-rhythm: expected a rate \(got none\)$"):
        make("shap-rhythm", {}, {"background": ours[2]})
    made = make("shap-rhythm", {"bands": {"slow": "0-4"}}, {"background": ours[2], "rate": 20})
    assert "rate" not in made.settings
    assert json.loads(json.dumps(made.settings))["bands"] == {"slow": "0-4"}
    at = made.at_rate([10.0, 12.0])
    assert (at.rate.tolist(), at.settings) == ([10, 12], made.settings)
