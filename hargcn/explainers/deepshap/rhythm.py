"""DeepSHAP by frequency: which rhythms of the movement carry the score.

With multipliers m and differences D = x - r over T frames, phi_k = mean_r (1/T) Re(conj(DFT(m))_k
DFT(D)_k), k and -k in one. By Parseval's theorem these sum to DeepSHAP's sum over time, and they
are DeepSHAP of a network behind a linear inverse transform. It is formed per background row: of a
finished map, a product of two rhythms, the transform shows another thing, a tremor of 5 Hz at 10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from pydantic import Field
from torch import Tensor, nn

from hargcn.explainers.adapter import input_axes
from hargcn.explainers.bands import Band, bands_of, bins, folded, shared_out, time_windows
from hargcn.explainers.base import Need
from hargcn.explainers.deepshap.explainer import DeepSHAP
from hargcn.explanation import Explanation
from hargcn.registry import settings


@settings
class RhythmSHAP(DeepSHAP):
    """SHAP values by frequency instead of time: of the difference's rhythms, per background row.

    The explanation has the axis `frequency` instead of `time`: names of bands, or without any the
    frequencies of the discrete Fourier transform in Hz. Values sum to those of `shap` over time,
    exactly, and all its variables (base value, gaps, standard errors) mean the same. With several
    `stretches` there are both axes, and values sum over `time`, the stretches' centres in frames,
    to those by frequency. Hz are those of the explained window: a background row is compared frame
    by frame. Frequency 0 is the mean difference over the window, its posture.

    Parameters
    ----------
    bands : str or dict
        Bands in Hz: "0-2,2-4,4-6,6-", or by name {"tremor": "4-6"}. A frequency f of the transform
        belongs to the band with low <= f < high; what is in no band is `rest`. By default every
        frequency for itself.
    stretches : int
        Stretches of the window to tell apart (short time): smooth windows that sum to 1, on the
        difference; a stretch needs some periods of what it is to show.
    rate : float or (N,) array
        Frames per second, of all samples or of each; `explain` takes it from the windows.
    """

    name = "shap-rhythm"
    label = "SHAP by frequency"
    source = "DeepSHAP behind an inverse Fourier transform; after Vielhaben et al. 2024"
    needs: ClassVar[tuple[Need, ...]] = ("background", "rate")

    bands: str | dict[str, str] = ""
    stretches: Annotated[int, Field(ge=1)] = 1
    rate: Annotated[Any, Field(exclude=True)] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        rate = np.array([]) if self.rate is None else np.asarray(self.rate, float)
        if rate.ndim > 1 or not rate.size or not (np.isfinite(rate) & (rate > 0)).all():
            raise ValueError(f"Expected a rate in frames per second, above 0 (got {self.rate})")
        if not self.bands and np.ptp(rate) > 0:
            raise ValueError(
                f"Expected bands for samples of different frame rates, whose frequencies differ "
                f"(got none for {rate.min():g} to {rate.max():g} frames per second)"
            )
        object.__setattr__(self, "rate", rate)
        self._bands()

    def at_rate(self, fps: ArrayLike) -> Self:
        """Return the same of samples with these frames per second."""
        return replace(self, rate=fps)

    def supports(self, model: nn.Module, x: Tensor) -> str:
        """Return why not: what SHAP says, no axis of time, too few rates, bands without a bin."""
        if reason := super().supports(model, x):
            return reason
        dims = input_axes(model, x, self.dims)
        if "time" not in dims:
            return f"expected an input with an axis 'time' (got {', '.join(dims)})"
        frames = x.shape[dims.index("time")]
        if self.rate.ndim and len(self.rate) != len(x):
            return f"expected a rate, or one for each of {len(x)} samples (got {len(self.rate)})"
        if self.stretches > frames:
            return f"expected at most {frames} stretches, one a frame (got {self.stretches})"
        try:
            for rate in np.unique(self.rate):
                self._members(frames, rate)
        except ValueError as error:
            return f"{error} at {rate:g} frames per second"
        return ""

    def _bands(self) -> tuple[Band, ...]:
        return bands_of(self.bands) if self.bands else ()

    def _members(self, frames: int, rate: float) -> np.ndarray:
        """Return (frequency, bin) which bins are added up."""
        bands, found = self._bands(), bins(frames, rate)
        return shared_out(bands, found) if bands else np.eye(len(found))

    def _some(self, samples: np.ndarray) -> Self:
        return replace(self, rate=self.rate[samples]) if self.rate.ndim else self

    def _axes(self, model: nn.Module, x: Tensor) -> dict[str, int]:
        sizes = super()._axes(model, x)
        count = len(self._members(sizes["time"], float(self.rate.max())))
        sizes["time"] = self.stretches
        if self.stretches == 1:
            del sizes["time"]
        return {**sizes, "frequency": count}

    def _credited(
        self, model: nn.Module, number: int, x: Tensor, rows: Tensor, found: Iterable[Tensor]
    ) -> Iterator[Tensor]:
        """Give attributions (n, ..., frequency) per column, in double precision inside."""
        at = input_axes(model, x, self.dims).index("time")
        frames, device = x.shape[at], x.device
        rate = float(self.rate[number] if self.rate.ndim else self.rate)
        added = torch.from_numpy((self._members(frames, rate) * folded(frames)).T).to(device)
        windows = torch.from_numpy(time_windows(frames, self.stretches)[0]).to(device)
        whole = (x - rows).movedim(at, -1).double()
        for m in found:
            spectrum = torch.fft.rfft(m.movedim(at, -1).double()).conj()
            parts = [(spectrum * torch.fft.rfft(whole * each)).real @ added for each in windows]
            phi = torch.stack(parts, at).to(x)
            yield phi.squeeze(at) if self.stretches == 1 else phi

    def _explain(
        self, model: nn.Module, x: Tensor, asked: Callable[[Tensor], Tensor]
    ) -> list[Explanation]:
        frames = x.shape[input_axes(model, x, self.dims).index("time")]
        names = [band.name for band in self._bands()]
        coords: dict[str, Any] = {"frequency": names or bins(frames, float(self.rate.max()))}
        if self.stretches > 1:
            coords["time"] = time_windows(frames, self.stretches)[1]
        made = super()._explain(model, x, asked)
        return [each.assign(coords=coords, frames=frames) for each in made]
