"""Every measure by name, with its direction, its source and what it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import xarray as xr
from torch import Tensor, nn

from hargcn.explanation import Explanation
from hargcn.metrics import faithfulness, masking, sanity
from hargcn.metrics.localisation import localisation, ratios
from hargcn.metrics.masking import FROZEN, Explainer
from hargcn.metrics.runner import Runner
from hargcn.metrics.segmentation import segmentation
from hargcn.metrics.stability import TREMBLE, stability
from hargcn.outputs import KINDS, Kind, outputs_of
from hargcn.perturbation import Edit, InputEdit

Better = Literal["higher", "lower", "zero"]


@dataclass(frozen=True)
class Case:
    """One explanation and what measures need to judge it.

    Parameters
    ----------
    model, x
        The network and its windows (N, ..., T, V, M).
    explanation
        To be judged.
    explainer
        What made it; without one, measures that explain again are left out.
    edit
        Disturbs joints, or of edges "single" ones: PGI, PGU, Sensitivity-n, infidelity.
    substrate
        Takes the place of removed cells: deletion, insertion, average drop, increase, ADD, ADCC.
    neighbour
        Makes neighbouring windows: RIS, RRS, ROS.
    truth, distractor
        (N, T, V) bool planted evidence, and planted changes without class information.
    marks
        By annotator (N, T, V) bool: where they saw it; nowhere in windows they did not look at.
    seen
        (N, T, V) bool: the only cells that count, for measures that say so; default all.
    layer
        Submodule whose output is the representation of RRS.
    top, draws, subsets, steps, neighbours, stages
        Sizes; see the measures.
    run
        How the model is run.
    """

    model: nn.Module
    x: Tensor
    explanation: Explanation
    explainer: Explainer | None = None
    edit: Edit = FROZEN
    substrate: InputEdit = FROZEN
    neighbour: InputEdit = TREMBLE
    truth: np.ndarray | None = None
    distractor: np.ndarray | None = None
    marks: Mapping[str, np.ndarray] = field(default_factory=dict)
    seen: np.ndarray | None = None
    layer: str = ""
    top: int | None = None
    draws: int = 1
    subsets: int = 50
    steps: int = 20
    neighbours: int = 5
    stages: int = 4
    run: Runner = field(default_factory=Runner)

    @property
    def base(self) -> tuple[nn.Module, Tensor, Explanation]:
        """What measures that run the model begin with."""
        return self.model, self.x, self.explanation

    @cached_property
    def masked(self) -> xr.Dataset:
        """What several measures tell of the same passes (see `masking.masked`)."""
        return masking.masked(*self.base, self.substrate, run=self.run)

    @cached_property
    def coherency(self) -> xr.DataArray:
        """Coherency, a part of ADCC too."""
        return masking.coherency(*self.remade, self.substrate, run=self.run)

    def part(self, some: slice) -> Case:
        """Return the same about some of the windows alone."""
        truth, distractor, seen = (
            None if mask is None else mask[some]
            for mask in (self.truth, self.distractor, self.seen)
        )
        return replace(
            self,
            x=self.x[some],
            explanation=self.explanation.isel(sample=some),
            truth=truth,
            distractor=distractor,
            marks={name: mask[some] for name, mask in self.marks.items()},
            seen=seen,
            run=self.run.part(some, len(self.x)),
        )

    @property
    def remade(self) -> tuple[nn.Module, Tensor, Explanation, Explainer]:
        """What measures that explain again begin with."""
        if self.explainer is None:
            raise ValueError(f"Expected an explainer for {self.explanation.name!r} (got none)")
        return *self.base, self.explainer


@dataclass(frozen=True)
class Metric:
    """A measure as the table knows it.

    Parameters
    ----------
    compute
        Case -> (sample,) values, or a Dataset of several figures.
    better
        Which direction is good.
    source
        Where the definition stands.
    calls
        Explanations of every sample that it asks for; 0 if it never explains again.
    truth
        Whether planted evidence, or annotators' marks, are needed.
    seen
        Whether `Case.seen` restricts it; other measures disturb or cover whole maps.
    disturbs
        Whether it disturbs joints, or edges, by the case's `edit`.
    edges
        Whether it is of explanations of edges, too; the others are of cells.
    kinds
        Outputs that it is defined for. Of a regression what is said of p_c is said of the value, in
        its units; shares of p_c, and steps from 0 to 1, mean nothing of it.
    """

    compute: Callable[[Case], xr.DataArray | xr.Dataset]
    better: Better
    source: str
    calls: Callable[[Case], int] = lambda _: 0
    truth: bool = False
    seen: bool = False
    disturbs: bool = False
    edges: bool = False
    kinds: tuple[Kind, ...] = KINDS


_PROBABLE: tuple[Kind, ...] = ("classes", "ordinal", "multi-label")


def _stability(c: Case) -> xr.Dataset:
    return stability(*c.remade, c.neighbour, neighbours=c.neighbours, layer=c.layer, run=c.run)


def _adcc(c: Case) -> xr.Dataset:
    complexity = masking.complexity(c.explanation, c.x.shape[-3])
    return masking.adcc_of(c.coherency, complexity, c.masked["average-drop"])


def _located(c: Case, figures: Callable[..., xr.Dataset], **more: int) -> xr.Dataset:
    if c.truth is None and not c.marks:
        raise ValueError(f"Expected planted evidence or marks for {figures.__name__} (got none)")
    found = xr.Dataset()
    if c.truth is not None:
        found = figures(c.explanation, c.truth, c.distractor, c.seen, **more)
    for name, mask in c.marks.items():
        own = figures(c.explanation, mask, seen=c.seen, **more)
        found = found.assign({f"{name}:{figure}": own[figure] for figure in own})
    return found


def _cascade(c: Case) -> xr.DataArray:
    return sanity.randomisation(*c.remade, stages=c.stages, run=c.run).mean("stage")


_AGARWAL = "Agarwal et al. 2022, eq. "
METRICS: dict[str, Metric] = {
    "pgi": Metric(
        lambda c: faithfulness.pgi(*c.base, c.edit, top=c.top, draws=c.draws, run=c.run),
        "higher",
        "Dai et al. 2022 (OpenXAI): area of |p_c(x) - p_c(x')| over k",
        disturbs=True,
        edges=True,
    ),
    "pgu": Metric(
        lambda c: faithfulness.pgu(*c.base, c.edit, top=c.top, draws=c.draws, run=c.run),
        "lower",
        "Dai et al. 2022 (OpenXAI): the same, all but the k joints",
        disturbs=True,
        edges=True,
    ),
    "deletion": Metric(
        lambda c: masking.deletion(*c.base, c.substrate, steps=c.steps, run=c.run),
        "lower",
        "Petsiuk et al. 2018, 4.1",
    ),
    "insertion": Metric(
        lambda c: masking.insertion(*c.base, c.substrate, steps=c.steps, run=c.run),
        "higher",
        "Petsiuk et al. 2018, 4.1",
    ),
    "average-drop": Metric(
        lambda c: c.masked["average-drop"],
        "lower",
        "Cai 2025, eq. 18",
        kinds=_PROBABLE,
    ),
    "increase": Metric(
        lambda c: c.masked["increase"],
        "higher",
        "Cai 2025, eq. 22",
        kinds=_PROBABLE,
    ),
    "add": Metric(
        lambda c: c.masked["add"],
        "higher",
        "Cai 2025, eq. 23",
        kinds=_PROBABLE,
    ),
    "coherency": Metric(
        lambda c: c.coherency,
        "higher",
        "Cai 2025, eq. 19",
        lambda _: 1,
    ),
    "complexity": Metric(
        lambda c: masking.complexity(c.explanation, c.x.shape[-3]), "lower", "Cai 2025, eq. 20"
    ),
    "adcc": Metric(_adcc, "higher", "Cai 2025, eq. 21, per sample", lambda _: 1, kinds=_PROBABLE),
    "adcc-of-means": Metric(
        _adcc, "higher", "Cai 2025, eq. 21, of means", lambda _: 1, kinds=_PROBABLE
    ),
    "sensitivity-n": Metric(
        lambda c: faithfulness.sensitivity_n(*c.base, c.edit, subsets=c.subsets, run=c.run),
        "higher",
        "Ancona et al. 2018, 4, sets of a quarter of the joints",
        disturbs=True,
        edges=True,
    ),
    "infidelity": Metric(
        lambda c: faithfulness.infidelity(*c.base, c.edit, subsets=c.subsets, run=c.run),
        "lower",
        "Yeh et al. 2019, eq. 1, removal of random joints, best scale >= 0, relative",
        disturbs=True,
        edges=True,
    ),
    "efficiency-gap": Metric(
        lambda c: faithfulness.efficiency_gap(c.explanation),
        "zero",
        "Choi, part 1: as stored",
        edges=True,
    ),
    "localisation": Metric(
        lambda c: _located(c, localisation),
        "higher",
        "Zheng et al. 2022, eq. 8 (energy); ROC; Choi, part 1",
        truth=True,
        seen=True,
    ),
    "ratios": Metric(
        lambda c: _located(c, ratios),
        "lower",
        "Choi, part 1, after Lapuschkin et al. 2016",
        truth=True,
        seen=True,
    ),
    "segmentation": Metric(
        lambda c: _located(c, segmentation, start=c.run.start),
        "higher",
        "Choi, part 1: pixel accuracy, IoU",
        truth=True,
        seen=True,
    ),
    "continuity": Metric(
        lambda c: stability(
            *c.remade, c.neighbour, neighbours=c.neighbours, relative="norm", run=c.run
        )["ris"].rename("continuity"),
        "lower",
        "Choi, part 1: largest relative change of the map over that of a neighbouring window",
        lambda c: c.neighbours,
    ),
    "ris": Metric(_stability, "lower", _AGARWAL + "2", lambda c: c.neighbours),
    "rrs": Metric(_stability, "lower", _AGARWAL + "3", lambda c: c.neighbours),
    "ros": Metric(_stability, "lower", _AGARWAL + "5", lambda c: c.neighbours),
    "randomisation": Metric(
        _cascade,
        "zero",
        "Adebayo et al. 2018, 4: Spearman, mean over the cascade",
        lambda c: c.stages,
    ),
    "class-sensitivity": Metric(
        lambda c: sanity.class_sensitivity(*c.remade, run=c.run),
        "lower",
        "Choi, part 1: Spearman with the map of the next class",
        lambda _: 1,
        kinds=("classes", "multi-label"),
    ),
}
"""Every measure by its name on the command line."""


def expect_defined(names: Sequence[str], model: nn.Module) -> None:
    """Refuse measures that are not defined for what a network says.

    Raises
    ------
    ValueError
        Names the first one and the outputs it is defined for.
    """
    kind = outputs_of(model).kind
    for name in names:
        if kind not in METRICS[name].kinds:
            raise ValueError(
                f"{name}: expected a network of {', '.join(METRICS[name].kinds)} outputs "
                f"(got {kind})"
            )
