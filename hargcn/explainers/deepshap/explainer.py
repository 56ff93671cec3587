"""DeepSHAP: attributions of the input that add up to the score, for any torch module.

phi = mean_r m(x, r) * (x - r) over background rows r, with multipliers m by the rules of
`rules`; sum phi + mean_r f(r) = f(x) is measured for every sample and stored (Lundberg and
Lee 2017; Tempel et al. 2024, equations 4-5). One sample costs one forward pass of itself and one
backward pass over the background, whose graph is built once.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import BeforeValidator, Field
from torch import Tensor, nn

from hargcn.explainers.adapter import axis_labels, input_axes
from hargcn.explainers.base import Explainer, Need, Promise
from hargcn.explainers.deepshap.audit import audit
from hargcn.explainers.deepshap.plan import Plan, make_plan
from hargcn.explainers.deepshap.propagation import Background
from hargcn.explainers.deepshap.resources import Forecast, available_memory
from hargcn.explainers.deepshap.tally import Tally
from hargcn.explainers.finite import finite_input, finite_result, finite_values
from hargcn.explainers.scores import Score, Utility, frozen
from hargcn.explainers.targets import class_numbers
from hargcn.explanation import Explanation
from hargcn.files import track
from hargcn.registry import settings

GAP = 1e-3
"""Largest relative additivity gap that is no error."""

ROUNDING = 1e-4
"""Relative gap above which a sample of single precision is explained again in double precision."""

SAMPLES = 64
"""Samples per pass over the background, whose graph is rebuilt for the next ones."""


def _doubtful(tally: Tally) -> np.ndarray:
    """Numbers of the samples that do not add up; NaN does not."""
    return np.flatnonzero(~(tally.relative_gap <= ROUNDING))


def _asked(outputs: Tensor, levels: Tensor, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N,) of one class per sample, and the background's (N, n) of these classes."""
    scores, rows = (each.double().cpu().numpy() for each in (outputs, levels))
    return np.take_along_axis(scores, column[:, None], 1)[:, 0], rows[:, column].T


def _dtype(value: Any) -> Any:
    return getattr(torch, value) if value in ("float32", "float64") else value


