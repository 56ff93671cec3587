"""DeepSHAP: attributions of the input that add up to the score, for any torch module.

phi = mean_r m(x, r) * (x - r) over background rows r, with multipliers m by the rules of
`rules`; sum phi + mean_r f(r) = f(x) is measured for every sample and stored (Lundberg and
Lee 2017; Tempel et al. 2024, equations 4-5). One sample costs one forward pass of itself and one
backward pass over the background, whose graph is built once.
"""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from hargcn.checks import one_of
from hargcn.explainers.deepshap.audit import audit
from hargcn.explainers.deepshap.library import library_attributions
from hargcn.explainers.deepshap.plan import Plan, make_plan
from hargcn.explainers.deepshap.propagation import Background
from hargcn.explainers.deepshap.resources import Forecast, available_memory
from hargcn.explainers.deepshap.tally import Tally
from hargcn.explainers.scores import Score, axis_names, frozen, labels
from hargcn.explanation import Explanation
from hargcn.files import track

GAP = 1e-3
"""Largest relative additivity gap that is no error."""

ROUNDING = 1e-4
"""Relative gap above which a sample of single precision is explained again in double precision."""

SAMPLES = 64
"""Samples per pass over the background, whose graph is rebuilt for the next ones."""


class DeepSHAP:
    """SHAP values of the input by backpropagated multipliers.

    Parameters
    ----------
    background : Tensor or array of shape (n, ...)
        Background samples, as the model takes them; usually 100 (see `background`).
    chunk : int
        Background rows per graph. Does not change the result.
    memory_limit : int, optional
        Bytes for the graph, from which smaller chunks follow; by default half of what is free.
    weights : (n,) array, optional
        Weights of the background samples; equal by default.
    dtype : torch.dtype, optional
        Precision of the computation, such as ``torch.float64``; by default the model's. Another
        one works on a copy of the model.
    allow_gap : bool
        Accept whatever gap the first run has: nothing is repeated in double precision or refused.
    progress : bool
        Show a bar with the remaining time.
    engine : {"hargcn", "library"}
        "library" is shap.DeepExplainer, for comparison: no standard errors, and gaps wherever it
        lacks a rule, which are stored but no error.
    utility : {"logit", "prob", "logprob"}
        The score to explain.
    dims : sequence of str, optional
        Names of the input's axes. By default the model's ``input_dims``, else the six of
        `explanation.DIMS` for an input of six axes, else "sample", "axis1", ...
    settings : mapping, optional
        More settings to store with the result, such as how the background was chosen.

    Notes
    -----
    The explanation holds besides `values`: `score`, `base_value`, `predicted`, `additivity_gap`
    (sum + base value - score), `relative_gap` (its size relative to |score - base value|, at least
    1% of the background's standard deviation), `standard_error` over the background, and where
    there is a joint axis `joint_standard_error` (sample, joint) of the joint scores and
    `joint_by_background` (sample, background, joint), the joint scores against each background row.

    Samples of single precision whose relative gap exceeds 1e-4, where score and base value nearly
    coincide, are explained again in double precision; `double_precision` (sample) says which.
    """

    def __init__(
        self,
        background: Tensor | np.ndarray,
        chunk: int = 20,
        memory_limit: int | None = None,
        weights: Any = None,
        dtype: torch.dtype | None = None,
        allow_gap: bool = False,
        progress: bool = False,
        engine: Literal["hargcn", "library"] = "hargcn",
        utility: Literal["logit", "prob", "logprob"] = "logit",
        dims: Sequence[str] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.background = torch.as_tensor(background).detach()
        n = len(self.background)
        self.weights = np.full(n, 1 / n) if weights is None else np.asarray(weights, float)
        if n == 0 or self.weights.shape != (n,) or not self.weights.sum() > 0:
            raise ValueError(f"Expected a background and a weight for each of its {n} samples")
        self.weights = self.weights / self.weights.sum()
        if chunk < 1 or (memory_limit is not None and memory_limit < 1):
            raise ValueError(
                f"Expected positive chunk and memory limit (got {chunk}, {memory_limit})"
            )
        one_of("engine", engine, ("hargcn", "library"))
        one_of("utility", utility, ("logit", "prob", "logprob"))
        if engine == "library" and np.ptp(self.weights) > 1e-12:
            raise ValueError("Expected equal weights with engine 'library'")
        self.chunk = chunk
        self.memory_limit = memory_limit
        self.dtype = dtype
        self.allow_gap = allow_gap
        self.progress = progress
        self.engine = engine
        self.utility = utility
        self.dims = dims
        self.settings = {
            "engine": engine,
            "background": n,
            "weighted": bool(np.ptp(self.weights) > 1e-12),
            "chunk": chunk,
            "float64": dtype == torch.float64,
            "allow_gap": allow_gap,
            **(settings or {}),
        }

    def __call__(
        self, model: nn.Module, x: Tensor, target: int | Tensor | Sequence[int]
    ) -> Explanation:
        """Explain one class per sample.

        Parameters
        ----------
        model : nn.Module
            Maps (n, ...) to (n, classes) or (n,).
        x : Tensor of shape (N, ...)
            Samples.
        target : int or (N,) ints
            The class of every sample, or of each.

        Raises
        ------
        ValueError
            For an operation without a rule, a model that mixes samples or branches on their values,
            or attributions that do not add up.
        """
        targets = np.broadcast_to(np.asarray(torch.as_tensor(target).cpu(), int), (len(x),))
        return self._explain(model, x, targets[:, None])[0]

    def explain_classes(
        self, model: nn.Module, x: Tensor, classes: Sequence[int]
    ) -> dict[int, Explanation]:
        """Explain several classes of every sample; they share the forward passes."""
        columns = np.tile(np.asarray(list(classes), int), (len(x), 1))
        return dict(zip(map(int, classes), self._explain(model, x, columns), strict=True))

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
            graph.multipliers(x[:1], [0])[0].sum().item()  # waits for a GPU
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

    def _plan(self, score: Score, rows: Tensor, x: Tensor) -> Plan:
        return make_plan(score, score.model, torch.stack([rows[0].to(x.device), x[0]]))

    def _sub_chunk(self, plan: Plan, x: Tensor) -> int:
        limit = self.memory_limit or available_memory(x.device) // 2
        return max(1, min(self.chunk, limit // max(plan.bytes, 1), len(self.background)))

    def _explain(self, model: nn.Module, x: Tensor, columns: np.ndarray) -> list[Explanation]:
        """One explanation per column of ``columns`` (N, classes)."""
        with self._ready(model, x) as (score, samples, rows):
            outputs, tallies = self._tallies(score, samples, rows, columns)
            for column, tally in zip(columns.T, tallies, strict=True):
                if self.engine == "hargcn" and not self.allow_gap:
                    if samples.dtype != torch.float64:
                        self._again(model, x, column, tally)
                    self._refuse_gap(tally, score, samples, rows, column)
        found = zip(columns.T, tallies, strict=True)
        return [self._wrap(model, x, column, outputs, tally) for column, tally in found]

    def _tallies(
        self, score: Score, x: Tensor, rows: Tensor, columns: np.ndarray
    ) -> tuple[np.ndarray, list[Tally]]:
        """Return the outputs (N, classes) and one closed tally per column."""
        with torch.no_grad():
            logits = torch.cat([score(part) for part in x.split(self.chunk)])
        outputs = logits.double().cpu().numpy()
        if columns.min() < 0 or columns.max() >= outputs.shape[1]:
            raise ValueError(
                f"Expected targets below {outputs.shape[1]} classes "
                f"(got {columns.min()} to {columns.max()})"
            )
        dims = axis_names(score.model, x, self.dims)
        tallies = [Tally(x.shape, dims, self.weights) for _ in range(columns.shape[1])]
        fill = self._library if self.engine == "library" else self._multipliers
        fill(tallies, score, x, rows, columns)
        for k, tally in enumerate(tallies):
            tally.close(np.take_along_axis(outputs, columns[:, k : k + 1], 1)[:, 0])
        return outputs, tallies

    def _again(self, model: nn.Module, x: Tensor, column: np.ndarray, tally: Tally) -> None:
        """Explain again in double precision what single precision cannot add up."""
        doubtful = np.flatnonzero(~(tally.relative_gap <= ROUNDING))  # NaN is doubtful
        if not len(doubtful):
            return
        try:
            with self._ready(model, x[doubtful], torch.float64) as (score, samples, rows):
                _, (better,) = self._tallies(score, samples, rows, column[doubtful, None])
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, TypeError) as error:
            # Model or device knows no double precision: the gap stays, and is stored.
            warnings.warn(f"additivity gaps above {ROUNDING:.0e} stay: {error}", stacklevel=5)
            return
        tally.replace(doubtful, better)

    def _multipliers(
        self, tallies: list[Tally], score: Score, x: Tensor, rows: Tensor, columns: np.ndarray
    ) -> None:
        """Sum over the background by hargcn's own multipliers."""
        plan = self._plan(score, rows, x)
        size = self._sub_chunk(plan, x)
        starts = range(0, len(rows), size)
        blocks = [range(len(x))[i : i + SAMPLES] for i in range(0, len(x), SAMPLES)]
        jobs = ((block, start, i) for block in blocks for start in starts for i in block)
        graph, built = None, None
        for block, start, i in track(jobs, "SHAP", len(starts) * len(x), self.progress):
            part = rows[start : start + size].to(x.device)
            if built != (block, start):
                # The old graph goes first: two would need twice the memory.
                graph = None
                graph, built = Background(score, plan, part), (block, start)
            assert graph is not None
            found = graph.multipliers(x[i : i + 1], columns[i].tolist())
            for tally, column, m in zip(tallies, columns[i], found, strict=True):
                # Into the difference: a multiplier may be a view of few numbers.
                phi = (x[i : i + 1] - part).mul_(m)
                tally.add(i, start, phi, graph.outputs[:, column])

    def _library(
        self, tallies: list[Tally], score: Score, x: Tensor, rows: Tensor, columns: np.ndarray
    ) -> None:
        """Sum over the background by shap.DeepExplainer in chunks."""
        parts = rows.to(x.device).split(self.chunk)
        with torch.no_grad():
            outputs = [score(part) for part in parts]
        jobs = list(itertools.product(range(len(parts)), range(len(x)), range(len(tallies))))
        for p, i, k in track(jobs, "SHAP (library)", progress=self.progress):
            column = int(columns[i, k])
            mean = library_attributions(score, parts[p], x[i : i + 1], column)
            tallies[k].add_mean(i, p * self.chunk, mean, outputs[p][:, column])

    def _refuse_gap(
        self, tally: Tally, score: Score, x: Tensor, rows: Tensor, columns: np.ndarray
    ) -> None:
        """Raise if attributions do not add up, and name the module to blame."""
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
        self, model: nn.Module, x: Tensor, columns: np.ndarray, outputs: np.ndarray, tally: Tally
    ) -> Explanation:
        return Explanation.build(
            tally.values.astype(np.float64 if self.dtype == torch.float64 else np.float32),
            tally.dims,
            method="shap" if self.engine == "hargcn" else "shap-library",
            target=columns,
            score=tally.scores,
            predicted=outputs.argmax(1),
            utility=self.utility,
            settings=self.settings,
            variables=tally.variables(),
            **labels(model, x, tally.dims),
        )