@settings
class DeepSHAP(Explainer):
    """SHAP values of the input by backpropagated multipliers.

    The explanation holds besides `values`: `score`, `base_value`, `predicted`, `additivity_gap`
    (sum + base value - score), `relative_gap` (its size relative to |score - base value|, at least
    1% of the background's standard deviation and 1e-10 of the score), `standard_error` over the
    background, and where there is a joint axis `joint_standard_error` (sample, joint) of the joint
    scores and `joint_by_background` (sample, background, joint), those against each background row.
    Score and base value come from plain forward passes: the gap is an independent witness.

    Where score and base value nearly coincide, so that in single precision the relative gap exceeds
    1e-4, both are computed in double precision. Samples that miss these, too, are explained again
    in double precision; `double_precision` (sample) says which.

    Parameters
    ----------
    background : Tensor or array of shape (n, ...)
        Background samples, as the model takes them; usually 100 (see `background`).
    chunk : int
        Background rows per graph. Changes the result by rounding, 1e-5 of the largest value.
    memory_limit : float, optional
        GiB for the graph, from which smaller chunks follow; by default half of what is free. Where
        that is enough for `chunk` rows, the same call gives the same bits.
    weights : (n,) array, optional
        Weights of the background samples; equal by default.
    dtype : {"float32", "float64"} or torch.dtype, optional
        Precision of the computation; by default the model's. Another one works on a copy of the
        model.
    allow_gap : bool
        Accept whatever gap the first run has: nothing is repeated in double precision or refused.
    progress : bool
        Show a bar with the remaining time.
    utility : {"logit", "prob", "logprob", "rest"}
        The score to explain.
    dims : sequence of str, optional
        Names of the input's axes. By default the model's ``input_dims``, else the six of
        `explanation.DIMS` for an input of six axes, else "sample", "axis1", ...
    """

    name = "shap"
    label = "SHAP"
    source = "Lundberg and Lee 2017; Tempel et al. 2024, equations 4-5"
    promise: ClassVar[Promise] = "adds up"
    needs: ClassVar[tuple[Need, ...]] = ("background",)
    cost = "(F + B) x background"

    exact: ClassVar[bool] = True
    """Whether values that do not add up are an error."""

    background: Any
    chunk: Annotated[int, Field(ge=1)] = 20
    memory_limit: Annotated[float | None, Field(gt=0, exclude=True)] = None
    weights: Any = None
    dtype: Annotated[torch.dtype | None, BeforeValidator(_dtype)] = None
    allow_gap: bool = False
    progress: Annotated[bool, Field(exclude=True)] = False
    utility: Utility = "logit"
    dims: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        background = torch.as_tensor(self.background).detach()
        n = len(background)
        weights = np.full(n, 1 / n) if self.weights is None else np.asarray(self.weights, float)
        if n == 0 or weights.shape != (n,) or not weights.sum() > 0:
            raise ValueError(f"Expected a background and a weight for each of its {n} samples")
        finite_input(background, "background sample")
        object.__setattr__(self, "background", background)
        object.__setattr__(self, "weights", weights / weights.sum())

    @property
    def tells_logits(self) -> bool:
        """Where they are the score: of other utilities the passes give nothing else."""
        return self.utility == "logit"

    def supports(self, model: nn.Module, x: Tensor) -> str:
        """Return why not: samples of another shape than the background's, or than axes name."""
        if not (x.ndim and len(x) and x.shape[1:] == self.background.shape[1:]):
            return (
                f"expected samples shaped like the background {tuple(self.background.shape[1:])} "
                f"(got {tuple(x.shape)})"
            )
        try:
            input_axes(model, x, self.dims)
        except ValueError as error:
            return str(error)
        return ""

    def explain(self, model: nn.Module, x: Tensor, target: Any) -> Explanation:
        """Explain one class per sample.

        Raises
        ------
        ValueError
            For an operation without a rule, a model that mixes samples or branches on their values,
            or attributions that do not add up.
        """
        return self._explain(model, x, lambda logits: class_numbers(target, logits)[:, None])[0]

    def explain_classes(
        self, model: nn.Module, x: Tensor, classes: Sequence[int]
    ) -> dict[int, Explanation]:
        """Explain several classes of every sample; they share the forward passes."""

        def columns(logits: Tensor) -> Tensor:
            return torch.stack([class_numbers(one, logits) for one in classes], dim=1)

        finite_input(x)
        found = map(finite_result, self._explain(model, x, columns))
        return dict(zip(map(int, classes), found, strict=True))

    def by_row(
        self, model: nn.Module, x: Tensor, target: Any, kept: Sequence[str] = ("time", "joint")
    ) -> np.ndarray:
        """Explain one class per sample against each background row alone.

        Parameters
        ----------
        model, x, target
            As for `explain`.
        kept : sequence of str
            Axes to keep; the others are summed.

        Returns
        -------
        (N, rows, ...) array
            The sums; their weighted mean over the rows are those of `explain`.
        """
        with self._ready(model, x) as (score, samples, rows):
            columns = class_numbers(target, self._outputs(score, samples))[:, None].cpu().numpy()
            sizes = self._axes(model, samples)
            axes = list(enumerate(sizes))[1:]
            left = [sizes[name] for _, name in axes if name in kept]
            sums = np.zeros((len(samples), len(rows), *left))
            others = [axis for axis, name in axes if name not in kept]
            for i, start, (phi,) in self._attributions(score, samples, rows, columns):
                # A sum over no axes would be one over all of them.
                found = phi.sum(others, dtype=torch.float64) if others else phi
                sums[i, start : start + len(phi)] = found.cpu().numpy()
        return sums

    def forecast(
        self, model: nn.Module, x: Tensor, samples: int | None = None, classes: int = 1
    ) -> Forecast:
        """Estimate time and memory from one chunk of the background, before a long run.

        Parameters
        ----------
        model : nn.Module
            The model to explain.
        x : Tensor of shape (N, ...)
            Samples; the first is used.
        samples : int, optional
            Number of samples that will be explained, by default N.
        classes : int
            Number of classes per sample.
        """
        with self._ready(model, x) as (score, x, rows):
            plan = self._plan(score, rows, x)
            chunk = self._sub_chunk(plan, x)
            start = time.perf_counter()
            graph = Background(score, plan, rows[:chunk].to(x.device))
            graph.multipliers(x[:1], [0])  # the first pass pays for memory, the others do not
            built = time.perf_counter()
            part = graph.multipliers(x[:1], [0])
            for phi in self._credited(model, 0, x[:1], graph.rows.detach(), part):
                phi.sum().item()  # waits for a GPU
            passed = time.perf_counter() - built
        n = len(x) if samples is None else samples
        once = (built - start) * -(-n // SAMPLES) + passed * n * classes
        chunks = -(-len(rows) // chunk)
        return Forecast(once * chunks, plan.bytes * chunk, chunk, n, len(rows))

    def _ready(
        self, model: nn.Module, x: Tensor, dtype: torch.dtype | None = None
    ) -> AbstractContextManager[tuple[Score, Tensor, Tensor]]:
        """Give the frozen score, the samples and the background in one precision."""
        return frozen(model, self.utility, x, self.background, dtype or self.dtype)

    def _axes(self, model: nn.Module, x: Tensor) -> dict[str, int]:
        """Return the sizes of the attributions' axes by their names, the samples first."""
        return dict(zip(input_axes(model, x, self.dims), x.shape, strict=True))

    def _credited(
        self, _model: nn.Module, _number: int, x: Tensor, rows: Tensor, found: Iterable[Tensor]
    ) -> Iterator[Tensor]:
        """Give attributions (n, ...) of a sample against some rows, per column.

        Parameters
        ----------
        _number
            The sample's.
        x, rows
            It (1, ...), and the rows (n, ...).
        found
            (n, ...) multipliers m(x, r) of each column.
        """
        # Into the difference: a multiplier may be a view of few numbers.
        yield from ((x - rows).mul_(m) for m in found)

    def _some(self, _samples: np.ndarray) -> DeepSHAP:
        """Return what explains some of the samples, by their numbers."""
        return self

    def _plan(self, score: Score, rows: Tensor, x: Tensor) -> Plan:
        return make_plan(score, score.model, torch.stack([rows[0].to(x.device), x[0]]))

    def _sub_chunk(self, plan: Plan, x: Tensor) -> int:
        given = None if self.memory_limit is None else int(self.memory_limit * 2**30)
        limit = given or available_memory(x.device) // 2
        return max(1, min(self.chunk, limit // max(plan.bytes, 1), len(self.background)))

    def _explain(
        self, model: nn.Module, x: Tensor, asked: Callable[[Tensor], Tensor]
    ) -> list[Explanation]:
        """One explanation per column of the classes (N, k) that are asked for, given the logits."""
        with self._ready(model, x) as (score, samples, rows):
            logits = self._outputs(score, samples)
            columns = asked(logits).cpu().numpy()
            levels = self._outputs(score, rows)
            tallies = self._tallies(score, samples, rows, columns, logits, levels)
            for column, tally in zip(columns.T, tallies, strict=True):
                if self.exact and not self.allow_gap:
                    if samples.dtype != torch.float64:
                        self._again(model, x, column, tally)
                    self._refuse_gap(tally, score, samples, rows, column)
            dtype = samples.dtype
        predicted = logits.argmax(dim=1).cpu().numpy()
        found = zip(columns.T, tallies, strict=True)
        return [self._wrap(model, dtype, column, predicted, tally) for column, tally in found]

    def _outputs(self, score: Score, x: Tensor) -> Tensor:
        """Return the scores (n, classes) by plain forward passes."""
        device = next((p.device for p in score.parameters()), x.device)
        with torch.no_grad():
            return torch.cat([score(part.to(device)) for part in x.split(self.chunk)])

    def _tallies(
        self,
        score: Score,
        x: Tensor,
        rows: Tensor,
        columns: np.ndarray,
        outputs: Tensor,
        levels: Tensor,
    ) -> list[Tally]:
        """Return one closed tally per column, of samples and background with these outputs."""
        sizes = self._axes(score.model, x)
        shape, dims = tuple(sizes.values()), tuple(sizes)
        witnesses = [_asked(outputs, levels, column) for column in columns.T]
        tallies = [Tally(shape, dims, self.weights, level) for _, level in witnesses]
        self._fill(tallies, score, x, rows, columns)
        for tally, (scores, _) in zip(tallies, witnesses, strict=True):
            tally.close(scores)
        return tallies

    def _again(self, model: nn.Module, x: Tensor, column: np.ndarray, tally: Tally) -> None:
        """Compare doubtful sums with scores of double precision, and explain what still misses.

        Where score and base value nearly coincide, their own rounding is most of the gap: the
        multipliers credit the differences that the layers saw, and their sum is nearer the network
        in double precision than its own score is. Plain passes tell, at a fraction of the cost.
        """
        doubtful = _doubtful(tally)
        if not len(doubtful):
            return
        try:
            with self._ready(model, x[doubtful], torch.float64) as (score, samples, rows):
                outputs, levels = (self._outputs(score, each) for each in (samples, rows))
                tally.judge(doubtful, *_asked(outputs, levels, column[doubtful]))
                missed = _doubtful(tally)
                if not len(missed):
                    return
                left = torch.from_numpy(np.isin(doubtful, missed))
                some, wanted = self._some(missed), column[missed, None]
                given = (samples[left], rows, wanted, outputs[left], levels)
                (better,) = some._tallies(score, *given)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError) as error:
            # Model or device knows no double precision: the gap stays, and is stored.
            warnings.warn(f"additivity gaps above {ROUNDING:.0e} stay: {error}", stacklevel=5)
            return
        tally.replace(missed, better)

    def _fill(
        self, tallies: list[Tally], score: Score, x: Tensor, rows: Tensor, columns: np.ndarray
    ) -> None:
        """Sum over the background by hargcn's own multipliers."""
        for i, start, found in self._attributions(score, x, rows, columns):
            for tally, phi in zip(tallies, found, strict=True):
                tally.add(i, start, phi)

    def _attributions(
        self, score: Score, x: Tensor, rows: Tensor, columns: np.ndarray
    ) -> Iterator[tuple[int, int, Iterable[Tensor]]]:
        """Give a sample, the first of some rows, and its attributions against these, per column."""
        plan = self._plan(score, rows, x)
        size = self._sub_chunk(plan, x)
        starts = range(0, len(rows), size)
        blocks = [range(len(x))[i : i + SAMPLES] for i in range(0, len(x), SAMPLES)]
        jobs = ((block, start, i) for block in blocks for start in starts for i in block)
        graph, built = None, None
        label = "SHAP in double precision" if x.dtype == torch.float64 else "SHAP"
        for block, start, i in track(jobs, label, len(starts) * len(x), self.progress):
            part = rows[start : start + size].to(x.device)
            if built != (block, start):
                # The old graph goes first: two would need twice the memory.
                graph = None
                graph, built = Background(score, plan, part), (block, start)
            assert graph is not None
            found = graph.multipliers(x[i : i + 1], columns[i].tolist())
            yield i, start, self._credited(score.model, i, x[i : i + 1], part, found)

    def _refuse_gap(
        self, tally: Tally, score: Score, x: Tensor, rows: Tensor, columns: np.ndarray
    ) -> None:
        """Raise if attributions do not add up, and name the module to blame."""
        finite_values(self.name, "score", tally.scores)
        finite_values(self.name, "base value", tally.base_value)
        worst = int(np.nan_to_num(tally.relative_gap, nan=np.inf).argmax())
        gap = tally.relative_gap[worst]
        if gap <= GAP:
            return
        steps, row = self._plan(score, rows, x).steps, rows[:1].to(x.device)
        first = audit(score, steps, row, x[worst : worst + 1], int(columns[worst]))[0]
        raise ValueError(
            f"sample {worst}: expected SHAP values that add up to its score within {GAP:.0e} (got "
            f"{gap:.1e}); the worst operation is '{first.name}' in module '{first.path}', which "
            f"misses {first.gap:.1e}. allow_gap accepts this, float64 may mend it"
        )

    def _wrap(
        self,
        model: nn.Module,
        dtype: torch.dtype,
        column: np.ndarray,
        predicted: np.ndarray,
        tally: Tally,
    ) -> Explanation:
        sizes = dict(zip(tally.dims, tally.values.shape, strict=True))
        return Explanation.build(
            tally.values.astype(np.float64 if dtype == torch.float64 else np.float32),
            tally.dims,
            method=self.name,
            label=self.label,
            target=column,
            score=tally.scores,
            predicted=predicted,
            utility=self.utility,
            settings=self.settings,
            dtype=str(dtype).removeprefix("torch."),
            variables=tally.variables(),
            frames=sizes.get("time"),
            **axis_labels(model, sizes),
        )
